/* A server whose clients have priorities: what waits is served in their order, and a
 * server runs for whom it serves.
 *
 *     cc qnx_priority_server.c $(pkg-config --cflags --libs pillarbox-qnx) -o priority
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>

#define CLIENTS 3

static int chid, coid;

static void *client(void *argument) {
    struct sched_param param = {.sched_priority = *(int *)argument};
    SchedSet(0, 0, SCHED_OTHER, &param);
    if (MsgSend(coid, argument, sizeof(int), NULL, 0) == -1) perror("MsgSend");
    return NULL;
}

int main(void) {
    chid = ChannelCreate(_NTO_CHF_PRIVATE);
    coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0);
    int priorities[CLIENTS] = {8, 30, 15};
    pthread_t threads[CLIENTS];
    for (int each = 0; each < CLIENTS; each++)
        pthread_create(&threads[each], NULL, client, &priorities[each]);
    /* While the server is at something else, they queue; and a pulse among them. */
    struct timespec busy = {0, 50000000};
    nanosleep(&busy, NULL);
    MsgSendPulse(coid, 20, _PULSE_CODE_MINAVAIL, 20);

    for (int served = 0; served < CLIENTS + 1; served++) {
        union {
            int priority;
            struct _pulse pulse;
        } message;
        struct _msg_info info;
        rcvid_t rcvid = MsgReceive(chid, &message, sizeof message, &info);
        if (rcvid == -1) {
            perror("MsgReceive");
            return EXIT_FAILURE;
        }
        printf("serving priority %d\n", info.priority);
        if (rcvid > 0) MsgReply(rcvid, EOK, NULL, 0);
    }
    for (int each = 0; each < CLIENTS; each++) pthread_join(threads[each], NULL);
    return EXIT_SUCCESS;
}
