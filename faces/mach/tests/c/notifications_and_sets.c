/* Every notification with its layout, and port sets. */
#include "check.h"

#include <pthread.h>

static mach_port_t ask(mach_port_t name, mach_msg_id_t id, mach_port_mscount_t sync,
                       mach_port_t notify) {
    mach_port_t before = 99;
    OK(mach_port_request_notification(SELF, name, id, sync, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    return before;
}

static void a_dead_name_is_told(void) {
    mach_port_t port = new_port_with_send(), notify = new_port();
    CHECK(ask(port, MACH_NOTIFY_DEAD_NAME, 0, notify) == MACH_PORT_NULL);
    CHECK(type_of(port) == (MACH_PORT_TYPE_SEND_RECEIVE | MACH_PORT_TYPE_DNREQUEST));
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    /* The news adds a reference. */
    CHECK(refs_of(port, MACH_PORT_RIGHT_DEAD_NAME) == 2);
    struct {
        mach_dead_name_notification_t news;
        mach_msg_max_trailer_t room;
    } in;
    OK(mach_msg(&in.news.not_header,
                MACH_RCV_MSG | MACH_RCV_TIMEOUT |
                    MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT),
                0, sizeof in, notify, 0, 0));
    CHECK(in.news.not_header.msgh_id == MACH_NOTIFY_DEAD_NAME);
    CHECK(in.news.not_header.msgh_size == 36);
    CHECK(in.news.not_header.msgh_bits == MACH_MSGH_BITS(0, MACH_MSG_TYPE_PORT_SEND_ONCE));
    CHECK(in.news.not_header.msgh_remote_port == MACH_PORT_NULL);
    CHECK(in.news.not_header.msgh_local_port == notify);
    CHECK(in.news.not_port == port);
    mach_msg_audit_trailer_t *trailer = (void *)((char *)&in + 36);
    for (int i = 0; i < 8; i++) CHECK(trailer->msgh_audit.val[i] == 0);
    /* A dead name is told of at once, if that is asked. */
    mach_port_t before;
    IS(mach_port_request_notification(SELF, port, MACH_NOTIFY_DEAD_NAME, 0, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before),
       KERN_INVALID_ARGUMENT);
    plain_t told;
    OK(take(notify, &told));
    CHECK(told.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    ask(port, MACH_NOTIFY_DEAD_NAME, 1, notify);
    OK(take(notify, &told));
    CHECK(told.head.msgh_id == MACH_NOTIFY_DEAD_NAME && told.words[2] == port);
    CHECK(refs_of(port, MACH_PORT_RIGHT_DEAD_NAME) == 3);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, notify));
}

static void a_name_that_goes_is_told(void) {
    mach_port_t port = new_port_with_send(), notify = new_port();
    mach_port_t first, second;
    plain_t in;
    ask(port, MACH_NOTIFY_DEAD_NAME, 0, notify);
    /* Another request gives the right of the one before back. */
    first = ask(port, MACH_NOTIFY_DEAD_NAME, 0, notify);
    CHECK(type_of(first) == MACH_PORT_TYPE_SEND_ONCE);
    OK(mach_port_deallocate(SELF, first));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    OK(mach_port_destroy(SELF, port));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_PORT_DELETED && in.words[2] == port);
    CHECK(type_of(port) == 0);
    /* Taken back, nothing comes. */
    port = new_port_with_send();
    ask(port, MACH_NOTIFY_DEAD_NAME, 0, notify);
    second = ask(port, MACH_NOTIFY_DEAD_NAME, 0, MACH_PORT_NULL);
    OK(mach_port_destroy(SELF, port));
    IS(take(notify, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_destroy(SELF, second));
    OK(mach_port_destroy(SELF, notify));
}

static void no_senders_are_told(void) {
    mach_port_t port = new_port(), notify = new_port();
    mach_no_senders_notification_t *news;
    plain_t in;
    CHECK(ask(port, MACH_NOTIFY_NO_SENDERS, 1, notify) == MACH_PORT_NULL);
    IS(take(notify, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    /* A right in a queue counts. */
    mach_port_t other = new_port_with_send();
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_port_descriptor_t port;
        mach_msg_trailer_t trailer;
    } m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = other;
    m.body.msgh_descriptor_count = 1;
    m.port.name = port;
    m.port.disposition = MACH_MSG_TYPE_MOVE_SEND;
    m.port.type = MACH_MSG_PORT_DESCRIPTOR;
    OK(mach_msg(&m.head, MACH_SEND_MSG, 40, 0, 0, 0, 0));
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    IS(take(notify, &in), MACH_RCV_TIMED_OUT);
    OK(mach_msg(&m.head, MACH_RCV_MSG, 0, sizeof m, other, 0, 0));
    CHECK(m.port.name == port && m.port.disposition == MACH_MSG_TYPE_PORT_SEND);
    OK(mach_port_deallocate(SELF, port));
    OK(take(notify, &in));
    news = (void *)&in;
    CHECK(in.head.msgh_id == MACH_NOTIFY_NO_SENDERS && in.head.msgh_size == 36);
    CHECK(news->not_count == 1);
    IS(take(notify, &in), MACH_RCV_TIMED_OUT);
    /* At once where there is nobody, and enough were made. */
    ask(port, MACH_NOTIFY_NO_SENDERS, 1, notify);
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_NO_SENDERS);
    /* Armed, and the port ends: its right says so. */
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    ask(port, MACH_NOTIFY_NO_SENDERS, 0, notify);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, other));
    OK(mach_port_destroy(SELF, notify));
}

static void a_destroyed_port_comes_in_its_news(void) {
    mach_port_t port = new_port_with_send(), notify = new_port(), before;
    IS(mach_port_request_notification(SELF, port, MACH_NOTIFY_PORT_DESTROYED, 1, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before),
       KERN_INVALID_VALUE);
    plain_t stray;
    OK(take(notify, &stray));
    CHECK(stray.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    ask(port, MACH_NOTIFY_PORT_DESTROYED, 0, notify);
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 7, 0));
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    CHECK(type_of(port) == MACH_PORT_TYPE_SEND);
    mach_port_destroyed_notification_t in;
    OK(mach_msg(&in.not_header, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, notify, 0, 0));
    CHECK(in.not_header.msgh_id == MACH_NOTIFY_PORT_DESTROYED && in.not_header.msgh_size == 40);
    CHECK(MACH_MSGH_BITS_IS_COMPLEX(in.not_header.msgh_bits));
    CHECK(in.not_body.msgh_descriptor_count == 1);
    CHECK(in.not_port.name == port);
    CHECK(in.not_port.disposition == MACH_MSG_TYPE_PORT_RECEIVE);
    /* It is the same port, with what was sent to it. */
    CHECK(type_of(port) == MACH_PORT_TYPE_SEND_RECEIVE);
    OK(take(port, &stray));
    CHECK(stray.head.msgh_id == 7);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, notify));
}

static void a_right_that_moves_keeps_its_requests(void) {
    mach_port_t port = new_port_with_send(), way = new_port_with_send(), notify = new_port();
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_port_descriptor_t port;
        mach_msg_trailer_t trailer;
    } m;
    plain_t in;
    ask(port, MACH_NOTIFY_NO_SENDERS, 1, notify);
    ask(port, MACH_NOTIFY_PORT_DESTROYED, 0, notify);
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = way;
    m.body.msgh_descriptor_count = 1;
    m.port.name = port;
    m.port.disposition = MACH_MSG_TYPE_MOVE_RECEIVE;
    OK(mach_msg(&m.head, MACH_SEND_MSG, 40, 0, 0, 0, 0));
    OK(mach_msg(&m.head, MACH_RCV_MSG, 0, sizeof m, way, 0, 0));
    IS(take(notify, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_deallocate(SELF, port));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_NO_SENDERS);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_PORT_DESTROYED);
    OK(mach_port_destroy(SELF, ((mach_port_destroyed_notification_t *)&in)->not_port.name));
    OK(mach_port_destroy(SELF, way));
    OK(mach_port_destroy(SELF, notify));
}

/* Nobody reads what it asked for: news comes all the same, and is dropped with its port. */
static void news_needs_no_room(void) {
    mach_port_t notify = new_port(), ports[9];
    plain_t in;
    for (int i = 0; i < 9; i++) {
        ports[i] = new_port_with_send();
        ask(ports[i], MACH_NOTIFY_DEAD_NAME, 0, notify);
    }
    for (int i = 0; i < 8; i++) OK(mach_port_mod_refs(SELF, ports[i], MACH_PORT_RIGHT_RECEIVE, -1));
    for (int i = 0; i < 8; i++) {
        OK(take(notify, &in));
        CHECK(in.head.msgh_id == MACH_NOTIFY_DEAD_NAME);
    }
    OK(mach_port_destroy(SELF, notify));
    OK(mach_port_mod_refs(SELF, ports[8], MACH_PORT_RIGHT_RECEIVE, -1));
    CHECK(refs_of(ports[8], MACH_PORT_RIGHT_DEAD_NAME) == 2);
    for (int i = 0; i < 9; i++) OK(mach_port_destroy(SELF, ports[i]));
}

static void room_is_told(void) {
    mach_port_t port = new_port_with_send(), notify = new_port();
    plain_t in;
    ask(port, MACH_NOTIFY_SEND_POSSIBLE, 0, notify);
    CHECK(type_of(port) & MACH_PORT_TYPE_SPREQUEST_DELAYED);
    for (int i = 0; i < 5; i++) OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, 0));
    IS(send_word(port, MACH_MSG_TYPE_COPY_SEND, 5, MACH_SEND_TIMEOUT | MACH_SEND_NOTIFY),
       MACH_SEND_TIMED_OUT);
    CHECK(type_of(port) & MACH_PORT_TYPE_SPREQUEST);
    IS(take(notify, &in), MACH_RCV_TIMED_OUT);
    OK(take(port, &in));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_POSSIBLE && in.words[2] == port);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, notify));
}

static void the_end_of_a_send_once_name_is_told(void) {
    mach_port_t port = new_port(), notify = new_port(), once;
    mach_msg_type_name_t type;
    plain_t in;
    OK(mach_port_extract_right(SELF, port, MACH_MSG_TYPE_MAKE_SEND_ONCE, &once, &type));
    ask(once, MACH_NOTIFY_DEAD_NAME, 0, notify);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_DEAD_NAME && in.words[2] == once);
    CHECK(refs_of(once, MACH_PORT_RIGHT_DEAD_NAME) == 2);
    OK(mach_port_destroy(SELF, once));
    /* Used by a message, its name goes. */
    port = new_port();
    OK(mach_port_extract_right(SELF, port, MACH_MSG_TYPE_MAKE_SEND_ONCE, &once, &type));
    ask(once, MACH_NOTIFY_DEAD_NAME, 0, notify);
    OK(send_word(once, MACH_MSG_TYPE_MOVE_SEND_ONCE, 1, 0));
    OK(take(notify, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_PORT_DELETED && in.words[2] == once);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, notify));
}

static void sets_are_served_in_turn(void) {
    mach_port_t set, other, a = new_port_with_send(), b = new_port_with_send();
    plain_t in;
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &set));
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &other));
    IS(send_word(set, MACH_MSG_TYPE_COPY_SEND, 1, 0), MACH_SEND_INVALID_DEST);
    OK(mach_port_insert_member(SELF, a, set));
    IS(mach_port_insert_member(SELF, a, set), KERN_ALREADY_IN_SET);
    IS(mach_port_insert_member(SELF, set, other), KERN_INVALID_RIGHT);
    OK(mach_port_move_member(SELF, b, set));
    OK(mach_port_move_member(SELF, b, set));
    for (int i = 0; i < 3; i++) {
        OK(send_word(a, MACH_MSG_TYPE_COPY_SEND, i, 0));
        OK(send_word(b, MACH_MSG_TYPE_COPY_SEND, 10 + i, 0));
    }
    mach_port_t last = 0;
    for (int i = 0; i < 4; i++) {
        OK(take(set, &in));
        CHECK(in.head.msgh_local_port != last);
        last = in.head.msgh_local_port;
        CHECK(in.head.msgh_id == (last == a ? 0 : 10) + i / 2);
    }
    /* A member can be received from alone. */
    OK(take(a, &in));
    CHECK(in.head.msgh_id == 2);
    mach_port_name_array_t members;
    mach_msg_type_number_t count;
    OK(mach_port_get_set_status(SELF, set, &members, &count));
    CHECK(count == 2 && members[0] == (a < b ? a : b) && members[1] == (a < b ? b : a));
    OK(vm_deallocate(SELF, (vm_address_t)members, count * sizeof *members));
    OK(mach_port_insert_member(SELF, b, other));
    OK(take(other, &in));
    CHECK(in.head.msgh_id == 12 && in.head.msgh_local_port == b);
    OK(mach_port_move_member(SELF, b, MACH_PORT_NULL));
    IS(mach_port_move_member(SELF, b, MACH_PORT_NULL), KERN_NOT_IN_SET);
    IS(mach_port_extract_member(SELF, b, set), KERN_NOT_IN_SET);
    OK(mach_port_extract_member(SELF, a, set));
    IS(mach_port_mod_refs(SELF, set, MACH_PORT_RIGHT_SEND, 1), KERN_INVALID_RIGHT);
    IS(take(set, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_mod_refs(SELF, set, MACH_PORT_RIGHT_PORT_SET, -1));
    OK(mach_port_destroy(SELF, other));
    OK(mach_port_destroy(SELF, a));
    OK(mach_port_destroy(SELF, b));
    IS(take(set, &in), MACH_RCV_INVALID_NAME);
}

static void *wait_at(void *name) {
    plain_t in;
    mach_msg_return_t code = mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in,
                                      *(mach_port_t *)name, 0, 0);
    return (void *)(unsigned long)(unsigned)code;
}

static void who_waits_is_told_of_the_end(void) {
    mach_port_t port = new_port_with_send(), set;
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &set));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], 0, wait_at, i < 2 ? &port : &set) == 0);
    /* Whether they wait yet or only come to: a name that is gone meanwhile is none. */
    usleep(20000);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, set));
    for (int i = 0; i < 4; i++) {
        void *code;
        CHECK(pthread_join(threads[i], &code) == 0);
        unsigned got = (unsigned)(unsigned long)code;
        CHECK(got == MACH_RCV_PORT_CHANGED || got == MACH_RCV_INVALID_NAME);
    }
}

static void *end_later(void *name) {
    usleep(20000);
    OK(mach_port_mod_refs(SELF, *(mach_port_t *)name, MACH_PORT_RIGHT_RECEIVE, -1));
    return 0;
}

static void news_wakes_who_waits(void) {
    mach_port_t port = new_port_with_send(), notify = new_port();
    pthread_t thread;
    plain_t in;
    ask(port, MACH_NOTIFY_DEAD_NAME, 0, notify);
    CHECK(pthread_create(&thread, 0, end_later, &port) == 0);
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, notify, 0, 0));
    CHECK(in.head.msgh_id == MACH_NOTIFY_DEAD_NAME && in.words[2] == port);
    CHECK(pthread_join(thread, 0) == 0);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, notify));
}

int main(void) {
    a_dead_name_is_told();
    a_name_that_goes_is_told();
    no_senders_are_told();
    a_destroyed_port_comes_in_its_news();
    a_right_that_moves_keeps_its_requests();
    news_needs_no_room();
    room_is_told();
    the_end_of_a_send_once_name_is_told();
    sets_are_served_in_turn();
    who_waits_is_told_of_the_end();
    news_wakes_who_waits();
    return 0;
}
