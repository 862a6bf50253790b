/* Names for rights. */
#ifndef PILLARBOX_SERVERS_BOOTSTRAP_H
#define PILLARBOX_SERVERS_BOOTSTRAP_H

#include <stdint.h>
#include <sys/types.h>
#include <mach/mach.h>

#define BOOTSTRAP_MAX_NAME_LEN 128
#define BOOTSTRAP_MAX_CMD_LEN 512

typedef char name_t[BOOTSTRAP_MAX_NAME_LEN];
typedef char cmd_t[BOOTSTRAP_MAX_CMD_LEN];
typedef name_t *name_array_t;
typedef int bootstrap_status_t;
typedef bootstrap_status_t *bootstrap_status_array_t;
typedef boolean_t *bool_array_t;

#define BOOTSTRAP_PER_PID_SERVICE 0x1
#define BOOTSTRAP_ALLOW_LOOKUP 0x2
#define BOOTSTRAP_DENY_JOB_CREATION 0x4
#define BOOTSTRAP_PRIVILEGED_SERVER 0x8

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
kern_return_t bootstrap_check_in2(mach_port_t bp, const char *service_name, mach_port_t *sp,
                                  uint64_t flags);
kern_return_t bootstrap_register2(mach_port_t bp, char *service_name, mach_port_t sp,
                                  uint64_t flags);
kern_return_t bootstrap_look_up2(mach_port_t bp, const char *service_name, mach_port_t *sp,
                                 pid_t pid, uint64_t flags);
kern_return_t bootstrap_look_up3(mach_port_t bp, const char *service_name, mach_port_t *sp,
                                 pid_t pid, const unsigned char *instance, uint64_t flags);
kern_return_t bootstrap_create_server(mach_port_t bp, char *command, uid_t uid,
                                      boolean_t on_demand, mach_port_t *server);
kern_return_t bootstrap_create_service(mach_port_t bp, char *service_name, mach_port_t *sp);
kern_return_t bootstrap_subset(mach_port_t bp, mach_port_t requestor, mach_port_t *subset);
kern_return_t bootstrap_parent(mach_port_t bp, mach_port_t *parent);
kern_return_t bootstrap_unprivileged(mach_port_t bp, mach_port_t *unprivileged);
kern_return_t bootstrap_info(mach_port_t bp, name_array_t *names,
                             mach_msg_type_number_t *names_count, name_array_t *servers,
                             mach_msg_type_number_t *servers_count, bool_array_t *active,
                             mach_msg_type_number_t *active_count);
const char *bootstrap_strerror(kern_return_t r);

#ifdef __cplusplus
}
#endif

#endif
