/* What code made from interface files calls. */
#ifndef PILLARBOX_MACH_MIG_H
#define PILLARBOX_MACH_MIG_H

#include <mach/message.h>
#include <mach/port.h>
#include <mach/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*mig_stub_routine_t)(mach_msg_header_t *request, mach_msg_header_t *reply);
typedef mig_stub_routine_t mig_routine_t;
typedef mig_routine_t (*mig_server_routine_t)(mach_msg_header_t *request);

mach_port_t mig_get_reply_port(void);
void mig_dealloc_reply_port(mach_port_t reply_port);
void mig_put_reply_port(mach_port_t reply_port);
void mig_reply_setup(const mach_msg_header_t *request, mach_msg_header_t *reply);
void mig_allocate(vm_address_t *address, vm_size_t size);
void mig_deallocate(vm_address_t address, vm_size_t size);
int mig_strncpy(char *to, const char *from, int room);

#ifdef __cplusplus
}
#endif

#endif
