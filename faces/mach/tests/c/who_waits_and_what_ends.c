/* Who waits to send or to receive, signals that come meanwhile, and ports that end with
 * messages in them. */
#include "check.h"

#include <pthread.h>
#include <signal.h>

static volatile sig_atomic_t signals;

static void on_signal(int number) {
    (void)number;
    signals++;
}

static void *send_seven(void *to) {
    mach_port_t port = *(mach_port_t *)to;
    return (void *)(unsigned long)(unsigned)send_word(port, MACH_MSG_TYPE_COPY_SEND, 7, 0);
}

static unsigned ended(pthread_t thread) {
    void *code;
    CHECK(pthread_join(thread, &code) == 0);
    return (unsigned)(unsigned long)code;
}

static void fill(mach_port_t port) {
    for (int i = 0; i < MACH_PORT_QLIMIT_DEFAULT; i++)
        OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, MACH_SEND_TIMEOUT));
}

static void more_places_let_senders_in(void) {
    mach_port_t port = new_port_with_send();
    mach_port_limits_t limits = {.mpl_qlimit = 7};
    pthread_t two[2];
    plain_t in;
    fill(port);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&two[i], 0, send_seven, &port) == 0);
    OK(mach_port_set_attributes(SELF, port, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits, 1));
    for (int i = 0; i < 2; i++) CHECK(ended(two[i]) == KERN_SUCCESS);
    /* Fewer places: what is there stays. */
    limits.mpl_qlimit = 1;
    OK(mach_port_set_attributes(SELF, port, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits, 1));
    for (int i = 0; i < 7; i++) {
        IS(send_word(port, MACH_MSG_TYPE_MAKE_SEND, 9, MACH_SEND_TIMEOUT), MACH_SEND_TIMED_OUT);
        OK(take(port, &in));
        CHECK(in.head.msgh_id == (i < 5 ? i : 7));
    }
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 8, MACH_SEND_TIMEOUT));
    OK(mach_port_destroy(SELF, port));
}

static void a_place_that_comes_free_lets_one_in(void) {
    mach_port_t port = new_port_with_send();
    pthread_t thread;
    plain_t in;
    fill(port);
    CHECK(pthread_create(&thread, 0, send_seven, &port) == 0);
    OK(take(port, &in));
    CHECK(ended(thread) == KERN_SUCCESS);
    for (int i = 1; i < 6; i++) {
        OK(take(port, &in));
        CHECK(in.head.msgh_id == (i < 5 ? i : 7));
    }
    OK(mach_port_destroy(SELF, port));
}

/* A sender that waits, or comes a little later: a port that ends is a success for the
 * one, and no destination for the other. */
static void a_port_that_ends_is_a_success_for_who_waits(void) {
    unsigned successes = 0;
    for (int round = 0; round < 20 || successes == 0; round++) {
        CHECK(round < 2000);
        mach_port_t port = new_port_with_send();
        pthread_t thread;
        fill(port);
        CHECK(pthread_create(&thread, 0, send_seven, &port) == 0);
        if (round % 2) usleep(round * 50);
        OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
        unsigned code = ended(thread);
        CHECK(code == KERN_SUCCESS || code == MACH_SEND_INVALID_DEST);
        successes += code == KERN_SUCCESS;
        OK(mach_port_destroy(SELF, port));
    }
}

#define MANY 400

static int seen[MANY];

static void *take_until_told(void *from) {
    plain_t in;
    for (;;) {
        OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, *(mach_port_t *)from, 0, 0));
        if (in.head.msgh_id == MANY) return 0;
        __sync_fetch_and_add(&seen[in.head.msgh_id], 1);
    }
}

static void a_message_goes_to_one_thread(void) {
    mach_port_t port = new_port_with_send();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], 0, take_until_told, &port) == 0);
    for (int i = 0; i < MANY; i++) OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, 0));
    for (int i = 0; i < 3; i++) OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, MANY, 0));
    for (int i = 0; i < 3; i++) CHECK(ended(threads[i]) == 0);
    for (int i = 0; i < MANY; i++) CHECK(seen[i] == 1);
    OK(mach_port_destroy(SELF, port));
}

static void *take_one(void *from) {
    plain_t in;
    mach_msg_return_t code =
        mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, *(mach_port_t *)from, 0, 0);
    CHECK(code != KERN_SUCCESS || in.head.msgh_id == 3);
    return (void *)(unsigned long)(unsigned)code;
}

static void a_signal_is_not_seen(void) {
    mach_port_t port = new_port_with_send();
    struct sigaction action;
    pthread_t thread;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGUSR1, &action, 0) == 0);
    CHECK(pthread_create(&thread, 0, take_one, &port) == 0);
    while (signals < 20) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        usleep(500);
    }
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 3, 0));
    CHECK(ended(thread) == KERN_SUCCESS);
    OK(mach_port_destroy(SELF, port));
}

/* One that is in a call, and how it asked to be told of signals. */
typedef struct {
    mach_port_t port;
    mach_msg_option_t options;
    int trap;
    int over;
} waiting_t;

static void *waits(void *at) {
    waiting_t *it = at;
    plain_t m;
    mach_msg_return_t code;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = it->port;
    m.head.msgh_id = 8;
    if (it->trap) {
        code = mach_msg_trap(&m.head, it->options, 24, sizeof m, it->port, 0, 0);
    } else {
        code = mach_msg(&m.head, it->options, 24, sizeof m, it->port, 0, 0);
    }
    __atomic_store_n(&it->over, 1, __ATOMIC_SEQ_CST);
    return (void *)(unsigned long)(unsigned)code;
}

/* Signals whoever waits until it waits no more. */
static mach_msg_return_t told(mach_port_t port, mach_msg_option_t options, int trap) {
    waiting_t it = {port, options, trap, 0};
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, waits, &it) == 0);
    while (!__atomic_load_n(&it.over, __ATOMIC_SEQ_CST)) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        usleep(500);
    }
    return ended(thread);
}

static void a_signal_is_told_to_who_asks(void) {
    mach_port_t port = new_port_with_send();
    IS(told(port, MACH_RCV_MSG | MACH_RCV_INTERRUPT, 0), MACH_RCV_INTERRUPTED);
    IS(told(port, MACH_RCV_MSG, 1), MACH_RCV_INTERRUPTED);
    for (int i = 0; i < 5; i++) OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, 0));
    IS(told(port, MACH_SEND_MSG | MACH_SEND_INTERRUPT, 0), MACH_SEND_INTERRUPTED);
    /* The message came back, and the right that was copied is held. */
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 2);
    IS(told(port, MACH_SEND_MSG, 1), MACH_SEND_INTERRUPTED);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 3);
    OK(mach_port_destroy(SELF, port));
}

static void a_signal_does_not_end_a_send(void) {
    mach_port_t port = new_port_with_send();
    waiting_t it = {port, MACH_SEND_MSG | MACH_RCV_INTERRUPT, 0, 0};
    pthread_t thread;
    plain_t in;
    for (int i = 0; i < 5; i++) OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, 0));
    CHECK(pthread_create(&thread, 0, waits, &it) == 0);
    for (int until = signals + 20; signals < until;) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        usleep(500);
    }
    CHECK(!__atomic_load_n(&it.over, __ATOMIC_SEQ_CST));
    for (int i = 0; i < 5; i++) OK(take(port, &in));
    IS(ended(thread), KERN_SUCCESS);
    OK(take(port, &in));
    CHECK(in.head.msgh_id == 8);
    OK(mach_port_destroy(SELF, port));
}

typedef struct {
    mach_msg_header_t head;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t ports[3];
    mach_msg_trailer_t trailer;
} cargo_t;

static void what_was_queued_ends_with_its_port(void) {
    mach_port_t port = new_port_with_send(), told = new_port(), inside = new_port_with_send();
    mach_port_t unused, before;
    plain_t in;
    cargo_t m;
    /* A send-once right, the last send right of a port, and a receive right. */
    OK(mach_port_request_notification(SELF, told, MACH_NOTIFY_NO_SENDERS, 1, told,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    OK(mach_port_request_notification(SELF, inside, MACH_NOTIFY_DEAD_NAME, 0, told,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &unused));
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = port;
    m.body.msgh_descriptor_count = 3;
    m.ports[0].name = told;
    m.ports[0].disposition = MACH_MSG_TYPE_MAKE_SEND_ONCE;
    m.ports[1].name = told;
    m.ports[1].disposition = MACH_MSG_TYPE_MAKE_SEND;
    m.ports[2].name = inside;
    m.ports[2].disposition = MACH_MSG_TYPE_MOVE_RECEIVE;
    OK(mach_msg(&m.head, MACH_SEND_MSG, sizeof m - sizeof m.trailer, 0, 0, 0, 0));
    CHECK(type_of(inside) == (MACH_PORT_TYPE_SEND | MACH_PORT_TYPE_DNREQUEST));
    IS(take(told, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    unsigned once = 0, none = 0, dead = 0;
    for (int i = 0; i < 3; i++) {
        OK(take(told, &in));
        once += in.head.msgh_id == MACH_NOTIFY_SEND_ONCE;
        none += in.head.msgh_id == MACH_NOTIFY_NO_SENDERS;
        dead += in.head.msgh_id == MACH_NOTIFY_DEAD_NAME && in.words[2] == inside;
    }
    CHECK(once == 1 && none == 1 && dead == 1);
    CHECK(type_of(inside) == MACH_PORT_TYPE_DEAD_NAME);
    OK(mach_port_destroy(SELF, inside));
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, told));
}

static void a_right_in_a_message_dies_with_its_port(void) {
    mach_port_t port = new_port_with_send(), mortal = new_port();
    cargo_t m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX |
                       MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    m.head.msgh_remote_port = port;
    m.head.msgh_local_port = mortal;
    m.body.msgh_descriptor_count = 1;
    m.ports[0].name = mortal;
    m.ports[0].disposition = MACH_MSG_TYPE_MAKE_SEND;
    OK(mach_msg(&m.head, MACH_SEND_MSG, 40, 0, 0, 0, 0));
    OK(mach_port_mod_refs(SELF, mortal, MACH_PORT_RIGHT_RECEIVE, -1));
    OK(mach_msg(&m.head, MACH_RCV_MSG, 0, sizeof m, port, 0, 0));
    CHECK(m.head.msgh_remote_port == MACH_PORT_DEAD && m.ports[0].name == MACH_PORT_DEAD);
    OK(mach_port_destroy(SELF, port));
}

int main(void) {
    more_places_let_senders_in();
    a_place_that_comes_free_lets_one_in();
    a_port_that_ends_is_a_success_for_who_waits();
    a_message_goes_to_one_thread();
    a_signal_is_not_seen();
    a_signal_is_told_to_who_asks();
    a_signal_does_not_end_a_send();
    what_was_queued_ends_with_its_port();
    a_right_in_a_message_dies_with_its_port();
    return 0;
}
