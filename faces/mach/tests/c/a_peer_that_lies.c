/* Whatever another task sends is received, or dropped: and leaves nothing behind. */
#include "check.h"

#include <servers/bootstrap.h>

static unsigned names(void) {
    mach_port_name_array_t all;
    mach_port_type_array_t types;
    mach_msg_type_number_t count, types_count;
    OK(mach_port_names(SELF, &all, &count, &types, &types_count));
    OK(vm_deallocate(SELF, (vm_address_t)all, count * sizeof *all));
    OK(vm_deallocate(SELF, (vm_address_t)types, count * sizeof *types));
    return count;
}

int main(void) {
    mach_port_t server;
    OK(bootstrap_check_in(bootstrap_port, "org.example.gullible", &server));
    mach_port_limits_t limits = {.mpl_qlimit = MACH_PORT_QLIMIT_MAX};
    OK(mach_port_set_attributes(SELF, server, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits,
                                MACH_PORT_LIMITS_INFO_COUNT));
    unsigned before = names(), received = 0, complex = 0;
    static char buffer[1 << 16];
    mach_msg_header_t *head = (mach_msg_header_t *)buffer;
    for (;;) {
        mach_msg_return_t code =
            mach_msg(head,
                     MACH_RCV_MSG | MACH_RCV_TIMEOUT | (received & 1 ? MACH_RCV_GUARDED_DESC : 0),
                     0, sizeof buffer, server, 60000, 0);
        OK(code);
        CHECK(head->msgh_size >= sizeof *head && head->msgh_size <= sizeof buffer);
        CHECK((head->msgh_bits & ~MACH_MSGH_BITS_USER) == 0);
        mach_msg_type_name_t how = MACH_MSGH_BITS_LOCAL(head->msgh_bits);
        CHECK(how == MACH_MSG_TYPE_PORT_SEND || how == MACH_MSG_TYPE_PORT_SEND_ONCE);
        received++;
        complex += MACH_MSGH_BITS_IS_COMPLEX(head->msgh_bits);
        int last = head->msgh_id == 0x7fffffff;
        mach_msg_destroy(head);
        if (last) break;
    }
    CHECK(names() == before);
    printf("%u received, %u with descriptors\n", received, complex);
    return 0;
}
