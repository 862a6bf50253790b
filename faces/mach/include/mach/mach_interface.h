/* All calls about ports, tasks and memory. */
#ifndef PILLARBOX_MACH_MACH_INTERFACE_H
#define PILLARBOX_MACH_MACH_INTERFACE_H

#include <mach/clock.h>
#include <mach/mach_host.h>
#include <mach/mach_port.h>
#include <mach/mach_traps.h>
#include <mach/task.h>
#include <mach/thread_policy.h>
#include <mach/vm_map.h>

#endif
