/* On one processor, scheduled by priority: a server of low priority runs with that of
 * whom it serves, and before one in between that only computes; with a fixed priority,
 * after it. */
#include "check.h"

#include <sched.h>

#define SPIN_MS 200

static int chid, coid, served;
static volatile int middle_runs, middle_done, answered_first;

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int be(int priority) {
    struct sched_param param = {.sched_priority = priority};
    return sched_setscheduler(0, SCHED_FIFO, &param);
}

static void *server(void *none) {
    (void)none;
    CHECK(be(10) == 0);
    for (;;) {
        union any in;
        struct _msg_info info;
        i_wait();
        rcvid_t rcvid = MsgReceive(chid, &in, sizeof in, &info);
        CHECK(rcvid >= 0);
        if (rcvid == 0) return NULL;
        CHECK(info.priority == 30);
        served = pillarbox_qnx_effective_priority();
        OK(MsgReply(rcvid, 0, NULL, 0));
    }
}

static void *middle(void *none) {
    (void)none;
    CHECK(be(20) == 0);
    middle_runs = 1;
    uint64_t since = now_ms();
    while (now_ms() - since < SPIN_MS) {}
    middle_done = 1;
    return NULL;
}

static void *high(void *none) {
    (void)none;
    CHECK(be(30) == 0);
    /* It sleeps until the one in between is at it. */
    while (!middle_runs) usleep(1000);
    IS(MsgSend(coid, "x", 1, NULL, 0), 0);
    answered_first = !middle_done;
    return NULL;
}

static void round_with(unsigned flags) {
    chid = new_channel(flags | _NTO_CHF_PRIVATE);
    coid = connect_to(chid);
    middle_runs = middle_done = answered_first = about_to_wait = 0;
    pthread_t serving = start(server, NULL);
    until_it_waits();
    pthread_t asking = start(high, NULL), computing = start(middle, NULL);
    pthread_join(asking, NULL);
    pthread_join(computing, NULL);
    OK(MsgSendPulse(coid, 1, 1, 1));
    pthread_join(serving, NULL);
}

int main(void) {
    cpu_set_t one, all;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    /* Who starts the others comes before them. */
    if (be(40) == -1) {
        printf("skipped: scheduling by priority: %s\n", strerror(errno));
        return 0;
    }
    round_with(0);
    CHECK(answered_first && served == 30);
    round_with(_NTO_CHF_FIXED_PRIORITY);
    CHECK(!answered_first && served == 10);
    puts("scheduled");
    return 0;
}
