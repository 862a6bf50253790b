/* The first program of every tutorial: a port, a right, a message, its trailer. */
#include "check.h"

#include <bsm/libbsm.h>

int main(void) {
    mach_port_t port;
    OK(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &port));
    OK(mach_port_insert_right(mach_task_self(), port, port, MACH_MSG_TYPE_MAKE_SEND));

    struct {
        mach_msg_header_t header;
        char text[32];
    } out = {.header = {.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0),
                        .msgh_size = sizeof out,
                        .msgh_remote_port = port,
                        .msgh_id = 42},
             .text = "hello, mailbox"};
    OK(mach_msg_send(&out.header));

    struct {
        mach_msg_header_t header;
        char text[32];
        mach_msg_audit_trailer_t trailer;
    } in;
    OK(mach_msg(&in.header, MACH_RCV_MSG | MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT), 0,
                sizeof in, port, MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    CHECK(in.header.msgh_size == sizeof out);
    CHECK(in.header.msgh_id == 42);
    CHECK(in.header.msgh_local_port == port);
    CHECK(in.header.msgh_remote_port == MACH_PORT_NULL);
    CHECK(in.header.msgh_bits == MACH_MSGH_BITS(0, MACH_MSG_TYPE_PORT_SEND));
    CHECK(in.trailer.msgh_trailer_size == sizeof in.trailer);
    CHECK(in.trailer.msgh_seqno == 0);
    CHECK(audit_token_to_pid(in.trailer.msgh_audit) == getpid());
    CHECK(audit_token_to_euid(in.trailer.msgh_audit) == geteuid());
    printf("%d says: %s\n", audit_token_to_pid(in.trailer.msgh_audit) == getpid(), in.text);

    OK(mach_port_mod_refs(mach_task_self(), port, MACH_PORT_RIGHT_RECEIVE, -1));
    CHECK(type_of(port) == MACH_PORT_TYPE_DEAD_NAME);
    OK(mach_port_deallocate(mach_task_self(), port));
    return 0;
}
