/* What can be asked about a task. */
#ifndef PILLARBOX_MACH_TASK_INFO_H
#define PILLARBOX_MACH_TASK_INFO_H

#include <mach/message.h>

#define TASK_SECURITY_TOKEN 13
#define TASK_SECURITY_TOKEN_COUNT 2
#define TASK_AUDIT_TOKEN 15
#define TASK_AUDIT_TOKEN_COUNT 8

#endif
