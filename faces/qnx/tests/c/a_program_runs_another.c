/* A process that runs another program has the same number, and the channels of that one:
 * who makes a channel is found, however soon after. */
#include "check.h"

#include <fcntl.h>
#include <sys/wait.h>

#define PROGRAMS 20

/* Says its channel's number, and runs the next program when it was heard. */
static void server(char *self, int left) {
    char byte, next[16];
    int chid = ChannelCreate(0);
    CHECK(chid == 1);
    CHECK(write(1, &chid, sizeof chid) == sizeof chid);
    CHECK(read(0, &byte, 1) == 1);
    if (left == 0) exit(0);
    snprintf(next, sizeof next, "%d", left - 1);
    execl(self, self, next, (char *)NULL);
    CHECK(!"it runs");
}

int main(int count, char **arguments) {
    if (count > 1) server(arguments[0], atoi(arguments[1]));
    int from[2], to[2], chid, ended;
    CHECK(pipe2(from, O_CLOEXEC) == 0 && pipe2(to, O_CLOEXEC) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char first[16];
        dup2(to[0], 0);
        dup2(from[1], 1);
        snprintf(first, sizeof first, "%d", PROGRAMS - 1);
        execl(arguments[0], arguments[0], first, (char *)NULL);
        _exit(1);
    }
    close(from[1]);
    for (int program = 0; program < PROGRAMS; program++) {
        CHECK(read(from[0], &chid, sizeof chid) == sizeof chid);
        int coid = ConnectAttach(0, child, chid, _NTO_SIDE_CHANNEL, 0);
        CHECK(coid > 0);
        OK(MsgSendPulse(coid, 1, 1, 1));
        OK(ConnectDetach(coid));
        CHECK(write(to[1], "n", 1) == 1);
    }
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    return 0;
}
