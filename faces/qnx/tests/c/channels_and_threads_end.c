/* Channels, connections and threads that end, and who is told. */
#include "check.h"

static int chid, coid;

static void *waits_there(void *none) {
    (void)none;
    union any in;
    FAILS(MsgReceive(chid, &in, sizeof in, NULL), ESRCH);
    return NULL;
}

static void *waits_for_pulse(void *none) {
    (void)none;
    union any in;
    FAILS(MsgReceivePulse(chid, &in, sizeof in, NULL), ESRCH);
    return NULL;
}

static void *sends(void *text) {
    i_wait();
    FAILS(MsgSend(coid, text, 1, NULL, 0), ESRCH);
    return NULL;
}

static void *receives_once(void *of) {
    union any in;
    IS(receive(*(int *)of, &in, NULL), 0);
    return NULL;
}

int main(void) {
    union any in;
    struct _pulse pulse;

    /* Receivers are told, however many and however early or late. */
    for (int round = 0; round < 200; round++) {
        chid = new_channel(0);
        coid = connect_to(chid);
        pthread_t one = start(waits_there, NULL), two = start(waits_for_pulse, NULL);
        if (round % 2) usleep(round * 10);
        OK(ChannelDestroy(chid));
        pthread_join(one, NULL);
        pthread_join(two, NULL);
        OK(ConnectDetach(coid));
    }

    /* So is who waits for a receiver, and who waits for a reply. */
    int news = new_channel(_NTO_CHF_COID_DISCONNECT);
    chid = new_channel(0);
    coid = connect_to(chid);
    pthread_t replying = start(sends, "r");
    rcvid_t rcvid = receive(chid, &in, NULL);
    until_it_waits();
    pthread_t sending = start(sends, "s");
    until_it_waits();
    OK(ChannelDestroy(chid));
    pthread_join(replying, NULL);
    pthread_join(sending, NULL);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    /* The connection stays, and is of no use. */
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EBADF);
    FAILS(MsgSendPulse(coid, 1, 1, 1), EBADF);
    pulse_is(news, _PULSE_CODE_COIDDEATH, coid);
    CHECK(ConnectFlags(0, coid, 0, 0) & _NTO_COF_DEAD);
    OK(ConnectDetach(coid));
    FAILS(ConnectDetach(coid), EINVAL);

    /* One pulse when the last connection of a client goes. */
    chid = new_channel(_NTO_CHF_DISCONNECT);
    int first = connect_to(chid), second = connect_to(chid);
    OK(MsgSendPulse(first, 3, 3, 3));
    int scoid = pulse_is(chid, 3, 3).scoid;
    OK(MsgSendPulse(second, 3, 3, 4));
    CHECK(pulse_is(chid, 3, 4).scoid == scoid);
    OK(ConnectDetach(first));
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(ConnectDetach(second));
    IS(receive(chid, &in, NULL), 0);
    CHECK(in.pulse.code == _PULSE_CODE_DISCONNECT && in.pulse.scoid == scoid);
    /* Its number is free when the server lets it go. */
    struct _client_info who;
    OK(ConnectClientInfo(scoid, &who, 0));
    CHECK(who.pid == getpid() && who.cred.euid == geteuid() && who.cred.ruid == getuid());
    CHECK(who.cred.egid == getegid() && who.cred.ngroups == 0);
    OK(ConnectDetach(scoid));
    FAILS(ConnectDetach(scoid), EINVAL);
    FAILS(ConnectClientInfo(scoid, &who, 0), EINVAL);
    /* Who shares nothing is a client of its own. */
    first = connect_to(chid);
    second = ConnectAttach(0, getpid(), chid, _NTO_SIDE_CHANNEL, _NTO_COF_NOSHARE);
    CHECK(second > 0);
    OK(MsgSendPulse(first, 3, 3, 3));
    OK(MsgSendPulse(second, 3, 3, 4));
    scoid = pulse_is(chid, 3, 3).scoid;
    pulse = pulse_is(chid, 3, 4);
    CHECK(pulse.scoid != scoid);
    OK(ConnectDetach(second));
    IS(receive(chid, &in, NULL), 0);
    CHECK(in.pulse.code == _PULSE_CODE_DISCONNECT && in.pulse.scoid == pulse.scoid);
    OK(ConnectDetach(first));
    OK(ChannelDestroy(chid));

    /* A thread that served here has ended. */
    chid = new_channel(_NTO_CHF_THREAD_DEATH);
    coid = connect_to(chid);
    pthread_t thread = start(receives_once, &chid);
    OK(MsgSendPulse(coid, 1, 1, 1));
    pthread_join(thread, NULL);
    IS(receive(chid, &in, NULL), 0);
    CHECK(in.pulse.code == _PULSE_CODE_THREADDEATH && in.pulse.value.sival_int > 1);

    /* Numbers: the lowest that is free, and those among the descriptors. */
    int low = ConnectAttach(0, 0, chid, 0, 0), high = ConnectAttach(0, 0, chid, 100, 0);
    CHECK(low > 2 && low < 100 && high >= 100 && high < 200);
    CHECK(dup(0) != low);
    struct _server_info info;
    IS(ConnectServerInfo(0, low + 1, &info), high);
    CHECK(info.pid == getpid() && info.chid == chid && info.coid == high);
    FAILS(ConnectServerInfo(0, 0x7fffffff, &info), EINVAL);
    OK(MsgSendPulse(high, 1, 1, 9));
    pulse_is(chid, 1, 9);
    OK(ConnectDetach(high));
    OK(ConnectDetach(low));
    IS(ConnectAttach(0, 0, chid, 0, 0), low);
    return 0;
}
