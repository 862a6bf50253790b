/* Names for rights, as on older systems. Any server that is passed is the bootstrap server. */
#ifndef PILLARBOX_SERVERS_NETNAME_H
#define PILLARBOX_SERVERS_NETNAME_H

#include <mach/mach.h>
#include <servers/netname_defs.h>

typedef char netname_name_t[80];

#ifdef __cplusplus
extern "C" {
#endif

extern mach_port_t name_server_port;

kern_return_t netname_check_in(mach_port_t server, netname_name_t name, mach_port_t signature,
                               mach_port_t port);
kern_return_t netname_look_up(mach_port_t server, netname_name_t host, netname_name_t name,
                              mach_port_t *port);
kern_return_t netname_check_out(mach_port_t server, netname_name_t name, mach_port_t signature);
kern_return_t netname_version(mach_port_t server, netname_name_t version);

#ifdef __cplusplus
}
#endif

#endif
