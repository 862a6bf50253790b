/* Names for rights. */
#ifndef PILLARBOX_SERVERS_BOOTSTRAP_H
#define PILLARBOX_SERVERS_BOOTSTRAP_H

#include <mach/mach.h>

#define BOOTSTRAP_MAX_NAME_LEN 128
#define BOOTSTRAP_MAX_CMD_LEN 512

typedef char name_t[BOOTSTRAP_MAX_NAME_LEN];
typedef char cmd_t[BOOTSTRAP_MAX_CMD_LEN];
typedef int bootstrap_status_t;

#define BOOTSTRAP_SUCCESS 0
#define BOOTSTRAP_NOT_PRIVILEGED 1100
#define BOOTSTRAP_NAME_IN_USE 1101
#define BOOTSTRAP_UNKNOWN_SERVICE 1102
#define BOOTSTRAP_SERVICE_ACTIVE 1103
#define BOOTSTRAP_BAD_COUNT 1104
#define BOOTSTRAP_NO_MEMORY 1105
#define BOOTSTRAP_NO_CHILDREN 1106

#define BOOTSTRAP_STATUS_INACTIVE 0
#define BOOTSTRAP_STATUS_ACTIVE 1
#define BOOTSTRAP_STATUS_ON_DEMAND 2

#ifdef __cplusplus
extern "C" {
#endif

extern mach_port_t bootstrap_port;

kern_return_t bootstrap_check_in(mach_port_t bp, const char *service_name, mach_port_t *sp);
kern_return_t bootstrap_register(mach_port_t bp, char *service_name, mach_port_t sp);
kern_return_t bootstrap_look_up(mach_port_t bp, const char *service_name, mach_port_t *sp);
kern_return_t bootstrap_status(mach_port_t bp, char *service_name,
                               bootstrap_status_t *service_active);
const char *bootstrap_strerror(kern_return_t r);

#ifdef __cplusplus
}
#endif

#endif
