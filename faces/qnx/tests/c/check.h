/* What every test program begins with: a check that says where it failed. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/dispatch.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>
#include <unistd.h>

#define CHECK(what)                                                                    \
    do {                                                                               \
        if (!(what)) {                                                                 \
            fprintf(stderr, "%s:%d: not so: %s (errno %d %s)\n", __FILE__, __LINE__,   \
                    #what, errno, strerror(errno));                                    \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* A call that is to return this number. */
#define IS(call, number)                                                               \
    do {                                                                               \
        errno = 0;                                                                     \
        long got_ = (long)(call);                                                      \
        if (got_ != (long)(number)) {                                                  \
            fprintf(stderr, "%s:%d: %s: %ld (errno %d %s), and not %s\n", __FILE__,    \
                    __LINE__, #call, got_, errno, strerror(errno), #number);           \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* A call that is to fail like this. */
#define FAILS(call, error)                                                             \
    do {                                                                               \
        errno = 0;                                                                     \
        long got_ = (long)(call);                                                      \
        if (got_ != -1 || errno != (error)) {                                          \
            fprintf(stderr, "%s:%d: %s: %ld (errno %d %s), and not %s\n", __FILE__,    \
                    __LINE__, #call, got_, errno, strerror(errno), #error);            \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

#define OK(call) IS(call, 0)

#define SECOND 1000000000ull

/* How long what must come may take: under valgrind, beside much else. */
#define LONG (120 * SECOND)

union any {
    uint16_t type;
    struct _pulse pulse;
    char text[256];
};

static inline int new_channel(unsigned flags) {
    int chid = ChannelCreate(flags);
    CHECK(chid > 0);
    return chid;
}

/* A connection with a channel of this process. */
static inline int connect_to(int chid) {
    int coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0);
    CHECK(coid > _NTO_SIDE_CHANNEL);
    return coid;
}

static inline pthread_t start(void *(*run)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

/* A thread says that it is about to wait, and another waits until it does. */
static volatile int about_to_wait;

static inline void i_wait(void) { about_to_wait = gettid(); }

static inline void until_it_waits(void) {
    char path[64], line[256];
    int asleep = 0;
    while (about_to_wait == 0) usleep(100);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", about_to_wait);
    /* Asleep a few times in a row: not for a lock, which nobody holds for long. */
    while (asleep < 5) {
        usleep(1000);
        FILE *file = fopen(path, "r");
        CHECK(file != NULL && fgets(line, sizeof line, file) != NULL);
        fclose(file);
        const char *state = strrchr(line, ')');
        asleep = state != NULL && state[2] == 'S' ? asleep + 1 : 0;
    }
    about_to_wait = 0;
}

/* Takes what comes within a long time. */
static inline rcvid_t receive(int chid, union any *into, struct _msg_info *info) {
    uint64_t most = LONG;
    memset(into, 0xee, sizeof *into);
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &most, NULL) != -1);
    rcvid_t rcvid = MsgReceive(chid, into, sizeof *into, info);
    CHECK(rcvid != -1);
    return rcvid;
}

/* What waits now, if anything does. */
static inline rcvid_t poll_channel(int chid, union any *into) {
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, NULL, NULL) != -1);
    return MsgReceive(chid, into, sizeof *into, NULL);
}

/* Takes a pulse, which must be like this. */
static inline struct _pulse pulse_is(int chid, int code, long value) {
    union any in;
    IS(receive(chid, &in, NULL), 0);
    if (in.pulse.code != code || in.pulse.value.sival_long != value) {
        fprintf(stderr, "pulse %d %ld, and not %d %ld\n", in.pulse.code,
                in.pulse.value.sival_long, code, value);
        exit(1);
    }
    CHECK(in.pulse.type == _PULSE_TYPE && in.pulse.subtype == _PULSE_SUBTYPE);
    return in.pulse;
}

#endif
