/* A handler that jumps out of a call which sleeps, ten thousand times each, leaves a task
   that works. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>

#define TIMES 10000

static sigjmp_buf back;
static volatile sig_atomic_t may_jump, jumped;
static pthread_t jumps;
static int asleep_file;

static void on_signal(int number) {
    (void)number;
    if (!may_jump) return;
    may_jump = 0;
    jumped++;
    siglongjmp(back, 1);
}

/* Whether the kernel says that the main thread sleeps. */
static int is_asleep(void) {
    char text[256];
    ssize_t length = pread(asleep_file, text, sizeof text - 1, 0);
    CHECK(length > 0);
    text[length] = 0;
    char *state = strrchr(text, ')');
    return state && state[2] == 'S';
}

static void *signals_who_sleeps(void *unused) {
    (void)unused;
    for (;;) {
        if (may_jump && is_asleep()) {
            sig_atomic_t before = jumped;
            CHECK(pthread_kill(jumps, SIGUSR1) == 0);
            while (jumped == before) usleep(20);
        }
        usleep(20);
    }
    return 0;
}

static void jump_out_of(mach_port_t port, mach_msg_option_t options) {
    plain_t m;
    for (volatile int i = 0; i < TIMES; i++) {
        if (sigsetjmp(back, 1) != 0) continue;
        memset(&m, 0, sizeof m);
        m.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_MAKE_SEND, 0);
        m.head.msgh_remote_port = port;
        may_jump = 1;
        mach_msg(&m.head, options, 24, sizeof m, port, 0, 0);
        CHECK(!"nothing ends this wait");
    }
}

static void *takes(void *at) {
    plain_t in;
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, *(mach_port_t *)at, 0, 0));
    CHECK(in.head.msgh_id == 77);
    return 0;
}

/* All that a program does with ports is done once more. */
static void the_task_works(mach_port_t port) {
    pthread_t thread;
    plain_t in;
    CHECK(pthread_create(&thread, 0, takes, &port) == 0);
    OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, 77, 0));
    CHECK(pthread_join(thread, 0) == 0);
    for (int i = 0; i < 5; i++) OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, i, MACH_SEND_TIMEOUT));
    IS(send_word(port, MACH_MSG_TYPE_MAKE_SEND, 5, MACH_SEND_TIMEOUT), MACH_SEND_TIMED_OUT);
    for (int i = 0; i < 5; i++) {
        OK(take(port, &in));
        CHECK(in.head.msgh_id == i);
    }
    IS(take(port, &in), MACH_RCV_TIMED_OUT);
}

int main(void) {
    struct sigaction action;
    char path[64];
    pthread_t thread;
    mach_port_t port = new_port(), member = new_port(), set, full = new_port();
    plain_t in;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGUSR1, &action, 0) == 0);
    jumps = pthread_self();
    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", syscall(SYS_gettid));
    asleep_file = open(path, O_RDONLY);
    CHECK(asleep_file >= 0);
    CHECK(pthread_create(&thread, 0, signals_who_sleeps, 0) == 0);

    jump_out_of(port, MACH_RCV_MSG);
    jump_out_of(port, MACH_RCV_MSG | MACH_RCV_INTERRUPT);
    the_task_works(port);

    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &set));
    OK(mach_port_insert_member(SELF, member, set));
    jump_out_of(set, MACH_RCV_MSG);
    OK(send_word(member, MACH_MSG_TYPE_MAKE_SEND, 6, 0));
    OK(take(set, &in));
    CHECK(in.head.msgh_id == 6 && in.head.msgh_local_port == member);
    the_task_works(member);

    for (int i = 0; i < 5; i++) OK(send_word(full, MACH_MSG_TYPE_MAKE_SEND, i, 0));
    jump_out_of(full, MACH_SEND_MSG);
    for (int i = 0; i < 5; i++) {
        OK(take(full, &in));
        CHECK(in.head.msgh_id == i);
    }
    /* What was on its way when its sender jumped may still come, once each. */
    int late = 0;
    while (take(full, &in) == KERN_SUCCESS) {
        CHECK(in.head.msgh_size == 24 && in.head.msgh_id == 0);
        late++;
    }
    CHECK(late <= TIMES);
    the_task_works(full);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, full));
    OK(mach_port_destroy(SELF, set));
    OK(mach_port_destroy(SELF, member));
    return 0;
}
