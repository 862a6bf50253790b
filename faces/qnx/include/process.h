/* Processes. */
#ifndef PILLARBOX_QNX_PROCESS_H
#define PILLARBOX_QNX_PROCESS_H

#include <sys/types.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sleeps so many thousandths of a second. Returns what was left when a signal came. */
unsigned int delay(unsigned int milliseconds);

#ifdef __cplusplus
}
#endif

#endif
