/* Small things that programs take for granted. */
#include "check.h"

#include <process.h>
#include <signal.h>

static volatile int ran;

static void *run(void *argument) {
    ran = *(int *)argument;
    return NULL;
}

int main(void) {
    /* Nobody wants to know which thread it is. */
    int one = 1;
    OK(pthread_create(NULL, NULL, run, &one));
    while (ran == 0) delay(1);
    /* 0 is this thread, and what is not asked for is not told. */
    struct sched_param param;
    int policy = -1;
    OK(pthread_getschedparam(0, NULL, &param));
    CHECK(param.sched_priority == 10);
    OK(pthread_getschedparam(pthread_self(), &policy, &param));
    CHECK(policy == SCHED_OTHER && param.sched_priority == 10);
    OK(pthread_setschedprio(pthread_self(), 20));
    OK(pthread_getschedparam(0, NULL, &param));
    CHECK(param.sched_priority == 20);
    param.sched_priority = 15;
    CHECK(SchedSet(0, 0, SCHED_OTHER, &param) != -1);
    IS(SchedGet(0, 0, &param), SCHED_OTHER);
    CHECK(param.sched_priority == 15);
    param.sched_priority = 0;
    FAILS(SchedSet(0, 0, SCHED_OTHER, &param), EINVAL);
    FAILS(SchedSet(0, 99, SCHED_OTHER, &param), ESRCH);

    union sigval value;
    value.sival_long = 1l << 40;
    CHECK(sizeof value == sizeof(void *) && value.sival_ptr == (void *)(1l << 40));
    char text[4];
    CHECK(strlcpy(text, "longer", sizeof text) == 6 && strcmp(text, "lon") == 0);
    CHECK(strlcat(text, "x", sizeof text) == 4);
    CHECK(strcmp(strerror(EOK), "No error") == 0 || EOK == 0);
    CHECK(delay(1) == 0);
    CHECK(_IO_MAX == 511 && SYSMGR_COID == 0x40000000 && ND_LOCAL_NODE == 0);
    /* A header of the system's own that speaks of events still works with ours. */
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_NONE;
    CHECK(sizeof event == 64);
    return 0;
}
