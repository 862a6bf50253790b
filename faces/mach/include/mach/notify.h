/* Notifications: their ids and layouts. */
#ifndef PILLARBOX_MACH_NOTIFY_H
#define PILLARBOX_MACH_NOTIFY_H

#include <mach/message.h>
#include <mach/ndr.h>
#include <mach/port.h>

#define MACH_NOTIFY_FIRST 0100
#define MACH_NOTIFY_PORT_DELETED (MACH_NOTIFY_FIRST + 001)
#define MACH_NOTIFY_SEND_POSSIBLE (MACH_NOTIFY_FIRST + 002)
#define MACH_NOTIFY_PORT_DESTROYED (MACH_NOTIFY_FIRST + 005)
#define MACH_NOTIFY_NO_SENDERS (MACH_NOTIFY_FIRST + 006)
#define MACH_NOTIFY_SEND_ONCE (MACH_NOTIFY_FIRST + 007)
#define MACH_NOTIFY_DEAD_NAME (MACH_NOTIFY_FIRST + 010)
#define MACH_NOTIFY_LAST (MACH_NOTIFY_FIRST + 015)

typedef mach_port_t notify_port_t;

#pragma pack(push, 4)

typedef struct {
    mach_msg_header_t not_header;
    NDR_record_t NDR;
    mach_port_name_t not_port;
    mach_msg_format_0_trailer_t trailer;
} mach_port_deleted_notification_t;

typedef struct {
    mach_msg_header_t not_header;
    NDR_record_t NDR;
    mach_port_name_t not_port;
    mach_msg_format_0_trailer_t trailer;
} mach_send_possible_notification_t;

typedef struct {
    mach_msg_header_t not_header;
    mach_msg_body_t not_body;
    mach_msg_port_descriptor_t not_port;
    mach_msg_format_0_trailer_t trailer;
} mach_port_destroyed_notification_t;

typedef struct {
    mach_msg_header_t not_header;
    NDR_record_t NDR;
    mach_msg_type_number_t not_count;
    mach_msg_format_0_trailer_t trailer;
} mach_no_senders_notification_t;

typedef struct {
    mach_msg_header_t not_header;
    mach_msg_format_0_trailer_t trailer;
} mach_send_once_notification_t;

typedef struct {
    mach_msg_header_t not_header;
    NDR_record_t NDR;
    mach_port_name_t not_port;
    mach_msg_format_0_trailer_t trailer;
} mach_dead_name_notification_t;

#pragma pack(pop)

#ifdef __cplusplus
extern "C" {
#endif

/* Calls the function of the program that is for a notification: those below, as far as the
   program has them. */
boolean_t notify_server(mach_msg_header_t *request, mach_msg_header_t *reply);

kern_return_t do_mach_notify_port_deleted(mach_port_t notify, mach_port_name_t name);
kern_return_t do_mach_notify_send_possible(mach_port_t notify, mach_port_name_t name);
kern_return_t do_mach_notify_port_destroyed(mach_port_t notify, mach_port_t rights);
kern_return_t do_mach_notify_no_senders(mach_port_t notify, mach_port_mscount_t mscount);
kern_return_t do_mach_notify_send_once(mach_port_t notify);
kern_return_t do_mach_notify_dead_name(mach_port_t notify, mach_port_name_t name);

#ifdef __cplusplus
}
#endif

#endif
