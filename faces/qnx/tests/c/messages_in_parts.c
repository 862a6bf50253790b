/* Gather and scatter, and requests that are read and replies that are written while the
 * client waits. */
#include "check.h"

#define LARGE 1000000

static int chid, coid;
static char *large, *back;

static void *client(void *which) {
    iov_t out[3], in[2];
    char one[4], two[300];
    memset(two, '.', sizeof two);
    SETIOV(&out[0], "ab", 2);
    SETIOV(&out[1], NULL, 0);
    SETIOV(&out[2], "cdef", 4);
    SETIOV(&in[0], one, sizeof one);
    SETIOV(&in[1], two, sizeof two);
    switch ((long)which) {
    case 0: IS(MsgSendv(coid, out, 3, in, 2), 6); break;
    case 1: IS(MsgSendsv(coid, "abcdef", 6, in, 2), 6); break;
    case 2:
        IS(MsgSendvs(coid, out, 3, two, 4), 6);
        CHECK(memcmp(two, "abcd..", 6) == 0);
        return NULL;
    case 3: IS(MsgSendvnc_r(coid, out, 3, in, 2), 6); break;
    case 4:
        IS(MsgSend(coid, large, LARGE, back, LARGE), 7);
        return NULL;
    }
    CHECK(memcmp(one, "abcd", 4) == 0 && memcmp(two, "ef..", 4) == 0);
    return NULL;
}

static void *other_reader(void *rcvid) {
    char part[10];
    IS(MsgRead((rcvid_t)rcvid, part, sizeof part, 500000), 10);
    CHECK(memcmp(part, large + 500000, sizeof part) == 0);
    return NULL;
}

int main(void) {
    chid = new_channel(0);
    coid = connect_to(chid);
    for (long which = 0; which < 4; which++) {
        pthread_t thread = start(client, (void *)which);
        char one[1], two[9];
        iov_t in[2], out[2];
        SETIOV(&in[0], one, 1);
        SETIOV(&in[1], two, sizeof two);
        struct _msg_info info;
        rcvid_t rcvid = MsgReceivev(chid, in, 2, &info);
        CHECK(rcvid > 0 && info.msglen == 6 && one[0] == 'a' && memcmp(two, "bcdef", 5) == 0);
        CHECK(info.tid > 1);
        SETIOV(&out[0], one, 1);
        SETIOV(&out[1], two, 5);
        OK(MsgReplyv(rcvid, 6, out, 2));
        OK(pthread_join(thread, NULL));
    }

    large = malloc(LARGE);
    back = malloc(LARGE);
    for (int i = 0; i < LARGE; i++) large[i] = (char)(i * 7 % 251);
    memset(back, '.', LARGE);
    pthread_t thread = start(client, (void *)4);
    union any in;
    struct _msg_info info;
    rcvid_t rcvid = receive(chid, &in, &info);
    CHECK(info.msglen == (ssize_t)sizeof in && info.srcmsglen == LARGE);
    CHECK(info.dstmsglen == LARGE);
    /* Any thread reads, at any offset, as often as it likes. */
    OK(pthread_join(start(other_reader, (void *)rcvid), NULL));
    char part[100];
    for (int i = 0; i < 3; i++) {
        IS(MsgRead(rcvid, part, sizeof part, 100), 100);
        CHECK(memcmp(part, large + 100, sizeof part) == 0);
    }
    IS(MsgRead(rcvid, part, sizeof part, LARGE - 40), 40);
    IS(MsgRead(rcvid, part, sizeof part, LARGE), 0);
    IS(MsgRead(rcvid, part, sizeof part, (size_t)1 << 62), 0);
    iov_t parts[2];
    SETIOV(&parts[0], part, 50);
    SETIOV(&parts[1], part + 50, 50);
    IS(MsgReadv(rcvid, parts, 2, 900), 100);
    CHECK(memcmp(part, large + 900, sizeof part) == 0);
    /* So is the reply written: as far as the client has room. */
    IS(MsgWrite(rcvid, "tail", 4, LARGE - 2), 2);
    IS(MsgWrite(rcvid, "nowhere", 7, LARGE), 0);
    IS(MsgWrite(rcvid, large, LARGE - 2, 0), LARGE - 2);
    SETIOV(&parts[0], "in ", 3);
    SETIOV(&parts[1], "parts", 5);
    IS(MsgWritev(rcvid, parts, 2, 10), 8);
    OK(MsgReply(rcvid, 7, "HEAD", 4));
    OK(pthread_join(thread, NULL));
    CHECK(memcmp(back, "HEAD", 4) == 0 && memcmp(back + 4, large + 4, 6) == 0);
    CHECK(memcmp(back + 10, "in parts", 8) == 0 && back[LARGE - 1] == 'a');
    CHECK(memcmp(back + 18, large + 18, LARGE - 20) == 0);
    FAILS(MsgRead(rcvid, part, 1, 0), ESRCH);
    FAILS(MsgWrite(rcvid, part, 1, 0), ESRCH);
    FAILS(MsgRead(0, part, 1, 0), ESRCH);
    return 0;
}
