/* Rights and memory in messages, messages that are too large, trailers, time. */
#include "check.h"

#include <mach/mach_time.h>

typedef struct {
    mach_msg_header_t head;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t port;
    mach_msg_ool_descriptor_t memory;
    mach_msg_ool_ports_descriptor_t ports;
    unsigned int word;
    mach_msg_max_trailer_t trailer;
} full_t;

#define FULL (sizeof(full_t) - sizeof(mach_msg_max_trailer_t))

static void rights_and_memory_travel(void) {
    mach_port_t port = new_port_with_send(), cargo = new_port(), many[3];
    for (int i = 0; i < 3; i++) many[i] = new_port();
    vm_address_t memory;
    OK(vm_allocate(SELF, &memory, 10000, VM_FLAGS_ANYWHERE));
    memset((void *)memory, 'a', 10000);
    full_t m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = port;
    m.body.msgh_descriptor_count = 3;
    m.port.name = cargo;
    m.port.disposition = MACH_MSG_TYPE_MAKE_SEND;
    m.port.type = MACH_MSG_PORT_DESCRIPTOR;
    m.memory.address = (void *)memory;
    m.memory.size = 10000;
    m.memory.copy = MACH_MSG_VIRTUAL_COPY;
    m.memory.type = MACH_MSG_OOL_DESCRIPTOR;
    m.ports.address = many;
    m.ports.count = 3;
    m.ports.disposition = MACH_MSG_TYPE_MAKE_SEND_ONCE;
    m.ports.type = MACH_MSG_OOL_PORTS_DESCRIPTOR;
    m.word = 77;
    OK(mach_msg(&m.head, MACH_SEND_MSG, FULL, 0, 0, 0, 0));
    /* What is written now nobody sees; nor is it missed. */
    memset((void *)memory, 'b', 10000);
    OK(vm_deallocate(SELF, memory, 10000));
    full_t in;
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, port, 0, 0));
    CHECK(in.head.msgh_size == FULL && MACH_MSGH_BITS_IS_COMPLEX(in.head.msgh_bits));
    CHECK(in.port.name == cargo && in.port.disposition == MACH_MSG_TYPE_PORT_SEND);
    CHECK(type_of(cargo) == MACH_PORT_TYPE_SEND_RECEIVE);
    CHECK(in.memory.size == 10000 && in.memory.deallocate);
    for (int i = 0; i < 10000; i++) CHECK(((char *)in.memory.address)[i] == 'a');
    CHECK(in.ports.count == 3 && in.ports.disposition == MACH_MSG_TYPE_PORT_SEND_ONCE);
    mach_port_t *names = in.ports.address;
    for (int i = 0; i < 3; i++) {
        CHECK(type_of(names[i]) == MACH_PORT_TYPE_SEND_ONCE);
        OK(send_word(names[i], MACH_MSG_TYPE_MOVE_SEND_ONCE, i, 0));
        CHECK(type_of(names[i]) == 0);
        plain_t got;
        OK(take(many[i], &got));
        CHECK(got.head.msgh_id == i);
    }
    CHECK(in.word == 77);
    mach_msg_destroy(&in.head);
    CHECK(type_of(cargo) == MACH_PORT_TYPE_RECEIVE);

    /* Memory that is not there ends the message; so does too short a one. */
    m.memory.address = (void *)16;
    IS(mach_msg(&m.head, MACH_SEND_MSG, FULL, 0, 0, 0, 0), MACH_SEND_INVALID_MEMORY);
    CHECK(type_of(cargo) == MACH_PORT_TYPE_RECEIVE);
    /* Of no bytes nothing comes. */
    m.memory.size = 0;
    m.ports.count = 0;
    OK(mach_msg(&m.head, MACH_SEND_MSG, FULL, 0, 0, 0, 0));
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, port, 0, 0));
    CHECK(in.memory.address == 0 && in.memory.size == 0);
    CHECK(in.ports.address == 0 && in.ports.count == 0);
    mach_msg_destroy(&in.head);

    /* Given away, it is gone here. */
    OK(vm_allocate(SELF, &memory, 4096, VM_FLAGS_ANYWHERE));
    m.memory.address = (void *)memory;
    m.memory.size = 5;
    m.memory.deallocate = TRUE;
    OK(mach_msg(&m.head, MACH_SEND_MSG, FULL, 0, 0, 0, 0));
    IS(mach_msg((mach_msg_header_t *)memory, MACH_SEND_MSG, 24, 0, 0, 0, 0),
       MACH_SEND_INVALID_DATA);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, cargo));
    for (int i = 0; i < 3; i++) OK(mach_port_destroy(SELF, many[i]));
}

static void a_receive_right_moves_with_its_queue(void) {
    mach_port_t port = new_port_with_send(), cargo = new_port_with_send();
    OK(send_word(cargo, MACH_MSG_TYPE_COPY_SEND, 5, 0));
    OK(mach_port_set_seqno(SELF, cargo, 40));
    full_t m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = port;
    m.body.msgh_descriptor_count = 1;
    m.port.name = cargo;
    m.port.disposition = MACH_MSG_TYPE_MOVE_RECEIVE;
    m.port.type = MACH_MSG_PORT_DESCRIPTOR;
    OK(mach_msg(&m.head, MACH_SEND_MSG, 40, 0, 0, 0, 0));
    CHECK(type_of(cargo) == MACH_PORT_TYPE_SEND);
    OK(send_word(cargo, MACH_MSG_TYPE_COPY_SEND, 6, 0));
    plain_t in;
    IS(take(cargo, &in), MACH_RCV_INVALID_NAME);
    OK(mach_msg(&m.head, MACH_RCV_MSG, 0, sizeof m, port, 0, 0));
    CHECK(m.port.name == cargo && m.port.disposition == MACH_MSG_TYPE_PORT_RECEIVE);
    CHECK(type_of(cargo) == MACH_PORT_TYPE_SEND_RECEIVE);
    for (unsigned i = 0; i < 2; i++) {
        OK(take(cargo, &in));
        CHECK(in.head.msgh_id == (int)i + 5);
        mach_msg_seqno_trailer_t *trailer = (void *)((char *)&in + in.head.msgh_size);
        CHECK(trailer->msgh_seqno == i);
    }
    OK(mach_port_destroy(SELF, cargo));
    OK(mach_port_destroy(SELF, port));
}

static void what_is_too_large_stays_or_goes(void) {
    mach_port_t port = new_port_with_send(), set;
    plain_t in;
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &set));
    OK(mach_port_insert_member(SELF, port, set));
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 8, 0));
    for (unsigned room = 0; room < 28 + 8; room += 4) {
        memset(&in, 0xee, sizeof in);
        IS(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_LARGE | MACH_RCV_TIMEOUT, 0, room,
                    room & 4 ? port : set, 0, 0),
           MACH_RCV_TOO_LARGE);
        CHECK(in.head.msgh_bits == 0xeeeeeeee && in.head.msgh_id == (int)0xeeeeeeee);
        CHECK(in.head.msgh_size == (room >= 8 ? 28 : 0xeeeeeeee));
    }
    IS(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_LARGE | MACH_RCV_LARGE_IDENTITY, 0, 24, set, 0,
                0),
       MACH_RCV_TOO_LARGE);
    CHECK(in.head.msgh_local_port == port);
    OK(take(port, &in));
    mach_msg_seqno_trailer_t *trailer = (void *)((char *)&in + in.head.msgh_size);
    CHECK(in.head.msgh_id == 8 && trailer->msgh_seqno == 0);
    /* Without the option it is gone, but for its header. */
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 9, 0));
    memset(&in, 0xee, sizeof in);
    IS(mach_msg(&in.head, MACH_RCV_MSG, 0, 24, port, 0, 0), MACH_RCV_TOO_LARGE);
    CHECK(in.head.msgh_id == 9 && in.head.msgh_size == 28 && in.head.msgh_remote_port == 0);
    CHECK(in.words[0] == 0xeeeeeeee);
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 10, 0));
    OK(take(port, &in));
    trailer = (void *)((char *)&in + in.head.msgh_size);
    CHECK(in.head.msgh_id == 10 && trailer->msgh_seqno == 2);
    OK(mach_port_destroy(SELF, set));
    OK(mach_port_destroy(SELF, port));
}

static void nothing_behind_the_trailer_is_touched(void) {
    mach_port_t port = new_port_with_send();
    const struct {
        int elements;
        unsigned size;
    } kinds[] = {{0, 8}, {1, 12}, {2, 20}, {3, 52}, {4, 60}, {7, 68}};
    OK(mach_port_set_context(SELF, port, 0x1234));
    for (int i = 0; i < 6; i++) {
        plain_t in;
        memset(&in, 0xee, sizeof in);
        OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, 0));
        OK(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TRAILER_ELEMENTS(kinds[i].elements), 0,
                    28 + kinds[i].size, port, 0, 0));
        unsigned char *behind = (unsigned char *)&in + 28;
        mach_msg_context_trailer_t *trailer = (void *)behind;
        CHECK(trailer->msgh_trailer_type == 0 && trailer->msgh_trailer_size == kinds[i].size);
        CHECK(behind[kinds[i].size] == 0xee);
        if (kinds[i].elements >= 4) CHECK(trailer->msgh_context == 0x1234);
    }
    OK(mach_port_destroy(SELF, port));
}

static void time_passes(void) {
    mach_port_t port = new_port_with_send();
    plain_t in;
    mach_timebase_info_data_t base;
    OK(mach_timebase_info(&base));
    CHECK(base.numer == base.denom);
    uint64_t before = mach_absolute_time();
    IS(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, port, 30, 0),
       MACH_RCV_TIMED_OUT);
    CHECK(mach_absolute_time() - before >= 30 * 1000000ull);
    mach_port_limits_t limits = {.mpl_qlimit = 0};
    OK(mach_port_set_attributes(SELF, port, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits, 1));
    IS(send_word(port, MACH_MSG_TYPE_COPY_SEND, 1, MACH_SEND_TIMEOUT), MACH_SEND_TIMED_OUT);
    OK(mach_port_destroy(SELF, port));
}

static void one_call_asks_and_hears(void) {
    mach_port_t port = new_port_with_send(), reply = mach_reply_port();
    plain_t m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits =
        MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    m.head.msgh_remote_port = port;
    m.head.msgh_local_port = reply;
    /* The right to answer is sent, nothing answers: what is received is its end. */
    OK(mach_msg(&m.head, MACH_SEND_MSG, 28, 0, 0, 0, 0));
    OK(mach_port_destroy(SELF, port));
    OK(take(reply, &m));
    CHECK(m.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    mach_port_t again = mig_get_reply_port();
    CHECK(again == mig_get_reply_port() && type_of(again) == MACH_PORT_TYPE_RECEIVE);
    mig_dealloc_reply_port(again);
    CHECK(type_of(again) == 0);
    OK(mach_port_destroy(SELF, reply));
}

/* A guarded right: destroyed where nobody asked for it, guarded by the buffer else. */
static void a_guarded_right_arrives_guarded(void) {
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_guarded_port_descriptor_t port;
        mach_msg_trailer_t trailer;
    } m;
    mach_port_t port = new_port_with_send();
    for (int asked = 0; asked < 2; asked++) {
        mach_port_t cargo = new_port_with_send();
        memset(&m, 0, sizeof m);
        m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
        m.head.msgh_remote_port = port;
        m.body.msgh_descriptor_count = 1;
        m.port.name = cargo;
        m.port.flags = MACH_MSG_GUARD_FLAGS_IMMOVABLE_RECEIVE;
        m.port.disposition = MACH_MSG_TYPE_MOVE_RECEIVE;
        m.port.type = MACH_MSG_GUARDED_PORT_DESCRIPTOR;
        OK(mach_msg(&m.head, MACH_SEND_MSG, 44, 0, 0, 0, 0));
        OK(mach_msg(&m.head, MACH_RCV_MSG | (asked ? MACH_RCV_GUARDED_DESC : 0), 0, sizeof m, port,
                    0, 0));
        if (!asked) {
            CHECK(m.port.name == MACH_PORT_NULL && m.port.context == 0);
            CHECK(type_of(cargo) == MACH_PORT_TYPE_DEAD_NAME);
        } else {
            CHECK(m.port.name == cargo && m.port.context == (mach_port_context_t)&m);
            CHECK(type_of(cargo) == MACH_PORT_TYPE_SEND_RECEIVE);
            IS(mach_port_destroy(SELF, cargo), KERN_INVALID_RIGHT);
            OK(mach_port_unguard(SELF, cargo, m.port.context));
        }
        OK(mach_port_destroy(SELF, cargo));
    }
    /* Flags that make no sense, and rights other than to receive, have no type. */
    for (int wrong = 0; wrong < 3; wrong++) {
        mach_port_t cargo = new_port();
        memset(&m, 0, sizeof m);
        m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
        m.head.msgh_remote_port = port;
        m.body.msgh_descriptor_count = 1;
        m.port.name = cargo;
        m.port.flags = wrong == 0 ? 0 : wrong == 1 ? 4 : 1;
        m.port.disposition = wrong == 2 ? MACH_MSG_TYPE_MAKE_SEND : MACH_MSG_TYPE_MOVE_RECEIVE;
        m.port.type = MACH_MSG_GUARDED_PORT_DESCRIPTOR;
        IS(mach_msg(&m.head, MACH_SEND_MSG, 44, 0, 0, 0, 0), MACH_SEND_INVALID_TYPE);
        OK(mach_port_destroy(SELF, cargo));
    }
    OK(mach_port_destroy(SELF, port));
}

static void another_buffer_is_received_into(void) {
    mach_port_t port = new_port_with_send();
    plain_t out, in;
    memset(&out, 0, sizeof out);
    memset(&in, 0xee, sizeof in);
    out.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    out.head.msgh_remote_port = port;
    out.head.msgh_id = 6;
    OK(mach_msg_overwrite(&out.head, MACH_SEND_MSG | MACH_RCV_MSG, 28, sizeof in, port, 0, 0,
                          &in.head, 0));
    CHECK(in.head.msgh_id == 6 && in.head.msgh_local_port == port && in.head.msgh_size == 28);
    CHECK(out.head.msgh_remote_port == port && out.head.msgh_local_port == 0);
    /* By the two calls without options: what they need stands in the header. */
    out.head.msgh_size = 28;
    OK(mach_msg_send(&out.head));
    in.head.msgh_size = sizeof in;
    in.head.msgh_local_port = port;
    OK(mach_msg_receive(&in.head));
    CHECK(in.head.msgh_id == 6 && in.head.msgh_size == 28);
    /* What cannot be written to is told, and its message is gone. */
    OK(mach_msg_send(&out.head));
    IS(mach_msg((mach_msg_header_t *)16, MACH_RCV_MSG, 0, sizeof in, port, 0, 0),
       MACH_RCV_INVALID_DATA);
    IS(take(port, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_destroy(SELF, port));
}

int main(void) {
    rights_and_memory_travel();
    a_receive_right_moves_with_its_queue();
    what_is_too_large_stays_or_goes();
    nothing_behind_the_trailer_is_touched();
    time_passes();
    one_call_asks_and_hears();
    a_guarded_right_arrives_guarded();
    another_buffer_is_received_into();
    return 0;
}
