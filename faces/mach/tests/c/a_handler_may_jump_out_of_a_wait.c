/* A handler that jumps out of each call that sleeps, ten thousand times, leaves a task
   that works, and nobody else waits in vain. */
#include "check.h"

#include "../../../jumps.h"

#include <mach/semaphore.h>
#include <mach/sync_policy.h>

/* So many jumps between two looks at who has waited all along. */
#define MANY 50

static tally_t taken = TALLY, signalled = TALLY, sent = TALLY;

static void *takes_all(void *at) {
    mach_port_t from = *(mach_port_t *)at;
    plain_t in;
    for (int i = 0;; i++) {
        OK(mach_msg(&in.head, MACH_RCV_MSG, 0, sizeof in, from, 0, 0));
        if (in.head.msgh_id == -1) return 0;
        CHECK(in.head.msgh_id == i);
        count_one(&taken);
    }
}

static void *waits_at_a_semaphore(void *at) {
    semaphore_t semaphore = *(semaphore_t *)at;
    for (;;) {
        kern_return_t ended = semaphore_wait(semaphore);
        if (ended == KERN_TERMINATED) return 0;
        OK(ended);
        count_one(&signalled);
    }
}

static void *sends_to_a_full_port(void *at) {
    OK(send_word(*(mach_port_t *)at, MACH_MSG_TYPE_COPY_SEND, 99, 0));
    count_one(&sent);
    return 0;
}

static kern_return_t receive_at(mach_port_t from, mach_msg_option_t options) {
    plain_t in;
    return mach_msg(&in.head, MACH_RCV_MSG | options, 0, sizeof in, from, 0, 0);
}

/* Somebody else waits at `from`, too, and takes all that is sent to `port`. */
static void out_of_receive(mach_port_t port, mach_port_t from, mach_msg_option_t options) {
    pthread_t waits;
    taken.count = 0;
    CHECK(pthread_create(&waits, 0, takes_all, &from) == 0);
    JUMPS_OUT_OF(receive_at(from, options), {
        if (i_ % MANY == 0) {
            OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, i_ / MANY, 0));
            until_counted(&taken, i_ / MANY + 1);
        }
    });
    OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, -1, 0));
    CHECK(pthread_join(waits, 0) == 0);
}

static unsigned names(void) {
    mach_port_name_array_t names;
    mach_port_type_array_t types;
    mach_msg_type_number_t count, also;
    OK(mach_port_names(SELF, &names, &count, &types, &also));
    OK(vm_deallocate(SELF, (vm_address_t)names, count * sizeof *names));
    OK(vm_deallocate(SELF, (vm_address_t)types, also * sizeof *types));
    return count;
}

/* Nothing is left of what was jumped out of. */
static void nobody_is_at(mach_port_t port, unsigned messages) {
    mach_port_status_t status;
    mach_msg_type_number_t count = MACH_PORT_RECEIVE_STATUS_COUNT;
    OK(mach_port_get_attributes(SELF, port, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status,
                                &count));
    CHECK(status.mps_msgcount == messages);
    CHECK(!status.mps_srights && status.mps_sorights == 0);
}

static kern_return_t send_large(mach_port_t to, mach_port_t carried) {
    struct {
        mach_msg_header_t head;
        mach_msg_body_t body;
        mach_msg_port_descriptor_t port;
        char rest[512];
    } message;
    memset(&message, 0, sizeof message);
    message.head.msgh_bits =
        MACH_MSGH_BITS_COMPLEX | MACH_MSGH_BITS(MACH_MSG_TYPE_MAKE_SEND, 0);
    message.head.msgh_remote_port = to;
    message.body.msgh_descriptor_count = 1;
    message.port.name = carried;
    message.port.disposition = MACH_MSG_TYPE_MAKE_SEND;
    message.port.type = MACH_MSG_PORT_DESCRIPTOR;
    return mach_msg(&message.head, MACH_SEND_MSG, sizeof message, 0, 0, 0, 0);
}

static void out_of_send(void) {
    mach_port_t full = new_port(), carried = new_port(), post = full;
    pthread_t waits;
    plain_t in;
    for (int i = 0; i < 5; i++) OK(send_word(full, MACH_MSG_TYPE_MAKE_SEND, i, 0));
    JUMPS_OUT_OF(send_word(full, MACH_MSG_TYPE_MAKE_SEND, 7, 0), {});
    nobody_is_at(full, 5);
    JUMPS_OUT_OF(send_word(full, MACH_MSG_TYPE_MAKE_SEND, 7, MACH_SEND_INTERRUPT), {});
    JUMPS_OUT_OF(send_large(full, carried), {});
    nobody_is_at(full, 5);
    nobody_is_at(carried, 0);
    /* Who came first to the line, and stood there all along, is let in. */
    OK(mach_port_insert_right(SELF, full, full, MACH_MSG_TYPE_MAKE_SEND));
    CHECK(pthread_create(&waits, 0, sends_to_a_full_port, &post) == 0);
    JUMPS_OUT_OF(send_word(full, MACH_MSG_TYPE_COPY_SEND, 7, 0), {});
    for (int i = 0; i < 5; i++) {
        OK(take(full, &in));
        CHECK(in.head.msgh_id == i);
        if (i == 0) until_counted(&sent, 1);
    }
    CHECK(pthread_join(waits, 0) == 0);
    OK(take(full, &in));
    CHECK(in.head.msgh_id == 99);
    IS(take(full, &in), MACH_RCV_TIMED_OUT);
    OK(mach_port_deallocate(SELF, full));
    nobody_is_at(full, 0);
    OK(mach_port_destroy(SELF, full));
    OK(mach_port_destroy(SELF, carried));
}

static kern_return_t call(mach_port_t to, mach_port_t reply) {
    plain_t m;
    memset(&m, 0, sizeof m);
    m.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_MAKE_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    m.head.msgh_remote_port = to;
    m.head.msgh_local_port = reply;
    return mach_msg(&m.head, MACH_SEND_MSG | MACH_RCV_MSG, 24, sizeof m, reply, 0, 0);
}

/* The server takes the request and answers nothing. */
static void out_of_a_call(void) {
    mach_port_t server = new_port(), reply = new_port();
    plain_t in;
    JUMPS_OUT_OF(call(server, reply), {
        OK(take(server, &in));
        OK(mach_port_deallocate(SELF, in.head.msgh_remote_port));
        OK(take(reply, &in));
        CHECK(in.head.msgh_id == MACH_NOTIFY_SEND_ONCE);
    });
    nobody_is_at(server, 0);
    nobody_is_at(reply, 0);
    OK(mach_port_destroy(SELF, server));
    OK(mach_port_destroy(SELF, reply));
}

static void out_of_a_semaphore(void) {
    semaphore_t semaphore;
    pthread_t waits;
    OK(semaphore_create(SELF, &semaphore, SYNC_POLICY_FIFO, 0));
    CHECK(pthread_create(&waits, 0, waits_at_a_semaphore, &semaphore) == 0);
    JUMPS_OUT_OF(semaphore_wait(semaphore), {
        if (i_ % MANY == 0) {
            OK(semaphore_signal(semaphore));
            until_counted(&signalled, i_ / MANY + 1);
        }
    });
    OK(semaphore_destroy(SELF, semaphore));
    CHECK(pthread_join(waits, 0) == 0);
}

int main(void) {
    mach_port_t port = new_port(), member = new_port(), set;
    plain_t in;
    this_thread_jumps();
    OK(mach_port_allocate(SELF, MACH_PORT_RIGHT_PORT_SET, &set));
    OK(mach_port_insert_member(SELF, member, set));
    unsigned before = names();
    out_of_receive(port, port, 0);
    out_of_receive(port, port, MACH_RCV_INTERRUPT);
    out_of_receive(member, set, 0);
    /* Asleep with nobody beside it: what comes is its own next time. */
    JUMPS_OUT_OF(receive_at(port, 0), {
        if (i_ % MANY == 0) {
            OK(send_word(port, MACH_MSG_TYPE_MAKE_SEND, 5, 0));
            OK(receive_at(port, 0));
        }
    });
    IS(take(port, &in), MACH_RCV_TIMED_OUT);
    IS(take(set, &in), MACH_RCV_TIMED_OUT);
    nobody_is_at(port, 0);
    nobody_is_at(member, 0);
    out_of_send();
    out_of_a_call();
    out_of_a_semaphore();
    CHECK(names() == before);
    OK(mach_port_destroy(SELF, port));
    OK(mach_port_destroy(SELF, set));
    OK(mach_port_destroy(SELF, member));
    return 0;
}
