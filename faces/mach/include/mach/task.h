/* Calls about a task. */
#ifndef PILLARBOX_MACH_TASK_H
#define PILLARBOX_MACH_TASK_H

#include <mach/mach_types.h>
#include <mach/semaphore.h>
#include <mach/task_special_ports.h>

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t task_get_special_port(task_t task, int which, mach_port_t *port);
kern_return_t task_set_special_port(task_t task, int which, mach_port_t port);
kern_return_t task_info(task_t task, task_flavor_t flavor, task_info_t info,
                        mach_msg_type_number_t *count);
kern_return_t mach_ports_register(task_t task, mach_port_array_t ports,
                                  mach_msg_type_number_t count);
kern_return_t mach_ports_lookup(task_t task, mach_port_array_t *ports,
                                mach_msg_type_number_t *count);
kern_return_t task_get_exc_guard_behavior(task_t task, unsigned int *behavior);
kern_return_t task_set_exc_guard_behavior(task_t task, unsigned int behavior);

#ifdef __cplusplus
}
#endif

#endif
