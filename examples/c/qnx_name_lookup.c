/* A server with a name, and clients that find it: run it, and it starts its own. It needs
 * a bootstrap server: `pillarbox boot`.
 *
 *     cc qnx_name_lookup.c $(pkg-config --cflags --libs pillarbox-qnx) -o lookup
 */
#include <process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/dispatch.h>
#include <sys/neutrino.h>
#include <sys/wait.h>

#define NAME "org.example.thermometer"
#define CLIENTS 3

static int client(int number) {
    int coid, tries = 0;
    /* The server may not be there yet. */
    while ((coid = name_open(NAME, 0)) == -1) {
        if (errno != ENOENT || ++tries == 10000) {
            perror("name_open");
            return EXIT_FAILURE;
        }
        delay(1);
    }
    char answer[64];
    if (MsgSend(coid, &number, sizeof number, answer, sizeof answer) == -1) {
        perror("MsgSend");
        return EXIT_FAILURE;
    }
    printf("client %d: %s\n", number, answer);
    name_close(coid);
    return EXIT_SUCCESS;
}

int main(void) {
    for (int number = 1; number <= CLIENTS; number++) {
        if (fork() == 0) exit(client(number));
    }
    name_attach_t *attach = name_attach(NULL, NAME, 0);
    if (attach == NULL) {
        perror("name_attach: is the bootstrap server there?");
        return EXIT_FAILURE;
    }
    for (int gone = 0; gone < CLIENTS;) {
        union {
            int number;
            struct _pulse pulse;
        } message;
        struct _msg_info info;
        rcvid_t rcvid = MsgReceive(attach->chid, &message, sizeof message, &info);
        if (rcvid == -1) {
            perror("MsgReceive");
            return EXIT_FAILURE;
        }
        if (rcvid == 0) {
            switch (message.pulse.code) {
            case _PULSE_CODE_DISCONNECT:
                ConnectDetach(message.pulse.scoid);
                gone++;
                break;
            case _PULSE_CODE_UNBLOCK:
                MsgError(message.pulse.value.sival_int, -1);
                break;
            }
            continue;
        }
        char answer[64];
        snprintf(answer, sizeof answer, "%d degrees", 18 + message.number);
        MsgReply(rcvid, EOK, answer, strlen(answer) + 1);
    }
    int status = EXIT_SUCCESS, ended;
    while (wait(&ended) != -1)
        if (ended != 0) status = EXIT_FAILURE;
    name_detach(attach, 0);
    return status;
}
