/* Memory in pages. */
#ifndef PILLARBOX_MACH_VM_MAP_H
#define PILLARBOX_MACH_VM_MAP_H

#include <mach/mach_types.h>
#include <mach/message.h>

#define VM_FLAGS_FIXED 0x0
#define VM_FLAGS_ANYWHERE 0x1

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t vm_allocate(vm_map_t task, vm_address_t *address, vm_size_t size, int flags);
kern_return_t vm_deallocate(vm_map_t task, vm_address_t address, vm_size_t size);
kern_return_t vm_copy(vm_map_t task, vm_address_t from, vm_size_t size, vm_address_t to);
kern_return_t vm_protect(vm_map_t task, vm_address_t address, vm_size_t size, boolean_t set_maximum,
                         vm_prot_t protection);
kern_return_t vm_read(vm_map_t task, vm_address_t address, vm_size_t size, vm_offset_t *data,
                      mach_msg_type_number_t *count);
kern_return_t vm_map(vm_map_t task, vm_address_t *address, vm_size_t size, vm_address_t mask,
                     int flags, mach_port_t object, vm_offset_t offset,
                     boolean_t copy, vm_prot_t protection, vm_prot_t most,
                     vm_inherit_t inheritance);
kern_return_t vm_remap(vm_map_t task, vm_address_t *address, vm_size_t size, vm_address_t mask,
                       int flags, vm_map_t from_task, vm_address_t from,
                       boolean_t copy, vm_prot_t *protection, vm_prot_t *most,
                       vm_inherit_t inheritance);

#ifdef __cplusplus
}
#endif

#endif
