/* A port changes hands: the receive right goes in a message, its queue with it.
 *
 *     cc mach_port_transfer.c $(pkg-config --cflags --libs pillarbox-mach) -o mach_port_transfer
 */
#include <mach/mach.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    mach_msg_header_t header;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t port;
} parcel_t;

static void must(kern_return_t code, const char *what) {
    if (code != KERN_SUCCESS) {
        mach_error(what, code);
        exit(1);
    }
}

static mach_port_t port_with_send(void) {
    mach_port_t port;
    must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &port), "allocate");
    must(mach_port_insert_right(mach_task_self(), port, port, MACH_MSG_TYPE_MAKE_SEND), "insert");
    return port;
}

static void post(mach_port_t to, int id) {
    mach_msg_header_t m = {0};
    m.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.msgh_size = sizeof m;
    m.msgh_remote_port = to;
    m.msgh_id = id;
    must(mach_msg_send(&m), "post");
}

int main(void) {
    mach_port_t courier = port_with_send(), work = port_with_send();
    post(work, 1);

    parcel_t out = {0};
    out.header.msgh_bits =
        MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    out.header.msgh_remote_port = courier;
    out.body.msgh_descriptor_count = 1;
    out.port.name = work;
    out.port.disposition = MACH_MSG_TYPE_MOVE_RECEIVE;
    out.port.type = MACH_MSG_PORT_DESCRIPTOR;
    must(mach_msg(&out.header, MACH_SEND_MSG, sizeof out, 0, 0, 0, 0), "send the right");

    mach_port_type_t type;
    must(mach_port_type(mach_task_self(), work, &type), "type");
    printf("on its way: %s\n", type == MACH_PORT_TYPE_SEND ? "a send right is left" : "?");
    post(work, 2); /* It is queued, wherever the port is. */

    struct {
        parcel_t parcel;
        mach_msg_trailer_t trailer;
    } in;
    must(mach_msg(&in.parcel.header, MACH_RCV_MSG, 0, sizeof in, courier, 0, 0), "receive");
    mach_port_t arrived = in.parcel.port.name;
    for (int i = 0; i < 2; i++) {
        mach_msg_empty_rcv_t m;
        must(mach_msg(&m.header, MACH_RCV_MSG, 0, sizeof m, arrived, 0, 0), "receive there");
        printf("message %d\n", m.header.msgh_id);
    }
    must(mach_port_destroy(mach_task_self(), arrived), "destroy");
    must(mach_port_destroy(mach_task_self(), courier), "destroy");
    return 0;
}
