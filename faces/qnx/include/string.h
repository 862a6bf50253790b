/* The system's, with text for what only messages fail with, and `strlcpy`. */
#pragma GCC system_header
#include_next <string.h>

#ifndef PILLARBOX_QNX_STRING_H
#define PILLARBOX_QNX_STRING_H

#ifdef __cplusplus
extern "C" {
#endif

char *pillarbox_qnx_strerror(int error);

#ifdef __cplusplus
}
#endif

#define strerror(error) pillarbox_qnx_strerror(error)

/* The system has these two from version 2.38 on. */
#if !defined __GLIBC__ || __GLIBC__ < 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 38)
static __inline__ size_t pillarbox_qnx_strlcpy(char *to, const char *from, size_t room) {
    size_t length = strlen(from);
    if (room != 0) {
        size_t most = length < room - 1 ? length : room - 1;
        memcpy(to, from, most);
        to[most] = 0;
    }
    return length;
}

static __inline__ size_t pillarbox_qnx_strlcat(char *to, const char *from, size_t room) {
    size_t there = 0;
    while (there < room && to[there] != 0) there++;
    return there + pillarbox_qnx_strlcpy(to + there, from, room - there);
}

#define strlcpy(to, from, room) pillarbox_qnx_strlcpy(to, from, room)
#define strlcat(to, from, room) pillarbox_qnx_strlcat(to, from, room)
#endif

#endif
