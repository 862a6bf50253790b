/* Pulses: in one queue with messages, by priority. */
#include "check.h"

static int chid, coid;

static void *client(void *priority) {
    struct sched_param param;
    param.sched_priority = (int)(long)priority;
    CHECK(SchedSet(0, 0, SCHED_OTHER, &param) != -1);
    i_wait();
    IS(MsgSend(coid, &priority, sizeof priority, NULL, 0), 0);
    return NULL;
}

/* A client with this priority, whose request is in the queue. */
static pthread_t queue_one(long priority) {
    pthread_t thread = start(client, (void *)priority);
    until_it_waits();
    return thread;
}

int main(void) {
    chid = new_channel(0);
    coid = connect_to(chid);
    union any in;

    /* What a pulse is. */
    OK(MsgSendPulse(coid, -1, 5, -7));
    struct _msg_info info;
    IS(receive(chid, &in, &info), 0);
    CHECK(in.pulse.code == 5 && in.pulse.value.sival_int == -7);
    CHECK(in.pulse.scoid == 0x10001 && info.priority == 10 && info.pid == getpid());
    CHECK(sizeof in.pulse == 24);
    OK(MsgSendPulsePtr(coid, 3, 127, &in));
    IS(receive(chid, &in, NULL), 0);
    CHECK(in.pulse.value.sival_ptr == &in && in.pulse.code == 127);

    /* The highest first, and in their order within one priority. 0 is 1. */
    OK(MsgSendPulse(coid, 0, 1, 1));
    OK(MsgSendPulse(coid, 5, 1, 2));
    OK(MsgSendPulse(coid, 1, 1, 3));
    OK(MsgSendPulse(coid, 63, 1, 4));
    OK(MsgSendPulse(coid, 5, 1, 5));
    long order[] = {4, 2, 5, 1, 3};
    for (int i = 0; i < 5; i++) pulse_is(chid, 1, order[i]);

    /* Messages stand among them. */
    pthread_t low = queue_one(4), high = queue_one(40);
    OK(MsgSendPulse(coid, 20, 1, 20));
    OK(MsgSendPulse(coid, 2, 1, 2));
    rcvid_t first = receive(chid, &in, &info);
    CHECK(first > 0 && info.priority == 40 && *(long *)&in == 40);
    CHECK(pillarbox_qnx_effective_priority() == 40);
    pulse_is(chid, 1, 20);
    CHECK(pillarbox_qnx_effective_priority() == 20);

    /* Pulses alone: messages stay. */
    IS(MsgReceivePulse(chid, &in, sizeof in, NULL), 0);
    CHECK(in.pulse.value.sival_int == 2);
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, NULL, NULL) != -1);
    FAILS(MsgReceivePulse(chid, &in, sizeof in, NULL), ETIMEDOUT);
    rcvid_t second = receive(chid, &in, &info);
    CHECK(second > 0 && second != first && info.priority == 4);
    OK(MsgReply(first, 0, NULL, 0));
    OK(MsgReply(second, 0, NULL, 0));
    pthread_join(low, NULL);
    pthread_join(high, NULL);

    /* Arguments in the wrong order are a priority and a code all the same. */
    for (int i = 0; i < 7; i++) OK(MsgSendPulse(coid, 7, 0, 0));
    for (int i = 0; i < 7; i++) pulse_is(chid, 0, 0);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);

    /* Too little room: the pulse is lost. */
    OK(MsgSendPulse(coid, -1, 1, 1));
    OK(MsgSendPulse(coid, -1, 1, 2));
    FAILS(MsgReceive(chid, &in, 8, NULL), EFAULT);
    pulse_is(chid, 1, 2);

    FAILS(MsgSendPulse(coid, 256, 1, 1), EINVAL);
    FAILS(MsgSendPulse(coid, -2, 1, 1), EINVAL);
    FAILS(MsgSendPulse(coid, 1, 300, 1), EINVAL);
    FAILS(MsgSendPulse(coid + 1, 1, 1, 1), EBADF);
    IS(MsgSendPulse_r(coid + 1, 1, 1, 1), -EBADF);

    /* Nobody reads: at last there is no room, and it is told at once. */
    int sent = 0;
    while (MsgSendPulse(coid, 1, 1, sent) == 0) sent++;
    CHECK(errno == EAGAIN && sent >= 1000);
    for (int i = 0; i < sent; i++) pulse_is(chid, 1, i);
    OK(MsgSendPulse(coid, 1, 1, 1));
    return 0;
}
