/* A request is put aside, and the server is told with its own word when to go on. */
#include "check.h"

static int coid;

static void *asks(void *none) {
    (void)none;
    IS(MsgSend(coid, "x", 1, NULL, 0), 3);
    return NULL;
}

int main(void) {
    union any in;
    struct _msg_info info;
    int chid = new_channel(_NTO_CHF_MSG_PAUSING);
    coid = connect_to(chid);
    pthread_t thread = start(asks, NULL);
    rcvid_t rcvid = receive(chid, &in, &info);
    CHECK(rcvid > 0);
    OK(MsgPause(rcvid, 77));
    struct _pulse pulse = pulse_is(chid, _PULSE_CODE_RESTART, 77);
    CHECK(pulse.scoid == info.scoid);
    /* The client has waited on. */
    IS(MsgRead(rcvid, &in, 1, 0), 1);
    OK(MsgReply(rcvid, 3, NULL, 0));
    pthread_join(thread, NULL);
    FAILS(MsgPause(rcvid, 77), ESRCH);
    FAILS(MsgPause(0, 77), ESRCH);
    IS(MsgPause_r(12345, 77), -ESRCH);
    OK(ConnectDetach(coid));
    OK(ChannelDestroy(chid));

    /* Only where the channel was made for it. */
    chid = new_channel(0);
    coid = connect_to(chid);
    thread = start(asks, NULL);
    rcvid = receive(chid, &in, &info);
    FAILS(MsgPause(rcvid, 77), EINVAL);
    OK(MsgReply(rcvid, 3, NULL, 0));
    pthread_join(thread, NULL);
    return 0;
}
