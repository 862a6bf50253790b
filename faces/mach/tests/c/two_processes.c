/* A service and its client in two processes: names, rights, memory, identity, death. */
#include "check.h"

#include <bsm/libbsm.h>
#include <pthread.h>
#include <servers/bootstrap.h>
#include <signal.h>
#include <sys/wait.h>

#define SERVICE "org.example.calculator"
#define REGISTERED "org.example.registered"

typedef struct {
    mach_msg_header_t head;
    int left, right;
    mach_msg_max_trailer_t trailer;
} sum_t;

typedef struct {
    mach_msg_header_t head;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t port;
    mach_msg_ool_descriptor_t memory;
    mach_msg_max_trailer_t trailer;
} gift_t;

#define GIFT (sizeof(gift_t) - sizeof(mach_msg_max_trailer_t))
#define LONG 200000
#define WAIT 60000

static void client(mach_port_t of_parent, mach_port_t self_of_parent) {
    /* Nothing of the parent's is ours, but the task and its bootstrap port. */
    CHECK(type_of(of_parent) == 0);
    CHECK(mach_task_self() == self_of_parent);
    mach_port_t server = MACH_PORT_NULL, again = MACH_PORT_NULL;
    IS(bootstrap_look_up(bootstrap_port, "org.example.nobody", &server),
       BOOTSTRAP_UNKNOWN_SERVICE);
    OK(bootstrap_look_up(bootstrap_port, SERVICE, &server));
    OK(bootstrap_look_up(bootstrap_port, SERVICE, &again));
    CHECK(server == again && type_of(server) == MACH_PORT_TYPE_SEND);
    CHECK(refs_of(server, MACH_PORT_RIGHT_SEND) == 2);

    /* A call, with a right to answer once. */
    mach_port_t reply = mach_reply_port();
    sum_t sum;
    memset(&sum, 0, sizeof sum);
    sum.head.msgh_bits =
        MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    sum.head.msgh_remote_port = server;
    sum.head.msgh_local_port = reply;
    sum.head.msgh_id = 100;
    sum.left = 40;
    sum.right = 2;
    OK(mach_msg(&sum.head, MACH_SEND_MSG | MACH_RCV_MSG | MACH_RCV_TIMEOUT, 32, sizeof sum, reply,
                WAIT, 0));
    CHECK(sum.head.msgh_id == 200 && sum.left == 42);
    CHECK(sum.head.msgh_bits == MACH_MSGH_BITS(0, MACH_MSG_TYPE_PORT_SEND_ONCE));

    /* A right to a port of ours, and memory; the server sends there. */
    mach_port_t mine = new_port();
    char *memory = malloc(LONG);
    memset(memory, 'm', LONG);
    gift_t gift;
    memset(&gift, 0, sizeof gift);
    gift.head.msgh_bits =
        MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    gift.head.msgh_remote_port = server;
    gift.head.msgh_id = 101;
    gift.body.msgh_descriptor_count = 2;
    gift.port.name = mine;
    gift.port.disposition = MACH_MSG_TYPE_MAKE_SEND;
    gift.port.type = MACH_MSG_PORT_DESCRIPTOR;
    gift.memory.address = memory;
    gift.memory.size = LONG;
    gift.memory.type = MACH_MSG_OOL_DESCRIPTOR;
    OK(mach_msg(&gift.head, MACH_SEND_MSG, GIFT, 0, 0, 0, 0));
    memset(memory, 'x', LONG);
    plain_t in;
    OK(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, mine, WAIT, 0));
    CHECK(in.head.msgh_id == 300);
    /* The right to it is still there: and dies with us. */
    kill(getpid(), SIGKILL);
}

static mach_port_t late;

static void *hears_late(void *unused) {
    (void)unused;
    plain_t in;
    OK(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, late, WAIT, 0));
    CHECK(in.head.msgh_id == MACH_NOTIFY_DEAD_NAME);
    return 0;
}

/* Who waits already when somebody asks for the first time hears of it all the same. */
static void news_of_a_later_request_wakes_who_waits(void) {
    mach_port_t theirs = MACH_PORT_NULL, before;
    pthread_t thread;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        mach_port_t mine;
        OK(bootstrap_check_in(bootstrap_port, "org.example.mortal", &mine));
        for (;;) pause();
    }
    for (int i = 0; theirs == MACH_PORT_NULL && i < 20000; i++) {
        if (bootstrap_look_up(bootstrap_port, "org.example.mortal", &theirs) != KERN_SUCCESS)
            usleep(1000);
    }
    CHECK(type_of(theirs) == MACH_PORT_TYPE_SEND);
    late = new_port();
    CHECK(pthread_create(&thread, 0, hears_late, 0) == 0);
    /* Whether it waits yet or only comes to. */
    usleep(20000);
    OK(mach_port_request_notification(SELF, theirs, MACH_NOTIFY_DEAD_NAME, 0, late,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(pthread_join(thread, 0) == 0);
    CHECK(waitpid(child, 0, 0) == child);
    OK(mach_port_destroy(SELF, theirs));
    OK(mach_port_destroy(SELF, late));
}

int main(void) {
    news_of_a_later_request_wakes_who_waits();
    mach_port_t server, notify = new_port(), second;
    OK(bootstrap_check_in(bootstrap_port, SERVICE, &server));
    CHECK(type_of(server) == MACH_PORT_TYPE_RECEIVE);
    IS(bootstrap_check_in(bootstrap_port, SERVICE, &second), BOOTSTRAP_SERVICE_ACTIVE);
    bootstrap_status_t status;
    OK(bootstrap_status(bootstrap_port, SERVICE, &status));
    CHECK(status == BOOTSTRAP_STATUS_ACTIVE);
    mach_port_t self = mach_task_self();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        client(server, self);
        _exit(0);
    }

    sum_t sum;
    OK(mach_msg(&sum.head,
                MACH_RCV_MSG | MACH_RCV_TIMEOUT |
                    MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT),
                0, sizeof sum, server, WAIT, 0));
    CHECK(sum.head.msgh_id == 100 && sum.left == 40 && sum.right == 2);
    CHECK(sum.head.msgh_bits ==
          MACH_MSGH_BITS(MACH_MSG_TYPE_PORT_SEND_ONCE, MACH_MSG_TYPE_PORT_SEND));
    mach_msg_audit_trailer_t *trailer = (void *)((char *)&sum + sum.head.msgh_size);
    CHECK(audit_token_to_pid(trailer->msgh_audit) == child);
    CHECK(audit_token_to_euid(trailer->msgh_audit) == geteuid());
    sum.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND_ONCE, 0);
    sum.head.msgh_local_port = MACH_PORT_NULL;
    sum.head.msgh_id = 200;
    sum.left += sum.right;
    OK(mach_msg(&sum.head, MACH_SEND_MSG, 32, 0, 0, 0, 0));

    gift_t gift;
    OK(mach_msg(&gift.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof gift, server, WAIT, 0));
    CHECK(gift.head.msgh_id == 101 && gift.body.msgh_descriptor_count == 2);
    CHECK(type_of(gift.port.name) == MACH_PORT_TYPE_SEND);
    CHECK(gift.memory.size == LONG);
    for (int i = 0; i < LONG; i++) CHECK(((char *)gift.memory.address)[i] == 'm');
    OK(vm_deallocate(SELF, (vm_address_t)gift.memory.address, gift.memory.size));
    mach_port_t theirs = gift.port.name, before;
    OK(mach_port_request_notification(SELF, theirs, MACH_NOTIFY_DEAD_NAME, 0, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    OK(send_word(theirs, MACH_MSG_TYPE_COPY_SEND, 300, 0));

    /* It is killed: its port is dead, and that is told. */
    plain_t in;
    OK(mach_msg(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, notify, WAIT, 0));
    CHECK(in.head.msgh_id == MACH_NOTIFY_DEAD_NAME && in.words[2] == theirs);
    CHECK(type_of(theirs) == MACH_PORT_TYPE_DEAD_NAME);
    CHECK(refs_of(theirs, MACH_PORT_RIGHT_DEAD_NAME) == 2);
    IS(send_word(theirs, MACH_MSG_TYPE_COPY_SEND, 1, 0), MACH_SEND_INVALID_DEST);
    int ended;
    CHECK(waitpid(child, &ended, 0) == child && WIFSIGNALED(ended));

    /* The name is free when its port is gone. */
    OK(mach_port_mod_refs(SELF, server, MACH_PORT_RIGHT_RECEIVE, -1));
    kern_return_t code;
    for (int i = 0; i < 1000; i++) {
        code = bootstrap_check_in(bootstrap_port, SERVICE, &server);
        if (code != BOOTSTRAP_SERVICE_ACTIVE) break;
        usleep(1000);
    }
    OK(code);

    /* A right is registered: who looks it up has one name for it, and it is taken back. */
    mach_port_t own = new_port_with_send(), found = MACH_PORT_NULL;
    OK(bootstrap_register(bootstrap_port, REGISTERED, own));
    IS(bootstrap_register(bootstrap_port, REGISTERED, own), BOOTSTRAP_SERVICE_ACTIVE);
    OK(bootstrap_look_up(bootstrap_port, REGISTERED, &found));
    CHECK(found == own);
    OK(bootstrap_register(bootstrap_port, REGISTERED, MACH_PORT_NULL));
    IS(bootstrap_look_up(bootstrap_port, REGISTERED, &found), BOOTSTRAP_UNKNOWN_SERVICE);
    IS(bootstrap_register(bootstrap_port, REGISTERED, 0x12345603), MACH_SEND_INVALID_RIGHT);
    return 0;
}
