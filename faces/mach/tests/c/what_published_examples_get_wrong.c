/* What examples in circulation do wrong, and what they see then. */
#include "check.h"

/* No room for the trailer: the kernel puts one behind each message. */
static void no_room_for_the_trailer(void) {
    mach_port_t port = new_port_with_send();
    mach_msg_header_t in;
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 1, 0));
    IS(mach_msg(&in, MACH_RCV_MSG, 0, 28, port, 0, 0), MACH_RCV_TOO_LARGE);
    /* The message is gone. */
    plain_t next;
    IS(take(port, &next), MACH_RCV_TIMED_OUT);
    OK(mach_port_destroy(SELF, port));
}

/* A name handed to another program is a number there. */
static void a_name_on_a_command_line(void) {
    mach_port_t foreign = 0x0badca03;
    CHECK(type_of(foreign) == 0);
    IS(send_word(foreign, MACH_MSG_TYPE_COPY_SEND, 1, 0), MACH_SEND_INVALID_DEST);
}

/* To receive is not to send. */
static void only_the_receive_right(void) {
    mach_port_t port = new_port();
    IS(send_word(port, MACH_MSG_TYPE_COPY_SEND, 1, 0), MACH_SEND_INVALID_DEST);
    OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, 1, 0));
    IS(mach_port_deallocate(SELF, port), KERN_INVALID_RIGHT);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    CHECK(type_of(port) == 0);
}

/* Each message that carries a send right adds a reference to the name. */
static void a_reply_right_that_is_never_released(void) {
    mach_port_t port = new_port_with_send(), reply = new_port();
    for (unsigned i = 1; i <= 3; i++) {
        plain_t m;
        memset(&m, 0, sizeof m);
        m.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND);
        m.head.msgh_remote_port = port;
        m.head.msgh_local_port = reply;
        OK(mach_msg(&m.head, MACH_SEND_MSG, 28, 0, 0, 0, 0));
        OK(take(port, &m));
        CHECK(m.head.msgh_remote_port == reply);
        CHECK(refs_of(reply, MACH_PORT_RIGHT_SEND) == i);
    }
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, reply));
}

/* What timed out holds rights, which the caller must let go of or send again. */
static void a_send_that_timed_out(void) {
    mach_port_t port = new_port_with_send();
    while (send_word(port, MACH_MSG_TYPE_COPY_SEND, 1, MACH_SEND_TIMEOUT) == KERN_SUCCESS) {
    }
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 2);
    OK(mach_port_destroy(SELF, port));
}

int main(void) {
    no_room_for_the_trailer();
    a_name_on_a_command_line();
    only_the_receive_right();
    a_reply_right_that_is_never_released();
    a_send_that_timed_out();
    return 0;
}
