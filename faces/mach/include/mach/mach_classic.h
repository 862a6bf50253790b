/* The calls of the oldest systems: plain messages, and four answers to a full mailbox.
   For programs compiled with -DMACH_CLASSIC=1. */
#ifndef PILLARBOX_MACH_MACH_CLASSIC_H
#define PILLARBOX_MACH_MACH_CLASSIC_H

#include <mach/mach_types.h>

typedef int msg_return_t;
typedef int msg_option_t;
typedef unsigned int msg_timeout_t;
typedef unsigned int msg_size_t;
typedef int msg_id_t;
typedef mach_port_name_t port_name_t;

typedef struct {
    unsigned int msg_unused : 24;
    unsigned int msg_simple : 8;
    msg_size_t msg_size;
    int msg_type;
    port_t msg_local_port;
    port_t msg_remote_port;
    msg_id_t msg_id;
} msg_header_t;
PILLARBOX_MACH_HOLDS(sizeof(msg_header_t) == 24);

/* Whoever declares a body with types is told by the compiler that there are none. */
#define msg_type_t \
    _Pragma("GCC error \"bodies with types are not offered: see <mach/message.h>\"") int
#define msg_type_long_t msg_type_t

#define MSG_SIZE_MAX 8192
#define MSG_TYPE_NORMAL 0
#define MSG_TYPE_EMERGENCY 1
#define PORT_NULL ((port_t)0)
#define PORT_BACKLOG_DEFAULT 5
#define PORT_BACKLOG_MAX 16

#define MSG_OPTION_NONE 0x0
#define SEND_TIMEOUT 0x1
#define SEND_NOTIFY 0x2
#define SEND_INTERRUPT 0x4
#define RCV_TIMEOUT 0x1
#define RCV_INTERRUPT 0x4
#define RCV_LARGE 0x8

#define SEND_SUCCESS 0
#define SEND_INVALID_MEMORY (-101)
#define SEND_INVALID_PORT (-102)
#define SEND_TIMED_OUT (-103)
#define SEND_WILL_NOTIFY (-105)
#define SEND_NOTIFY_IN_PROGRESS (-106)
#define SEND_KERNEL_REFUSED (-107)
#define SEND_INTERRUPTED (-108)
#define SEND_MSG_TOO_LARGE (-109)
#define SEND_MSG_TOO_SMALL (-110)
#define RCV_SUCCESS 0
#define RCV_INVALID_MEMORY (-201)
#define RCV_INVALID_PORT (-202)
#define RCV_TIMED_OUT (-203)
#define RCV_TOO_LARGE (-204)
#define RCV_NOT_ENOUGH_MEMORY (-205)
#define RCV_INTERRUPTED (-207)
#define RCV_PORT_CHANGE (-208)
#define RPC_SUCCESS 0

/* Where a task is told. Its number in older systems means another port today. */
#define TASK_NOTIFY_PORT 0x40000002
#define task_get_notify_port(task, port) task_get_special_port((task), TASK_NOTIFY_PORT, (port))
#define task_set_notify_port(task, port) task_set_special_port((task), TASK_NOTIFY_PORT, (port))

#define NOTIFY_FIRST 0100
#define NOTIFY_PORT_DELETED (NOTIFY_FIRST + 001)
#define NOTIFY_MSG_ACCEPTED (NOTIFY_FIRST + 002)
#define NOTIFY_SEND_ONCE (NOTIFY_FIRST + 007)

typedef struct {
    msg_header_t notify_header;
    unsigned int notify_type;
    port_t notify_port;
} notification_t;
PILLARBOX_MACH_HOLDS(sizeof(notification_t) == 32);

#ifdef __cplusplus
extern "C" {
#endif

msg_return_t msg_send(msg_header_t *header, msg_option_t option, msg_timeout_t timeout);
msg_return_t msg_receive(msg_header_t *header, msg_option_t option, msg_timeout_t timeout);
msg_return_t msg_rpc(msg_header_t *header, msg_option_t option, msg_size_t rcv_size,
                     msg_timeout_t send_timeout, msg_timeout_t rcv_timeout);
kern_return_t port_allocate(task_t task, port_name_t *port);
kern_return_t port_deallocate(task_t task, port_name_t port);
kern_return_t port_set_backlog(task_t task, port_name_t port, int backlog);
task_t task_self(void);
port_t task_notify(void);
port_t thread_reply(void);

#ifdef __cplusplus
}
#endif

#endif
