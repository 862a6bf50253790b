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

int main(void) {
    union any in;
    struct _msg_info info;
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
