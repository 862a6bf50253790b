/* A connection with another process is let go while threads wait for what they asked over
 * it: who was not received fails at once; of who was the server hears, and it decides. */
#include "check.h"

#include <sys/wait.h>

static int chid, coid, go_pipe[2], news_pipe[2];
static pid_t parent;

static void *loses_it(void *text) {
    i_wait();
    FAILS(MsgSend(coid, text, strlen(text), NULL, 0), EBADF);
    return NULL;
}

static void client(void) {
    char byte;
    for (int round = 0; round < 3; round++) {
        CHECK(read(go_pipe[0], &byte, 1) == 1);
        coid = ConnectAttach(0, parent, chid + round, _NTO_SIDE_CHANNEL, 0);
        int other = ConnectAttach(0, parent, chid + round, _NTO_SIDE_CHANNEL, 0);
        CHECK(coid > 0 && other > 0);
        pthread_t received = start(loses_it, "received");
        until_it_waits();
        CHECK(read(go_pipe[0], &byte, 1) == 1);
        pthread_t unheard = start(loses_it, "unheard");
        until_it_waits();
        OK(ConnectDetach(coid));
        pthread_join(unheard, NULL);
        CHECK(write(news_pipe[1], "d", 1) == 1);
        pthread_join(received, NULL);
        OK(MsgSendPulse(other, 1, 1, round));
        CHECK(read(go_pipe[0], &byte, 1) == 1);
        OK(ConnectDetach(other));
    }
}

int main(void) {
    union any in;
    struct _msg_info info;
    char byte;
    parent = getpid();
    CHECK(pipe(go_pipe) == 0 && pipe(news_pipe) == 0);
    fflush(NULL);
    chid = 1;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        client();
        _exit(0);
    }
    static const unsigned flags[] = {0, _NTO_CHF_UNBLOCK, _NTO_CHF_UNBLOCK | _NTO_CHF_DISCONNECT};
    for (int round = 0; round < 3; round++) {
        int own = new_channel(flags[round]);
        CHECK(own == chid + round);
        CHECK(write(go_pipe[1], "g", 1) == 1);
        rcvid_t rcvid = receive(own, &in, &info);
        CHECK(rcvid > 0 && memcmp(in.text, "received", 8) == 0);
        CHECK(write(go_pipe[1], "g", 1) == 1);
        CHECK(read(news_pipe[0], &byte, 1) == 1);
        if (flags[round] & _NTO_CHF_UNBLOCK) {
            pulse_is(own, _PULSE_CODE_UNBLOCK, rcvid);
            OK(MsgError(rcvid, -1));
        } else {
            FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
        }
        /* What was not received never comes. */
        pulse_is(own, 1, round);
        CHECK(write(go_pipe[1], "g", 1) == 1);
        if (flags[round] & _NTO_CHF_DISCONNECT)
            CHECK(pulse_is(own, _PULSE_CODE_DISCONNECT, 0).scoid == info.scoid);
    }
    int ended;
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    return 0;
}
