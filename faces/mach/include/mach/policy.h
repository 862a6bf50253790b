/* How threads are scheduled. */
#ifndef PILLARBOX_MACH_POLICY_H
#define PILLARBOX_MACH_POLICY_H

typedef int policy_t;

#define POLICY_NULL 0
#define POLICY_TIMESHARE 1
#define POLICY_RR 2
#define POLICY_FIFO 4

#endif
