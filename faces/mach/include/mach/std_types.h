/* What every interface starts from. */
#ifndef PILLARBOX_MACH_STD_TYPES_H
#define PILLARBOX_MACH_STD_TYPES_H

#include <mach/boolean.h>
#include <mach/kern_return.h>
#include <mach/port.h>
#include <mach/vm_types.h>

#endif
