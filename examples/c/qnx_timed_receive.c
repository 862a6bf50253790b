/* Receiving for a while only, and what a timer sends meanwhile.
 *
 *     cc qnx_timed_receive.c $(pkg-config --cflags --libs pillarbox-qnx) -o timed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>

#define MILLISECOND 1000000ull
#define PULSE_TIMER (_PULSE_CODE_MINAVAIL + 1)

int main(void) {
    int chid = ChannelCreate(_NTO_CHF_PRIVATE);
    int coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0);
    struct _pulse pulse;

    /* Nobody sends: the time runs out. */
    uint64_t most = 10 * MILLISECOND;
    TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &most, NULL);
    if (MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == -1)
        printf("nothing in 10 ms: %s\n", strerror(errno));

    /* A timer that sends a pulse, again and again. */
    struct sigevent event;
    SIGEV_PULSE_INIT(&event, coid, SIGEV_PULSE_PRIO_INHERIT, PULSE_TIMER, 7);
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == -1) {
        perror("timer_create");
        return EXIT_FAILURE;
    }
    struct itimerspec time = {{0, 5 * MILLISECOND}, {0, 5 * MILLISECOND}};
    timer_settime(timer, 0, &time, NULL);
    for (int tick = 1; tick <= 3; tick++) {
        if (MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == -1) return EXIT_FAILURE;
        printf("tick %d: pulse %d with %d\n", tick, pulse.code, pulse.value.sival_int);
    }
    timer_delete(timer);
    return EXIT_SUCCESS;
}
