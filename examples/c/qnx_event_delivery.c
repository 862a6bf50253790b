/* A client that asks to be told later: it registers an event, the server answers at once
 * and delivers the event when it has something to say. It needs a bootstrap server:
 * `pillarbox boot`.
 *
 *     cc qnx_event_delivery.c $(pkg-config --cflags --libs pillarbox-qnx) -o event
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/iomsg.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>
#include <sys/wait.h>
#include <unistd.h>

#define MSG_TELL_ME (_IO_MAX + 1)
#define PULSE_NEWS (_PULSE_CODE_MINAVAIL + 3)

typedef struct {
    uint16_t type;
    struct sigevent event;
} tell_me_t;

static int client(pid_t server, int chid_of_server) {
    int coid = ConnectAttach(ND_LOCAL_NODE, server, chid_of_server, _NTO_SIDE_CHANNEL, 0);
    int chid = ChannelCreate(_NTO_CHF_PRIVATE);
    int self = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0);
    if (coid == -1 || self == -1) {
        perror("client: ConnectAttach");
        return EXIT_FAILURE;
    }
    tell_me_t message = {.type = MSG_TELL_ME};
    SIGEV_PULSE_INIT(&message.event, self, SIGEV_PULSE_PRIO_INHERIT, PULSE_NEWS, 0);
    SIGEV_MAKE_UPDATEABLE(&message.event);
    if (MsgRegisterEvent(&message.event, coid) == -1 ||
        MsgSend(coid, &message, sizeof message, NULL, 0) == -1) {
        perror("client: asking");
        return EXIT_FAILURE;
    }
    for (int news = 0; news < 3; news++) {
        struct _pulse pulse;
        if (MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == -1) return EXIT_FAILURE;
        printf("client: news %d: %d\n", news, pulse.value.sival_int);
    }
    return EXIT_SUCCESS;
}

int main(void) {
    int chid = ChannelCreate(0);
    pid_t server = getpid();
    if (fork() == 0) exit(client(server, chid));
    tell_me_t message;
    rcvid_t rcvid = MsgReceive(chid, &message, sizeof message, NULL);
    if (rcvid <= 0 || message.type != MSG_TELL_ME ||
        MsgVerifyEvent(rcvid, &message.event) == -1) {
        perror("server: MsgReceive");
        return EXIT_FAILURE;
    }
    /* The client goes on; its number is good for news as long as it is there. */
    MsgReply(rcvid, EOK, NULL, 0);
    for (int news = 0; news < 3; news++) {
        message.event.sigev_value.sival_int = news * 100;
        if (MsgDeliverEvent(rcvid, &message.event) == -1) {
            perror("server: MsgDeliverEvent");
            return EXIT_FAILURE;
        }
    }
    int ended;
    wait(&ended);
    return ended == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
