/* The system's, with timers that may send pulses. */
#pragma GCC system_header
#include_next <time.h>

#ifndef PILLARBOX_QNX_TIME_H
#define PILLARBOX_QNX_TIME_H

#if defined __USE_POSIX199309 || defined __cplusplus
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

int pillarbox_qnx_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);
int pillarbox_qnx_timer_delete(timer_t timer);
int pillarbox_qnx_timer_settime(timer_t timer, int flags, const struct itimerspec *next,
                                struct itimerspec *before);
int pillarbox_qnx_timer_gettime(timer_t timer, struct itimerspec *now);
int pillarbox_qnx_timer_getoverrun(timer_t timer);

#ifdef __cplusplus
}
#endif

#define timer_create(clock, event, timer) pillarbox_qnx_timer_create(clock, event, timer)
#define timer_delete(timer) pillarbox_qnx_timer_delete(timer)
#define timer_settime(timer, flags, next, before)                                      \
    pillarbox_qnx_timer_settime(timer, flags, next, before)
#define timer_gettime(timer, now) pillarbox_qnx_timer_gettime(timer, now)
#define timer_getoverrun(timer) pillarbox_qnx_timer_getoverrun(timer)
#endif

#endif
