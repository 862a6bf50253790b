/* A server and its clients in processes of their own: finding it, asking it, and every
 * way to die. */
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

static int chid, scoid;
static pid_t parent;
static int news_pipe[2], go_pipe[2];

/* Runs something in a process of its own. */
static pid_t other(void (*run)(void)) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run();
        _exit(0);
    }
    return child;
}

static void ended_well(pid_t child) {
    int ended;
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
}

static void kill_it(pid_t child) {
    int ended;
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &ended, 0) == child);
}

static int attach(void) {
    int coid = ConnectAttach(ND_LOCAL_NODE, parent, chid, _NTO_SIDE_CHANNEL, 0);
    CHECK(coid == 0x40000001 || coid == 0x40000002);
    return coid;
}

static void asks(void) {
    FAILS(ConnectAttach(0, parent, chid + 40, _NTO_SIDE_CHANNEL, 0), ESRCH);
    FAILS(ConnectAttach(0, 0x3fffffff, 1, _NTO_SIDE_CHANNEL, 0), ESRCH);
    int coid = attach();
    char in[8] = "........";
    for (int i = 0; i < 500; i++) {
        IS(MsgSend(coid, "hello", 5, in, sizeof in), 5);
        CHECK(memcmp(in, "HELLO...", 8) == 0);
    }
    char *large = malloc(1000000);
    memset(large, 'x', 1000000);
    IS(MsgSend(coid, large, 1000000, large, 1000000), 1000000);
    CHECK(large[0] == 'X' && large[999999] == 'X');
    OK(MsgSendPulse(coid, -1, 9, 99));
    struct _server_info info;
    IS(ConnectServerInfo(0, coid, &info), coid);
    CHECK(info.pid == parent && info.chid == chid);
    OK(ConnectDetach(coid));
}

/* Serves until a pulse comes, which is returned. */
static struct _pulse serve(pid_t from) {
    static char large[1000000];
    for (;;) {
        struct _msg_info info;
        uint64_t most = LONG;
        CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &most, NULL) != -1);
        rcvid_t rcvid = MsgReceive(chid, large, 100, &info);
        CHECK(rcvid != -1);
        if (rcvid == 0) {
            struct _pulse pulse;
            memcpy(&pulse, large, sizeof pulse);
            return pulse;
        }
        CHECK(info.pid == from && info.tid == 1);
        struct _client_info who;
        OK(ConnectClientInfo(info.scoid, &who, 0));
        CHECK(who.pid == from && who.cred.euid == geteuid() && who.cred.rgid == getgid());
        scoid = info.scoid;
        if (info.srcmsglen > info.msglen)
            IS(MsgRead(rcvid, large + 100, sizeof large, 100), info.srcmsglen - 100);
        for (ssize_t i = 0; i < info.srcmsglen; i++) large[i] &= ~0x20;
        OK(MsgReply(rcvid, info.srcmsglen, large, info.srcmsglen));
    }
}

static void waits_to_die(void) {
    int coid = attach();
    OK(MsgSendPulse(coid, 1, 1, getpid()));
    for (;;) pause();
}

static void asks_and_waits(void) {
    int coid = attach();
    OK(MsgSendPulse(coid, 20, 4, getpid()));
    MsgSend(coid, "wait", 4, NULL, 0);
    for (;;) pause();
}

static void times_out(void) {
    int coid = attach();
    uint64_t soon = 20000000;
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND | _NTO_TIMEOUT_REPLY, NULL, &soon,
                       NULL) != -1);
    FAILS(MsgSend(coid, "unheard", 7, NULL, 0), ETIMEDOUT);
    CHECK(write(news_pipe[1], &coid, 1) == 1);
    /* It was never received: this one is. */
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_REPLY, NULL, &soon, NULL) != -1);
    FAILS(MsgSend(coid, "heard", 5, NULL, 0), EDEADLK);
}

static void dies_with_clients(void) {
    int own = new_channel(0);
    CHECK(write(news_pipe[1], &own, sizeof own) == sizeof own);
    union any in;
    char byte;
    CHECK(read(go_pipe[0], &byte, 1) == 1);
    rcvid_t rcvid = receive(own, &in, NULL);
    CHECK(rcvid > 0);
    kill(getpid(), SIGKILL);
}

static void *client_of_dying(void *coid) {
    i_wait();
    FAILS(MsgSend((int)(long)coid, "x", 1, NULL, 0), ESRCH);
    return NULL;
}

static void keeps_private(void) {
    int own = new_channel(_NTO_CHF_PRIVATE);
    CHECK(write(news_pipe[1], &own, sizeof own) == sizeof own);
    for (;;) pause();
}

static void wants_events(void) {
    int mine = new_channel(_NTO_CHF_PRIVATE), self = connect_to(mine), coid = attach();
    struct sigevent event;
    SIGEV_PULSE_INIT(&event, self, SIGEV_PULSE_PRIO_INHERIT, 2, 22);
    SIGEV_MAKE_UPDATEABLE(&event);
    IS(MsgSend(coid, &event, sizeof event, NULL, 0), 0);
    for (int i = 0; i < 3; i++) pulse_is(mine, 2, i);
    OK(MsgRegisterEvent(&event, coid));
    IS(MsgSend(coid, &event, sizeof event, NULL, 0), 0);
    for (int i = 0; i < 3; i++) pulse_is(mine, 2, i);
    /* One that only another server may deliver does not come. */
    OK(MsgUnregisterEvent(&event));
    SIGEV_PULSE_INIT(&event, self, SIGEV_PULSE_PRIO_INHERIT, 2, 99);
    OK(MsgRegisterEvent(&event, self));
    IS(MsgSend(coid, &event, sizeof event, NULL, 0), 0);
    IS(MsgSend(coid, "over", 4, NULL, 0), 0);
    union any in;
    FAILS(poll_channel(mine, &in), ETIMEDOUT);
}

int main(void) {
    union any in;
    struct _msg_info info;
    parent = getpid();
    CHECK(pipe(news_pipe) == 0 && pipe(go_pipe) == 0);
    chid = new_channel(_NTO_CHF_DISCONNECT);

    pid_t child = other(asks);
    struct _pulse pulse = serve(child);
    CHECK(pulse.code == 9 && pulse.value.sival_int == 99 && pulse.scoid == scoid);
    pulse = pulse_is(chid, _PULSE_CODE_DISCONNECT, 0);
    CHECK(pulse.scoid == scoid);
    OK(ConnectDetach(scoid));
    ended_well(child);

    /* A client is killed: idle, with nothing asked. */
    child = other(waits_to_die);
    scoid = pulse_is(chid, 1, child).scoid;
    kill_it(child);
    CHECK(pulse_is(chid, _PULSE_CODE_DISCONNECT, 0).scoid == scoid);
    OK(ConnectDetach(scoid));
    /* While it waits for a receiver: it was never there. */
    child = other(asks_and_waits);
    pulse_is(chid, 4, child);
    usleep(50000);
    kill_it(child);
    IS(MsgReceivePulse(chid, &in, sizeof in, NULL), 0);
    CHECK(in.pulse.code == _PULSE_CODE_DISCONNECT);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    OK(ConnectDetach(in.pulse.scoid));
    /* While it waits for its reply. */
    child = other(asks_and_waits);
    pulse_is(chid, 4, child);
    rcvid_t rcvid = receive(chid, &in, &info);
    kill_it(child);
    CHECK(pulse_is(chid, _PULSE_CODE_DISCONNECT, 0).scoid == info.scoid);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    FAILS(MsgDeliverEvent(rcvid, NULL), EFAULT);
    OK(ConnectDetach(info.scoid));
    FAILS(MsgInfo(rcvid, &info), ESRCH);
    OK(ChannelDestroy(chid));

    /* The same where the server has a say: it hears of both, one after the other. */
    chid = new_channel(_NTO_CHF_DISCONNECT | _NTO_CHF_UNBLOCK);
    child = other(asks_and_waits);
    pulse_is(chid, 4, child);
    rcvid = receive(chid, &in, &info);
    kill_it(child);
    pulse_is(chid, _PULSE_CODE_UNBLOCK, rcvid);
    OK(MsgInfo(rcvid, &info));
    CHECK(info.flags & _NTO_MI_UNBLOCK_REQ);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
    FAILS(MsgError(rcvid, -1), ESRCH);
    CHECK(pulse_is(chid, _PULSE_CODE_DISCONNECT, 0).scoid == info.scoid);
    OK(ConnectDetach(info.scoid));
    /* A client whose time is over, in each state. */
    char byte;
    child = other(times_out);
    CHECK(read(news_pipe[0], &byte, 1) == 1);
    rcvid = receive(chid, &in, &info);
    CHECK(rcvid > 0 && info.msglen == 5 && memcmp(in.text, "heard", 5) == 0);
    pulse_is(chid, _PULSE_CODE_UNBLOCK, rcvid);
    OK(MsgError(rcvid, EDEADLK));
    ended_well(child);
    CHECK(pulse_is(chid, _PULSE_CODE_DISCONNECT, 0).scoid == info.scoid);
    OK(ConnectDetach(info.scoid));

    /* A server is killed: who waits is told, and who asks later. */
    int news = new_channel(_NTO_CHF_COID_DISCONNECT), theirs;
    child = other(dies_with_clients);
    CHECK(read(news_pipe[0], &theirs, sizeof theirs) == sizeof theirs);
    int coid = ConnectAttach(0, child, theirs, _NTO_SIDE_CHANNEL, 0);
    CHECK(coid > 0);
    pthread_t one = start(client_of_dying, (void *)(long)coid);
    until_it_waits();
    pthread_t two = start(client_of_dying, (void *)(long)coid);
    until_it_waits();
    CHECK(write(go_pipe[1], "g", 1) == 1);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    pulse_is(news, _PULSE_CODE_COIDDEATH, coid);
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EBADF);
    FAILS(MsgSendPulse(coid, 1, 1, 1), EBADF);
    OK(ConnectDetach(coid));
    CHECK(waitpid(child, NULL, 0) == child);

    /* What is private is there, and not for others. */
    child = other(keeps_private);
    CHECK(read(news_pipe[0], &theirs, sizeof theirs) == sizeof theirs);
    FAILS(ConnectAttach(0, child, theirs, _NTO_SIDE_CHANNEL, 0), EPERM);
    kill_it(child);
    FAILS(ConnectAttach(0, child, theirs, _NTO_SIDE_CHANNEL, 0), ESRCH);

    /* Events: to a client that was answered long ago. */
    child = other(wants_events);
    for (int round = 0; round < 3; round++) {
        rcvid = receive(chid, &in, &info);
        struct sigevent event;
        memcpy(&event, &in, sizeof event);
        OK(MsgVerifyEvent(rcvid, &event));
        OK(MsgReply(rcvid, 0, NULL, 0));
        for (int i = 0; i < 3; i++) {
            event.sigev_value.sival_int = i;
            OK(MsgDeliverEvent(rcvid, &event));
        }
    }
    rcvid = receive(chid, &in, &info);
    OK(MsgReply(rcvid, 0, NULL, 0));
    ended_well(child);
    return 0;
}
