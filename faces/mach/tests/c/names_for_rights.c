/* Names for rights, as newer systems ask for them and as older ones do. */
#include "check.h"

#include <servers/bootstrap.h>
#include <servers/netname.h>

static void newer_calls_have_flags(void) {
    mach_port_t port, found, again;
    OK(bootstrap_check_in2(bootstrap_port, "org.example.flags", &port, BOOTSTRAP_ALLOW_LOOKUP));
    OK(bootstrap_look_up2(bootstrap_port, "org.example.flags", &found, 0, 0));
    CHECK(found == port);
    OK(bootstrap_look_up3(bootstrap_port, "org.example.flags", &again, 0, 0, 0));
    CHECK(again == port && refs_of(port, MACH_PORT_RIGHT_SEND) == 2);
    IS(bootstrap_register2(bootstrap_port, "org.example.flags", port, 0),
       BOOTSTRAP_SERVICE_ACTIVE);
    IS(bootstrap_check_in2(bootstrap_port, "org.example.mine", &found, BOOTSTRAP_PER_PID_SERVICE),
       BOOTSTRAP_NOT_PRIVILEGED);
    IS(bootstrap_look_up2(bootstrap_port, "org.example.mine", &found, getpid(),
                          BOOTSTRAP_PER_PID_SERVICE),
       BOOTSTRAP_NOT_PRIVILEGED);
    OK(mach_port_destroy(SELF, port));
}

static void a_server_is_its_own_parent(void) {
    mach_port_t parent = 0, same = 0, found;
    mach_port_urefs_t before = refs_of(bootstrap_port, MACH_PORT_RIGHT_SEND);
    OK(bootstrap_parent(bootstrap_port, &parent));
    OK(bootstrap_unprivileged(bootstrap_port, &same));
    CHECK(parent == bootstrap_port && same == bootstrap_port);
    CHECK(refs_of(bootstrap_port, MACH_PORT_RIGHT_SEND) == before + 2);
    IS(bootstrap_look_up(parent, "org.example.nobody", &found), BOOTSTRAP_UNKNOWN_SERVICE);
    OK(mach_port_mod_refs(SELF, parent, MACH_PORT_RIGHT_SEND, -2));
    IS(bootstrap_parent(MACH_PORT_NULL, &parent), MACH_SEND_INVALID_DEST);
    IS(bootstrap_parent(bootstrap_port, (mach_port_t *)8), KERN_INVALID_ADDRESS);
    CHECK(refs_of(bootstrap_port, MACH_PORT_RIGHT_SEND) == before);
    IS(bootstrap_subset(bootstrap_port, SELF, &found), BOOTSTRAP_NOT_PRIVILEGED);
    IS(bootstrap_create_server(bootstrap_port, "/bin/true", 0, TRUE, &found),
       BOOTSTRAP_NOT_PRIVILEGED);
}

static void a_service_that_is_created_waits_for_who_checks_in(void) {
    mach_port_t post, port;
    bootstrap_status_t status;
    plain_t in;
    OK(bootstrap_create_service(bootstrap_port, "org.example.later", &post));
    CHECK(type_of(post) == MACH_PORT_TYPE_SEND);
    IS(bootstrap_create_service(bootstrap_port, "org.example.later", &port),
       BOOTSTRAP_SERVICE_ACTIVE);
    OK(bootstrap_status(bootstrap_port, "org.example.later", &status));
    CHECK(status == BOOTSTRAP_STATUS_INACTIVE);
    OK(send_word(post, MACH_MSG_TYPE_COPY_SEND, 5, 0));
    OK(bootstrap_check_in(bootstrap_port, "org.example.later", &port));
    CHECK(port == post && type_of(port) == MACH_PORT_TYPE_SEND_RECEIVE);
    OK(take(port, &in));
    CHECK(in.head.msgh_id == 5);
    OK(bootstrap_status(bootstrap_port, "org.example.later", &status));
    CHECK(status == BOOTSTRAP_STATUS_ACTIVE);
    IS(bootstrap_check_in(bootstrap_port, "org.example.later", &post), BOOTSTRAP_SERVICE_ACTIVE);
    OK(mach_port_destroy(SELF, port));
}

static void all_names_are_told(void) {
    mach_port_t port;
    name_array_t names, servers;
    bool_array_t states;
    mach_msg_type_number_t count, servers_count, states_count;
    OK(bootstrap_check_in(bootstrap_port, "org.example.told", &port));
    OK(bootstrap_info(bootstrap_port, &names, &count, &servers, &servers_count, &states,
                      &states_count));
    CHECK(count >= 1 && count == servers_count && count == states_count);
    int found = 0;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], "org.example.told") != 0) continue;
        found++;
        CHECK(atoi(servers[i]) == getpid() && states[i] == BOOTSTRAP_STATUS_ACTIVE);
    }
    CHECK(found == 1);
    OK(vm_deallocate(SELF, (vm_address_t)names, count * sizeof *names));
    OK(vm_deallocate(SELF, (vm_address_t)servers, count * sizeof *servers));
    OK(vm_deallocate(SELF, (vm_address_t)states, count * sizeof *states));
    IS(bootstrap_info(bootstrap_port, &names, &count, &servers, (void *)8, &states,
                      &states_count),
       KERN_INVALID_ADDRESS);
    OK(mach_port_destroy(SELF, port));
}

static void a_signature_takes_a_name_back(void) {
    char name[80] = "org.example.net", host[80] = "", version[80] = "";
    mach_port_t port = new_port_with_send(), mark = new_port(), other = new_port(), found;
    CHECK(name_server_port == bootstrap_port);
    IS(netname_look_up(name_server_port, host, name, &found), NETNAME_NOT_CHECKED_IN);
    IS(netname_check_in(name_server_port, name, mark, MACH_PORT_NULL), NETNAME_INVALID_PORT);
    IS(netname_check_out(name_server_port, name, mark), NETNAME_NOT_CHECKED_IN);
    OK(netname_check_in(name_server_port, name, mark, port));
    OK(netname_look_up(name_server_port, host, name, &found));
    CHECK(found == port);
    strcpy(host, "*");
    OK(netname_look_up(name_server_port, host, name, &found));
    strcpy(host, "elsewhere.example.org");
    IS(netname_look_up(name_server_port, host, name, &found), NETNAME_NO_SUCH_HOST);
    IS(netname_check_in(name_server_port, name, other, port), NETNAME_NOT_YOURS);
    IS(netname_check_out(name_server_port, name, other), NETNAME_NOT_YOURS);
    OK(netname_check_in(name_server_port, name, mark, port));
    OK(netname_check_out(name_server_port, name, mark));
    strcpy(host, "");
    IS(netname_look_up(name_server_port, host, name, &found), NETNAME_NOT_CHECKED_IN);
    OK(netname_version(name_server_port, version));
    CHECK(strlen(version) > 0);
}

int main(void) {
    newer_calls_have_flags();
    a_server_is_its_own_parent();
    a_service_that_is_created_waits_for_who_checks_in();
    all_names_are_told();
    a_signature_takes_a_name_back();
    return 0;
}
