/* What is told of a machine. */
#ifndef PILLARBOX_MACH_HOST_INFO_H
#define PILLARBOX_MACH_HOST_INFO_H

#include <stdint.h>
#include <mach/boolean.h>
#include <mach/vm_types.h>

typedef integer_t *host_info_t;
typedef integer_t host_flavor_t;

#define HOST_BASIC_INFO 1

#pragma pack(push, 4)

struct host_basic_info {
    integer_t max_cpus;
    integer_t avail_cpus;
    natural_t memory_size;
    integer_t cpu_type;
    integer_t cpu_subtype;
    integer_t cpu_threadtype;
    integer_t physical_cpu;
    integer_t physical_cpu_max;
    integer_t logical_cpu;
    integer_t logical_cpu_max;
    uint64_t max_mem;
};

#pragma pack(pop)

typedef struct host_basic_info host_basic_info_data_t;
typedef struct host_basic_info *host_basic_info_t;
#define HOST_BASIC_INFO_COUNT \
    ((unsigned int)(sizeof(host_basic_info_data_t) / sizeof(integer_t)))

#endif
