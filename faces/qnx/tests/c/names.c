/* Names: one server has each, clients find it, and the name is free again. */
#include "check.h"

#include <sys/wait.h>

static void client(void) {
    int coid = -1;
    while ((coid = name_open("instruments/clock", 0)) == -1) {
        CHECK(errno == ENOENT);
        usleep(1000);
    }
    CHECK(coid & _NTO_SIDE_CHANNEL);
    CHECK(name_attach(NULL, "instruments/clock", 0) == NULL && errno == EBUSY);
    IS(MsgSend(coid, "time?", 5, NULL, 0), 12);
    OK(name_close(coid));
    FAILS(name_close(coid), EINVAL);
}

int main(void) {
    union any in;
    struct _msg_info info;
    FAILS(name_open("instruments/clock", 0), ENOENT);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        client();
        _exit(0);
    }
    name_attach_t *attach = name_attach(NULL, "instruments/clock", 0);
    CHECK(attach != NULL && attach->chid > 0);
    CHECK(name_attach(NULL, "instruments/clock", 0) == NULL && errno == EBUSY);
    rcvid_t rcvid = receive(attach->chid, &in, &info);
    CHECK(rcvid > 0 && memcmp(in.text, "time?", 5) == 0 && info.pid == child);
    OK(MsgReply(rcvid, 12, NULL, 0));
    struct _pulse pulse = pulse_is(attach->chid, _PULSE_CODE_DISCONNECT, 0);
    CHECK(pulse.scoid == info.scoid);
    OK(ConnectDetach(pulse.scoid));
    int ended;
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    /* Within the same process, too. */
    int coid = name_open("instruments/clock", 0);
    CHECK(coid > 0);
    OK(MsgSendPulse(coid, 1, 1, 5));
    pulse_is(attach->chid, 1, 5);
    OK(name_detach(attach, 0));
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EBADF);
    FAILS(name_open("instruments/clock", 0), ENOENT);
    attach = name_attach(NULL, "instruments/clock", NAME_FLAG_ATTACH_GLOBAL);
    CHECK(attach != NULL);
    OK(name_detach(attach, 0));
    return 0;
}
