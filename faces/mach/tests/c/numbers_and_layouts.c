/* The numbers and layouts that programs were compiled with, or write out themselves. */
#include "check.h"

#include <mach/mig_errors.h>
#include <stddef.h>

static void types_have_their_widths(void) {
    CHECK(sizeof(mach_port_t) == 4 && (mach_port_t)-1 > 0);
    CHECK(sizeof(mach_port_name_t) == 4 && sizeof(natural_t) == 4);
    CHECK(sizeof(mach_msg_size_t) == 4 && (mach_msg_size_t)-1 > 0);
    CHECK(sizeof(mach_msg_bits_t) == 4 && (mach_msg_bits_t)-1 > 0);
    CHECK(sizeof(mach_msg_timeout_t) == 4 && sizeof(mach_port_seqno_t) == 4);
    CHECK(sizeof(mach_port_mscount_t) == 4 && sizeof(mach_port_rights_t) == 4);
    CHECK(sizeof(mach_port_urefs_t) == 4 && sizeof(mach_port_type_t) == 4);
    CHECK(sizeof(mach_port_right_t) == 4 && sizeof(mach_port_msgcount_t) == 4);
    CHECK(sizeof(mach_msg_id_t) == 4 && (mach_msg_id_t)-1 < 0);
    CHECK(sizeof(mach_port_delta_t) == 4 && (mach_port_delta_t)-1 < 0);
    CHECK(sizeof(kern_return_t) == 4 && (kern_return_t)-1 < 0);
    CHECK(sizeof(mach_msg_option_t) == 4 && sizeof(boolean_t) == 4);
    CHECK(sizeof(vm_address_t) == sizeof(void *) && sizeof(vm_size_t) == sizeof(void *));
    CHECK(sizeof(mach_port_context_t) == sizeof(void *));
    CHECK(sizeof(mach_vm_address_t) == 8 && sizeof(mach_vm_size_t) == 8);
}

static void rights_and_types_have_their_numbers(void) {
    CHECK(MACH_PORT_NULL == 0 && MACH_PORT_DEAD == 0xffffffff);
    CHECK(!MACH_PORT_VALID(MACH_PORT_NULL) && !MACH_PORT_VALID(MACH_PORT_DEAD));
    CHECK(MACH_PORT_RIGHT_SEND == 0 && MACH_PORT_RIGHT_RECEIVE == 1);
    CHECK(MACH_PORT_RIGHT_SEND_ONCE == 2 && MACH_PORT_RIGHT_PORT_SET == 3);
    CHECK(MACH_PORT_RIGHT_DEAD_NAME == 4 && MACH_PORT_RIGHT_NUMBER == 6);
    CHECK(MACH_PORT_TYPE_SEND == 0x10000 && MACH_PORT_TYPE_RECEIVE == 0x20000);
    CHECK(MACH_PORT_TYPE_SEND_ONCE == 0x40000 && MACH_PORT_TYPE_PORT_SET == 0x80000);
    CHECK(MACH_PORT_TYPE_DEAD_NAME == 0x100000);
    CHECK(MACH_PORT_TYPE_DNREQUEST == 0x80000000 && MACH_PORT_TYPE_SPREQUEST == 0x40000000);
    CHECK(MACH_PORT_TYPE_SPREQUEST_DELAYED == 0x20000000);
    CHECK(MACH_PORT_QLIMIT_ZERO == 0 && MACH_PORT_QLIMIT_DEFAULT == 5);
    CHECK(MACH_PORT_QLIMIT_SMALL == 16 && MACH_PORT_QLIMIT_MAX == 1024);
    CHECK(MACH_PORT_QLIMIT_KERNEL == 65534);
}

static void a_header_has_its_bits(void) {
    CHECK(sizeof(mach_msg_header_t) == 24 && offsetof(mach_msg_header_t, msgh_size) == 4);
    CHECK(offsetof(mach_msg_header_t, msgh_remote_port) == 8);
    CHECK(offsetof(mach_msg_header_t, msgh_local_port) == 12);
    CHECK(offsetof(mach_msg_header_t, msgh_voucher_port) == 16);
    CHECK(offsetof(mach_msg_header_t, msgh_id) == 20);
    CHECK(MACH_MSGH_BITS_REMOTE_MASK == 0x1f && MACH_MSGH_BITS_LOCAL_MASK == 0x1f00);
    CHECK(MACH_MSGH_BITS_VOUCHER_MASK == 0x1f0000 && MACH_MSGH_BITS_USER == 0x801f1f1f);
    mach_msg_bits_t bits = MACH_MSGH_BITS_SET(19, 21, 17, MACH_MSGH_BITS_COMPLEX);
    CHECK(bits == 0x80111513 && MACH_MSGH_BITS(19, 21) == 0x1513);
    CHECK(MACH_MSGH_BITS_REMOTE(bits) == 19 && MACH_MSGH_BITS_LOCAL(bits) == 21);
    CHECK(MACH_MSGH_BITS_VOUCHER(bits) == 17 && MACH_MSGH_BITS_PORTS(bits) == 0x111513);
    CHECK(MACH_MSGH_BITS_OTHER(bits) == 0x80000000 && MACH_MSGH_BITS_IS_COMPLEX(bits));
    CHECK(MACH_MSGH_BITS_HAS_REMOTE(bits) && MACH_MSGH_BITS_HAS_LOCAL(bits));
    CHECK(MACH_MSGH_BITS_HAS_VOUCHER(bits) && !MACH_MSGH_BITS_HAS_VOUCHER(0x1513));
    CHECK(MACH_MSG_TYPE_MOVE_RECEIVE == 16 && MACH_MSG_TYPE_MOVE_SEND == 17);
    CHECK(MACH_MSG_TYPE_MOVE_SEND_ONCE == 18 && MACH_MSG_TYPE_COPY_SEND == 19);
    CHECK(MACH_MSG_TYPE_MAKE_SEND == 20 && MACH_MSG_TYPE_MAKE_SEND_ONCE == 21);
    CHECK(MACH_MSG_TYPE_PORT_RECEIVE == 16 && MACH_MSG_TYPE_PORT_SEND == 17);
    CHECK(MACH_MSG_TYPE_PORT_SEND_ONCE == 18 && MACH_MSG_TYPE_PORT_NAME == 15);
}

/* The byte that tells what a descriptor is lies in one place, whatever it is. */
static void descriptors_are_walked_by_byte_11(void) {
    union {
        unsigned char bytes[16];
        mach_msg_port_descriptor_t port;
        mach_msg_ool_descriptor_t memory;
        mach_msg_ool_ports_descriptor_t ports;
        mach_msg_guarded_port_descriptor_t guarded;
        mach_msg_type_descriptor_t any;
    } it;
    memset(&it, 0, sizeof it);
    it.port.type = 0x51;
    CHECK(it.bytes[11] == 0x51 && it.any.type == 0x51 && sizeof it.port == 12);
    it.port.disposition = 0x52;
    CHECK(it.bytes[10] == 0x52);
    memset(&it, 0, sizeof it);
    it.memory.type = 0x53;
    it.memory.deallocate = TRUE;
    it.memory.copy = 3;
    CHECK(it.bytes[11] == 0x53 && it.bytes[8] == 1 && it.bytes[9] == 3);
    CHECK(sizeof it.memory == 16 && offsetof(mach_msg_ool_descriptor_t, size) == 12);
    memset(&it, 0, sizeof it);
    it.ports.type = 0x54;
    it.ports.disposition = 0x55;
    CHECK(it.bytes[11] == 0x54 && it.bytes[10] == 0x55);
    CHECK(sizeof it.ports == 16 && offsetof(mach_msg_ool_ports_descriptor_t, count) == 12);
    memset(&it, 0, sizeof it);
    it.guarded.type = 0x56;
    it.guarded.flags = 0x0201;
    it.guarded.disposition = 0x57;
    CHECK(it.bytes[11] == 0x56 && it.bytes[8] == 1 && it.bytes[9] == 2 && it.bytes[10] == 0x57);
    CHECK(sizeof it.guarded == 16 && offsetof(mach_msg_guarded_port_descriptor_t, name) == 12);
    CHECK(sizeof(mach_msg_body_t) == 4 && sizeof(mach_msg_base_t) == 28);
    CHECK(MACH_MSG_PORT_DESCRIPTOR == 0 && MACH_MSG_OOL_DESCRIPTOR == 1);
    CHECK(MACH_MSG_OOL_PORTS_DESCRIPTOR == 2 && MACH_MSG_OOL_VOLATILE_DESCRIPTOR == 3);
    CHECK(MACH_MSG_GUARDED_PORT_DESCRIPTOR == 4);
    CHECK(MACH_MSG_PHYSICAL_COPY == 0 && MACH_MSG_VIRTUAL_COPY == 1);
    CHECK(MACH_MSG_ALLOCATE == 2 && MACH_MSG_OVERWRITE == 3);
    CHECK(MACH_MSG_GUARD_FLAGS_IMMOVABLE_RECEIVE == 1);
    CHECK(MACH_MSG_GUARD_FLAGS_UNGUARDED_ON_SEND == 2 && MACH_MSG_GUARD_FLAGS_MASK == 3);
}

static void trailers_have_their_sizes(void) {
    const unsigned sizes[] = {8, 12, 20, 52, 60};
    for (int i = 0; i < 5; i++)
        CHECK(REQUESTED_TRAILER_SIZE(MACH_RCV_TRAILER_ELEMENTS(i)) == sizes[i]);
    CHECK(REQUESTED_TRAILER_SIZE(MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AV)) == 68);
    CHECK(REQUESTED_TRAILER_SIZE(MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_LABELS)) == 68);
    CHECK(MAX_TRAILER_SIZE == 68 && MACH_MSG_TRAILER_MINIMUM_SIZE == 8);
    CHECK(MACH_RCV_TRAILER_ELEMENTS(3) == 0x3000000 && MACH_RCV_TRAILER_MASK == 0xf000000);
    CHECK(MACH_RCV_TRAILER_TYPE(1) == 0x10000000 && MACH_MSG_TRAILER_FORMAT_0 == 0);
    CHECK(offsetof(mach_msg_max_trailer_t, msgh_seqno) == 8);
    CHECK(offsetof(mach_msg_max_trailer_t, msgh_sender) == 12);
    CHECK(offsetof(mach_msg_max_trailer_t, msgh_audit) == 20);
    CHECK(offsetof(mach_msg_max_trailer_t, msgh_context) == 52);
    CHECK(MACH_MSG_SIZE_MAX == 0xffffffff && MACH_MSG_SIZE_RELIABLE == 256 * 1024);
    CHECK(MACH_MSG_TIMEOUT_NONE == 0);
}

static void options_have_their_bits(void) {
    CHECK(MACH_SEND_MSG == 1 && MACH_RCV_MSG == 2 && MACH_RCV_LARGE == 4);
    CHECK(MACH_RCV_LARGE_IDENTITY == 8 && MACH_SEND_TIMEOUT == 0x10);
    CHECK(MACH_SEND_OVERRIDE == 0x20 && MACH_SEND_INTERRUPT == 0x40 && MACH_SEND_NOTIFY == 0x80);
    CHECK(MACH_RCV_TIMEOUT == 0x100 && MACH_RCV_NOTIFY == 0 && MACH_STRICT_REPLY == 0x200);
    CHECK(MACH_RCV_INTERRUPT == 0x400 && MACH_RCV_OVERWRITE == 0);
    CHECK(MACH_RCV_VOUCHER == 0x800 && MACH_RCV_GUARDED_DESC == 0x1000);
    CHECK(MACH_SEND_TRAILER == 0x20000);
    /* Bits that nobody knows are masked. */
    mach_port_t port = new_port_with_send();
    plain_t in;
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 4,
                 MACH_SEND_OVERRIDE | MACH_SEND_NOIMPORTANCE | MACH_SEND_IMPORTANCE |
                     MACH_SEND_PROPAGATE_QOS | MACH_STRICT_REPLY));
    OK(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT | MACH_RCV_VOUCHER | MACH_RCV_SYNC_WAIT,
                0, sizeof in, port, 0, 0));
    CHECK(in.head.msgh_id == 4);
    OK(mach_port_destroy(SELF, port));
}

static void codes_have_their_numbers(void) {
    CHECK(MACH_SEND_INVALID_DATA == 0x10000002 && MACH_SEND_INVALID_DEST == 0x10000003);
    CHECK(MACH_SEND_TIMED_OUT == 0x10000004 && MACH_SEND_INTERRUPTED == 0x10000007);
    CHECK(MACH_SEND_INVALID_RIGHT == 0x1000000a && MACH_SEND_INVALID_HEADER == 0x10000010);
    CHECK(MACH_RCV_INVALID_NAME == 0x10004002 && MACH_RCV_TOO_LARGE == 0x10004004);
    CHECK(MACH_RCV_PORT_CHANGED == 0x10004006 && MACH_RCV_PORT_DIED == 0x10004009);
    CHECK(MACH_MSG_IPC_SPACE == 0x2000 && MACH_MSG_VM_KERNEL == 0x400 && MACH_MSG_MASK == 0x3e00);
    CHECK(KERN_INVALID_TASK == 16 && KERN_INVALID_RIGHT == 17 && KERN_INVALID_VALUE == 18);
    CHECK(KERN_NOT_SUPPORTED == 46 && KERN_OPERATION_TIMED_OUT == 49 && KERN_NOT_FOUND == 56);
    CHECK(MIG_TYPE_ERROR == -300 && MIG_BAD_ID == -303 && MIG_NO_REPLY == -305);
    CHECK(MIG_SERVER_DIED == -308 && MIG_TRAILER_ERROR == -309);
    const char *said = mach_error_string(MACH_SEND_INVALID_DEST);
    CHECK(strcmp(said, "(ipc/send) invalid destination port") == 0);
    CHECK(strcmp(mach_error_string(MACH_RCV_TIMED_OUT), "(ipc/rcv) timed out") == 0);
    unsigned char ndr[8];
    memcpy(ndr, &NDR_record, sizeof ndr);
    CHECK(memcmp(ndr, "\0\0\0\0\1\0\0\0", 8) == 0);
}

int main(void) {
    types_have_their_widths();
    rights_and_types_have_their_numbers();
    a_header_has_its_bits();
    descriptors_are_walked_by_byte_11();
    trailers_have_their_sizes();
    options_have_their_bits();
    codes_have_their_numbers();
    return 0;
}
