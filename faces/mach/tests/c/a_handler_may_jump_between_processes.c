/* A handler that jumps out of a wait leaves nothing at another process, and who waits for
   that process waits on. */
#include "check.h"

#include "../../../jumps.h"

#include <servers/bootstrap.h>
#include <sys/wait.h>

#define SERVICE "org.example.jumps"
#define MANY 50

enum { SAY = 1, DRAIN, KEEP, END };

static tally_t taken = TALLY;
static volatile mach_port_t reply;

typedef struct {
    mach_msg_header_t head;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t ports[2];
    mach_msg_max_trailer_t trailer;
} ports_t;

/* Does what it is told at one port, and leaves another full. */
static void other(void) {
    mach_port_t to, told = new_port(), full = new_port();
    ports_t ports;
    plain_t in;
    OK(bootstrap_look_up(bootstrap_port, SERVICE, &to));
    memset(&ports, 0, sizeof ports);
    ports.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    ports.head.msgh_remote_port = to;
    ports.body.msgh_descriptor_count = 2;
    for (int i = 0; i < 2; i++) {
        ports.ports[i].name = i == 0 ? told : full;
        ports.ports[i].disposition = MACH_MSG_TYPE_MAKE_SEND;
        ports.ports[i].type = MACH_MSG_PORT_DESCRIPTOR;
    }
    OK(mach_msg(&ports.head, MACH_SEND_MSG, sizeof ports - sizeof ports.trailer, 0, 0, 0, 0));
    for (int said = 0;;) {
        OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, told, 0, 0));
        switch (in.head.msgh_id) {
        case SAY:
            OK(send_word(to, MACH_MSG_TYPE_COPY_SEND, said++, 0));
            break;
        case DRAIN: {
            int count = 0;
            while (mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, full, 100,
                            0) == KERN_SUCCESS) {
                CHECK(in.head.msgh_id == count);
                count++;
            }
            OK(send_word(to, MACH_MSG_TYPE_COPY_SEND, count, 0));
            break;
        }
        case KEEP:
            /* It is asked, and never answers. */
            CHECK(in.head.msgh_remote_port != MACH_PORT_NULL);
            break;
        default:
            return;
        }
    }
}

static void *takes_all(void *at) {
    plain_t in;
    for (int i = 0;; i++) {
        OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, *(mach_port_t *)at, 0, 0));
        if (in.head.msgh_id == -1) return 0;
        CHECK(in.head.msgh_id == i);
        count_one(&taken);
    }
}

static kern_return_t receive_at(mach_port_t from) {
    plain_t in;
    return mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, from, 0, 0);
}

/* Asks what is never answered. */
static kern_return_t ask(mach_port_t to) {
    plain_t word;
    memset(&word, 0, sizeof word);
    word.head.msgh_bits =
        MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    word.head.msgh_remote_port = to;
    word.head.msgh_local_port = reply;
    word.head.msgh_id = KEEP;
    return mach_msg(&word.head, MACH_SEND_MSG | MACH_RCV_MSG, sizeof word.head, sizeof word, reply,
                    0, 0);
}

/* How many send rights there are. */
static mach_port_rights_t given_away(mach_port_t port) {
    mach_port_rights_t rights = 9;
    OK(mach_port_get_srights(SELF, port, &rights));
    return rights;
}

/* Sends two rights, and one to answer. */
static kern_return_t send_ports(mach_port_t to, mach_port_t given, mach_port_t answer) {
    ports_t ports;
    memset(&ports, 0, sizeof ports);
    ports.head.msgh_bits =
        MACH_MSGH_BITS_COMPLEX |
        MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    ports.head.msgh_remote_port = to;
    ports.head.msgh_local_port = answer;
    ports.body.msgh_descriptor_count = 2;
    for (int i = 0; i < 2; i++) {
        ports.ports[i].name = i == 0 ? given : to;
        ports.ports[i].disposition = i == 0 ? MACH_MSG_TYPE_MAKE_SEND : MACH_MSG_TYPE_COPY_SEND;
        ports.ports[i].type = MACH_MSG_PORT_DESCRIPTOR;
    }
    return mach_msg(&ports.head, MACH_SEND_MSG, sizeof ports - sizeof ports.trailer, 0, 0, 0, 0);
}

int main(void) {
    mach_port_t port = MACH_PORT_NULL, silent = new_port();
    pthread_t waits;
    ports_t ports;
    plain_t in;
    int ended;
    OK(bootstrap_check_in(bootstrap_port, SERVICE, &port));
    fflush(0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        other();
        _exit(0);
    }
    this_thread_jumps();
    OK(mach_msg(&ports.head, MACH_RCV_MSG, 0, sizeof ports, port, 0, 0));
    mach_port_t told = ports.ports[0].name, full = ports.ports[1].name;

    /* One of the two threads that sleep sleeps for the task. It may be the one that jumps. */
    CHECK(pthread_create(&waits, 0, takes_all, &port) == 0);
    JUMPS_OUT_OF(receive_at(silent), {
        if (i_ % MANY == 0) {
            OK(send_word(told, MACH_MSG_TYPE_COPY_SEND, SAY, 0));
            until_counted(&taken, i_ / MANY + 1);
        }
    });
    OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, -1, 0));
    CHECK(pthread_join(waits, 0) == 0);

    /* There is no room, and nothing is sent of what was jumped out of. */
    for (int i = 0; i < 5; i++) OK(send_word(full, MACH_MSG_TYPE_COPY_SEND, i, 0));
    JUMPS_OUT_OF(send_word(full, MACH_MSG_TYPE_COPY_SEND, 7, 0), {});

    /* What it carries ends: who was to be answered is told, and nobody has a right more. */
    mach_port_t given = new_port(), answer = new_port();
    JUMPS_OUT_OF(send_ports(full, given, answer), {
        OK(take(answer, &in));
        CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
        CHECK(given_away(given) == 0);
    });
    IS(take(answer, &in), MACH_RCV_TIMED_OUT);
    OK(send_word(told, MACH_MSG_TYPE_COPY_SEND, DRAIN, 0));
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, port, 0, 0));
    CHECK(in.head.msgh_id == 5);
    for (int i = 0; i < 3; i++) OK(send_word(full, MACH_MSG_TYPE_COPY_SEND, i, 0));
    OK(send_word(told, MACH_MSG_TYPE_COPY_SEND, DRAIN, 0));
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, port, 0, 0));
    CHECK(in.head.msgh_id == 3);

    /* The question is sent, and its answer is not waited for any more. */
    reply = new_port();
    JUMPS_OUT_OF(ask(told), {
        OK(mach_port_mod_refs(SELF, reply, MACH_PORT_RIGHT_RECEIVE, -1));
        reply = new_port();
    });

    CHECK(refs_of(told, MACH_PORT_RIGHT_SEND) == 1 && refs_of(full, MACH_PORT_RIGHT_SEND) == 1);
    OK(send_word(told, MACH_MSG_TYPE_COPY_SEND, END, 0));
    CHECK(waitpid(child, &ended, 0) == child && ended == 0);
    return 0;
}
