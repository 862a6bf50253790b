/* Names, user references, and what each call says of a right that is not there. */
#include "check.h"

static void names_are_merged(void) {
    mach_port_t port = new_port();
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    CHECK(type_of(port) == MACH_PORT_TYPE_SEND_RECEIVE);
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 2);
    CHECK(refs_of(port, MACH_PORT_RIGHT_RECEIVE) == 1);
    CHECK(refs_of(port, MACH_PORT_RIGHT_DEAD_NAME) == 0);

    mach_port_t out;
    mach_msg_type_name_t type;
    OK(mach_port_extract_right(SELF, port, MACH_MSG_TYPE_MAKE_SEND, &out, &type));
    CHECK(out == port && type == MACH_MSG_TYPE_PORT_SEND);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 3);
    /* A send-once right has a name of its own, each time. */
    mach_port_t once, again;
    OK(mach_port_extract_right(SELF, port, MACH_MSG_TYPE_MAKE_SEND_ONCE, &once, &type));
    OK(mach_port_extract_right(SELF, port, MACH_MSG_TYPE_MAKE_SEND_ONCE, &again, &type));
    CHECK(type == MACH_MSG_TYPE_PORT_SEND_ONCE);
    CHECK(once != port && again != once && type_of(once) == MACH_PORT_TYPE_SEND_ONCE);

    mach_port_status_t status;
    mach_msg_type_number_t count = MACH_PORT_RECEIVE_STATUS_COUNT;
    OK(mach_port_get_attributes(SELF, port, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status,
                                &count));
    CHECK(count == MACH_PORT_RECEIVE_STATUS_COUNT);
    CHECK(status.mps_mscount == 3 && status.mps_sorights == 2 && status.mps_srights);
    CHECK(status.mps_qlimit == MACH_PORT_QLIMIT_DEFAULT && status.mps_msgcount == 0);

    /* The port ends: its one name is dead, with as many references, and so are the others. */
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    CHECK(type_of(port) == MACH_PORT_TYPE_DEAD_NAME);
    CHECK(type_of(once) == MACH_PORT_TYPE_DEAD_NAME);
    CHECK(refs_of(port, MACH_PORT_RIGHT_DEAD_NAME) == 3);
    CHECK(refs_of(once, MACH_PORT_RIGHT_DEAD_NAME) == 1);
    IS(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_SEND, 1), KERN_INVALID_RIGHT);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_DEAD_NAME, -2));
    OK(mach_port_deallocate(SELF, port));
    IS(mach_port_deallocate(SELF, port), KERN_INVALID_NAME);
    OK(mach_port_destroy(SELF, once));
    OK(mach_port_destroy(SELF, again));
    CHECK(type_of(again) == 0);
}

static void what_is_not_there_is_told(void) {
    mach_port_t port = new_port(), set, dead, out;
    mach_port_urefs_t refs;
    mach_port_type_t type;
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &set));
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_DEAD_NAME, &dead));
    IS(mach_port_allocate(SELF, MACH_PORT_RIGHT_SEND, &out), KERN_INVALID_VALUE);
    IS(mach_port_allocate(0, MACH_PORT_RIGHT_RECEIVE, &out), KERN_INVALID_TASK);

    IS(mach_port_deallocate(SELF, port), KERN_INVALID_RIGHT);
    OK(mach_port_deallocate(SELF, MACH_PORT_NULL));
    OK(mach_port_deallocate(SELF, MACH_PORT_DEAD));
    IS(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_NUMBER, 0), KERN_INVALID_VALUE);
    IS(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_LABELH, 0), KERN_INVALID_RIGHT);
    IS(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_SEND, -1), KERN_INVALID_RIGHT);
    IS(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, 1), KERN_INVALID_VALUE);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, 0));
    IS(mach_port_mod_refs(SELF, dead, MACH_PORT_RIGHT_DEAD_NAME, -2), KERN_INVALID_VALUE);
    OK(mach_port_mod_refs(SELF, MACH_PORT_NULL, MACH_PORT_RIGHT_SEND, -1));
    IS(mach_port_mod_refs(SELF, MACH_PORT_NULL, MACH_PORT_RIGHT_RECEIVE, -1), KERN_INVALID_NAME);
    IS(mach_port_get_refs(SELF, port, 9, &refs), KERN_INVALID_VALUE);
    IS(mach_port_type(SELF, MACH_PORT_NULL, &type), KERN_INVALID_NAME);
    OK(mach_port_type(SELF, MACH_PORT_DEAD, &type));
    CHECK(type == MACH_PORT_TYPE_DEAD_NAME);
    IS(mach_port_insert_right(SELF, port, port, 99), KERN_INVALID_VALUE);
    IS(mach_port_insert_right(SELF, port, MACH_PORT_NULL, MACH_MSG_TYPE_COPY_SEND),
       KERN_INVALID_CAPABILITY);
    IS(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_COPY_SEND), KERN_INVALID_RIGHT);
    mach_port_t other = new_port_with_send();
    IS(mach_port_insert_right(SELF, port, other, MACH_MSG_TYPE_COPY_SEND), KERN_RIGHT_EXISTS);
    IS(mach_port_extract_right(SELF, MACH_PORT_NULL, MACH_MSG_TYPE_MAKE_SEND, &out, &refs),
       KERN_INVALID_RIGHT);
    OK(mach_port_deallocate(SELF, set));
    CHECK(type_of(set) == 0);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, other));
    OK(mach_port_destroy(SELF, dead));
}

static void names_may_be_chosen(void) {
    IS(mach_port_allocate_name(SELF, MACH_PORT_RIGHT_RECEIVE, 0x7fff0003 + 0x100), KERN_SUCCESS);
    IS(mach_port_allocate_name(SELF, MACH_PORT_RIGHT_RECEIVE, 0x7fff0103), KERN_NAME_EXISTS);
    IS(mach_port_allocate_name(SELF, MACH_PORT_RIGHT_RECEIVE, 0x3), KERN_FAILURE);
    IS(mach_port_allocate_name(SELF, MACH_PORT_RIGHT_RECEIVE, 0x7fff0200), KERN_INVALID_VALUE);
    IS(mach_port_allocate_name(SELF, MACH_PORT_RIGHT_RECEIVE, 0), KERN_INVALID_VALUE);
    OK(mach_port_destroy(SELF, 0x7fff0103));
}

static void all_names_are_listed(void) {
    mach_port_t mine[40];
    for (int i = 0; i < 40; i++) mine[i] = new_port();
    mach_port_name_array_t names;
    mach_port_type_array_t types;
    mach_msg_type_number_t count, types_count;
    OK(mach_port_names(SELF, &names, &count, &types, &types_count));
    CHECK(count == types_count && count >= 42);
    int found = 0, tasks = 0;
    for (unsigned i = 0; i < count; i++) {
        CHECK(i == 0 || names[i - 1] < names[i]);
        for (int j = 0; j < 40; j++)
            found += names[i] == mine[j] && types[i] == MACH_PORT_TYPE_RECEIVE;
        tasks += names[i] == SELF && types[i] == MACH_PORT_TYPE_SEND;
    }
    CHECK(found == 40 && tasks == 1);
    OK(vm_deallocate(SELF, (vm_address_t)names, count * sizeof *names));
    OK(vm_deallocate(SELF, (vm_address_t)types, count * sizeof *types));
    for (int i = 0; i < 40; i++) OK(mach_port_destroy(SELF, mine[i]));
}

static void references_stay_at_the_top(void) {
    mach_port_t port = new_port_with_send();
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_SEND, 65534));
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 65535);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_SEND, 5));
    OK(mach_port_deallocate(SELF, port));
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 65535);
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_SEND, -65535));
    CHECK(type_of(port) == MACH_PORT_TYPE_RECEIVE);
    OK(mach_port_destroy(SELF, port));
}

static void guards_hold(void) {
    mach_port_t port;
    mach_port_context_t context = 1;
    mach_port_options_t options = {.flags = MPO_CONTEXT_AS_GUARD | MPO_STRICT | MPO_QLIMIT |
                                            MPO_INSERT_SEND_RIGHT,
                                   .mpl = {.mpl_qlimit = 16}};
    OK(mach_port_construct(SELF, &options, 77, &port));
    CHECK(type_of(port) == MACH_PORT_TYPE_SEND_RECEIVE);
    OK(mach_port_get_context(SELF, port, &context));
    CHECK(context == 0);
    IS(mach_port_set_context(SELF, port, 5), KERN_INVALID_ARGUMENT);
    IS(mach_port_destroy(SELF, port), KERN_INVALID_RIGHT);
    IS(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1), KERN_INVALID_RIGHT);
    IS(mach_port_unguard(SELF, port, 76), KERN_INVALID_ARGUMENT);
    IS(mach_port_destruct(SELF, port, 0, 76), KERN_INVALID_ARGUMENT);
    IS(mach_port_destruct(SELF, port, 1, 77), KERN_INVALID_VALUE);
    IS(mach_port_destruct(SELF, port, -2, 77), KERN_INVALID_VALUE);
    mach_port_guard_info_t guard = {.mpgi_guard = 77};
    OK(mach_port_assert_attributes(SELF, port, MACH_PORT_GUARD_INFO, (mach_port_info_t)&guard,
                                   MACH_PORT_GUARD_INFO_COUNT));
    OK(mach_port_destruct(SELF, port, -1, 77));
    CHECK(type_of(port) == 0);

    port = new_port();
    OK(mach_port_set_context(SELF, port, 5));
    OK(mach_port_get_context(SELF, port, &context));
    CHECK(context == 5);
    IS(mach_port_guard(SELF, port, 9, FALSE), KERN_INVALID_ARGUMENT);
    OK(mach_port_set_context(SELF, port, 0));
    OK(mach_port_guard(SELF, port, 9, FALSE));
    IS(mach_port_swap_guard(SELF, port, 8, 10), KERN_INVALID_ARGUMENT);
    OK(mach_port_swap_guard(SELF, port, 9, 10));
    OK(mach_port_unguard(SELF, port, 10));
    OK(mach_port_destroy(SELF, port));
    IS(mach_port_unguard(SELF, port, 10), KERN_INVALID_NAME);
}

static void bad_addresses_are_told(void) {
    mach_port_t port;
    void *nowhere = (void *)16;
    IS(mach_port_allocate(SELF, MACH_PORT_RIGHT_RECEIVE, nowhere), KERN_INVALID_ADDRESS);
    port = new_port();
    IS(mach_port_type(SELF, port, nowhere), KERN_INVALID_ADDRESS);
    IS(mach_port_construct(SELF, nowhere, 0, &port), KERN_INVALID_ADDRESS);
    IS(mach_msg(nowhere, MACH_SEND_MSG, 24, 0, 0, 0, 0), MACH_SEND_INVALID_DATA);
    OK(mach_port_destroy(SELF, port));
}

int main(void) {
    names_are_merged();
    what_is_not_there_is_told();
    names_may_be_chosen();
    all_names_are_listed();
    references_stay_at_the_top();
    guards_hold();
    bad_addresses_are_told();
    return 0;
}
