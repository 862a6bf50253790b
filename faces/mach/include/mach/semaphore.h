/* Semaphores. */
#ifndef PILLARBOX_MACH_SEMAPHORE_H
#define PILLARBOX_MACH_SEMAPHORE_H

#include <mach/clock_types.h>
#include <mach/mach_types.h>
#include <mach/sync_policy.h>

#define SEMAPHORE_NULL ((semaphore_t)0)

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t semaphore_create(task_t task, semaphore_t *semaphore, int policy, int value);
kern_return_t semaphore_destroy(task_t task, semaphore_t semaphore);
kern_return_t semaphore_signal(semaphore_t semaphore);
kern_return_t semaphore_signal_all(semaphore_t semaphore);
kern_return_t semaphore_wait(semaphore_t semaphore);
kern_return_t semaphore_timedwait(semaphore_t semaphore, mach_timespec_t wait_time);
kern_return_t semaphore_wait_signal(semaphore_t wait_semaphore, semaphore_t signal_semaphore);

#ifdef __cplusplus
}
#endif

#endif
