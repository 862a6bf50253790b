/* MsgSend, MsgReceive, MsgReply and MsgError between threads of one process. */
#include "check.h"

static int chid, coid;

static void *server(void *none) {
    (void)none;
    struct _msg_info info;
    union any in;
    rcvid_t first = 0;
    for (;;) {
        rcvid_t rcvid = receive(chid, &in, &info);
        CHECK(rcvid > 0 && rcvid == (int)rcvid);
        if (first == 0) first = rcvid;
        /* The same thread of the same client has the same number each time. */
        CHECK(rcvid == first);
        CHECK(info.pid == getpid() && info.tid == 1 && info.chid == chid);
        CHECK(info.coid == coid && info.scoid == 0x10001 && info.flags == _NTO_MI_BITS_64);
        CHECK(info.priority == 10 && info.nd == ND_LOCAL_NODE);
        if (in.text[0] == 'q') {
            OK(MsgReply(rcvid, 0, NULL, 0));
            return NULL;
        }
        if (in.text[0] == 'e') {
            OK(MsgError(rcvid, EDOM));
            FAILS(MsgError(rcvid, EDOM), ESRCH);
        } else if (in.text[0] == 'i') {
            OK(MsgError(rcvid, -1));
        } else if (in.text[0] == 'l') {
            CHECK(info.msglen == (ssize_t)sizeof in && info.srcmsglen == 1000);
            CHECK(info.dstmsglen == 5);
            OK(MsgReply(rcvid, 43, in.text, 100));
        } else if (in.text[0] == 'n') {
            OK(MsgReply(rcvid, -1, NULL, 0));
        } else {
            CHECK(info.msglen == info.srcmsglen);
            for (ssize_t i = 0; i < info.msglen; i++) in.text[i] ^= 0x20;
            OK(MsgReply(rcvid, info.msglen, in.text, info.msglen));
            FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
        }
        OK(MsgInfo(rcvid, &info));
        CHECK((info.flags & _NTO_MI_UNBLOCK_REQ) == 0);
    }
}

static int silent_answers;

static void *silent_server(void *none) {
    (void)none;
    /* Where nothing is to be put, there need be no room. */
    struct _msg_info info;
    rcvid_t rcvid = MsgReceive(chid, NULL, 0, &info);
    CHECK(rcvid > 0 && info.msglen == 0 && info.srcmsglen == 1);
    silent_answers++;
    OK(MsgReply(rcvid, 5, "ignored", 7));
    return NULL;
}

int main(void) {
    IS(chid = ChannelCreate(0), 1);
    IS(coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0), 1073741825);
    pthread_t thread = start(server, NULL);
    char in[16];
    for (int round = 0; round < 1000; round++) {
        memset(in, '.', sizeof in);
        IS(MsgSend(coid, "HELLO", 5, in, sizeof in), 5);
        CHECK(memcmp(in, "hello...", 8) == 0);
    }
    /* Both ways what does not fit is left out, and nobody is told. */
    char large[1000];
    memset(large, 'l', sizeof large);
    memset(in, '.', sizeof in);
    IS(MsgSend(coid, large, sizeof large, in, 5), 43);
    CHECK(memcmp(in, "lllll...", 8) == 0);
    FAILS(MsgSend(coid, "e", 1, in, sizeof in), EDOM);
    IS(MsgSend_r(coid, "e", 1, in, sizeof in), -EDOM);
    FAILS(MsgSend(coid, "i", 1, in, sizeof in), EINTR);
    IS(MsgSend(coid, "n", 1, NULL, 0), -1);
    IS(MsgSendnc(coid, "A", 1, NULL, 0), 1);
    IS(MsgSend(coid, "q", 1, NULL, 0), 0);
    OK(pthread_join(thread, NULL));
    thread = start(silent_server, NULL);
    IS(MsgSend(coid, "x", 1, NULL, 0), 5);
    OK(pthread_join(thread, NULL));
    CHECK(silent_answers == 1);

    /* What there is not. */
    FAILS(MsgSend(coid + 1, "x", 1, NULL, 0), EBADF);
    FAILS(MsgSend(-1, "x", 1, NULL, 0), EBADF);
    FAILS(MsgReply(0, 0, NULL, 0), ESRCH);
    FAILS(MsgReply(77, 0, NULL, 0), ESRCH);
    FAILS(MsgReply(1l << 40, 0, NULL, 0), ESRCH);
    IS(MsgError_r(77, EDOM), -ESRCH);
    union any any;
    FAILS(MsgReceive(99, &any, sizeof any, NULL), ESRCH);
    FAILS(MsgReceive(-1, &any, sizeof any, NULL), ESRCH);
    FAILS(ChannelCreate(0x10000000), EINVAL);
    FAILS(ChannelDestroy(99), EINVAL);
    FAILS(ConnectAttach(0, 0, 99, _NTO_SIDE_CHANNEL, 0), ESRCH);
    FAILS(ConnectAttach(0, 0, chid, _NTO_SIDE_CHANNEL, 0x100000), EINVAL);
    FAILS(ConnectDetach(coid + 1), EINVAL);
    FAILS(ConnectDetach(SYSMGR_COID), EPERM);
    FAILS(MsgSend(coid, large, (size_t)-1, NULL, 0), EOVERFLOW);
    CHECK(strcmp(strerror(ESRVRFAULT), "Server fault on msg pass") == 0);
    CHECK(strcmp(strerror(EDOM), "Numerical argument out of domain") == 0);
    OK(ConnectDetach(coid));
    FAILS(MsgSend(coid, "x", 1, NULL, 0), EBADF);
    OK(ChannelDestroy(chid));
    puts("hello");
    return 0;
}
