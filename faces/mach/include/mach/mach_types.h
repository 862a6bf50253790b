/* Ports that stand for something, by what they stand for. */
#ifndef PILLARBOX_MACH_MACH_TYPES_H
#define PILLARBOX_MACH_MACH_TYPES_H

#include <mach/boolean.h>
#include <mach/kern_return.h>
#include <mach/message.h>
#include <mach/port.h>
#include <mach/std_types.h>
#include <mach/task_info.h>
#include <mach/task_special_ports.h>
#include <mach/vm_inherit.h>
#include <mach/vm_prot.h>
#include <mach/vm_types.h>

typedef mach_port_t task_t;
typedef mach_port_t task_name_t;
typedef mach_port_t thread_t;
typedef mach_port_t thread_act_t;
typedef mach_port_t host_t;
typedef mach_port_t host_priv_t;
typedef mach_port_t ipc_space_t;
typedef mach_port_t vm_map_t;
typedef mach_port_t semaphore_t;
typedef mach_port_t clock_serv_t;
typedef natural_t task_flavor_t;
typedef integer_t *task_info_t;
typedef char *user_addr_string_t;

#define TASK_NULL ((task_t)0)
#define THREAD_NULL ((thread_t)0)

#endif
