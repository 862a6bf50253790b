/* Events: what is to be done when something happens. */
#ifndef PILLARBOX_QNX_SYS_SIGINFO_H
#define PILLARBOX_QNX_SYS_SIGINFO_H

#include <bits/types/sigevent_t.h>
#include <signal.h>
#include <string.h>

/* Kinds beside SIGEV_SIGNAL, SIGEV_NONE and SIGEV_THREAD. */
#define SIGEV_PULSE 0x100
#define SIGEV_PULSE_PTR 0x100
#define SIGEV_UNBLOCK 0x101
#define SIGEV_INTR 0x102
#define SIGEV_SIGNAL_CODE 0x103
#define SIGEV_SIGNAL_THREAD 0x104

#define SIGEV_TYPE_MASK 0xffff
#define SIGEV_FLAG_UPDATEABLE 0x10000
#define SIGEV_FLAG_CODE_UPDATEABLE 0x20000

#define SIGEV_GET_TYPE(event) ((event)->sigev_notify & SIGEV_TYPE_MASK)
#define SIGEV_MAKE_UPDATEABLE(event) ((event)->sigev_notify |= SIGEV_FLAG_UPDATEABLE)
#define SIGEV_CLEAR_UPDATEABLE(event) ((event)->sigev_notify &= ~SIGEV_FLAG_UPDATEABLE)

/* A pulse with the priority of whoever it comes from. */
#define SIGEV_PULSE_PRIO_INHERIT (-1)

static __inline__ void pillarbox_sigev_init(struct sigevent *event, int kind, int number,
                                            int priority, int code, void *value) {
    memset(event, 0, sizeof *event);
    event->sigev_notify = kind;
    event->sigev_signo = number;
    event->sigev_priority = (short)priority;
    event->sigev_code = (short)code;
    event->sigev_value.sival_ptr = value;
}

static __inline__ void pillarbox_sigev_init_int(struct sigevent *event, int kind, int number,
                                                int priority, int code, int value) {
    pillarbox_sigev_init(event, kind, number, priority, code, (void *)0);
    event->sigev_value.sival_int = value;
}

#define SIGEV_NONE_INIT(event) pillarbox_sigev_init((event), SIGEV_NONE, 0, 0, 0, (void *)0)
#define SIGEV_UNBLOCK_INIT(event)                                                      \
    pillarbox_sigev_init((event), SIGEV_UNBLOCK, 0, 0, 0, (void *)0)
#define SIGEV_INTR_INIT(event) pillarbox_sigev_init((event), SIGEV_INTR, 0, 0, 0, (void *)0)
#define SIGEV_SIGNAL_INIT(event, signal)                                               \
    pillarbox_sigev_init((event), SIGEV_SIGNAL, (signal), 0, 0, (void *)0)
#define SIGEV_SIGNAL_CODE_INIT(event, signal, value, code)                             \
    pillarbox_sigev_init_int((event), SIGEV_SIGNAL_CODE, (signal), 0, (code), (value))
#define SIGEV_SIGNAL_THREAD_INIT(event, signal, value, code)                           \
    pillarbox_sigev_init_int((event), SIGEV_SIGNAL_THREAD, (signal), 0, (code), (value))
#define SIGEV_PULSE_INIT(event, coid, priority, code, value)                           \
    pillarbox_sigev_init_int((event), SIGEV_PULSE, (coid), (priority), (code), (int)(long)(value))
#define SIGEV_PULSE_INT_INIT(event, coid, priority, code, value)                       \
    pillarbox_sigev_init_int((event), SIGEV_PULSE, (coid), (priority), (code), (value))
#define SIGEV_PULSE_PTR_INIT(event, coid, priority, code, value)                       \
    pillarbox_sigev_init((event), SIGEV_PULSE, (coid), (priority), (code), (void *)(value))

#endif
