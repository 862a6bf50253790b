/* Nobody keeps names: one process is enough for itself, and no other is found. */
#include "check.h"

#include <sys/wait.h>

static int chid;

static void *server(void *none) {
    (void)none;
    union any in;
    rcvid_t rcvid = receive(chid, &in, NULL);
    OK(MsgReply(rcvid, 4, NULL, 0));
    return NULL;
}

int main(void) {
    FAILS(ConnectAttach(0, 1, 1, _NTO_SIDE_CHANNEL, 0), ESRCH);
    FAILS(name_open("clock", 0), ENOENT);
    CHECK(name_attach(NULL, "clock", 0) == NULL && errno == ENOENT);
    CHECK(name_attach(NULL, "/clock", 0) == NULL && errno == EINVAL);
    CHECK(name_attach(NULL, "a/../b", 0) == NULL && errno == EINVAL);
    CHECK(name_attach(NULL, "", 0) == NULL && errno == EINVAL);
    FAILS(name_close(77), EINVAL);
    chid = new_channel(0);
    int coid = connect_to(chid);
    /* 0 is this process, in each. A forked one has nothing of its parent's. */
    int before = chid;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS(MsgSend(coid, "x", 1, NULL, 0), EBADF);
        FAILS(ConnectAttach(0, 0, before, _NTO_SIDE_CHANNEL, 0), ESRCH);
        IS(chid = ChannelCreate(0), 1);
        int own = connect_to(chid);
        pthread_t thread = start(server, NULL);
        IS(MsgSend(own, "x", 1, NULL, 0), 4);
        pthread_join(thread, NULL);
        _exit(0);
    }
    int ended;
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    pthread_t thread = start(server, NULL);
    IS(MsgSend(coid, "x", 1, NULL, 0), 4);
    pthread_join(thread, NULL);
    return 0;
}
