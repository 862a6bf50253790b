/* The calls of the oldest systems: a full mailbox is waited at, or not, or for a while, or
   one message is left there. */
#define MACH_CLASSIC 1
#include "check.h"

#include <pthread.h>

typedef struct {
    msg_header_t head;
    int words[18];
} old_t;

static msg_return_t post(port_t to, port_t reply, int id, msg_option_t option,
                         msg_timeout_t timeout) {
    old_t message;
    memset(&message, 0, sizeof message);
    message.head.msg_simple = TRUE;
    message.head.msg_size = sizeof message.head + 4;
    message.head.msg_type = MSG_TYPE_NORMAL;
    message.head.msg_local_port = reply;
    message.head.msg_remote_port = to;
    message.head.msg_id = id;
    message.words[0] = id * 3;
    return msg_send(&message.head, option, timeout);
}

static msg_return_t fetch(port_t from, old_t *message, msg_option_t option,
                          msg_timeout_t timeout) {
    memset(message, 0xee, sizeof *message);
    message->head.msg_local_port = from;
    message->head.msg_size = sizeof *message;
    return msg_receive(&message->head, option, timeout);
}

static port_t full_port(void) {
    port_t port;
    OK(port_allocate(task_self(), &port));
    OK(port_set_backlog(task_self(), port, 2));
    IS(post(port, PORT_NULL, 1, SEND_TIMEOUT, 0), SEND_SUCCESS);
    IS(post(port, PORT_NULL, 2, SEND_TIMEOUT, 0), SEND_SUCCESS);
    return port;
}

static void a_message_comes_as_it_was_sent(void) {
    port_t port, reply = thread_reply();
    old_t in;
    OK(port_allocate(task_self(), &port));
    IS(post(port, reply, 9, MSG_OPTION_NONE, 0), SEND_SUCCESS);
    IS(fetch(port, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
    CHECK(in.head.msg_simple && in.head.msg_id == 9 && in.words[0] == 27);
    CHECK(in.head.msg_size == sizeof in.head + 4 && in.head.msg_type == MSG_TYPE_NORMAL);
    CHECK(in.head.msg_local_port == port && in.head.msg_remote_port == reply);
    CHECK(in.words[1] == (int)0xeeeeeeee);
    IS(fetch(port, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    IS(fetch(port, &in, RCV_TIMEOUT, 1), RCV_TIMED_OUT);
    /* The answer goes where the request said. */
    IS(post(reply, PORT_NULL, 10, MSG_OPTION_NONE, 0), SEND_SUCCESS);
    IS(fetch(reply, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
    CHECK(in.head.msg_id == 10 && in.head.msg_remote_port == PORT_NULL);
    OK(port_deallocate(task_self(), port));
    IS(port_deallocate(task_self(), port), KERN_INVALID_ARGUMENT);
    IS(post(port, PORT_NULL, 1, MSG_OPTION_NONE, 0), SEND_INVALID_PORT);
    IS(fetch(port, &in, MSG_OPTION_NONE, 0), RCV_INVALID_PORT);
}

static void *answers(void *at) {
    old_t in;
    port_t port = *(port_t *)at;
    IS(fetch(port, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
    IS(post(in.head.msg_remote_port, PORT_NULL, in.head.msg_id + 100, MSG_OPTION_NONE, 0),
       SEND_SUCCESS);
    return 0;
}

static void one_call_asks_and_hears(void) {
    pthread_t thread;
    port_t port;
    old_t message;
    OK(port_allocate(task_self(), &port));
    CHECK(pthread_create(&thread, 0, answers, &port) == 0);
    memset(&message, 0, sizeof message);
    message.head.msg_simple = TRUE;
    message.head.msg_size = sizeof message.head;
    message.head.msg_remote_port = port;
    message.head.msg_local_port = thread_reply();
    message.head.msg_id = 5;
    IS(msg_rpc(&message.head, MSG_OPTION_NONE, sizeof message, 0, 0), RPC_SUCCESS);
    CHECK(message.head.msg_id == 105 && message.words[0] == 315);
    CHECK(pthread_join(thread, 0) == 0);
    message.head.msg_simple = TRUE;
    message.head.msg_size = sizeof message.head;
    message.head.msg_remote_port = port;
    message.head.msg_local_port = thread_reply();
    IS(msg_rpc(&message.head, RCV_TIMEOUT, sizeof message, 0, 0), RCV_TIMED_OUT);
    OK(port_deallocate(task_self(), port));
}

static void *waits_for_ever(void *at) {
    IS(post(*(port_t *)at, PORT_NULL, 3, MSG_OPTION_NONE, 0), SEND_SUCCESS);
    return 0;
}

static void one_may_wait_or_not(void) {
    port_t port = full_port();
    pthread_t thread;
    old_t in;
    mach_port_urefs_t before = refs_of(thread_reply(), MACH_PORT_RIGHT_SEND);
    IS(post(port, thread_reply(), 7, SEND_TIMEOUT, 0), SEND_TIMED_OUT);
    IS(post(port, thread_reply(), 7, SEND_TIMEOUT, 5), SEND_TIMED_OUT);
    /* Nothing is left of those that did not go: neither port has a right more. */
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    CHECK(refs_of(thread_reply(), MACH_PORT_RIGHT_SEND) == before);
    CHECK(pthread_create(&thread, 0, waits_for_ever, &port) == 0);
    for (int id = 1; id <= 3; id++) {
        IS(fetch(port, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
        CHECK(in.head.msg_id == id);
    }
    CHECK(pthread_join(thread, 0) == 0);
    OK(port_deallocate(task_self(), port));
}

static void one_message_may_be_left(void) {
    port_t port = full_port(), notify = task_notify();
    old_t in;
    notification_t *news = (notification_t *)&in;
    IS(post(port, PORT_NULL, 3, SEND_NOTIFY, 0), SEND_WILL_NOTIFY);
    IS(post(port, PORT_NULL, 4, SEND_NOTIFY, 0), SEND_NOTIFY_IN_PROGRESS);
    IS(post(port, PORT_NULL, 4, SEND_NOTIFY | SEND_TIMEOUT, 3), SEND_NOTIFY_IN_PROGRESS);
    IS(post(port, PORT_NULL, 4, SEND_TIMEOUT, 0), SEND_TIMED_OUT);
    IS(fetch(notify, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    for (int id = 1; id <= 3; id++) {
        IS(fetch(port, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
        CHECK(in.head.msg_id == id);
    }
    IS(fetch(notify, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
    CHECK(in.head.msg_id == NOTIFY_MSG_ACCEPTED && news->notify_port == port);
    CHECK(in.head.msg_size == sizeof *news && in.head.msg_local_port == notify);
    IS(fetch(notify, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    /* The next may be left now; where there is room there is nothing to be told. */
    IS(post(port, PORT_NULL, 5, SEND_NOTIFY, 0), SEND_SUCCESS);
    IS(fetch(port, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
    IS(fetch(notify, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    /* What is left at a port that ends is told as gone. */
    IS(post(port, PORT_NULL, 6, SEND_NOTIFY, 0), SEND_SUCCESS);
    IS(post(port, PORT_NULL, 7, SEND_NOTIFY, 0), SEND_SUCCESS);
    IS(post(port, PORT_NULL, 8, SEND_NOTIFY | SEND_TIMEOUT, 1), SEND_WILL_NOTIFY);
    OK(port_deallocate(task_self(), port));
    IS(fetch(notify, &in, MSG_OPTION_NONE, 0), RCV_SUCCESS);
    CHECK(in.head.msg_id == NOTIFY_SEND_ONCE);
}

static void another_port_may_be_told(void) {
    port_t port = full_port(), old = task_notify(), other = new_port_with_send(), got, again;
    old_t in;
    OK(task_get_notify_port(task_self(), &got));
    CHECK(got == old && refs_of(old, MACH_PORT_RIGHT_SEND) == 1);
    OK(mach_port_deallocate(SELF, got));
    OK(task_set_special_port(task_self(), TASK_NOTIFY_PORT, other));
    CHECK(task_notify() == other && refs_of(other, MACH_PORT_RIGHT_SEND) == 1);
    OK(task_get_notify_port(task_self(), &again));
    CHECK(again == other && refs_of(other, MACH_PORT_RIGHT_SEND) == 2);
    OK(mach_port_deallocate(SELF, again));
    IS(post(port, PORT_NULL, 3, SEND_NOTIFY, 0), SEND_WILL_NOTIFY);
    for (int id = 1; id <= 3; id++) IS(fetch(port, &in, RCV_TIMEOUT, 0), RCV_SUCCESS);
    IS(fetch(other, &in, RCV_TIMEOUT, 20000), RCV_SUCCESS);
    CHECK(in.head.msg_id == NOTIFY_MSG_ACCEPTED && in.head.msg_local_port == other);
    IS(fetch(old, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    /* A task that has none is told nothing. */
    OK(task_set_notify_port(task_self(), PORT_NULL));
    OK(task_get_notify_port(task_self(), &got));
    CHECK(got == PORT_NULL && task_notify() == PORT_NULL);
    IS(post(port, PORT_NULL, 4, SEND_TIMEOUT, 0), SEND_SUCCESS);
    IS(post(port, PORT_NULL, 5, SEND_TIMEOUT, 0), SEND_SUCCESS);
    IS(post(port, PORT_NULL, 6, SEND_NOTIFY, 0), SEND_WILL_NOTIFY);
    for (int id = 4; id <= 6; id++) IS(fetch(port, &in, RCV_TIMEOUT, 0), RCV_SUCCESS);
    IS(fetch(other, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    IS(fetch(old, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    IS(task_set_notify_port(task_self(), old), KERN_INVALID_RIGHT);
    OK(mach_port_insert_right(SELF, old, old, MACH_MSG_TYPE_MAKE_SEND));
    OK(task_set_notify_port(task_self(), old));
    CHECK(task_notify() == old);
    OK(port_deallocate(task_self(), port));
}

static void what_makes_no_sense_is_told(void) {
    port_t port;
    old_t message, in;
    memset(&message, 0, sizeof message);
    OK(port_allocate(task_self(), &port));
    message.head.msg_remote_port = port;
    message.head.msg_size = sizeof message;
    IS(msg_send(&message.head, MSG_OPTION_NONE, 0), SEND_KERNEL_REFUSED);
    message.head.msg_simple = TRUE;
    message.head.msg_size = 20;
    IS(msg_send(&message.head, MSG_OPTION_NONE, 0), SEND_MSG_TOO_SMALL);
    message.head.msg_size = MSG_SIZE_MAX + 4;
    IS(msg_send(&message.head, MSG_OPTION_NONE, 0), SEND_MSG_TOO_LARGE);
    message.head.msg_size = sizeof message;
    IS(msg_send((msg_header_t *)8, MSG_OPTION_NONE, 0), SEND_INVALID_MEMORY);
    IS(msg_receive((msg_header_t *)8, MSG_OPTION_NONE, 0), RCV_INVALID_MEMORY);
    IS(msg_rpc((msg_header_t *)8, MSG_OPTION_NONE, 100, 0, 0), SEND_INVALID_MEMORY);
    message.head.msg_local_port = 0x12345603;
    IS(msg_send(&message.head, MSG_OPTION_NONE, 0), SEND_INVALID_PORT);
    message.head.msg_local_port = PORT_NULL;
    IS(msg_send(&message.head, MSG_OPTION_NONE, 0), SEND_SUCCESS);
    /* Too large: it stays, and its size is told; or it goes. */
    in.head.msg_local_port = port;
    in.head.msg_size = sizeof in - 4;
    IS(msg_receive(&in.head, RCV_LARGE, 0), RCV_TOO_LARGE);
    CHECK(in.head.msg_size == sizeof message && in.head.msg_local_port == port);
    IS(msg_receive(&in.head, RCV_LARGE, 0), RCV_SUCCESS);
    IS(msg_send(&message.head, MSG_OPTION_NONE, 0), SEND_SUCCESS);
    in.head.msg_local_port = port;
    in.head.msg_size = sizeof in - 4;
    IS(msg_receive(&in.head, MSG_OPTION_NONE, 0), RCV_TOO_LARGE);
    IS(fetch(port, &in, RCV_TIMEOUT, 0), RCV_TIMED_OUT);
    IS(port_set_backlog(task_self(), port, 0), KERN_INVALID_ARGUMENT);
    IS(port_set_backlog(task_self(), port, PORT_BACKLOG_MAX + 1), KERN_INVALID_ARGUMENT);
    OK(port_set_backlog(task_self(), port, PORT_BACKLOG_MAX));
    IS(port_set_backlog(task_self(), task_self(), 1), KERN_NOT_RECEIVER);
    IS(port_allocate(task_self(), (port_name_t *)8), KERN_INVALID_ADDRESS);
    IS(port_allocate(port, &port), KERN_INVALID_TASK);
    OK(port_deallocate(task_self(), port));
}

int main(void) {
    a_message_comes_as_it_was_sent();
    one_call_asks_and_hears();
    one_may_wait_or_not();
    one_message_may_be_left();
    another_port_may_be_told();
    what_makes_no_sense_is_told();
    return 0;
}
