/* Mach, whole. */
#ifndef PILLARBOX_MACH_MACH_H
#define PILLARBOX_MACH_MACH_H

#include <mach/mach_types.h>
#include <mach/mach_interface.h>
#include <mach/mach_init.h>
#include <mach/mach_error.h>
#include <mach/mach_vm.h>
#include <mach/mig_errors.h>
#include <mach/notify.h>
#if defined(MACH_CLASSIC) && MACH_CLASSIC
#include <mach/mach_classic.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

mach_msg_return_t mach_msg_send(mach_msg_header_t *message);
mach_msg_return_t mach_msg_receive(mach_msg_header_t *message);
void mach_msg_destroy(mach_msg_header_t *message);
mach_msg_return_t mach_msg_server(boolean_t (*demux)(mach_msg_header_t *, mach_msg_header_t *),
                                  mach_msg_size_t max_size, mach_port_t port,
                                  mach_msg_options_t options);
mach_msg_return_t mach_msg_server_once(
    boolean_t (*demux)(mach_msg_header_t *, mach_msg_header_t *), mach_msg_size_t max_size,
    mach_port_t port, mach_msg_options_t options);

#ifdef __cplusplus
}
#endif

#endif
