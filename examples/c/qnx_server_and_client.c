/* A server and a client: a message and its reply, and pulses.
 *
 *     cc qnx_server_and_client.c $(pkg-config --cflags --libs pillarbox-qnx) -o server
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/iomsg.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>

#define MSG_CHECKSUM (_IO_MAX + 1)
#define PULSE_STOP _PULSE_CODE_MINAVAIL

typedef struct {
    uint16_t type;
    char text[64];
} checksum_t;

typedef union {
    uint16_t type;
    checksum_t checksum;
    struct _pulse pulse;
} receive_t;

static void *server(void *chid) {
    for (;;) {
        receive_t message;
        rcvid_t rcvid = MsgReceive(*(int *)chid, &message, sizeof message, NULL);
        if (rcvid == -1) {
            perror("MsgReceive");
            exit(EXIT_FAILURE);
        }
        if (rcvid == 0) {
            printf("server: pulse %d with %d\n", message.pulse.code,
                   message.pulse.value.sival_int);
            if (message.pulse.code == PULSE_STOP) return NULL;
            continue;
        }
        if (message.type != MSG_CHECKSUM) {
            MsgError(rcvid, ENOSYS);
            continue;
        }
        int sum = 0;
        for (const char *at = message.checksum.text; *at != 0; at++) sum += *at;
        MsgReply(rcvid, EOK, &sum, sizeof sum);
    }
}

int main(void) {
    int chid = ChannelCreate(_NTO_CHF_PRIVATE);
    int coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0);
    if (chid == -1 || coid == -1) {
        perror("a channel and a connection");
        return EXIT_FAILURE;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, server, &chid);

    checksum_t message = {MSG_CHECKSUM, "add these up"};
    int sum = 0;
    if (MsgSend(coid, &message, sizeof message, &sum, sizeof sum) == -1) {
        perror("MsgSend");
        return EXIT_FAILURE;
    }
    printf("client: the sum is %d\n", sum);

    message.type = MSG_CHECKSUM + 1;
    if (MsgSend(coid, &message, sizeof message, NULL, 0) == -1)
        printf("client: %s\n", strerror(errno));

    MsgSendPulse(coid, SIGEV_PULSE_PRIO_INHERIT, 5, 42);
    MsgSendPulse(coid, SIGEV_PULSE_PRIO_INHERIT, PULSE_STOP, 0);
    pthread_join(thread, NULL);
    return EXIT_SUCCESS;
}
