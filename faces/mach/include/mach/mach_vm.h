/* Memory in pages, with addresses of 64 bits. */
#ifndef PILLARBOX_MACH_MACH_VM_H
#define PILLARBOX_MACH_MACH_VM_H

#include <mach/vm_map.h>

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t mach_vm_allocate(vm_map_t task, mach_vm_address_t *address, mach_vm_size_t size,
                               int flags);
kern_return_t mach_vm_deallocate(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size);
kern_return_t mach_vm_copy(vm_map_t task, mach_vm_address_t from, mach_vm_size_t size,
                           mach_vm_address_t to);
kern_return_t mach_vm_protect(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size,
                              boolean_t set_maximum, vm_prot_t protection);
kern_return_t mach_vm_read(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size,
                           vm_offset_t *data, mach_msg_type_number_t *count);
kern_return_t mach_vm_map(vm_map_t task, mach_vm_address_t *address, mach_vm_size_t size, mach_vm_offset_t mask,
                     int flags, mach_port_t object, memory_object_offset_t offset,
                     boolean_t copy, vm_prot_t protection, vm_prot_t most,
                     vm_inherit_t inheritance);
kern_return_t mach_vm_remap(vm_map_t task, mach_vm_address_t *address, mach_vm_size_t size, mach_vm_offset_t mask,
                       int flags, vm_map_t from_task, mach_vm_address_t from,
                       boolean_t copy, vm_prot_t *protection, vm_prot_t *most,
                       vm_inherit_t inheritance);

#ifdef __cplusplus
}
#endif

#endif
