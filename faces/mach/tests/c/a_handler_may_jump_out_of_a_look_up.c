/* A handler that jumps out of a look-up, while the service starts, leaves nobody waiting at
   the server. The service is this program, too: it checks in when it is told to. */
#include "check.h"

#include "../../../jumps.h"

#include <servers/bootstrap.h>
#include <sys/stat.h>

#define SERVICE "org.example.slow"

/* Checks in once somebody has opened the other end of `go`, and answers one message. */
static void serve(const char *go) {
    mach_port_t port;
    plain_t in;
    CHECK(open(go, O_RDONLY) >= 0);
    OK(bootstrap_check_in(bootstrap_port, SERVICE, &port));
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, port, 0, 0));
    OK(send_word(in.head.msgh_remote_port, MACH_MSG_TYPE_MOVE_SEND_ONCE, in.head.msgh_id + 1, 0));
}

int main(int count, char **words) {
    char go[4096];
    mach_port_t found = MACH_PORT_NULL, reply = mach_reply_port();
    plain_t word;
    if (count == 2) {
        serve(words[1]);
        return 0;
    }
    snprintf(go, sizeof go, "%s.go", getenv("PILLARBOX_SOCKET"));
    CHECK(mkfifo(go, 0600) == 0);
    IS(bootstrap_look_up(bootstrap_port, "org.example.nobody", &found), BOOTSTRAP_UNKNOWN_SERVICE);
    this_thread_jumps();
    JUMPS_OUT_OF(bootstrap_look_up(bootstrap_port, SERVICE, &found),
                 CHECK(found == MACH_PORT_NULL));

    /* More than a server lets one task wait for were jumped out of; one more may. */
    CHECK(open(go, O_WRONLY) >= 0);
    OK(bootstrap_look_up(bootstrap_port, SERVICE, &found));
    memset(&word, 0, sizeof word);
    word.head.msgh_bits =
        MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    word.head.msgh_remote_port = found;
    word.head.msgh_local_port = reply;
    word.head.msgh_id = 41;
    OK(mach_msg(&word.head, MACH_SEND_MSG | MACH_RCV_MSG, sizeof word.head, sizeof word, reply, 0,
                0));
    CHECK(word.head.msgh_id == 42);
    return 0;
}
