/* The system's, for who does not name the thread: 0 is this one, and NULL is nowhere. */
#pragma GCC system_header
#include_next <pthread.h>

#ifndef PILLARBOX_QNX_PTHREAD_H
#define PILLARBOX_QNX_PTHREAD_H

#ifdef __cplusplus
extern "C" {
#endif

int pillarbox_qnx_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                 void *(*start)(void *), void *argument);
int pillarbox_qnx_pthread_getschedparam(pthread_t thread, int *policy,
                                        struct sched_param *param);
int pillarbox_qnx_pthread_setschedparam(pthread_t thread, int policy,
                                        const struct sched_param *param);
int pillarbox_qnx_pthread_setschedprio(pthread_t thread, int priority);

#ifdef __cplusplus
}
#endif

#define pthread_create(thread, attributes, start, argument)                            \
    pillarbox_qnx_pthread_create(thread, attributes, start, argument)
#define pthread_getschedparam(thread, policy, param)                                   \
    pillarbox_qnx_pthread_getschedparam(thread, policy, param)
#define pthread_setschedparam(thread, policy, param)                                   \
    pillarbox_qnx_pthread_setschedparam(thread, policy, param)
#define pthread_setschedprio(thread, priority)                                         \
    pillarbox_qnx_pthread_setschedprio(thread, priority)

#endif
