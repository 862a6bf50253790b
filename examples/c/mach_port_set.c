/* A multiplexer: one thread serves several ports, in turn.
 *
 *     cc mach_port_set.c $(pkg-config --cflags --libs pillarbox-mach) -o mach_port_set
 */
#include <mach/mach.h>
#include <stdio.h>
#include <stdlib.h>

static void must(kern_return_t code, const char *what) {
    if (code != KERN_SUCCESS) {
        mach_error(what, code);
        exit(1);
    }
}

int main(void) {
    mach_port_t set, ports[3];
    must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_PORT_SET, &set), "allocate");
    for (int i = 0; i < 3; i++) {
        must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &ports[i]),
             "allocate");
        must(mach_port_insert_right(mach_task_self(), ports[i], ports[i],
                                    MACH_MSG_TYPE_MAKE_SEND),
             "insert");
        must(mach_port_insert_member(mach_task_self(), ports[i], set), "insert member");
    }
    for (int i = 0; i < 9; i++) {
        mach_msg_header_t m = {0};
        m.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
        m.msgh_size = sizeof m;
        /* Most of it for the first. */
        m.msgh_remote_port = ports[i < 5 ? 0 : 1 + i % 2];
        m.msgh_id = i;
        must(mach_msg_send(&m), "send");
    }
    for (int i = 0; i < 9; i++) {
        mach_msg_empty_rcv_t m;
        must(mach_msg(&m.header, MACH_RCV_MSG, 0, sizeof m, set, 0, 0), "receive");
        int which = 0;
        while (ports[which] != m.header.msgh_local_port) which++;
        printf("port %d: message %d\n", which, m.header.msgh_id);
    }
    for (int i = 0; i < 3; i++) must(mach_port_destroy(mach_task_self(), ports[i]), "destroy");
    must(mach_port_destroy(mach_task_self(), set), "destroy");
    return 0;
}
