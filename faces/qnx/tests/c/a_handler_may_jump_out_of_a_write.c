/* A handler that jumps out of a write to a client that reads nothing, because the lane to
   it is full, leaves the request as it was: it is written and answered after that. */
#include "check.h"

#include "../../../jumps.h"

#include <sys/wait.h>

#define ROOM (8 << 20)

static int connected[2];

static void client(pid_t server, int chid) {
    int coid = ConnectAttach(0, server, chid, _NTO_SIDE_CHANNEL, 0);
    CHECK(coid > 0 && write(connected[1], "c", 1) == 1);
    char *reply = calloc(1, ROOM);
    CHECK(reply != NULL);
    IS(MsgSend(coid, "fill", 5, reply, ROOM), 9);
    for (int at = 0; at < ROOM; at++) CHECK(reply[at] == (char)(at / 4096 + 1));
    OK(MsgSendPulse(coid, 1, 1, 1));
    _exit(0);
}

int main(void) {
    union any in;
    struct _msg_info info;
    char byte;
    int ended, times = jump_times() / 20;
    pid_t own = getpid();
    CHECK(pipe(connected) == 0);
    int chid = new_channel(0);
    CHECK(chid == 1);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) client(own, chid);
    CHECK(read(connected[0], &byte, 1) == 1);
    rcvid_t rcvid = receive(chid, &in, &info);
    CHECK(rcvid > 0 && info.dstmsglen == ROOM);
    char *bytes = malloc(ROOM);
    CHECK(bytes != NULL);
    for (int at = 0; at < ROOM; at++) bytes[at] = (char)(at / 4096 + 1);

    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &ended, WUNTRACED) == child);
    this_thread_jumps();
    while (jumped < times) {
        if (sigsetjmp(jump_back, 1) == 0) {
            may_jump = 1;
            ssize_t written = MsgWrite(rcvid, bytes, ROOM, 0);
            /* It waits for a second at most. */
            may_jump = 0;
            CHECK(written == -1 && errno == ESRCH);
        }
        /* Nothing of it is locked. */
        OK(MsgInfo(rcvid, &info));
        CHECK(info.dstmsglen == ROOM);
    }
    CHECK(kill(child, SIGCONT) == 0);
    IS(MsgWrite(rcvid, bytes, ROOM, 0), ROOM);
    OK(MsgReply(rcvid, 9, NULL, 0));
    pulse_is(chid, 1, 1);
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    free(bytes);
    return 0;
}
