/* Calls about a machine. */
#ifndef PILLARBOX_MACH_MACH_HOST_H
#define PILLARBOX_MACH_MACH_HOST_H

#include <mach/clock.h>
#include <mach/host_info.h>
#include <mach/mach_types.h>

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t host_page_size(host_t host, vm_size_t *size);
kern_return_t host_info(host_t host, host_flavor_t flavor, host_info_t info,
                        mach_msg_type_number_t *count);
kern_return_t host_get_clock_service(host_t host, clock_id_t which, clock_serv_t *clock);

#ifdef __cplusplus
}
#endif

#endif
