/* A reply and the wish to leave cross each other: the wish never falls on the next
 * request, whose number is the same. */
#include "check.h"

#define ROUNDS 1500

static int chid, coid;
static int timed_out, answered;

static void *client(void *none) {
    (void)none;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t ns = (uint64_t)(round % 10) * 20000;
        CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_REPLY, NULL, &ns, NULL) != -1);
        errno = 0;
        long got = MsgSend(coid, &round, sizeof round, NULL, 0);
        if (got == round) answered++;
        else if (got == -1 && errno == ETIMEDOUT) timed_out++;
        else CHECK(!"anything else");
        /* This one is not to be touched by what was asked of the last. */
        IS(MsgSend(coid, &round, sizeof round, NULL, 0), round);
    }
    IS(MsgSend(coid, "e", 1, NULL, 0), 0);
    return NULL;
}

static void *pulses(void *none) {
    (void)none;
    for (;;) {
        struct _pulse pulse;
        struct _msg_info info;
        if (MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == -1) return NULL;
        if (pulse.code != _PULSE_CODE_UNBLOCK) continue;
        /* What every server does: only what is asked for now is ended. */
        int rcvid = pulse.value.sival_int;
        if (MsgInfo(rcvid, &info) == 0 && (info.flags & _NTO_MI_UNBLOCK_REQ))
            MsgError(rcvid, -1);
    }
}

int main(void) {
    chid = new_channel(_NTO_CHF_UNBLOCK);
    coid = connect_to(chid);
    pthread_t one = start(client, NULL), other = start(pulses, NULL);
    for (;;) {
        union any in;
        struct _msg_info info;
        rcvid_t rcvid = MsgReceive(chid, &in, sizeof in, &info);
        if (rcvid == 0) {
            if (in.pulse.code == _PULSE_CODE_UNBLOCK) {
                rcvid = in.pulse.value.sival_long;
                if (MsgInfo(rcvid, &info) == 0 && (info.flags & _NTO_MI_UNBLOCK_REQ))
                    MsgError(rcvid, -1);
            }
            continue;
        }
        CHECK(rcvid > 0);
        if (info.msglen == 1) {
            OK(MsgReply(rcvid, 0, NULL, 0));
            break;
        }
        int round;
        memcpy(&round, &in, sizeof round);
        for (volatile int i = 0; i < round % 7 * 1000; i++) {}
        if (MsgReply(rcvid, round, NULL, 0) == -1) CHECK(errno == ESRCH);
    }
    pthread_join(one, NULL);
    OK(ChannelDestroy(chid));
    pthread_join(other, NULL);
    CHECK(timed_out + answered == ROUNDS);
    return 0;
}
