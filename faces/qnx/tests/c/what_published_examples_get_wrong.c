/* What published examples get wrong, and what they see: docs/porting-from-qnx.md. */
#include "check.h"

static int chid, coid;

static void pulse_arguments_in_the_wrong_order(void) {
    union any in;
    struct _msg_info info;
    OK(MsgSendPulse(coid, 7, 0, 0));
    IS(receive(chid, &in, &info), 0);
    CHECK(in.pulse.code == 0 && in.pulse.value.sival_int == 0 && info.priority == 7);
}

static void process_0_is_this_one(void) {
    int connection = ConnectAttach(0, 0, chid, _NTO_SIDE_CHANNEL, 0);
    struct _server_info info;
    IS(ConnectServerInfo(0, connection, &info), connection);
    CHECK(info.pid == getpid());
    OK(ConnectDetach(connection));
    FAILS(ConnectAttach(0, 0, chid + 1, _NTO_SIDE_CHANNEL, 0), ESRCH);
}

static void the_arguments_of_another_send(void) {
    iov_t parts[1];
    char reply[96];
    memset(reply, 'r', sizeof reply);
    SETIOV(&parts[0], "text", 4);
    /* Text is no list of parts: what it would list is nowhere, or longer than memory. */
    CHECK(MsgSendv(coid, parts, 1, (iov_t *)(void *)reply, sizeof reply / sizeof(iov_t)) == -1);
    CHECK(errno == EFAULT || errno == EOVERFLOW);
    union any in;
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
}

static void a_buffer_too_small_for_a_pulse(void) {
    uint16_t type;
    union any in;
    OK(MsgSendPulse(coid, 10, 1, 1));
    FAILS(MsgReceive(chid, &type, sizeof type, NULL), EFAULT);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);
}

static void a_reply_to_a_pulse(void) {
    union any in;
    OK(MsgSendPulse(coid, 10, 1, 1));
    rcvid_t rcvid = receive(chid, &in, NULL);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
}

static void *sees_minus_one(void *none) {
    (void)none;
    errno = 0;
    CHECK(MsgSend(coid, "x", 1, NULL, 0) == -1 && errno == 0);
    return NULL;
}

static void a_negative_status(void) {
    union any in;
    pthread_t thread = start(sees_minus_one, NULL);
    OK(MsgReply(receive(chid, &in, NULL), -1, NULL, 0));
    pthread_join(thread, NULL);
}

static volatile int done;

static void *waits_on(void *states) {
    uint64_t soon = 5000000;
    long got;
    /* Again until it was received in time. */
    do {
        CHECK(TimerTimeout(CLOCK_MONOTONIC, (int)(long)states, NULL, &soon, NULL) != -1);
        got = MsgSend(coid, "x", 1, NULL, 0);
    } while (got == -1 && errno == ETIMEDOUT);
    CHECK(got == 3);
    done = 1;
    return NULL;
}

static void no_answer_to_unblock(void) {
    int asks = new_channel(_NTO_CHF_UNBLOCK), before = coid;
    coid = connect_to(asks);
    union any in;
    done = 0;
    pthread_t thread = start(waits_on, (void *)(_NTO_TIMEOUT_SEND | _NTO_TIMEOUT_REPLY));
    rcvid_t rcvid = receive(asks, &in, NULL);
    pulse_is(asks, _PULSE_CODE_UNBLOCK, rcvid);
    CHECK(!done);
    OK(MsgReply(rcvid, 3, NULL, 0));
    pthread_join(thread, NULL);
    coid = before;
}

static void only_the_time_to_be_received(void) {
    union any in;
    done = 0;
    pthread_t thread = start(waits_on, (void *)_NTO_TIMEOUT_SEND);
    rcvid_t rcvid = receive(chid, &in, NULL);
    usleep(50000);
    CHECK(!done);
    OK(MsgReply(rcvid, 3, NULL, 0));
    pthread_join(thread, NULL);
}

static void a_number_never_detached(void) {
    int tells = new_channel(_NTO_CHF_DISCONNECT), last = 0;
    for (int round = 0; round < 3; round++) {
        OK(ConnectDetach(connect_to(tells)));
        int scoid = pulse_is(tells, _PULSE_CODE_DISCONNECT, 0).scoid;
        CHECK(scoid > last);
        last = scoid;
    }
    OK(ConnectDetach(last));
    OK(ConnectDetach(connect_to(tells)));
    CHECK(pulse_is(tells, _PULSE_CODE_DISCONNECT, 0).scoid == last);
}

int main(void) {
    chid = new_channel(0);
    coid = connect_to(chid);
    pulse_arguments_in_the_wrong_order();
    process_0_is_this_one();
    the_arguments_of_another_send();
    a_buffer_too_small_for_a_pulse();
    a_reply_to_a_pulse();
    a_negative_status();
    no_answer_to_unblock();
    only_the_time_to_be_received();
    a_number_never_detached();
    return 0;
}
