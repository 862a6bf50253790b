/* The dashboard of a car, in five processes: the display, which is the server, and the CAN
 * bus, audio, navigation and the camera, which send it what it is to show. What the CAN bus
 * sends goes first, and when audio is killed and started again nobody else sees anything
 * of it. It needs a bootstrap server: `pillarbox boot`.
 *
 *     cc qnx_dashboard.c $(pkg-config --cflags --libs pillarbox-qnx) -o dashboard
 */
#include <process.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/dispatch.h>
#include <sys/neutrino.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "org.example.dashboard"
#define CLIENTS 4
#define CAN 0
#define AUDIO 1

/* How many of each are shown before audio is killed, at least, and after. */
#define BEFORE 200
#define AFTER 300

/* Rounds in which the display lets messages queue, at most. */
#define ROUNDS 200

/* The times of replies: one more place for each doubling, from 1 microsecond on. */
#define PLACES 20

static const char *const NAMES[CLIENTS] = {"CAN", "audio", "navigation", "camera"};
static const int PRIORITIES[CLIENTS] = {40, 10, 12, 12};

enum { HELLO, QUEUE, SHOW, DONE };

typedef struct {
    uint16_t type;
    uint16_t from;
    uint32_t number;
    uint32_t times[2][PLACES];
} update_t;

/* What the display says: whether audio was killed by now. */
typedef struct {
    int was_killed;
    int goes_on;
} shown_t;

static void failed(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void count(uint32_t *times, uint64_t ns) {
    int place = 0;
    for (uint64_t us = ns / 1000; us > 0 && place < PLACES - 1; us /= 2) place++;
    times[place]++;
}

/* What each of the four does: `gate` holds a byte for each that is about to queue. */
static int client(int which, int gate[2], int opens[2]) {
    struct sched_param param = {.sched_priority = PRIORITIES[which]};
    SchedSet(0, 0, SCHED_OTHER, &param);
    int coid, tries = 0;
    while ((coid = name_open(NAME, 0)) == -1) {
        if (errno != ENOENT || ++tries == 10000) failed("name_open");
        delay(1);
    }
    update_t update;
    shown_t shown;
    memset(&update, 0, sizeof update);
    update.type = HELLO;
    update.from = (uint16_t)which;
    if (MsgSend(coid, &update, sizeof update, &shown, sizeof shown) == -1) failed("MsgSend");
    while (shown.goes_on) {
        /* The bus speaks when the others are about to. */
        char byte;
        if (which == CAN) {
            for (int other = 0; other < 2; other++)
                if (read(gate[0], &byte, 1) != 1) failed("read");
            delay(5);
            if (write(opens[1], "", 1) != 1) failed("write");
        } else if (which != AUDIO && write(gate[1], "", 1) != 1) {
            failed("write");
        }
        if (which == AUDIO) break;
        update.type = QUEUE;
        if (MsgSend(coid, &update, sizeof update, &shown, sizeof shown) == -1) failed("MsgSend");
    }
    update.type = SHOW;
    for (int after = 0; after < AFTER; after += shown.was_killed, update.number++) {
        uint64_t before = now_ns();
        if (MsgSend(coid, &update, sizeof update, &shown, sizeof shown) == -1) failed("MsgSend");
        count(update.times[shown.was_killed], now_ns() - before);
    }
    update.type = DONE;
    if (MsgSend(coid, &update, sizeof update, &shown, sizeof shown) == -1) failed("MsgSend");
    name_close(coid);
    return EXIT_SUCCESS;
}

static int gate[2], opens[2];

static pid_t start(int which) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == -1) failed("fork");
    if (pid == 0) exit(client(which, gate, opens));
    return pid;
}

static name_attach_t *attach;

/* The next message that is none of the system's. */
static rcvid_t next(update_t *update, int *gone) {
    for (;;) {
        union {
            update_t update;
            struct _pulse pulse;
        } message;
        rcvid_t rcvid = MsgReceive(attach->chid, &message, sizeof message, NULL);
        if (rcvid == -1) failed("MsgReceive");
        if (rcvid > 0) {
            *update = message.update;
            return rcvid;
        }
        if (message.pulse.code == _PULSE_CODE_DISCONNECT) {
            ConnectDetach(message.pulse.scoid);
            ++*gone;
        }
    }
}

static void print(const char *name, const char *when, const uint32_t *times) {
    printf("%-10s %s:", name, when);
    for (int place = 0; place < PLACES; place++)
        if (times[place] > 0) printf(" <%luus %u", 1ul << place, times[place]);
    printf("\n");
}

int main(void) {
    pid_t pids[CLIENTS];
    update_t update;
    int gone = 0;
    if (pipe(gate) == -1 || pipe(opens) == -1) failed("pipe");
    for (int which = 0; which < CLIENTS; which++)
        if (which != AUDIO) pids[which] = start(which);
    attach = name_attach(NULL, NAME, 0);
    if (attach == NULL) failed("name_attach: is the bootstrap server there?");

    /* The display is at something else while three of them queue: the bus last. */
    shown_t shown = {0, 1};
    rcvid_t waiting[CLIENTS - 1];
    for (int here = 0; here < CLIENTS - 1; here++) waiting[here] = next(&update, &gone);
    for (int here = 0; here < CLIENTS - 1; here++)
        MsgReply(waiting[here], EOK, &shown, sizeof shown);
    int overtook = 0;
    for (int round = 0; shown.goes_on; round++) {
        char byte;
        if (read(opens[0], &byte, 1) != 1) failed("read");
        delay(20);
        for (int each = 0; each < CLIENTS - 1; each++) {
            waiting[each] = next(&update, &gone);
            if (each == 0 && update.from == CAN) overtook = 1;
        }
        shown.goes_on = !overtook && round < ROUNDS;
        for (int each = 0; each < CLIENTS - 1; each++)
            MsgReply(waiting[each], EOK, &shown, sizeof shown);
    }
    printf("the CAN bus %s\n", overtook ? "came last and was served first" : "waited");

    /* All of them now; and audio is killed and started again. */
    pids[AUDIO] = start(AUDIO);
    uint32_t seen[CLIENTS] = {0, 0, 0, 0};
    int done = 0, status = overtook ? EXIT_SUCCESS : EXIT_FAILURE;
    while (done < CLIENTS) {
        rcvid_t rcvid = next(&update, &gone);
        int from = update.from;
        if (update.type == SHOW && update.number != seen[from]) {
            printf("%s: %u came, and not %u\n", NAMES[from], update.number, seen[from]);
            status = EXIT_FAILURE;
        }
        if (update.type == SHOW) seen[from]++;
        if (update.type == DONE) {
            done++;
            if (from != AUDIO) print(NAMES[from], "before", update.times[0]);
            if (from != AUDIO) print(NAMES[from], "after ", update.times[1]);
        }
        MsgReply(rcvid, EOK, &shown, sizeof shown);
        int enough = 1;
        for (int which = 0; which < CLIENTS; which++) enough &= seen[which] >= BEFORE;
        if (enough && !shown.was_killed) {
            int ended;
            kill(pids[AUDIO], SIGKILL);
            if (waitpid(pids[AUDIO], &ended, 0) == -1 || !WIFSIGNALED(ended)) failed("waitpid");
            /* What it had sent is in the queue still: it is not what the next one sends. */
            while (gone == 0) {
                rcvid = next(&update, &gone);
                if (update.from != AUDIO) seen[update.from]++;
                MsgReply(rcvid, EOK, &shown, sizeof shown);
            }
            seen[AUDIO] = 0;
            shown.was_killed = 1;
            pids[AUDIO] = start(AUDIO);
        }
    }
    int ended;
    while (wait(&ended) != -1)
        if (ended != 0) status = EXIT_FAILURE;
    printf("audio was killed, and nobody else missed anything\n");
    name_detach(attach, 0);
    return status;
}
