/* What a thread asks of who schedules it: nothing comes of it here. */
#ifndef PILLARBOX_MACH_THREAD_POLICY_H
#define PILLARBOX_MACH_THREAD_POLICY_H

#include <mach/mach_types.h>

typedef natural_t thread_policy_flavor_t;
typedef integer_t *thread_policy_t;

#define THREAD_STANDARD_POLICY 1
#define THREAD_EXTENDED_POLICY 1
#define THREAD_TIME_CONSTRAINT_POLICY 2
#define THREAD_PRECEDENCE_POLICY 3
#define THREAD_AFFINITY_POLICY 4

struct thread_extended_policy {
    boolean_t timeshare;
};
struct thread_time_constraint_policy {
    uint32_t period;
    uint32_t computation;
    uint32_t constraint;
    boolean_t preemptible;
};
struct thread_precedence_policy {
    integer_t importance;
};
struct thread_affinity_policy {
    integer_t affinity_tag;
};

typedef struct thread_extended_policy thread_extended_policy_data_t;
typedef struct thread_extended_policy *thread_extended_policy_t;
typedef struct thread_time_constraint_policy thread_time_constraint_policy_data_t;
typedef struct thread_time_constraint_policy *thread_time_constraint_policy_t;
typedef struct thread_precedence_policy thread_precedence_policy_data_t;
typedef struct thread_precedence_policy *thread_precedence_policy_t;
typedef struct thread_affinity_policy thread_affinity_policy_data_t;
typedef struct thread_affinity_policy *thread_affinity_policy_t;

#define THREAD_EXTENDED_POLICY_COUNT 1
#define THREAD_TIME_CONSTRAINT_POLICY_COUNT 4
#define THREAD_PRECEDENCE_POLICY_COUNT 1
#define THREAD_AFFINITY_POLICY_COUNT 1

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t thread_policy_set(thread_act_t thread, thread_policy_flavor_t flavor,
                                thread_policy_t policy, mach_msg_type_number_t count);

#ifdef __cplusplus
}
#endif

#endif
