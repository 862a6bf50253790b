/* The numbers and layouts that programs were compiled with, or write out themselves. */
#include "check.h"

#include <signal.h>
#include <sys/iomsg.h>

static void flags_have_their_bits(void) {
    CHECK(_NTO_CHF_FIXED_PRIORITY == 0x1 && _NTO_CHF_UNBLOCK == 0x2);
    CHECK(_NTO_CHF_THREAD_DEATH == 0x4 && _NTO_CHF_DISCONNECT == 0x8);
    CHECK(_NTO_CHF_NET_MSG == 0x10 && _NTO_CHF_SENDER_LEN == 0x20);
    CHECK(_NTO_CHF_COID_DISCONNECT == 0x40 && _NTO_CHF_REPLY_LEN == 0x80);
    CHECK(_NTO_CHF_PULSE_POOL == 0x100 && _NTO_CHF_GLOBAL == 0x800);
    CHECK(_NTO_CHF_PRIVATE == 0x1000 && _NTO_CHF_MSG_PAUSING == 0x2000);
    CHECK(_NTO_CHF_INHERIT_RUNMASK == 0x4000 && _NTO_CHF_UNBLOCK_TIMER == 0x8000);
    CHECK(_NTO_COF_CLOEXEC == 0x1 && _NTO_COF_DEAD == 0x2 && _NTO_COF_NOSHARE == 0x40);
    CHECK(_NTO_COF_NETCON == 0x80 && _NTO_COF_NOEVENT == 0x800 && _NTO_COF_INSECURE == 0x1000);
    CHECK(_NTO_COF_REG_EVENTS == 0x2000 && _NTO_COF_UNREG_EVENTS == 0x4000);
    CHECK(_NTO_MI_ENDIAN_BIG == 1 && _NTO_MI_ENDIAN_DIFF == 2 && _NTO_MI_UNBLOCK_REQ == 0x100);
    CHECK(_NTO_MI_NET_CRED_DIRTY == 0x200 && _NTO_MI_CONSTRAINED == 0x400);
    CHECK(_NTO_MI_BITS_64 == 0x1000 && _NTO_MI_BITS_DIFF == 0x2000);
    CHECK(_NTO_SIDE_CHANNEL == 0x40000000 && SYSMGR_COID == 0x40000000);
}

static void codes_and_states_have_their_numbers(void) {
    CHECK(_PULSE_CODE_UNBLOCK == -32 && _PULSE_CODE_DISCONNECT == -33);
    CHECK(_PULSE_CODE_THREADDEATH == -34 && _PULSE_CODE_COIDDEATH == -35);
    CHECK(_PULSE_CODE_NET_ACK == -36 && _PULSE_CODE_NET_UNBLOCK == -37);
    CHECK(_PULSE_CODE_NET_DETACH == -38 && _PULSE_CODE_RESTART == -39);
    CHECK(_PULSE_CODE_NORESTART == -40 && _PULSE_CODE_UNBLOCK_RESTART == -41);
    CHECK(_PULSE_CODE_UNBLOCK_TIMER == -42);
    CHECK(_PULSE_CODE_MINAVAIL == 0 && _PULSE_CODE_MAXAVAIL == 127);
    CHECK(STATE_DEAD == 0 && STATE_RUNNING == 1 && STATE_READY == 2 && STATE_STOPPED == 3);
    CHECK(STATE_SEND == 4 && STATE_RECEIVE == 5 && STATE_REPLY == 6);
    CHECK(STATE_NET_SEND == 19 && STATE_NET_REPLY == 20);
    CHECK(_NTO_TIMEOUT_SEND == 0x10 && _NTO_TIMEOUT_RECEIVE == 0x20 && _NTO_TIMEOUT_REPLY == 0x40);
    CHECK(_IO_BASE == 0x100 && _IO_CONNECT == 0x100 && _IO_MAX == 0x1ff);
    CHECK(EOK == 0 && ND_LOCAL_NODE == 0);
}

static void structures_lie_as_they_did(void) {
    struct _pulse pulse;
    memset(&pulse, 0, sizeof pulse);
    CHECK(sizeof pulse == 24 && offsetof(struct _pulse, code) == 4);
    CHECK(offsetof(struct _pulse, value) == 8 && offsetof(struct _pulse, scoid) == 16);
    pulse.code = -32;
    CHECK(((unsigned char *)&pulse)[4] == 0xe0);
    CHECK(sizeof(struct _msg_info) == sizeof(struct _msg_info64));
    CHECK(offsetof(struct _msg_info, pid) == 8 && offsetof(struct _msg_info, tid) == 12);
    CHECK(offsetof(struct _msg_info, chid) == 16 && offsetof(struct _msg_info, scoid) == 20);
    CHECK(offsetof(struct _msg_info, coid) == 24 && offsetof(struct _msg_info, priority) == 28);
    CHECK(offsetof(struct _msg_info, flags) == 30 && offsetof(struct _msg_info, msglen) == 32);
    CHECK(sizeof(rcvid_t) == sizeof(long) && sizeof(union sigval) == sizeof(void *));
    iov_t part;
    SETIOV(&part, &pulse, 7);
    CHECK(GETIOVBASE(&part) == &pulse && GETIOVLEN(&part) == 7);
}

/* A request that is another's to answer: who serves it has its priority and channel. */
static int chid, coid;

static void *asks(void *none) {
    (void)none;
    struct sched_param param = {.sched_priority = 33};
    CHECK(SchedSet(0, 0, SCHED_OTHER, &param) != -1);
    IS(MsgSend(coid, "x", 1, NULL, 0), 3);
    return NULL;
}

static void *serves_it(void *rcvid) {
    CHECK(pillarbox_qnx_effective_priority() == 10);
    OK(MsgCurrent((rcvid_t)rcvid));
    CHECK(pillarbox_qnx_effective_priority() == 33);
    OK(MsgReply((rcvid_t)rcvid, 3, NULL, 0));
    FAILS(MsgCurrent(77), ESRCH);
    return NULL;
}

static void another_thread_takes_a_request_over(void) {
    union any in;
    chid = new_channel(0);
    coid = connect_to(chid);
    pthread_t thread = start(asks, NULL);
    rcvid_t rcvid = receive(chid, &in, NULL);
    OK(pthread_join(start(serves_it, (void *)rcvid), NULL));
    OK(pthread_join(thread, NULL));
    OK(ConnectDetach(coid));
    OK(ChannelDestroy(chid));
}

int main(void) {
    flags_have_their_bits();
    codes_and_states_have_their_numbers();
    structures_lie_as_they_did();
    another_thread_takes_a_request_over();
    return 0;
}
