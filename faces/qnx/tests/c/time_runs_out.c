/* Timeouts of one call, and what a server has a say in. */
#include "check.h"

static int chid, coid;
static volatile int received;

static void limit(int states, uint64_t ns) {
    CHECK(TimerTimeout(CLOCK_MONOTONIC, states, NULL, &ns, NULL) != -1);
}

#define BOTH (_NTO_TIMEOUT_SEND | _NTO_TIMEOUT_REPLY)
#define SOON 20000000ull

struct want {
    int states, error, status, heard;
};

/* Sends with a timeout, and ends as it is wanted to. Where it is to be received it sends
 * until it was. */
static void *client(void *argument) {
    struct want *want = argument;
    long got;
    do {
        limit(want->states, SOON);
        errno = 0;
        got = MsgSend(coid, "request", 7, NULL, 0);
    } while (want->heard && !received && got == -1 && errno == ETIMEDOUT);
    if (want->error != 0)
        CHECK(got == -1 && errno == want->error);
    else
        CHECK(got == want->status);
    return NULL;
}

/* A client, and the request of its that was received. */
static pthread_t hear(struct want *want, rcvid_t *rcvid, struct _msg_info *info) {
    union any in;
    received = 0;
    pthread_t thread = start(client, want);
    *rcvid = receive(chid, &in, info);
    CHECK(*rcvid > 0);
    received = 1;
    return thread;
}

int main(void) {
    union any in;
    struct _msg_info info;
    chid = new_channel(0);
    coid = connect_to(chid);

    /* Receiving. A timeout is for one call, and in the states it names. */
    limit(_NTO_TIMEOUT_RECEIVE, SOON);
    FAILS(MsgReceive(chid, &in, sizeof in, NULL), ETIMEDOUT);
    limit(_NTO_TIMEOUT_RECEIVE, SOON);
    IS(MsgReceivePulse_r(chid, &in, sizeof in, NULL), -ETIMEDOUT);
    uint64_t past = 1;
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE | TIMER_ABSTIME, NULL, &past, NULL) !=
          -1);
    FAILS(MsgReceive(chid, &in, sizeof in, NULL), ETIMEDOUT);
    /* Any other call takes it away. */
    limit(_NTO_TIMEOUT_RECEIVE, 0);
    FAILS(MsgReply(7, 0, NULL, 0), ESRCH);
    OK(MsgSendPulse(coid, 1, 1, 1));
    IS(MsgReceive(chid, &in, sizeof in, NULL), 0);
    /* What there is comes, whatever the time. */
    OK(MsgSendPulse(coid, 1, 1, 2));
    IS(poll_channel(chid, &in), 0);
    struct sigevent event;
    SIGEV_UNBLOCK_INIT(&event);
    uint64_t ns = SECOND, left = 1;
    IS(TimerTimeout(CLOCK_REALTIME, _NTO_TIMEOUT_RECEIVE, &event, &ns, &left), 0);
    CHECK(left == 0);
    IS(TimerTimeout(CLOCK_REALTIME, _NTO_TIMEOUT_RECEIVE, &event, NULL, &left),
       _NTO_TIMEOUT_RECEIVE);
    CHECK(left > 0 && left <= SECOND);
    FAILS(MsgReceive(chid, &in, sizeof in, NULL), ETIMEDOUT);
    FAILS(TimerTimeout(99, _NTO_TIMEOUT_RECEIVE, NULL, NULL, NULL), EINVAL);

    /* Nobody receives: the request is gone, and the server never sees it. */
    struct want sends = {_NTO_TIMEOUT_SEND, ETIMEDOUT, 0, 0}, unheard = {BOTH, ETIMEDOUT, 0, 0};
    pthread_join(start(client, &sends), NULL);
    pthread_join(start(client, &unheard), NULL);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);

    /* It was received: without a say the server is left, and its reply too late. */
    struct want both = {BOTH, ETIMEDOUT, 0, 1};
    rcvid_t rcvid;
    pthread_t thread = hear(&both, &rcvid, &info);
    pthread_join(thread, NULL);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    /* Only the time to be received was limited: that is over. */
    struct want patient = {_NTO_TIMEOUT_SEND, 0, 8, 1};
    thread = hear(&patient, &rcvid, &info);
    usleep(60000);
    OK(MsgReply(rcvid, 8, NULL, 0));
    pthread_join(thread, NULL);
    /* Only the time to be answered was: it counts from when it is received. */
    struct want answered = {_NTO_TIMEOUT_REPLY, ETIMEDOUT, 0, 0};
    thread = start(client, &answered);
    usleep(60000);
    rcvid = receive(chid, &in, &info);
    pthread_join(thread, NULL);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);

    /* With a say: the server is told, once, and its answer ends it. */
    int asking = new_channel(_NTO_CHF_UNBLOCK), old = chid;
    chid = asking;
    coid = connect_to(chid);
    struct want refused = {BOTH, ETIMEDOUT, 0, 1};
    thread = hear(&refused, &rcvid, &info);
    CHECK(rcvid > 0 && !(info.flags & _NTO_MI_UNBLOCK_REQ));
    struct _pulse pulse = pulse_is(chid, _PULSE_CODE_UNBLOCK, rcvid);
    CHECK(pulse.scoid == info.scoid && pulse.value.sival_int == (int)rcvid);
    OK(MsgInfo(rcvid, &info));
    CHECK(info.flags & _NTO_MI_UNBLOCK_REQ);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(MsgError(rcvid, -1));
    pthread_join(thread, NULL);
    OK(MsgInfo(rcvid, &info));
    CHECK(!(info.flags & _NTO_MI_UNBLOCK_REQ));
    /* It may as well answer as if nothing were. */
    struct want late = {_NTO_TIMEOUT_REPLY, 0, 9, 0};
    thread = start(client, &late);
    usleep(60000);
    rcvid = receive(chid, &in, &info);
    pulse_is(chid, _PULSE_CODE_UNBLOCK, rcvid);
    OK(MsgReply(rcvid, 9, NULL, 0));
    pthread_join(thread, NULL);
    /* What nobody received is nobody's to say. */
    pthread_join(start(client, &unheard), NULL);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(ChannelDestroy(old));
    return 0;
}
