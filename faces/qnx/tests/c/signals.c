/* A signal that is handled interrupts who waits. */
#include "check.h"

#include <signal.h>

static int chid, coid;
static volatile int over;

static void on_signal(int signal) { (void)signal; }

static void *receives(void *none) {
    (void)none;
    union any in;
    FAILS(MsgReceive(chid, &in, sizeof in, NULL), EINTR);
    over = 1;
    return NULL;
}

static void *receives_pulse(void *none) {
    (void)none;
    union any in;
    uint64_t long_time = 1000 * SECOND;
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &long_time, NULL) != -1);
    FAILS(MsgReceivePulse(chid, &in, sizeof in, NULL), EINTR);
    over = 1;
    return NULL;
}

static void *sends(void *none) {
    (void)none;
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EINTR);
    over = 1;
    return NULL;
}

static void *asks_to_leave(void *none) {
    (void)none;
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EDOM);
    over = 1;
    return NULL;
}

/* One that comes before the thread waits interrupts nothing: so again, until it did. */
static void interrupt(pthread_t thread) {
    while (!over) {
        pthread_kill(thread, SIGUSR1);
        usleep(1000);
    }
    over = 0;
    pthread_join(thread, NULL);
}

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    OK(sigaction(SIGUSR1, &action, NULL));
    union any in;
    struct _msg_info info;
    chid = new_channel(_NTO_CHF_UNBLOCK);
    coid = connect_to(chid);
    interrupt(start(receives, NULL));
    interrupt(start(receives_pulse, NULL));

    /* Not received: the server never sees it, whatever it says of unblocking. */
    interrupt(start(sends, NULL));
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    /* Received: it is told once, however many signals come, and its answer counts. */
    pthread_t thread = start(asks_to_leave, NULL);
    rcvid_t rcvid = receive(chid, &in, &info);
    CHECK(rcvid > 0);
    for (;;) {
        pthread_kill(thread, SIGUSR1);
        usleep(1000);
        if (poll_channel(chid, &in) == 0) break;
    }
    CHECK(in.pulse.code == _PULSE_CODE_UNBLOCK && in.pulse.value.sival_long == rcvid);
    for (int i = 0; i < 20; i++) pthread_kill(thread, SIGUSR1);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    CHECK(!over);
    OK(MsgError(rcvid, EDOM));
    pthread_join(thread, NULL);
    over = 0;
    /* Without a say the server is left. */
    chid = new_channel(0);
    coid = connect_to(chid);
    thread = start(sends, NULL);
    rcvid = receive(chid, &in, &info);
    interrupt(thread);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    return 0;
}
