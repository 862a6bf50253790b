/* Calls without a message. */
#ifndef PILLARBOX_MACH_MACH_TRAPS_H
#define PILLARBOX_MACH_MACH_TRAPS_H

#include <mach/mach_init.h>
#include <mach/thread_switch.h>

#ifdef __cplusplus
extern "C" {
#endif

mach_port_name_t mach_reply_port(void);

#ifdef __cplusplus
}
#endif

#endif
