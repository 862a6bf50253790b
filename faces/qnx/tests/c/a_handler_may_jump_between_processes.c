/* A handler that jumps out of a wait for another process leaves nothing there, and who
   waits for that process waits on. */
#include "check.h"

#include "../../../jumps.h"

#include <sys/wait.h>

#define MANY 50

static tally_t taken = TALLY;
static int chid;
static int asked[2], say[2], done[2];

/* A server that sends a pulse when it is told to, and answers what is not to be left. */
static void serves(void) {
    struct _msg_info info;
    union any in;
    char word;
    int number = 0;
    name_attach_t *attached = name_attach(NULL, "jumps", 0);
    CHECK(attached != NULL);
    CHECK(write(asked[1], "+", 1) == 1);
    int coid = ConnectAttach(ND_LOCAL_NODE, getppid(), chid, _NTO_SIDE_CHANNEL, 0);
    CHECK(coid != -1);
    while (read(say[0], &word, 1) == 1 && word == 'p') OK(MsgSendPulse(coid, -1, 1, number++));
    /* What was left is not there any more. */
    rcvid_t rcvid = receive(attached->chid, &in, &info);
    while (rcvid == 0) rcvid = receive(attached->chid, &in, &info);
    CHECK(strcmp(in.text, "last") == 0);
    OK(MsgReply(rcvid, 7, NULL, 0));
    CHECK(read(say[0], &word, 1) == 1);
    OK(name_detach(attached, 0));
}

static void *takes_all(void *unused) {
    struct _pulse pulse;
    (void)unused;
    for (int i = 0;; i++) {
        OK(MsgReceive(chid, &pulse, sizeof pulse, NULL));
        if (pulse.code == 2) return NULL;
        if (pulse.code != 1) {
            i--;
            continue;
        }
        CHECK(pulse.value.sival_int == i);
        count_one(&taken);
    }
}

int main(void) {
    char in[8], word;
    int ended;
    CHECK(pipe(asked) == 0 && pipe(say) == 0 && pipe(done) == 0);
    chid = new_channel(0);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        serves();
        _exit(0);
    }
    CHECK(read(asked[0], &word, 1) == 1);
    this_thread_jumps();
    int coid = name_open("jumps", 0), own = connect_to(chid);
    CHECK(coid != -1);
    pthread_t waits = start(takes_all, NULL);
    JUMPS_OUT_OF(MsgSend(coid, "left", 5, in, sizeof in), {
        if (i_ % MANY == 0) {
            CHECK(write(say[1], "p", 1) == 1);
            until_counted(&taken, i_ / MANY + 1);
        }
    });
    CHECK(write(say[1], "e", 1) == 1);
    IS(MsgSend(coid, "last", 5, in, sizeof in), 7);
    OK(MsgSendPulse(own, -1, 2, 0));
    CHECK(pthread_join(waits, NULL) == 0);

    /* A process that is stopped answers nobody: its name is there. */
    CHECK(kill(child, SIGSTOP) == 0);
    for (volatile int few = 0; few < 20; few++) {
        if (sigsetjmp(jump_back, 1) == 0) {
            may_jump = 1;
            IS(name_open("jumps", 0), -1);
        }
    }
    CHECK(kill(child, SIGCONT) == 0);
    int again = name_open("jumps", 0);
    CHECK(again != -1);
    name_close(again);
    name_close(coid);
    CHECK(write(say[1], "e", 1) == 1);
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    return 0;
}
