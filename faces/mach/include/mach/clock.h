/* Clocks. */
#ifndef PILLARBOX_MACH_CLOCK_H
#define PILLARBOX_MACH_CLOCK_H

#include <mach/clock_types.h>
#include <mach/mach_types.h>

#define SYSTEM_CLOCK 0
#define CALENDAR_CLOCK 1
#define REALTIME_CLOCK 0

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t clock_get_time(clock_serv_t clock, mach_timespec_t *time);

#ifdef __cplusplus
}
#endif

#endif
