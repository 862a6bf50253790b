/* A message to oneself: allocate a port, make a send right, send, receive, print.
 *
 *     cc mach_echo.c $(pkg-config --cflags --libs pillarbox-mach) -o mach_echo
 */
#include <bsm/libbsm.h>
#include <mach/mach.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(kern_return_t code, const char *what) {
    if (code != KERN_SUCCESS) {
        mach_error(what, code);
        exit(1);
    }
}

int main(void) {
    mach_port_t port;
    must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &port), "allocate");
    must(mach_port_insert_right(mach_task_self(), port, port, MACH_MSG_TYPE_MAKE_SEND), "insert");

    struct {
        mach_msg_header_t header;
        char text[32];
    } out = {0};
    out.header.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    out.header.msgh_size = sizeof out;
    out.header.msgh_remote_port = port;
    out.header.msgh_id = 1;
    strcpy(out.text, "hello from the mailbox");
    must(mach_msg(&out.header, MACH_SEND_MSG, sizeof out, 0, MACH_PORT_NULL,
                  MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL),
         "send");

    struct {
        mach_msg_header_t header;
        char text[32];
        mach_msg_audit_trailer_t trailer; /* Room for it belongs to the buffer. */
    } in;
    must(mach_msg(&in.header, MACH_RCV_MSG | MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT), 0,
                  sizeof in, port, MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL),
         "receive");
    printf("message %d of process %d: %s\n", in.header.msgh_id,
           audit_token_to_pid(in.trailer.msgh_audit), in.text);

    must(mach_port_destroy(mach_task_self(), port), "destroy");
    return 0;
}
