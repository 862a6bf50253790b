/* Who was given the port of a task acts on the names of that task, whatever its threads do
   meanwhile; and hears of it when the task is stopped, or has ended. */
#include "check.h"

#include <pthread.h>
#include <servers/bootstrap.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SERVICE "org.example.owner"

typedef struct {
    mach_msg_header_t head;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t task;
    mach_port_name_t name;
    mach_msg_max_trailer_t trailer;
} given_t;

/* What the child is told through a pipe: nobody of it waits at a port. */
static int to_child[2], from_child[2];

static void say(int to, unsigned word) { CHECK(write(to, &word, 4) == 4); }

static unsigned hear(int from) {
    unsigned word = 0;
    CHECK(read(from, &word, 4) == 4);
    return word;
}

/* Gives its own port away, with the name of a port that it has. */
static void child(void) {
    mach_port_t post, own = new_port();
    given_t given;
    plain_t in;
    /* It ends with the other. */
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() != 1);
    memset(&given, 0, sizeof given);
    OK(bootstrap_look_up(bootstrap_port, SERVICE, &post));
    given.head.msgh_bits = MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND, 0);
    given.head.msgh_remote_port = post;
    given.body.msgh_descriptor_count = 1;
    given.task.name = mach_task_self();
    given.task.disposition = MACH_MSG_TYPE_COPY_SEND;
    given.task.type = MACH_MSG_PORT_DESCRIPTOR;
    given.name = own;
    OK(mach_msg(&given.head, MACH_SEND_MSG, sizeof given - sizeof given.trailer, 0, 0, 0, 0));

    /* A right that was put here is a right like any other. */
    mach_port_t put = hear(to_child[0]);
    CHECK(type_of(put) == MACH_PORT_TYPE_SEND && refs_of(put, MACH_PORT_RIGHT_SEND) == 1);
    OK(send_word(put, MACH_MSG_TYPE_COPY_SEND, 11, 0));
    mach_port_t once = hear(to_child[0]);
    CHECK(type_of(once) == MACH_PORT_TYPE_SEND_ONCE);
    OK(send_word(once, MACH_MSG_TYPE_MOVE_SEND_ONCE, 12, 0));
    /* What was sent on a right that was taken here arrives. */
    hear(to_child[0]);
    OK(take(own, &in));
    CHECK(in.head.msgh_id == 13);
    say(from_child[1], 1);
    for (;;) pause();
}

static mach_port_t task;
static mach_port_name_t there;

/* 2.7: names are made, counted and dropped there. */
static void names_are_made_and_dropped_there(void) {
    mach_port_t made = 0;
    mach_port_urefs_t refs = 9;
    mach_port_type_t kind = 0;
    OK(mach_port_type(task, there, &kind));
    CHECK(kind == MACH_PORT_TYPE_RECEIVE);
    OK(mach_port_allocate(task, MACH_PORT_RIGHT_RECEIVE, &made));
    CHECK(type_of(made) == 0);
    OK(mach_port_get_refs(task, made, MACH_PORT_RIGHT_RECEIVE, &refs));
    CHECK(refs == 1);
    IS(mach_port_allocate_name(task, MACH_PORT_RIGHT_DEAD_NAME, made), KERN_NAME_EXISTS);
    IS(mach_port_deallocate(task, made), KERN_INVALID_RIGHT);
    IS(mach_port_mod_refs(task, made, MACH_PORT_RIGHT_SEND, 1), KERN_INVALID_RIGHT);
    OK(mach_port_mod_refs(task, made, MACH_PORT_RIGHT_RECEIVE, -1));
    IS(mach_port_type(task, made, &kind), KERN_INVALID_NAME);
    OK(mach_port_allocate_name(task, MACH_PORT_RIGHT_DEAD_NAME, made));
    OK(mach_port_mod_refs(task, made, MACH_PORT_RIGHT_DEAD_NAME, 4));
    OK(mach_port_get_refs(task, made, MACH_PORT_RIGHT_DEAD_NAME, &refs));
    CHECK(refs == 5);
    OK(mach_port_destroy(task, made));
    IS(mach_port_deallocate(task, made), KERN_INVALID_NAME);
    IS(mach_port_allocate(task, 9, &made), KERN_INVALID_VALUE);
    /* What cannot be told is undone there. */
    IS(mach_port_allocate(task, MACH_PORT_RIGHT_RECEIVE, (mach_port_t *)8), KERN_INVALID_ADDRESS);
}

static unsigned count_names(int *found) {
    mach_port_name_array_t names;
    mach_port_type_array_t types;
    mach_msg_type_number_t count, types_count;
    OK(mach_port_names(task, &names, &count, &types, &types_count));
    CHECK(count == types_count);
    *found = 0;
    for (unsigned i = 0; i < count; i++)
        *found += names[i] == there && types[i] == MACH_PORT_TYPE_RECEIVE;
    OK(vm_deallocate(SELF, (vm_address_t)names, count * sizeof *names));
    OK(vm_deallocate(SELF, (vm_address_t)types, count * sizeof *types));
    return count;
}

/* 2.7, 2.8: its names are listed; its ports are asked about, and put into its sets. */
static void names_are_listed(void) {
    int found;
    mach_port_t set = 0;
    mach_port_name_array_t members;
    mach_msg_type_number_t count = 0;
    mach_port_status_t status;
    mach_port_limits_t limits = {7};
    unsigned before = count_names(&found);
    CHECK(found == 1 && before >= 3);
    OK(mach_port_allocate(task, MACH_PORT_RIGHT_PORT_SET, &set));
    CHECK(count_names(&found) == before + 1);
    OK(mach_port_insert_member(task, there, set));
    IS(mach_port_insert_member(task, there, set), KERN_ALREADY_IN_SET);
    OK(mach_port_get_set_status(task, set, &members, &count));
    CHECK(count == 1 && members[0] == there);
    OK(vm_deallocate(SELF, (vm_address_t)members, count * sizeof *members));
    OK(mach_port_move_member(task, there, MACH_PORT_NULL));
    IS(mach_port_extract_member(task, there, set), KERN_NOT_IN_SET);
    OK(mach_port_mod_refs(task, set, MACH_PORT_RIGHT_PORT_SET, -1));
    count = MACH_PORT_LIMITS_INFO_COUNT;
    OK(mach_port_set_attributes(task, there, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits,
                                count));
    count = MACH_PORT_RECEIVE_STATUS_COUNT;
    OK(mach_port_get_attributes(task, there, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status,
                                &count));
    CHECK(status.mps_qlimit == 7 && status.mps_msgcount == 0 && !status.mps_srights);
    limits.mpl_qlimit = 5000;
    IS(mach_port_set_attributes(task, there, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits, 1),
       KERN_INVALID_VALUE);
    CHECK(count_names(&found) == before);
}

/* 2.7: a right of the caller's is given a name there. */
static void rights_are_put_there(void) {
    mach_port_t inbox = new_port(), other = new_port(), name = 0, once = 0;
    mach_port_urefs_t refs;
    plain_t in;
    OK(mach_port_allocate(task, MACH_PORT_RIGHT_DEAD_NAME, &name));
    OK(mach_port_allocate(task, MACH_PORT_RIGHT_DEAD_NAME, &once));
    IS(mach_port_insert_right(task, name, inbox, MACH_MSG_TYPE_MAKE_SEND), KERN_NAME_EXISTS);
    OK(mach_port_deallocate(task, name));
    OK(mach_port_deallocate(task, once));
    OK(mach_port_insert_right(task, name, inbox, MACH_MSG_TYPE_MAKE_SEND));
    OK(mach_port_insert_right(task, name, inbox, MACH_MSG_TYPE_MAKE_SEND));
    OK(mach_port_get_refs(task, name, MACH_PORT_RIGHT_SEND, &refs));
    CHECK(refs == 2);
    OK(mach_port_mod_refs(task, name, MACH_PORT_RIGHT_SEND, -1));
    IS(mach_port_insert_right(task, once, inbox, MACH_MSG_TYPE_MAKE_SEND), KERN_RIGHT_EXISTS);
    IS(mach_port_insert_right(task, name, other, MACH_MSG_TYPE_MAKE_SEND), KERN_NAME_EXISTS);
    IS(mach_port_insert_right(task, MACH_PORT_NULL, inbox, MACH_MSG_TYPE_MAKE_SEND),
       KERN_INVALID_VALUE);
    IS(mach_port_insert_right(task, once, MACH_PORT_DEAD, MACH_MSG_TYPE_COPY_SEND),
       KERN_INVALID_CAPABILITY);
    IS(mach_port_insert_right(task, once, 0x12345603, MACH_MSG_TYPE_COPY_SEND),
       KERN_INVALID_NAME);
    say(to_child[1], name);
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, inbox, 0, 0));
    CHECK(in.head.msgh_id == 11);
    OK(mach_port_insert_right(task, once, other, MACH_MSG_TYPE_MAKE_SEND_ONCE));
    say(to_child[1], once);
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, other, 0, 0));
    CHECK(in.head.msgh_id == 12);
    /* 6.19: what a call that fails was given is used: a send-once right says so. */
    IS(mach_port_insert_right(task, there, other, MACH_MSG_TYPE_MAKE_SEND_ONCE),
       KERN_NAME_EXISTS);
    OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, other, 0, 0));
    CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    OK(mach_port_destroy(task, name));
}

/* 2.7: a right is taken from there, or made. */
static void rights_are_taken_from_there(void) {
    mach_port_t taken = 0, again = 0;
    mach_msg_type_name_t kind = 0;
    IS(mach_port_extract_right(task, there, MACH_MSG_TYPE_COPY_SEND, &taken, &kind),
       KERN_INVALID_RIGHT);
    IS(mach_port_extract_right(task, MACH_PORT_NULL, MACH_MSG_TYPE_COPY_SEND, &taken, &kind),
       KERN_INVALID_RIGHT);
    IS(mach_port_extract_right(task, there, 3, &taken, &kind), KERN_INVALID_VALUE);
    IS(mach_port_extract_right(task, 0x12345603, MACH_MSG_TYPE_COPY_SEND, &taken, &kind),
       KERN_INVALID_NAME);
    OK(mach_port_extract_right(task, there, MACH_MSG_TYPE_MAKE_SEND, &taken, &kind));
    CHECK(kind == MACH_MSG_TYPE_PORT_SEND && type_of(taken) == MACH_PORT_TYPE_SEND);
    OK(mach_port_extract_right(task, there, MACH_MSG_TYPE_MAKE_SEND, &again, &kind));
    CHECK(again == taken && refs_of(taken, MACH_PORT_RIGHT_SEND) == 2);
    OK(send_word(taken, MACH_MSG_TYPE_COPY_SEND, 13, 0));
    say(to_child[1], 0);
    CHECK(hear(from_child[0]) == 1);
}

/* What is no task, or none any more. */
static void what_is_no_task_is_told(void) {
    mach_port_t port = new_port_with_send(), made;
    IS(mach_port_allocate(port, MACH_PORT_RIGHT_RECEIVE, &made), KERN_INVALID_TASK);
    IS(mach_port_allocate(mach_host_self(), MACH_PORT_RIGHT_RECEIVE, &made), KERN_INVALID_TASK);
    IS(mach_port_allocate(0x12345603, MACH_PORT_RIGHT_RECEIVE, &made), KERN_INVALID_TASK);
    IS(mach_port_insert_right(port, 0x12345603, port, MACH_MSG_TYPE_MAKE_SEND),
       KERN_INVALID_TASK);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 1);
}

static void *asks_meanwhile(void *code) {
    mach_port_type_t kind;
    *(kern_return_t *)code = mach_port_type(task, there, &kind);
    return 0;
}

/* A task that is stopped keeps nobody waiting for ever, and does nothing of it later; one that
   is killed meanwhile ends the wait. */
static void a_task_that_stops_or_ends_is_told(pid_t pid) {
    int found, ended;
    mach_port_t made, name;
    mach_port_type_t kind;
    kern_return_t code = KERN_SUCCESS;
    pthread_t asks;
    unsigned before = count_names(&found);
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &ended, WUNTRACED) == pid && WIFSTOPPED(ended));
    IS(mach_port_allocate(task, MACH_PORT_RIGHT_RECEIVE, &made), MACH_RCV_TIMED_OUT);
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(count_names(&found) == before);
    OK(mach_port_allocate(task, MACH_PORT_RIGHT_RECEIVE, &name));
    there = name;
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &ended, WUNTRACED) == pid && WIFSTOPPED(ended));
    CHECK(pthread_create(&asks, 0, asks_meanwhile, &code) == 0);
    usleep(20000);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &ended, 0) == pid);
    CHECK(pthread_join(asks, 0) == 0);
    /* The thread may not have asked before it was over. */
    CHECK(code == MIG_SERVER_DIED || code == MACH_SEND_INVALID_DEST);
    while (type_of(task) != MACH_PORT_TYPE_DEAD_NAME) usleep(1000);
    IS(mach_port_type(task, name, &kind), MACH_SEND_INVALID_DEST);
    IS(mach_port_insert_right(task, name, new_port(), MACH_MSG_TYPE_MAKE_SEND),
       MACH_SEND_INVALID_DEST);
}

int main(void) {
    mach_port_t port;
    given_t given;
    OK(bootstrap_check_in(bootstrap_port, SERVICE, &port));
    CHECK(pipe(to_child) == 0 && pipe(from_child) == 0);
    fflush(0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child();
        _exit(0);
    }
    OK(mach_msg(&given.head, MACH_RCV_MSG, 0, sizeof given, port, 0, 0));
    task = given.task.name;
    there = given.name;
    names_are_made_and_dropped_there();
    names_are_listed();
    rights_are_put_there();
    rights_are_taken_from_there();
    what_is_no_task_is_told();
    a_task_that_stops_or_ends_is_told(pid);
    return 0;
}
