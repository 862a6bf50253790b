/* On one processor, scheduled by priority: a server that is at work for a client of low
 * priority runs for one of high priority that waits, before one in between that only
 * computes; with a fixed priority, after it. The same of a client in another process. */
#include "check.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SPIN_MS 200
#define WORK_MS 10

/* What all processes see. */
static struct seen {
    volatile int connected, at_work, middle_runs, middle_done, answered_first;
    volatile int before, during, after;
} *seen;
static int chid, coid;
static pid_t parent;

static int be(int priority) {
    struct sched_param param = {.sched_priority = priority};
    return sched_setscheduler(0, SCHED_FIFO, &param);
}

/* Computes for so long, not counting when others run. */
static void compute(int milliseconds) {
    struct timespec now;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < milliseconds);
}

static void *server(void *none) {
    (void)none;
    union any in;
    struct _msg_info info;
    CHECK(be(10) == 0);
    rcvid_t low = MsgReceive(chid, &in, sizeof in, &info);
    CHECK(low > 0 && info.priority == 10);
    seen->before = pillarbox_qnx_effective_priority();
    seen->at_work = 1;
    /* When this wakes the one in between is before it. */
    while (!seen->middle_runs) usleep(1000);
    compute(WORK_MS);
    seen->during = pillarbox_qnx_effective_priority();
    OK(MsgReply(low, 0, NULL, 0));
    rcvid_t high = MsgReceive(chid, &in, sizeof in, &info);
    CHECK(high > 0 && info.priority == 30);
    OK(MsgReply(high, 0, NULL, 0));
    /* Nobody waits: it is its own again. */
    uint64_t none_waits = 1000000;
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &none_waits, NULL) != -1);
    FAILS(MsgReceive(chid, &in, sizeof in, &info), ETIMEDOUT);
    seen->after = pillarbox_qnx_effective_priority();
    return NULL;
}

static void *low(void *none) {
    (void)none;
    CHECK(be(10) == 0);
    IS(MsgSend(coid, "x", 1, NULL, 0), 0);
    return NULL;
}

static void *middle(void *none) {
    (void)none;
    CHECK(be(20) == 0);
    seen->middle_runs = 1;
    compute(SPIN_MS);
    seen->middle_done = 1;
    return NULL;
}

static void *high(void *none) {
    (void)none;
    CHECK(be(30) == 0);
    while (!seen->middle_runs) usleep(1000);
    IS(MsgSend(coid, "x", 1, NULL, 0), 0);
    seen->answered_first = !seen->middle_done;
    return NULL;
}

/* A client in a process of its own, which is told when to begin. */
static int go_pipe[2];

static pid_t other_client(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) return child;
    char byte;
    CHECK(read(go_pipe[0], &byte, 1) == 1);
    coid = ConnectAttach(0, parent, 1, _NTO_SIDE_CHANNEL, 0);
    CHECK(coid > 0);
    seen->connected = 1;
    /* Its first call is made at its own priority. */
    pthread_join(start(high, NULL), NULL);
    _exit(0);
}

static void round_with(unsigned flags, int is_other) {
    memset((void *)seen, 0, sizeof *seen);
    chid = new_channel(flags);
    CHECK(chid == 1);
    coid = connect_to(chid);
    pid_t other = is_other ? other_client() : 0;
    pthread_t serving = start(server, NULL), first = start(low, NULL), asking = first;
    while (!seen->at_work) usleep(1000);
    if (is_other) {
        CHECK(write(go_pipe[1], "g", 1) == 1);
        while (!seen->connected) usleep(1000);
    } else {
        asking = start(high, NULL);
    }
    pthread_t computing = start(middle, NULL);
    if (is_other) {
        int ended;
        CHECK(waitpid(other, &ended, 0) == other && ended == 0);
    } else {
        pthread_join(asking, NULL);
    }
    pthread_join(computing, NULL);
    pthread_join(first, NULL);
    pthread_join(serving, NULL);
    OK(ConnectDetach(coid));
    OK(ChannelDestroy(chid));
    CHECK(seen->before == 10 && seen->after == 10);
}

int main(void) {
    cpu_set_t one, all;
    struct sched_param usual = {.sched_priority = 0};
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(seen != MAP_FAILED && pipe(go_pipe) == 0);
    parent = getpid();
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    if (be(40) == -1) {
        printf("skipped: scheduling by priority: %s\n", strerror(errno));
        return 0;
    }
    for (int is_other = 0; is_other < 2; is_other++) {
        round_with(0, is_other);
        CHECK(seen->answered_first && seen->during == 30);
        round_with(_NTO_CHF_FIXED_PRIORITY, is_other);
        CHECK(!seen->answered_first && seen->during == 10);
    }
    CHECK(sched_setscheduler(0, SCHED_OTHER, &usual) == 0);
    puts("scheduled");
    return 0;
}
