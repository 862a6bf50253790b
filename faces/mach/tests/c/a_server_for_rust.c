/* A server that a program in Rust calls, and that calls one: with rights and memory. */
#include "check.h"

#include <servers/bootstrap.h>

typedef struct {
    mach_msg_header_t head;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t port;
    mach_msg_ool_descriptor_t memory;
    mach_msg_ool_ports_descriptor_t ports;
    char text[8];
    mach_msg_max_trailer_t trailer;
} cargo_t;

#define CARGO (sizeof(cargo_t) - sizeof(mach_msg_max_trailer_t))

int main(void) {
    mach_port_t port, own = new_port(), rust, reply = mach_reply_port();
    cargo_t in, out;
    plain_t plain;
    char answer[] = "from C";
    OK(bootstrap_check_in(bootstrap_port, "org.example.in-c", &port));
    OK(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT), 0,
                sizeof in, port, 0, 0));
    CHECK(in.head.msgh_id == 11 && in.head.msgh_size == CARGO);
    CHECK(MACH_MSGH_BITS_REMOTE(in.head.msgh_bits) == MACH_MSG_TYPE_PORT_SEND_ONCE);
    CHECK(in.body.msgh_descriptor_count == 3 && memcmp(in.text, "seven b", 8) == 0);
    CHECK(in.memory.size == 9 && memcmp(in.memory.address, "from Rust", 9) == 0);
    CHECK(in.ports.count == 2 && in.ports.disposition == MACH_MSG_TYPE_PORT_SEND);
    mach_port_t *names = in.ports.address;
    CHECK(names[0] == in.port.name && names[1] == in.port.name);
    CHECK(type_of(in.port.name) == MACH_PORT_TYPE_SEND);
    CHECK(refs_of(in.port.name, MACH_PORT_RIGHT_SEND) == 3);
    mach_msg_audit_trailer_t *trailer = (void *)((char *)&in + in.head.msgh_size);
    CHECK(trailer->msgh_trailer_size == sizeof(mach_msg_audit_trailer_t));

    OK(send_word(in.port.name, MACH_MSG_TYPE_COPY_SEND, 12, 0));
    memset(&out, 0, sizeof out);
    out.head.msgh_bits =
        MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND_ONCE, 0);
    out.head.msgh_remote_port = in.head.msgh_remote_port;
    out.head.msgh_id = 13;
    out.body.msgh_descriptor_count = 3;
    out.port.name = own;
    out.port.disposition = MACH_MSG_TYPE_MAKE_SEND;
    out.port.type = MACH_MSG_PORT_DESCRIPTOR;
    out.memory.address = answer;
    out.memory.size = 6;
    out.memory.type = MACH_MSG_OOL_DESCRIPTOR;
    mach_port_t some[3] = {MACH_PORT_NULL, own, MACH_PORT_DEAD};
    out.ports.address = some;
    out.ports.count = 3;
    out.ports.disposition = MACH_MSG_TYPE_MAKE_SEND;
    out.ports.type = MACH_MSG_OOL_PORTS_DESCRIPTOR;
    memcpy(out.text, "as well", 8);
    OK(mach_msg(&out.head, MACH_SEND_MSG, CARGO, 0, 0, 0, 0));

    /* The rights that went there work. */
    for (int id = 14; id <= 15; id++) {
        OK(mach_msg(&plain.head, MACH_RCV_MSG, 0, sizeof plain, own, 0, 0));
        CHECK(plain.head.msgh_id == id && plain.head.msgh_size == 24);
    }

    /* The other way round: C asks. */
    OK(bootstrap_look_up(bootstrap_port, "org.example.in-rust", &rust));
    memset(&plain, 0, sizeof plain);
    plain.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    plain.head.msgh_remote_port = rust;
    plain.head.msgh_local_port = reply;
    plain.head.msgh_id = 16;
    plain.words[0] = 20;
    OK(mach_msg(&plain.head, MACH_SEND_MSG | MACH_RCV_MSG, 28, sizeof plain, reply, 0, 0));
    CHECK(plain.head.msgh_id == 17 && plain.words[0] == 40);
    return 0;
}
