/* What every test program begins with: a check that says where it failed. */
#ifndef CHECK_H
#define CHECK_H

#include <mach/mach.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what)                                                                    \
    do {                                                                               \
        if (!(what)) {                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);         \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

#define IS(call, code)                                                                 \
    do {                                                                               \
        kern_return_t got_ = (call);                                                   \
        if (got_ != (kern_return_t)(code)) {                                           \
            fprintf(stderr, "%s:%d: %s: %#x %s, and not %s\n", __FILE__, __LINE__,     \
                    #call, (unsigned)got_, mach_error_string(got_), #code);            \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

#define OK(call) IS(call, KERN_SUCCESS)

#define SELF mach_task_self()

typedef struct {
    mach_msg_header_t head;
    unsigned int words[8];
    mach_msg_max_trailer_t trailer;
} plain_t;

static inline mach_port_t new_port(void) {
    mach_port_t port = MACH_PORT_NULL;
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_RECEIVE, &port));
    return port;
}

static inline mach_port_t new_port_with_send(void) {
    mach_port_t port = new_port();
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    return port;
}

static inline mach_port_type_t type_of(mach_port_t name) {
    mach_port_type_t type = 0;
    return mach_port_type(SELF, name, &type) == KERN_SUCCESS ? type : 0;
}

static inline mach_port_urefs_t refs_of(mach_port_t name, mach_port_right_t right) {
    mach_port_urefs_t refs = 0;
    OK(mach_port_get_refs(SELF, name, right, &refs));
    return refs;
}

/* Sends one word. */
static inline mach_msg_return_t send_word(mach_port_t to, mach_msg_type_name_t how,
                                          mach_msg_id_t id, mach_msg_option_t options) {
    plain_t message;
    memset(&message, 0, sizeof message);
    message.head.msgh_bits = MACH_MSGH_BITS(how, 0);
    message.head.msgh_remote_port = to;
    message.head.msgh_id = id;
    message.words[0] = (unsigned)id * 3;
    return mach_msg(&message.head, MACH_SEND_MSG | options, sizeof message.head + 4, 0,
                    MACH_PORT_NULL, 0, MACH_PORT_NULL);
}

/* Takes what there is now. */
static inline mach_msg_return_t take(mach_port_t from, plain_t *message) {
    memset(message, 0xee, sizeof *message);
    return mach_msg(&message->head,
                    MACH_RCV_MSG | MACH_RCV_TIMEOUT |
                        MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT),
                    0, sizeof *message, from, 0, MACH_PORT_NULL);
}

#endif
