/* Calls about names and rights. */
#ifndef PILLARBOX_MACH_MACH_PORT_H
#define PILLARBOX_MACH_MACH_PORT_H

#include <mach/message.h>
#include <mach/mach_types.h>
#include <mach/port.h>

#ifdef __cplusplus
extern "C" {
#endif

kern_return_t mach_port_names(mach_port_t task, mach_port_name_array_t *names,
                              mach_msg_type_number_t *names_count,
                              mach_port_type_array_t *types,
                              mach_msg_type_number_t *types_count);
kern_return_t mach_port_type(mach_port_t task, mach_port_name_t name, mach_port_type_t *type);
kern_return_t mach_port_allocate_name(mach_port_t task, mach_port_right_t right,
                                      mach_port_name_t name);
kern_return_t mach_port_allocate(mach_port_t task, mach_port_right_t right,
                                 mach_port_name_t *name);
kern_return_t mach_port_allocate_qos(mach_port_t task, mach_port_right_t right,
                                     mach_port_qos_t *qos, mach_port_name_t *name);
kern_return_t mach_port_allocate_full(mach_port_t task, mach_port_right_t right,
                                      mach_port_t proto, mach_port_qos_t *qos,
                                      mach_port_name_t *name);
kern_return_t mach_port_rename(mach_port_t task, mach_port_name_t old_name,
                               mach_port_name_t new_name);
kern_return_t mach_port_peek(mach_port_t task, mach_port_name_t name,
                             mach_msg_trailer_type_t trailer_type, mach_port_seqno_t *seqno,
                             mach_msg_size_t *size, mach_msg_id_t *id,
                             mach_msg_trailer_info_t trailer,
                             mach_msg_type_number_t *trailer_size);
kern_return_t mach_port_destroy(mach_port_t task, mach_port_name_t name);
kern_return_t mach_port_deallocate(mach_port_t task, mach_port_name_t name);
kern_return_t mach_port_get_refs(mach_port_t task, mach_port_name_t name,
                                 mach_port_right_t right, mach_port_urefs_t *refs);
kern_return_t mach_port_mod_refs(mach_port_t task, mach_port_name_t name,
                                 mach_port_right_t right, mach_port_delta_t delta);
kern_return_t mach_port_set_mscount(mach_port_t task, mach_port_name_t name,
                                    mach_port_mscount_t mscount);
kern_return_t mach_port_get_set_status(mach_port_t task, mach_port_name_t set,
                                       mach_port_name_array_t *members,
                                       mach_msg_type_number_t *count);
kern_return_t mach_port_move_member(mach_port_t task, mach_port_name_t member,
                                    mach_port_name_t after);
kern_return_t mach_port_request_notification(mach_port_t task, mach_port_name_t name,
                                             mach_msg_id_t id, mach_port_mscount_t sync,
                                             mach_port_t notify, mach_msg_type_name_t how,
                                             mach_port_t *previous);
kern_return_t mach_port_insert_right(mach_port_t task, mach_port_name_t name, mach_port_t right,
                                     mach_msg_type_name_t how);
kern_return_t mach_port_extract_right(mach_port_t task, mach_port_name_t name,
                                      mach_msg_type_name_t how, mach_port_t *right,
                                      mach_msg_type_name_t *type);
kern_return_t mach_port_set_seqno(mach_port_t task, mach_port_name_t name,
                                  mach_port_seqno_t seqno);
kern_return_t mach_port_get_attributes(mach_port_t task, mach_port_name_t name,
                                       mach_port_flavor_t flavor, mach_port_info_t info,
                                       mach_msg_type_number_t *count);
kern_return_t mach_port_set_attributes(mach_port_t task, mach_port_name_t name,
                                       mach_port_flavor_t flavor, mach_port_info_t info,
                                       mach_msg_type_number_t count);
kern_return_t mach_port_assert_attributes(mach_port_t task, mach_port_name_t name,
                                          mach_port_flavor_t flavor, mach_port_info_t info,
                                          mach_msg_type_number_t count);
kern_return_t mach_port_insert_member(mach_port_t task, mach_port_name_t member,
                                      mach_port_name_t set);
kern_return_t mach_port_extract_member(mach_port_t task, mach_port_name_t member,
                                       mach_port_name_t set);
kern_return_t mach_port_get_srights(mach_port_t task, mach_port_name_t name,
                                    mach_port_rights_t *rights);
kern_return_t mach_port_construct(mach_port_t task, mach_port_options_ptr_t options,
                                  mach_port_context_t context, mach_port_name_t *name);
kern_return_t mach_port_destruct(mach_port_t task, mach_port_name_t name,
                                 mach_port_delta_t delta, mach_port_context_t guard);
kern_return_t mach_port_get_context(mach_port_t task, mach_port_name_t name,
                                    mach_port_context_t *context);
kern_return_t mach_port_set_context(mach_port_t task, mach_port_name_t name,
                                    mach_port_context_t context);
kern_return_t mach_port_guard(mach_port_t task, mach_port_name_t name, mach_port_context_t guard,
                              boolean_t strict);
kern_return_t mach_port_guard_with_flags(mach_port_t task, mach_port_name_t name,
                                         mach_port_context_t guard, uint64_t flags);
kern_return_t mach_port_unguard(mach_port_t task, mach_port_name_t name,
                                mach_port_context_t guard);
kern_return_t mach_port_swap_guard(mach_port_t task, mach_port_name_t name,
                                   mach_port_context_t old_guard, mach_port_context_t new_guard);

#ifdef __cplusplus
}
#endif

#endif
