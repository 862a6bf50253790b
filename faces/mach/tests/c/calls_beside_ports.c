/* Calls that programs make beside those about ports: looks, clocks, memory, threads. */
#include "check.h"

#include <bsm/libbsm.h>
#include <libkern/OSAtomic.h>
#include <mach/clock.h>
#include <mach/thread_policy.h>
#include <time.h>

static void a_right_is_made_by_qos(void) {
    mach_port_qos_t qos;
    mach_port_t made, chosen, other = MACH_PORT_NULL;
    memset(&qos, 0, sizeof qos);
    OK(mach_port_allocate_qos(SELF, MACH_PORT_RIGHT_RECEIVE, &qos, &made));
    CHECK(type_of(made) == MACH_PORT_TYPE_RECEIVE);
    /* A name that is free again may be asked for. */
    OK(mach_port_destroy(SELF, made));
    qos.name = 1;
    chosen = made;
    OK(mach_port_allocate_full(SELF, MACH_PORT_RIGHT_PORT_SET, MACH_PORT_NULL, &qos, &chosen));
    CHECK(chosen == made && type_of(made) == MACH_PORT_TYPE_PORT_SET);
    IS(mach_port_allocate_full(SELF, MACH_PORT_RIGHT_RECEIVE, MACH_PORT_NULL, &qos, &chosen),
       KERN_NAME_EXISTS);
    IS(mach_port_allocate_full(SELF, MACH_PORT_RIGHT_RECEIVE, chosen, &qos, &other),
       KERN_INVALID_VALUE);
    IS(mach_port_allocate_qos(SELF, MACH_PORT_RIGHT_SEND, &qos, &other), KERN_INVALID_VALUE);
    IS(mach_port_allocate_qos(SELF, MACH_PORT_RIGHT_RECEIVE, (void *)8, &other),
       KERN_INVALID_ADDRESS);
    OK(mach_port_destroy(SELF, made));
    IS(mach_port_rename(SELF, made, made + 0x100), MIG_BAD_ID);
}

static void a_look_leaves_the_message(void) {
    mach_port_t port = new_port_with_send();
    mach_msg_audit_trailer_t trailer;
    mach_port_seqno_t seqno = 0;
    mach_msg_size_t size = 0;
    mach_msg_id_t id = 0;
    mach_msg_type_number_t room = sizeof trailer;
    mach_msg_trailer_type_t audit = MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT);
    char *told = (char *)&trailer;
    plain_t in;
    IS(mach_port_peek(SELF, port, audit, &seqno, &size, &id, told, &room), KERN_FAILURE);
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 41, 0));
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 42, 0));
    OK(send_word(port, MACH_MSG_TYPE_COPY_SEND, 43, 0));
    OK(take(port, &in));
    OK(mach_port_peek(SELF, port, audit, &seqno, &size, &id, told, &room));
    CHECK(seqno == 1 && id == 42 && size == 28 && room == sizeof trailer);
    CHECK(audit_token_to_pid(trailer.msgh_audit) == getpid() && trailer.msgh_seqno == 1);
    seqno = 2;
    OK(mach_port_peek(SELF, port, audit, &seqno, &size, &id, told, &room));
    CHECK(seqno == 2 && id == 43);
    for (mach_port_seqno_t none = 3; none != 1; none = none == 3 ? 100 : none == 100 ? -1u : 1) {
        seqno = none;
        IS(mach_port_peek(SELF, port, audit, &seqno, &size, &id, told, &room), KERN_FAILURE);
    }
    seqno = 0;
    room = sizeof trailer - 4;
    IS(mach_port_peek(SELF, port, audit, &seqno, &size, &id, told, &room), KERN_INVALID_VALUE);
    room = 100;
    IS(mach_port_peek(SELF, port, MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_CTX), &seqno, &size,
                      &id, told, &room),
       KERN_INVALID_VALUE);
    IS(mach_port_peek(SELF, mach_task_self(), audit, &seqno, &size, &id, told, &room),
       KERN_INVALID_RIGHT);
    IS(mach_port_peek(SELF, 0, audit, &seqno, &size, &id, told, &room), KERN_INVALID_NAME);
    IS(mach_port_peek(SELF, port, audit, &seqno, &size, &id, (char *)8, &room),
       KERN_INVALID_ADDRESS);
    /* All is there still, in its order. */
    OK(take(port, &in));
    CHECK(in.head.msgh_id == 42);
    OK(take(port, &in));
    CHECK(in.head.msgh_id == 43);
    OK(mach_port_destroy(SELF, port));
}

static mach_port_t told_port, told_name;
static unsigned told_count;

kern_return_t do_mach_notify_dead_name(mach_port_t notify, mach_port_name_t name) {
    told_port = notify;
    told_name = name;
    return KERN_SUCCESS;
}

kern_return_t do_mach_notify_no_senders(mach_port_t notify, mach_port_mscount_t mscount) {
    told_port = notify;
    told_count = mscount;
    return KERN_FAILURE;
}

kern_return_t do_mach_notify_send_once(mach_port_t notify) {
    told_port = notify;
    told_name = 0;
    return KERN_SUCCESS;
}

static kern_return_t answered(mach_port_t notify, boolean_t known) {
    union {
        mig_reply_error_t error;
        plain_t plain;
    } reply;
    plain_t in;
    OK(take(notify, &in));
    CHECK(notify_server(&in.head, &reply.plain.head) == known);
    return reply.error.RetCode;
}

static void news_calls_the_function_that_is_for_it(void) {
    mach_port_t notify = new_port(), port = new_port_with_send(), before, once;
    mach_msg_type_name_t how;
    OK(mach_port_request_notification(SELF, port, MACH_NOTIFY_NO_SENDERS, 1, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_SEND, -1));
    CHECK(answered(notify, TRUE) == KERN_FAILURE && told_port == notify && told_count == 1);
    OK(mach_port_insert_right(SELF, port, port, MACH_MSG_TYPE_MAKE_SEND));
    OK(mach_port_request_notification(SELF, port, MACH_NOTIFY_DEAD_NAME, 0, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    OK(mach_port_mod_refs(SELF, port, MACH_PORT_RIGHT_RECEIVE, -1));
    CHECK(type_of(port) == MACH_PORT_TYPE_DEAD_NAME);
    CHECK(answered(notify, TRUE) == MIG_NO_REPLY && told_name == port);
    OK(mach_port_extract_right(SELF, notify, MACH_MSG_TYPE_MAKE_SEND_ONCE, &once, &how));
    OK(mach_port_deallocate(SELF, once));
    CHECK(answered(notify, TRUE) == MIG_NO_REPLY && told_name == 0);
    /* This program has no function for a name that goes. */
    OK(mach_port_extract_right(SELF, notify, MACH_MSG_TYPE_MAKE_SEND_ONCE, &once, &how));
    OK(mach_port_request_notification(SELF, once, MACH_NOTIFY_DEAD_NAME, 0, notify,
                                      MACH_MSG_TYPE_MAKE_SEND_ONCE, &before));
    OK(send_word(once, MACH_MSG_TYPE_MOVE_SEND_ONCE, 1, 0));
    CHECK(answered(notify, FALSE) == MIG_BAD_ID);
    CHECK(answered(notify, FALSE) == MIG_BAD_ID);
    /* What says it is news and is too short is none. */
    plain_t forged;
    mig_reply_error_t reply;
    memset(&forged, 0, sizeof forged);
    forged.head.msgh_id = MACH_NOTIFY_DEAD_NAME;
    forged.head.msgh_size = sizeof forged.head;
    CHECK(notify_server(&forged.head, (mach_msg_header_t *)&reply));
    CHECK(reply.RetCode == MIG_BAD_ARGUMENTS);
    CHECK(!notify_server((mach_msg_header_t *)8, (mach_msg_header_t *)&reply));
    OK(mach_port_destroy(SELF, notify));
}

static void a_trap_is_the_call(void) {
    mach_port_t port = new_port_with_send();
    plain_t message;
    memset(&message, 0, sizeof message);
    message.head.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0);
    message.head.msgh_remote_port = port;
    message.head.msgh_id = 7;
    OK(mach_msg_trap(&message.head, MACH_SEND_MSG, 28, 0, 0, 0, 0));
    plain_t in;
    OK(mach_msg_overwrite_trap(&message.head, MACH_RCV_MSG, 0, sizeof in, port, 0, 0, &in.head, 0));
    CHECK(in.head.msgh_id == 7 && in.head.msgh_local_port == port);
    IS(mach_msg_trap(&in.head, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, port, 0, 0),
       MACH_RCV_TIMED_OUT);
    OK(mach_port_destroy(SELF, port));
}

static void clocks_tell_the_time(void) {
    clock_serv_t going, calendar, again;
    mach_timespec_t one, two;
    OK(host_get_clock_service(mach_host_self(), SYSTEM_CLOCK, &going));
    OK(host_get_clock_service(mach_host_self(), CALENDAR_CLOCK, &calendar));
    OK(host_get_clock_service(mach_host_self(), CALENDAR_CLOCK, &again));
    CHECK(going != calendar && calendar == again && type_of(going) == MACH_PORT_TYPE_SEND);
    OK(clock_get_time(going, &one));
    OK(clock_get_time(going, &two));
    CHECK(two.tv_sec > one.tv_sec || (two.tv_sec == one.tv_sec && two.tv_nsec >= one.tv_nsec));
    OK(clock_get_time(calendar, &one));
    /* Whoever sets the clock meanwhile fails this. */
    CHECK(labs((long)one.tv_sec - (long)time(0)) < 1000);
    OK(mach_port_deallocate(SELF, calendar));
    OK(mach_port_deallocate(SELF, calendar));
    IS(clock_get_time(calendar, &one), KERN_INVALID_ARGUMENT);
    OK(host_get_clock_service(mach_host_self(), CALENDAR_CLOCK, &calendar));
    OK(clock_get_time(calendar, &one));
    IS(clock_get_time(mach_host_self(), &one), KERN_INVALID_ARGUMENT);
    IS(clock_get_time(going, (void *)8), KERN_INVALID_ADDRESS);
    IS(host_get_clock_service(mach_host_self(), 7, &again), KERN_INVALID_ARGUMENT);
    IS(host_get_clock_service(going, 0, &again), KERN_INVALID_HOST);
}

static void what_a_task_has_used_is_told(void) {
    struct mach_task_basic_info whole;
    task_basic_info_data_t old;
    struct task_basic_info_32 small;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    CHECK(count == 12);
    OK(task_info(SELF, MACH_TASK_BASIC_INFO, (task_info_t)&whole, &count));
    CHECK(count == 12 && whole.suspend_count == 0 && whole.policy == POLICY_TIMESHARE);
    CHECK(whole.virtual_size >= whole.resident_size && whole.resident_size > 0);
    CHECK(whole.resident_size_max > 0 && whole.user_time.microseconds < 1000000);
    count = TASK_BASIC_INFO_COUNT;
    OK(task_info(SELF, TASK_BASIC_INFO, (task_info_t)&old, &count));
    CHECK(count == TASK_BASIC_INFO_COUNT && old.virtual_size >= old.resident_size);
    count = TASK_BASIC_INFO_32_COUNT;
    OK(task_info(SELF, TASK_BASIC_INFO_32, (task_info_t)&small, &count));
    CHECK(count == 8 && small.policy == POLICY_TIMESHARE && small.resident_size > 0);
    count = 7;
    IS(task_info(SELF, TASK_BASIC_INFO_32, (task_info_t)&small, &count), KERN_INVALID_ARGUMENT);
}

static void memory_is_mapped(void) {
    mach_vm_address_t at = 0;
    mach_vm_size_t size = 3 * vm_page_size;
    mach_vm_offset_t mask = 0x1fffff;
    OK(mach_vm_map(SELF, &at, size, mask, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, FALSE,
                   VM_PROT_READ | VM_PROT_WRITE, VM_PROT_ALL, VM_INHERIT_COPY));
    CHECK(at != 0 && (at & mask) == 0);
    memset((void *)at, 'a', size);
    mach_vm_address_t copy = 0;
    vm_prot_t may = 0, most = 0;
    OK(mach_vm_remap(SELF, &copy, size, 0, VM_FLAGS_ANYWHERE, SELF, at, TRUE, &may, &most,
                     VM_INHERIT_COPY));
    CHECK(may == (VM_PROT_READ | VM_PROT_WRITE) && most == VM_PROT_ALL);
    memset((void *)at, 'b', size);
    CHECK(*(char *)copy == 'a' && ((char *)copy)[size - 1] == 'a');
    IS(mach_vm_remap(SELF, &copy, size, 0, VM_FLAGS_ANYWHERE, SELF, at, FALSE, &may, &most,
                     VM_INHERIT_COPY),
       KERN_NOT_SUPPORTED);
    /* Where something is, nothing is mapped. */
    mach_vm_address_t there = at;
    IS(mach_vm_map(SELF, &there, size, 0, VM_FLAGS_FIXED, MACH_PORT_NULL, 0, FALSE,
                   VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_COPY),
       KERN_NO_SPACE);
    CHECK(*(char *)at == 'b');
    OK(mach_vm_deallocate(SELF, at, size));
    OK(mach_vm_map(SELF, &there, size, 0, VM_FLAGS_FIXED, MACH_PORT_NULL, 0, FALSE,
                   VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_COPY));
    CHECK(there == at && *(char *)there == 0);
    OK(mach_vm_deallocate(SELF, there, size));
    OK(mach_vm_deallocate(SELF, copy, size));
    vm_address_t old = 0;
    IS(vm_map(SELF, &old, vm_page_size, 0, VM_FLAGS_ANYWHERE, mach_host_self(), 0, FALSE,
              VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_COPY),
       KERN_INVALID_ARGUMENT);
    IS(vm_map(SELF, &old, 0, 0, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, FALSE, VM_PROT_DEFAULT,
              VM_PROT_ALL, VM_INHERIT_COPY),
       KERN_INVALID_ARGUMENT);
    IS(vm_map(SELF, &old, ~0ul, 0, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, FALSE, VM_PROT_DEFAULT,
              VM_PROT_ALL, VM_INHERIT_COPY),
       KERN_NO_SPACE);
    IS(vm_map(SELF, &old, vm_page_size, 0x12345, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, FALSE,
              VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_COPY),
       KERN_INVALID_ARGUMENT);
    CHECK(old == 0);
    vm_offset_t data;
    mach_msg_type_number_t count;
    OK(mach_vm_read(SELF, (mach_vm_address_t)(uintptr_t)"read me", 8, &data, &count));
    CHECK(count == 8 && strcmp((char *)data, "read me") == 0);
    OK(vm_deallocate(SELF, data, count));
}

static void others_go_first(void) {
    struct thread_precedence_policy policy = {1};
    mach_port_t thread = mach_thread_self();
    swtch();
    swtch_pri(0);
    OK(thread_switch(MACH_PORT_NULL, SWITCH_OPTION_NONE, 0));
    OK(thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 1));
    IS(thread_switch(MACH_PORT_NULL, 9, 0), KERN_INVALID_ARGUMENT);
    OK(thread_policy_set(thread, THREAD_PRECEDENCE_POLICY, (thread_policy_t)&policy, 1));
    IS(thread_policy_set(MACH_PORT_NULL, THREAD_PRECEDENCE_POLICY, (thread_policy_t)&policy, 1),
       KERN_INVALID_ARGUMENT);
}

static void numbers_are_changed_at_once(void) {
    volatile int32_t number = 1;
    OSSpinLock lock = OS_SPINLOCK_INIT;
    CHECK(OSAtomicIncrement32Barrier(&number) == 2 && OSAtomicAdd32(-3, &number) == -1);
    CHECK(OSAtomicCompareAndSwap32Barrier(-1, 5, &number) && number == 5);
    CHECK(!OSAtomicCompareAndSwap32(-1, 6, &number) && number == 5);
    OSSpinLockLock(&lock);
    CHECK(!OSSpinLockTry(&lock));
    OSSpinLockUnlock(&lock);
    CHECK(OSSpinLockTry(&lock));
}

int main(void) {
    a_right_is_made_by_qos();
    a_look_leaves_the_message();
    news_calls_the_function_that_is_for_it();
    a_trap_is_the_call();
    clocks_tell_the_time();
    what_a_task_has_used_is_told();
    memory_is_mapped();
    others_go_first();
    numbers_are_changed_at_once();
    return 0;
}
