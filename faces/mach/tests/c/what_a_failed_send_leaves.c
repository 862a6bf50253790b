/* The order in which a send is checked, and what each failure leaves behind. */
#include "check.h"

static plain_t message_to(mach_port_t to, mach_msg_type_name_t how, mach_port_t reply,
                          mach_msg_type_name_t reply_how) {
    plain_t message;
    memset(&message, 0, sizeof message);
    message.head.msgh_bits = MACH_MSGH_BITS(how, reply_how);
    message.head.msgh_remote_port = to;
    message.head.msgh_local_port = reply;
    return message;
}

static mach_msg_return_t send_it(plain_t *message, mach_msg_option_t options) {
    return mach_msg(&message->head, MACH_SEND_MSG | options, 28, 0, 0, 0, 0);
}

static void a_fault_of_the_header_touches_nothing(void) {
    mach_port_t port = new_port_with_send(), other = new_port_with_send();
    plain_t m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, other, MACH_MSG_TYPE_MOVE_SEND);
    IS(mach_msg(&m.head, MACH_SEND_MSG, 20, 0, 0, 0, 0), MACH_SEND_MSG_TOO_SMALL);
    IS(mach_msg(&m.head, MACH_SEND_MSG, 26, 0, 0, 0, 0), MACH_SEND_MSG_TOO_SMALL);
    m.head.msgh_bits |= MACH_MSGH_BITS_COMPLEX;
    IS(mach_msg(&m.head, MACH_SEND_MSG, 24, 0, 0, 0, 0), MACH_SEND_MSG_TOO_SMALL);
    m.words[0] = 1000;
    IS(send_it(&m, 0), MACH_SEND_MSG_TOO_SMALL);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, other, MACH_MSG_TYPE_MOVE_SEND);
    m.head.msgh_bits |= 0x20;
    IS(send_it(&m, 0), MACH_SEND_INVALID_HEADER);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, other, 0);
    IS(send_it(&m, 0), MACH_SEND_INVALID_HEADER);
    m = message_to(port, MACH_MSG_TYPE_MOVE_RECEIVE, 0, 0);
    IS(send_it(&m, 0), MACH_SEND_INVALID_HEADER);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, other, MACH_MSG_TYPE_MOVE_RECEIVE);
    IS(send_it(&m, 0), MACH_SEND_INVALID_HEADER);
    m = message_to(MACH_PORT_NULL, MACH_MSG_TYPE_COPY_SEND, 0, 0);
    IS(send_it(&m, 0), MACH_SEND_INVALID_DEST);
    m = message_to(MACH_PORT_DEAD, MACH_MSG_TYPE_COPY_SEND, 0, 0);
    IS(send_it(&m, 0), MACH_SEND_INVALID_DEST);
    m = message_to(0x12345603, MACH_MSG_TYPE_COPY_SEND, 0, 0);
    IS(send_it(&m, 0), MACH_SEND_INVALID_DEST);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, 0x12345603, MACH_MSG_TYPE_COPY_SEND);
    IS(send_it(&m, 0), MACH_SEND_INVALID_REPLY);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, other, MACH_MSG_TYPE_MOVE_SEND_ONCE);
    IS(send_it(&m, 0), MACH_SEND_INVALID_REPLY);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND_ONCE, port, MACH_MSG_TYPE_MOVE_SEND_ONCE);
    IS(send_it(&m, 0), MACH_SEND_INVALID_DEST);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 1);
    CHECK(refs_of(other, MACH_PORT_RIGHT_SEND) == 1);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, other));
    /* With neither option nothing is done. */
    OK(mach_msg(&m.head, 0, 0, 0, 0, 0, 0));
}

static void the_header_is_taken_at_once(void) {
    mach_port_t port = new_port_with_send();
    plain_t m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, port, MACH_MSG_TYPE_MOVE_SEND);
    IS(send_it(&m, 0), MACH_SEND_INVALID_DEST);
    m = message_to(port, MACH_MSG_TYPE_MOVE_SEND, port, MACH_MSG_TYPE_COPY_SEND);
    OK(send_it(&m, 0));
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    plain_t in;
    OK(take(port, &in));
    CHECK(in.head.msgh_bits ==
          MACH_MSGH_BITS(MACH_MSG_TYPE_PORT_SEND, MACH_MSG_TYPE_PORT_SEND));
    CHECK(in.head.msgh_remote_port == port && in.head.msgh_local_port == port);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 1);
    OK(mach_port_destroy(SELF, port));
}

static void a_reply_right_that_is_dead_arrives_dead(void) {
    mach_port_t port = new_port_with_send(), gone = new_port_with_send();
    OK(mach_port_mod_refs(SELF, gone, MACH_PORT_RIGHT_RECEIVE, -1));
    plain_t m = message_to(port, MACH_MSG_TYPE_COPY_SEND, gone, MACH_MSG_TYPE_COPY_SEND), in;
    OK(send_it(&m, 0));
    OK(take(port, &in));
    CHECK(in.head.msgh_remote_port == MACH_PORT_DEAD);
    CHECK(refs_of(gone, MACH_PORT_RIGHT_DEAD_NAME) == 1);
    m = message_to(port, MACH_MSG_TYPE_COPY_SEND, gone, MACH_MSG_TYPE_MOVE_SEND);
    OK(send_it(&m, 0));
    CHECK(type_of(gone) == 0);
    OK(mach_port_destroy(SELF, port));
}

static void a_fault_of_the_body_destroys_the_message(void) {
    mach_port_t port = new_port_with_send(), reply = new_port(), cargo = new_port_with_send();
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_port_descriptor_t ports[2];
    } m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX |
                       MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    m.head.msgh_remote_port = port;
    m.head.msgh_local_port = reply;
    m.body.msgh_descriptor_count = 2;
    m.ports[0].name = cargo;
    m.ports[0].disposition = MACH_MSG_TYPE_MOVE_SEND;
    m.ports[0].type = MACH_MSG_PORT_DESCRIPTOR;
    m.ports[1].name = 0x12345603;
    m.ports[1].disposition = MACH_MSG_TYPE_COPY_SEND;
    m.ports[1].type = MACH_MSG_PORT_DESCRIPTOR;
    IS(mach_msg(&m.head, MACH_SEND_MSG, sizeof m, 0, 0, 0, 0), MACH_SEND_INVALID_RIGHT);
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    CHECK(type_of(cargo) == MACH_PORT_TYPE_RECEIVE);
    plain_t in;
    OK(take(reply, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE && in.head.msgh_size == 24);
    CHECK(in.head.msgh_bits == MACH_MSGH_BITS(0, MACH_MSG_TYPE_PORT_SEND_ONCE));

    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    m.ports[1].type = 17;
    IS(mach_msg(&m.head, MACH_SEND_MSG, sizeof m, 0, 0, 0, 0), MACH_SEND_INVALID_RIGHT);
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    OK(mach_port_insert_right(SELF, cargo, cargo, MACH_MSG_TYPE_MAKE_SEND));
    IS(mach_msg(&m.head, MACH_SEND_MSG, sizeof m, 0, 0, 0, 0), MACH_SEND_INVALID_TYPE);
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    /* Nothing and what is dead may always travel. */
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_local_port = 0;
    m.ports[0].name = MACH_PORT_NULL;
    m.ports[0].disposition = MACH_MSG_TYPE_MAKE_SEND;
    m.ports[1].name = MACH_PORT_DEAD;
    m.ports[1].type = MACH_MSG_PORT_DESCRIPTOR;
    OK(mach_msg(&m.head, MACH_SEND_MSG, sizeof m, 0, 0, 0, 0));
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_port_descriptor_t ports[2];
        mach_msg_trailer_t trailer;
    } got;
    OK(mach_msg(&got.head, MACH_RCV_MSG, 0, sizeof got, port, 0, 0));
    CHECK(got.ports[0].name == MACH_PORT_NULL && got.ports[1].name == MACH_PORT_DEAD);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, reply));
    OK(mach_port_destroy(SELF, cargo));
}

static void what_finds_no_room_comes_back(void) {
    mach_port_t port = new_port_with_send(), reply = new_port();
    for (int i = 0; i < MACH_PORT_QLIMIT_DEFAULT; i++)
        OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, MACH_SEND_TIMEOUT));
    plain_t m = message_to(port, MACH_MSG_TYPE_COPY_SEND, reply, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    IS(send_it(&m, MACH_SEND_TIMEOUT), MACH_SEND_TIMED_OUT);
    CHECK(m.head.msgh_bits ==
          MACH_MSGH_BITS(MACH_MSG_TYPE_PORT_SEND, MACH_MSG_TYPE_PORT_SEND_ONCE));
    CHECK(m.head.msgh_remote_port == port);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 2);
    CHECK(type_of(m.head.msgh_local_port) == MACH_PORT_TYPE_SEND_ONCE);
    /* As it is, it can be sent again; or let go of. */
    IS(send_it(&m, MACH_SEND_TIMEOUT), MACH_SEND_TIMED_OUT);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 2);
    m.head.msgh_size = 28;
    mach_msg_destroy(&m.head);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 1);
    /* The local right is never let go of so. */
    OK(mach_port_deallocate(SELF, m.head.msgh_local_port));
    plain_t in;
    OK(take(reply, &in));
    CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    /* What is sent on a send-once right needs no room. */
    OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND_ONCE, 99, MACH_SEND_TIMEOUT));
    mach_port_status_t status;
    mach_msg_type_number_t count = MACH_PORT_RECEIVE_STATUS_COUNT;
    OK(mach_port_get_attributes(SELF, port, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status,
                                &count));
    CHECK(status.mps_msgcount == 6 && status.mps_qlimit == 5);
    /* More places. */
    mach_port_limits_t limits = {.mpl_qlimit = 8};
    OK(mach_port_set_attributes(SELF, port, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits, 1));
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 5, MACH_SEND_TIMEOUT));
    limits.mpl_qlimit = MACH_PORT_QLIMIT_MAX + 1;
    IS(mach_port_set_attributes(SELF, port, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits, 1),
       KERN_INVALID_VALUE);
    for (int i = 0; i < 5; i++) {
        OK(take(port, &in));
        CHECK(in.head.msgh_id == i && in.words[0] == (unsigned)i * 3);
        CHECK(in.head.msgh_bits == MACH_MSGH_BITS(0, MACH_MSG_TYPE_PORT_SEND));
    }
    OK(take(port, &in));
    CHECK(in.head.msgh_id == 99);
    CHECK(in.head.msgh_bits == MACH_MSGH_BITS(0, MACH_MSG_TYPE_PORT_SEND_ONCE));
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, reply));
}

static void a_message_in_a_circle_is_gone(void) {
    mach_port_t port = new_port_with_send();
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_port_descriptor_t port;
    } m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = port;
    m.body.msgh_descriptor_count = 1;
    m.port.name = port;
    m.port.disposition = MACH_MSG_TYPE_MOVE_RECEIVE;
    m.port.type = MACH_MSG_PORT_DESCRIPTOR;
    OK(mach_msg(&m.head, MACH_SEND_MSG, sizeof m, 0, 0, 0, 0));
    CHECK(type_of(port) == MACH_PORT_TYPE_DEAD_NAME);
    OK(mach_port_destroy(SELF, port));
}

/* Memory that was given away is back, perhaps elsewhere, and can be sent once more. */
static void memory_comes_back(void) {
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_ool_descriptor_t memory;
        mach_msg_trailer_t trailer;
    } m;
    mach_port_t port = new_port_with_send();
    vm_address_t memory;
    plain_t in;
    OK(vm_allocate(SELF, &memory, 8192, VM_FLAGS_ANYWHERE));
    memset((void *)memory, 'k', 8192);
    for (int i = 0; i < MACH_PORT_QLIMIT_DEFAULT; i++)
        OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, i, MACH_SEND_TIMEOUT));
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    m.head.msgh_remote_port = port;
    m.body.msgh_descriptor_count = 1;
    m.memory.address = (void *)memory;
    m.memory.size = 8192;
    m.memory.deallocate = TRUE;
    m.memory.type = MACH_MSG_OOL_DESCRIPTOR;
    for (int round = 0; round < 2; round++) {
        IS(mach_msg(&m.head, MACH_SEND_MSG | MACH_SEND_TIMEOUT, 44, 0, 0, 0, 0),
           MACH_SEND_TIMED_OUT);
        CHECK(m.memory.size == 8192 && m.memory.deallocate);
        for (int i = 0; i < 8192; i++) CHECK(((char *)m.memory.address)[i] == 'k');
    }
    for (int i = 0; i < MACH_PORT_QLIMIT_DEFAULT; i++) OK(take(port, &in));
    OK(mach_msg(&m.head, MACH_SEND_MSG, 44, 0, 0, 0, 0));
    OK(mach_msg(&m.head, MACH_RCV_MSG, 0, sizeof m, port, 0, 0));
    CHECK(m.memory.size == 8192 && *(char *)m.memory.address == 'k');
    OK(vm_deallocate(SELF, (vm_address_t)m.memory.address, m.memory.size));
    OK(mach_port_destroy(SELF, port));
}

/* A trailer of one's own, and a voucher, are nobody's to send here. */
static void what_nobody_may_say_is_refused(void) {
    mach_port_t port = new_port_with_send();
    plain_t in;
    memset(&in, 0, sizeof in);
    IS(send_word(port, MACH_MSG_TYPE_COPY_SEND, 1, MACH_SEND_TRAILER), MACH_SEND_INVALID_TRAILER);
    in.head.msgh_bits = MACH_MSGH_BITS_SET(MACH_MSG_TYPE_COPY_SEND, 0, MACH_MSG_TYPE_COPY_SEND, 0);
    in.head.msgh_remote_port = port;
    in.head.msgh_voucher_port = port;
    IS(mach_msg(&in.head, MACH_SEND_MSG, 24, 0, 0, 0, 0), MACH_SEND_INVALID_VOUCHER);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 1);
    IS(take(port, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_destroy(SELF, port));
}

int main(void) {
    what_nobody_may_say_is_refused();
    a_fault_of_the_header_touches_nothing();
    the_header_is_taken_at_once();
    a_reply_right_that_is_dead_arrives_dead();
    a_fault_of_the_body_destroys_the_message();
    what_finds_no_room_comes_back();
    memory_comes_back();
    a_message_in_a_circle_is_gone();
    return 0;
}
