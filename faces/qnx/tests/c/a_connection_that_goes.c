/* Who lets a connection go asks for an end of what is asked over it; and a server that
 * has a client send once more. */
#include "check.h"

static int chid, coid;

static void *asks(void *none) {
    (void)none;
    IS(MsgSend(coid, "x", 1, NULL, 0), 5);
    return NULL;
}

static int counts;

static void *sends_again(void *none) {
    (void)none;
    IS(MsgSend(coid, &counts, sizeof counts, NULL, 0), 6);
    return NULL;
}

static void *loses_it(void *none) {
    (void)none;
    i_wait();
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EBADF);
    return NULL;
}

/* Who was not received fails at once, and the server never knows. */
static void before_it_is_received(unsigned flags) {
    union any in;
    chid = new_channel(flags);
    coid = connect_to(chid);
    int other = connect_to(chid);
    pthread_t thread = start(loses_it, NULL);
    until_it_waits();
    OK(ConnectDetach(coid));
    pthread_join(thread, NULL);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(MsgSendPulse(other, 1, 1, 1));
    pulse_is(chid, 1, 1);
    OK(ChannelDestroy(chid));
    OK(ConnectDetach(other));
}

/* Where the server has no say, who was received goes at once, too. */
static void after_it_was_received(void) {
    union any in;
    chid = new_channel(0);
    coid = connect_to(chid);
    int other = connect_to(chid);
    pthread_t thread = start(loses_it, NULL);
    rcvid_t rcvid = receive(chid, &in, NULL);
    CHECK(rcvid > 0);
    until_it_waits();
    OK(ConnectDetach(coid));
    pthread_join(thread, NULL);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    OK(ChannelDestroy(chid));
    OK(ConnectDetach(other));
}

/* Where it has one it is asked, also while the client has another connection. */
static void while_another_stays(void) {
    union any in;
    struct _msg_info info;
    chid = new_channel(_NTO_CHF_UNBLOCK | _NTO_CHF_DISCONNECT);
    coid = connect_to(chid);
    int other = connect_to(chid);
    pthread_t thread = start(loses_it, NULL);
    rcvid_t rcvid = receive(chid, &in, NULL);
    CHECK(rcvid > 0);
    until_it_waits();
    OK(ConnectDetach(coid));
    pulse_is(chid, _PULSE_CODE_UNBLOCK, rcvid);
    OK(MsgInfo(rcvid, &info));
    CHECK(info.flags & _NTO_MI_UNBLOCK_REQ);
    /* Once, and the client is not gone. */
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(MsgError(rcvid, -1));
    pthread_join(thread, NULL);
    OK(MsgSendPulse(other, 1, 1, 1));
    pulse_is(chid, 1, 1);
    OK(ConnectDetach(other));
    pulse_is(chid, _PULSE_CODE_DISCONNECT, 0);
    OK(ChannelDestroy(chid));
}

int main(void) {
    union any in;
    struct _msg_info info;
    before_it_is_received(0);
    before_it_is_received(_NTO_CHF_UNBLOCK | _NTO_CHF_DISCONNECT);
    after_it_was_received();
    while_another_stays();
    chid = new_channel(_NTO_CHF_UNBLOCK | _NTO_CHF_DISCONNECT);
    coid = connect_to(chid);
    pthread_t thread = start(asks, NULL);
    rcvid_t rcvid = receive(chid, &in, &info);
    CHECK(rcvid > 0);
    OK(ConnectDetach(coid));
    pulse_is(chid, _PULSE_CODE_UNBLOCK, rcvid);
    OK(MsgInfo(rcvid, &info));
    CHECK(info.flags & _NTO_MI_UNBLOCK_REQ);
    /* That it is gone is told when it was answered. */
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(MsgReply(rcvid, 5, NULL, 0));
    pthread_join(thread, NULL);
    CHECK(pulse_is(chid, _PULSE_CODE_DISCONNECT, 0).scoid == info.scoid);
    OK(ConnectDetach(info.scoid));

    /* What the client has then is what is sent. */
    coid = connect_to(chid);
    thread = start(sends_again, NULL);
    for (int round = 0; round < 3; round++) {
        rcvid = receive(chid, &in, &info);
        CHECK(rcvid > 0 && *(int *)&in == round);
        counts++;
        if (round < 2) OK(MsgError(rcvid, ERESTART));
    }
    OK(MsgReply(rcvid, 6, NULL, 0));
    pthread_join(thread, NULL);

    /* Flags that may be changed, and those that may not. */
    IS(ConnectFlags(0, coid, _NTO_COF_CLOEXEC, _NTO_COF_CLOEXEC), 0);
    IS(ConnectFlags(0, coid, _NTO_COF_NOSHARE | _NTO_COF_DEAD, ~0u), _NTO_COF_CLOEXEC);
    IS(ConnectFlags(getpid(), coid, 0, 0), _NTO_COF_CLOEXEC);
    FAILS(ConnectFlags(0, coid + 9, 0, 0), EINVAL);
    FAILS(ConnectFlags(getppid(), coid, 0, 0), ESRCH);
    return 0;
}
