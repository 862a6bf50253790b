/* What is there before the first call. */
#ifndef PILLARBOX_MACH_MACH_INIT_H
#define PILLARBOX_MACH_MACH_INIT_H

#include <mach/mach_types.h>

#ifdef __cplusplus
extern "C" {
#endif

extern mach_port_t mach_task_self_;
extern mach_port_t bootstrap_port;
extern vm_size_t vm_page_size;
extern vm_size_t vm_page_mask;
extern int vm_page_shift;

mach_port_t pillarbox_mach_task_self(void);
mach_port_t mach_host_self(void);
mach_port_t mach_thread_self(void);

#ifdef __cplusplus
}
#endif

#define mach_task_self() pillarbox_mach_task_self()
#define current_task() mach_task_self()

#define trunc_page(x) ((x) & ~vm_page_mask)
#define round_page(x) (((x) + vm_page_mask) & ~vm_page_mask)

#endif
