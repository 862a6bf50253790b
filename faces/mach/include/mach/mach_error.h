/* What codes say. */
#ifndef PILLARBOX_MACH_MACH_ERROR_H
#define PILLARBOX_MACH_MACH_ERROR_H

#include <mach/error.h>

#ifdef __cplusplus
extern "C" {
#endif

const char *mach_error_string(mach_error_t error_value);
void mach_error(const char *str, mach_error_t error_value);
const char *mach_error_type(mach_error_t error_value);

#ifdef __cplusplus
}
#endif

#endif
