/* A server that others send anything to: it says what it received, and goes on. */
#include "check.h"

int main(void) {
    name_attach_t *attach = name_attach(NULL, "gullible", 0);
    CHECK(attach != NULL);
    long requests = 0, pulses = 0;
    for (;;) {
        union any in;
        struct _msg_info info;
        rcvid_t rcvid = MsgReceive(attach->chid, &in, sizeof in, &info);
        CHECK(rcvid != -1);
        if (rcvid == 0) {
            /* Only what the system says is below zero, or what a client may say. */
            if (in.pulse.code == 100) break;
            if (in.pulse.code == _PULSE_CODE_DISCONNECT) ConnectDetach(in.pulse.scoid);
            pulses++;
            continue;
        }
        CHECK(info.msglen <= (ssize_t)sizeof in && info.msglen <= info.srcmsglen);
        CHECK(info.pid > 0 && info.pid != getpid());
        struct _client_info who;
        if (ConnectClientInfo(info.scoid, &who, 8) == 0) CHECK(who.pid == info.pid);
        char all[64];
        MsgRead(rcvid, all, sizeof all, 3);
        MsgWrite(rcvid, all, sizeof all, 5);
        struct sigevent event;
        SIGEV_PULSE_INIT(&event, 1, 1, 1, 1);
        MsgDeliverEvent(rcvid, &event);
        if (requests++ % 2)
            MsgReply(rcvid, requests, &in, sizeof in);
        else
            MsgError(rcvid, EDOM);
    }
    /* All is as it was, for itself. */
    int chid = new_channel(_NTO_CHF_PRIVATE), coid = connect_to(chid);
    OK(MsgSendPulse(coid, 1, 1, 7));
    pulse_is(chid, 1, 7);
    OK(name_detach(attach, 0));
    printf("%ld requests, %ld pulses\n", requests, pulses);
    return 0;
}
