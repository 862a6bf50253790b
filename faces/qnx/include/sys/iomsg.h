/* The types of messages that the system keeps for itself. */
#ifndef PILLARBOX_QNX_SYS_IOMSG_H
#define PILLARBOX_QNX_SYS_IOMSG_H

#include <stdint.h>

#define _IO_BASE 0x100
#define _IO_CONNECT 0x100
#define _IO_MAX 0x1ff

struct _io_msg {
    uint16_t type;
    uint16_t combine_len;
    uint16_t mgrid;
    uint16_t subtype;
};

#endif
