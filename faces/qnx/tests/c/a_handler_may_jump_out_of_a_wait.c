/* A handler that jumps out of each call that sleeps, ten thousand times, leaves a process
   that works, and nobody else waits in vain. */
#include "check.h"

#include "../../../jumps.h"

#include <semaphore.h>

/* So many jumps between two looks at who has waited all along. */
#define MANY 50

static tally_t taken = TALLY, received = TALLY;
static int chid, pulses_only;

/* Takes all pulses that come. */
static void *takes_all(void *unused) {
    struct _pulse pulse;
    (void)unused;
    for (int i = 0;; i++) {
        if (pulses_only)
            OK(MsgReceivePulse(chid, &pulse, sizeof pulse, NULL));
        else
            OK(MsgReceive(chid, &pulse, sizeof pulse, NULL));
        if (pulse.code == 2) return NULL;
        CHECK(pulse.code == 1 && pulse.value.sival_int == i);
        count_one(&taken);
    }
}

static long receives(void) {
    union any in;
    return pulses_only ? MsgReceivePulse(chid, &in, sizeof in, NULL)
                       : MsgReceive(chid, &in, sizeof in, NULL);
}

static void out_of_receive(int only) {
    taken.count = 0;
    pulses_only = only;
    chid = new_channel(0);
    int coid = connect_to(chid);
    pthread_t waits = start(takes_all, NULL);
    JUMPS_OUT_OF(receives(), {
        if (i_ % MANY == 0) {
            OK(MsgSendPulse(coid, -1, 1, i_ / MANY));
            until_counted(&taken, i_ / MANY + 1);
        }
    });
    OK(MsgSendPulse(coid, -1, 2, 0));
    CHECK(pthread_join(waits, NULL) == 0);
    OK(ConnectDetach(coid));
    OK(ChannelDestroy(chid));
}

/* Nobody receives: what was left is nobody's, and who asks behind it is served. */
static void *asks(void *coid) {
    char in[8];
    IS(MsgSend(*(int *)coid, "last", 5, in, sizeof in), 7);
    return NULL;
}

static void out_of_send(void) {
    char in[8];
    union any got;
    chid = new_channel(0);
    int coid = connect_to(chid);
    JUMPS_OUT_OF(MsgSend(coid, "left", 5, in, sizeof in), {});
    pthread_t asking = start(asks, &coid);
    rcvid_t rcvid = receive(chid, &got, NULL);
    CHECK(strcmp(got.text, "last") == 0);
    OK(MsgReply(rcvid, 7, NULL, 0));
    CHECK(pthread_join(asking, NULL) == 0);
    FAILS(poll_channel(chid, &got), ETIMEDOUT);
    OK(ConnectDetach(coid));
    OK(ChannelDestroy(chid));
}

static sem_t left;

/* Receives, and replies when its client has left. */
static void *replies_late(void *unused) {
    union any in;
    (void)unused;
    for (;;) {
        rcvid_t rcvid = MsgReceive(chid, &in, sizeof in, NULL);
        CHECK(rcvid != -1);
        count_one(&received);
        if (strcmp(in.text, "left") == 0) {
            CHECK(sem_wait(&left) == 0);
            FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
        } else {
            OK(MsgReply(rcvid, 7, NULL, 0));
            return NULL;
        }
    }
}

/* Waits for a reply which does not come before it has left. */
static void is_left(int coid, int number) {
    char in[8];
    jump_when = number;
    (void)MsgSend(coid, "left", 5, in, sizeof in);
}

static void out_of_reply(unsigned flags) {
    char in[8];
    chid = new_channel(flags);
    received.count = jump_when = 0;
    jump_behind = &received.count;
    int coid = connect_to(chid);
    pthread_t server = start(replies_late, NULL);
    JUMPS_OUT_OF(is_left(coid, i_ + 1), CHECK(sem_post(&left) == 0));
    jump_behind = NULL;
    IS(MsgSend(coid, "last", 5, in, sizeof in), 7);
    CHECK(pthread_join(server, NULL) == 0);
    OK(ConnectDetach(coid));
    OK(ChannelDestroy(chid));
}

int main(void) {
    CHECK(sem_init(&left, 0, 0) == 0);
    this_thread_jumps();
    out_of_receive(0);
    out_of_receive(1);
    out_of_send();
    out_of_reply(0);
    out_of_reply(_NTO_CHF_UNBLOCK);
    return 0;
}
