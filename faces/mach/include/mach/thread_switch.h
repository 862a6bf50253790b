/* Letting other threads go first. */
#ifndef PILLARBOX_MACH_THREAD_SWITCH_H
#define PILLARBOX_MACH_THREAD_SWITCH_H

#include <mach/mach_types.h>

#define SWITCH_OPTION_NONE 0
#define SWITCH_OPTION_DEPRESS 1
#define SWITCH_OPTION_WAIT 2

#ifdef __cplusplus
extern "C" {
#endif

boolean_t swtch(void);
boolean_t swtch_pri(int priority);
kern_return_t thread_switch(mach_port_name_t thread, int option, mach_msg_timeout_t time);

#ifdef __cplusplus
}
#endif

#endif
