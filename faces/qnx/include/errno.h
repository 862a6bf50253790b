/* The system's, with what only messages fail with. */
#pragma GCC system_header
#include_next <errno.h>

#ifndef PILLARBOX_QNX_ERRNO_H
#define PILLARBOX_QNX_ERRNO_H

#define EOK 0
#define ENOREMOTE 300
#define ESRVRFAULT 312

#endif
