/* A task that answers whatever it likes about its names harms nobody, and leaves no name
   behind; and one that is asked whatever others like stays whole. */
#include "check.h"

#include <servers/bootstrap.h>

static unsigned own_names(void) {
    mach_port_name_array_t names;
    mach_port_type_array_t types;
    mach_msg_type_number_t count, types_count;
    OK(mach_port_names(SELF, &names, &count, &types, &types_count));
    OK(vm_deallocate(SELF, (vm_address_t)names, count * sizeof *names));
    OK(vm_deallocate(SELF, (vm_address_t)types, types_count * sizeof *types));
    return count;
}

int main(void) {
    mach_port_t liar, own = new_port_with_send(), out;
    mach_port_type_t kind;
    mach_msg_type_name_t type;
    natural_t numbers[16];
    plain_t in;
    OK(bootstrap_look_up(bootstrap_port, "org.example.liar", &liar));
    unsigned before = own_names();
    int good = 0;
    for (int i = 0; i < 120; i++) {
        mach_msg_type_number_t count = 16, types;
        mach_port_name_array_t names = 0;
        mach_port_type_array_t kinds = 0;
        out = MACH_PORT_NULL;
        good += mach_port_allocate(liar, MACH_PORT_RIGHT_RECEIVE, &out) == KERN_SUCCESS;
        good += mach_port_type(liar, 0x103, &kind) == KERN_SUCCESS;
        good += mach_port_mod_refs(liar, 0x103, MACH_PORT_RIGHT_SEND, 1) == KERN_SUCCESS;
        good += mach_port_insert_right(liar, 0x103, own, MACH_MSG_TYPE_COPY_SEND) == KERN_SUCCESS;
        good += mach_port_get_attributes(liar, 0x103, MACH_PORT_RECEIVE_STATUS, (int *)numbers,
                                         &count) == KERN_SUCCESS;
        if (mach_port_names(liar, &names, &count, &kinds, &types) == KERN_SUCCESS) {
            CHECK(count == types);
            OK(vm_deallocate(SELF, (vm_address_t)names, count * sizeof *names));
            OK(vm_deallocate(SELF, (vm_address_t)kinds, count * sizeof *kinds));
        }
        out = MACH_PORT_NULL;
        if (mach_port_extract_right(liar, 0x103, MACH_MSG_TYPE_COPY_SEND, &out, &type) ==
            KERN_SUCCESS) {
            /* What it gave may have ended since. */
            CHECK(out == MACH_PORT_DEAD ||
                  type_of(out) & (MACH_PORT_TYPE_SEND | MACH_PORT_TYPE_DEAD_NAME));
            OK(mach_port_deallocate(SELF, out));
        }
        CHECK(own_names() == before);
    }
    /* It is asked itself, until it is told that this is over. */
    OK(bootstrap_register(bootstrap_port, "org.example.asked", mach_task_self()));
    OK(bootstrap_register(bootstrap_port, "org.example.over", own));
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, own, 0, 0));
    OK(mach_port_destroy(SELF, own));
    printf("%d were answered well\n", good);
    return 0;
}
