/* Handlers that jump out of calls that sleep, for the tests of both faces. It is included
   behind a `check.h`. `JUMPS` says how often, where it is not ten thousand times. */
#ifndef JUMPS_H
#define JUMPS_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

static sigjmp_buf jump_back;
static volatile sig_atomic_t may_jump, jumped;
static pthread_t who_jumps;
static int asleep_file;
/* Where something is counted, it is not jumped before that has come so far. */
static volatile int *jump_behind, jump_when;

static inline int jump_times(void) {
    const char *times = getenv("JUMPS");
    return times ? atoi(times) : 10000;
}

static void on_jump(int number) {
    (void)number;
    if (!may_jump) return;
    may_jump = 0;
    jumped++;
    siglongjmp(jump_back, 1);
}

/* Whether the kernel says that it sleeps as one sleeps in a wait: not for a lock that
   another thread holds a moment, and not as valgrind has it sleep for its turn. */
static int sleeps_in_a_wait(void) {
    char text[256];
    long call;
    unsigned long word, how;
    ssize_t length = pread(asleep_file, text, sizeof text - 1, 0);
    CHECK(length > 0);
    text[length] = 0;
    if (sscanf(text, "%ld %lx %lx", &call, &word, &how) != 3) return 0;
    return call == 449 /* futex_waitv */ || (call == SYS_futex && (how & 0x7f) == 9);
}

static void *signals_who_sleeps(void *unused) {
    (void)unused;
    /* Its naps are as short as it says. */
    CHECK(prctl(PR_SET_TIMERSLACK, 1) == 0);
    for (;;) {
        if (may_jump && sleeps_in_a_wait() && (!jump_behind || *jump_behind >= jump_when)) {
            sig_atomic_t before = jumped;
            CHECK(pthread_kill(who_jumps, SIGUSR1) == 0);
            while (jumped == before) usleep(20);
        }
        usleep(20);
    }
    return 0;
}

/* From now on this thread may jump. */
static inline void this_thread_jumps(void) {
    struct sigaction action;
    char path[64];
    pthread_t thread;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_jump;
    CHECK(sigaction(SIGUSR1, &action, 0) == 0);
    who_jumps = pthread_self();
    snprintf(path, sizeof path, "/proc/self/task/%ld/syscall", (long)syscall(SYS_gettid));
    asleep_file = open(path, O_RDONLY);
    CHECK(asleep_file >= 0);
    CHECK(pthread_create(&thread, 0, signals_who_sleeps, 0) == 0);
}

/* Jumps out of `what` as often as is said, and does `then` after each. */
#define JUMPS_OUT_OF(what, then)                                                       \
    for (volatile int i_ = 0; i_ < jump_times(); i_++) {                               \
        if (sigsetjmp(jump_back, 1) == 0) {                                            \
            may_jump = 1;                                                              \
            what;                                                                      \
            CHECK(!"nothing ends this wait: " #what);                                  \
        }                                                                              \
        then;                                                                          \
    }

/* Something another thread counts, and somebody waits for. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    volatile int count;
} tally_t;

#define TALLY {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static inline void count_one(tally_t *tally) {
    CHECK(pthread_mutex_lock(&tally->lock) == 0);
    tally->count++;
    CHECK(pthread_cond_broadcast(&tally->changed) == 0);
    CHECK(pthread_mutex_unlock(&tally->lock) == 0);
}

/* Waits until so many were counted: each within 20 s of the last. */
static inline void until_counted(tally_t *tally, int count) {
    CHECK(pthread_mutex_lock(&tally->lock) == 0);
    while (tally->count < count) {
        int before = tally->count;
        struct timespec until;
        CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
        until.tv_sec += getenv("JUMPS") ? 200 : 20;
        while (tally->count == before)
            CHECK(pthread_cond_timedwait(&tally->changed, &tally->lock, &until) == 0);
    }
    CHECK(tally->count == count);
    CHECK(pthread_mutex_unlock(&tally->lock) == 0);
}

#endif
