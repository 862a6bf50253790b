/* A navigator: who asks it by a message over a plain connection has it launch an app, and
 * the app tells it when it is up and when it goes. It needs a bootstrap server, so that the
 * others find its channel by the process and the number: `pillarbox boot`.
 *
 *     cc qnx_navigator.c $(pkg-config --cflags --libs pillarbox-qnx) -o navigator
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/iomsg.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above those of the system's own messages. */
#define NAVIGATOR_LAUNCH (_IO_MAX + 1)
#define NAVIGATOR_READY (_IO_MAX + 2)


typedef struct {
    uint16_t type;
    uint16_t subtype;
    char app[32];
} request_t;

typedef struct {
    pid_t pid;
    int screens;
} launched_t;

/* Nobody waits for one that could not do what it was for. */
static int gave_up(pid_t navigator, const char *what) {
    perror(what);
    kill(navigator, SIGTERM);
    return EXIT_FAILURE;
}

static int app(pid_t navigator, int chid, const char *name) {
    int coid = ConnectAttach(ND_LOCAL_NODE, navigator, chid, _NTO_SIDE_CHANNEL, 0);
    if (coid == -1) return gave_up(navigator, "the app cannot connect");
    request_t ready = {.type = NAVIGATOR_READY};
    strlcpy(ready.app, name, sizeof ready.app);
    int screen;
    if (MsgSend(coid, &ready, sizeof ready, &screen, sizeof screen) == -1)
        return gave_up(navigator, "the app cannot say that it is up");
    printf("%s: I have screen %d\n", name, screen);
    fflush(stdout);
    ConnectDetach(coid);
    return EXIT_SUCCESS;
}

static int user(pid_t navigator, int chid) {
    int coid = ConnectAttach(ND_LOCAL_NODE, navigator, chid, _NTO_SIDE_CHANNEL, 0);
    if (coid == -1) return gave_up(navigator, "the user cannot connect");
    request_t launch = {.type = NAVIGATOR_LAUNCH};
    launched_t launched;
    strlcpy(launch.app, "maps", sizeof launch.app);
    if (MsgSend(coid, &launch, sizeof launch, &launched, sizeof launched) == -1)
        return gave_up(navigator, "the user cannot launch an app");
    printf("user: %s was launched\n", launch.app);
    fflush(stdout);
    /* Of what is no app nothing comes but the error. */
    strlcpy(launch.app, "", sizeof launch.app);
    int again = MsgSend(coid, &launch, sizeof launch, &launched, sizeof launched);
    if (again != -1 || errno != ENOENT) return EXIT_FAILURE;
    ConnectDetach(coid);
    return EXIT_SUCCESS;
}

int main(void) {
    int chid = ChannelCreate(_NTO_CHF_DISCONNECT);
    if (chid == -1) {
        perror("ChannelCreate");
        return EXIT_FAILURE;
    }
    pid_t navigator = getpid();
    if (fork() == 0) exit(user(navigator, chid));
    int up = 0, gone = 0, screens = 0;
    while (gone < 2) {
        union {
            request_t request;
            struct _pulse pulse;
        } message;
        rcvid_t rcvid = MsgReceive(chid, &message, sizeof message, NULL);
        if (rcvid == -1) {
            perror("MsgReceive");
            return EXIT_FAILURE;
        }
        if (rcvid == 0) {
            if (message.pulse.code == _PULSE_CODE_DISCONNECT) {
                ConnectDetach(message.pulse.scoid);
                gone++;
            }
            continue;
        }
        request_t *request = &message.request;
        request->app[sizeof request->app - 1] = 0;
        switch (request->type) {
        case NAVIGATOR_LAUNCH: {
            if (request->app[0] == 0) {
                MsgError(rcvid, ENOENT);
                break;
            }
            pid_t pid = fork();
            if (pid == 0) exit(app(navigator, chid, request->app));
            launched_t launched = {pid, ++screens};
            if (pid == -1) {
                MsgError(rcvid, errno);
            } else {
                MsgReply(rcvid, EOK, &launched, sizeof launched);
            }
            break;
        }
        case NAVIGATOR_READY:
            up++;
            MsgReply(rcvid, EOK, &screens, sizeof screens);
            break;
        default:
            MsgError(rcvid, ENOSYS);
        }
    }
    int status = up == 1 ? EXIT_SUCCESS : EXIT_FAILURE, ended;
    while (wait(&ended) != -1)
        if (ended != 0) status = EXIT_FAILURE;
    ChannelDestroy(chid);
    return status;
}
