/* Without a bootstrap server everything within the process works, and no name is known. */
#include "check.h"

#include <servers/bootstrap.h>

int main(void) {
    mach_port_t port = new_port_with_send(), found = MACH_PORT_NULL, boot, host;
    CHECK(bootstrap_port != MACH_PORT_NULL && bootstrap_port != mach_task_self());
    CHECK(type_of(bootstrap_port) == MACH_PORT_TYPE_SEND);
    IS(bootstrap_look_up(bootstrap_port, "org.example.any", &found), BOOTSTRAP_UNKNOWN_SERVICE);
    IS(bootstrap_check_in(bootstrap_port, "org.example.any", &found), BOOTSTRAP_UNKNOWN_SERVICE);
    CHECK(found == MACH_PORT_NULL);
    CHECK(strcmp(bootstrap_strerror(BOOTSTRAP_UNKNOWN_SERVICE), "Unknown service name") == 0);
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 1, 0));

    OK(task_get_bootstrap_port(SELF, &boot));
    CHECK(boot == bootstrap_port && refs_of(boot, MACH_PORT_RIGHT_SEND) == 2);
    OK(mach_port_deallocate(SELF, boot));
    OK(task_set_bootstrap_port(SELF, port));
    OK(task_get_bootstrap_port(SELF, &boot));
    CHECK(boot == port);
    OK(mach_port_deallocate(SELF, boot));
    OK(task_set_bootstrap_port(SELF, MACH_PORT_NULL));
    IS(task_set_special_port(SELF, TASK_KERNEL_PORT, port), KERN_NO_ACCESS);
    IS(task_get_special_port(SELF, 99, &boot), KERN_INVALID_ARGUMENT);

    host = mach_host_self();
    CHECK(host == mach_host_self() && refs_of(host, MACH_PORT_RIGHT_SEND) == 2);
    CHECK(mach_thread_self() != host && type_of(mach_thread_self()) == MACH_PORT_TYPE_SEND);
    CHECK(vm_page_size == (vm_size_t)getpagesize() && round_page(1) == vm_page_size);

    mach_port_t some[3] = {port, MACH_PORT_NULL, MACH_PORT_NULL};
    mach_port_array_t kept;
    mach_msg_type_number_t count;
    IS(mach_ports_register(SELF, some, 4), KERN_INVALID_ARGUMENT);
    OK(mach_ports_register(SELF, some, 3));
    OK(mach_ports_lookup(SELF, &kept, &count));
    CHECK(count == 3 && kept[0] == port && kept[1] == MACH_PORT_NULL);
    OK(vm_deallocate(SELF, (vm_address_t)kept, count * sizeof *kept));

    audit_token_t token;
    count = TASK_AUDIT_TOKEN_COUNT;
    OK(task_info(SELF, TASK_AUDIT_TOKEN, (task_info_t)&token, &count));
    CHECK(token.val[5] == (unsigned)getpid() && token.val[1] == geteuid());
    CHECK(strcmp(mach_error_string(KERN_INVALID_NAME), "(os/kern) invalid name") == 0);
    return 0;
}
