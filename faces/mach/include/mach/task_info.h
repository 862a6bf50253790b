/* What can be asked about a task. */
#ifndef PILLARBOX_MACH_TASK_INFO_H
#define PILLARBOX_MACH_TASK_INFO_H

#include <mach/message.h>
#include <mach/policy.h>
#include <mach/time_value.h>

#define TASK_SECURITY_TOKEN 13
#define TASK_SECURITY_TOKEN_COUNT 2
#define TASK_AUDIT_TOKEN 15
#define TASK_AUDIT_TOKEN_COUNT 8

#define TASK_BASIC_INFO_32 4
#define TASK_BASIC_INFO_64 5
#define MACH_TASK_BASIC_INFO 20

#pragma pack(push, 4)

struct task_basic_info_32 {
    integer_t suspend_count;
    natural_t virtual_size;
    natural_t resident_size;
    time_value_t user_time;
    time_value_t system_time;
    policy_t policy;
};

struct task_basic_info_64 {
    integer_t suspend_count;
    mach_vm_size_t virtual_size;
    mach_vm_size_t resident_size;
    time_value_t user_time;
    time_value_t system_time;
    policy_t policy;
};

struct mach_task_basic_info {
    mach_vm_size_t virtual_size;
    mach_vm_size_t resident_size;
    mach_vm_size_t resident_size_max;
    time_value_t user_time;
    time_value_t system_time;
    policy_t policy;
    integer_t suspend_count;
};

#pragma pack(pop)

typedef struct task_basic_info_32 task_basic_info_32_data_t;
typedef struct task_basic_info_32 *task_basic_info_32_t;
typedef struct task_basic_info_64 task_basic_info_64_data_t;
typedef struct task_basic_info_64 *task_basic_info_64_t;
typedef struct mach_task_basic_info mach_task_basic_info_data_t;
typedef struct mach_task_basic_info *mach_task_basic_info_t;

#define TASK_BASIC_INFO_32_COUNT \
    ((mach_msg_type_number_t)(sizeof(task_basic_info_32_data_t) / sizeof(natural_t)))
#define TASK_BASIC_INFO_64_COUNT \
    ((mach_msg_type_number_t)(sizeof(task_basic_info_64_data_t) / sizeof(natural_t)))
#define MACH_TASK_BASIC_INFO_COUNT \
    ((mach_msg_type_number_t)(sizeof(mach_task_basic_info_data_t) / sizeof(natural_t)))

/* The plain name is for the size that pointers have. */
#ifdef __LP64__
#define TASK_BASIC_INFO TASK_BASIC_INFO_64
#define TASK_BASIC_INFO_COUNT TASK_BASIC_INFO_64_COUNT
typedef task_basic_info_64_data_t task_basic_info_data_t;
typedef task_basic_info_64_t task_basic_info_t;
#else
#define TASK_BASIC_INFO TASK_BASIC_INFO_32
#define TASK_BASIC_INFO_COUNT TASK_BASIC_INFO_32_COUNT
typedef task_basic_info_32_data_t task_basic_info_data_t;
typedef task_basic_info_32_t task_basic_info_t;
#endif

PILLARBOX_MACH_HOLDS(sizeof(struct task_basic_info_32) == 32);
PILLARBOX_MACH_HOLDS(sizeof(struct task_basic_info_64) == 40);
PILLARBOX_MACH_HOLDS(sizeof(struct mach_task_basic_info) == 48);

#endif
