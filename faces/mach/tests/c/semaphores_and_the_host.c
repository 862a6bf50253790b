/* Semaphores, and what is told of the machine. */
#include "check.h"

#include <mach/mach_host.h>
#include <mach/semaphore.h>
#include <pthread.h>

static semaphore_t semaphore;
static volatile int passed;

static const mach_timespec_t none = {0, 0}, long_time = {60, 0};

static semaphore_t new_semaphore(int value) {
    semaphore_t made = SEMAPHORE_NULL;
    OK(semaphore_create(SELF, &made, SYNC_POLICY_FIFO, value));
    CHECK(type_of(made) == MACH_PORT_TYPE_SEND);
    return made;
}

static void what_was_signalled_is_counted(void) {
    semaphore = new_semaphore(2);
    OK(semaphore_wait(semaphore));
    OK(semaphore_timedwait(semaphore, none));
    IS(semaphore_timedwait(semaphore, none), KERN_OPERATION_TIMED_OUT);
    mach_timespec_t soon = {0, 20000000};
    IS(semaphore_timedwait(semaphore, soon), KERN_OPERATION_TIMED_OUT);
    for (int i = 0; i < 3; i++) OK(semaphore_signal(semaphore));
    for (int i = 0; i < 3; i++) OK(semaphore_timedwait(semaphore, none));
    IS(semaphore_timedwait(semaphore, none), KERN_OPERATION_TIMED_OUT);
    /* All that wait, and nobody does. */
    OK(semaphore_signal_all(semaphore));
    IS(semaphore_timedwait(semaphore, none), KERN_OPERATION_TIMED_OUT);
    OK(semaphore_destroy(SELF, semaphore));
    CHECK(type_of(semaphore) == 0);
    IS(semaphore_signal(semaphore), KERN_INVALID_NAME);
}

static void what_makes_no_sense_is_told(void) {
    semaphore_t made;
    mach_port_t port = new_port_with_send();
    IS(semaphore_create(0, &made, SYNC_POLICY_FIFO, 0), KERN_INVALID_ARGUMENT);
    IS(semaphore_create(SELF, &made, SYNC_POLICY_FIFO, -1), KERN_INVALID_ARGUMENT);
    IS(semaphore_create(SELF, &made, 99, 0), KERN_INVALID_ARGUMENT);
    IS(semaphore_create(SELF, &made, SYNC_POLICY_FIFO, 0x7fffffff), KERN_RESOURCE_SHORTAGE);
    IS(semaphore_create(SELF, (semaphore_t *)16, SYNC_POLICY_FIFO, 0), KERN_INVALID_ADDRESS);
    /* Of a port that is none nothing is taken, and to it nothing is sent. */
    plain_t in;
    IS(semaphore_signal(port), KERN_INVALID_ARGUMENT);
    IS(semaphore_wait(port), KERN_INVALID_ARGUMENT);
    IS(semaphore_destroy(SELF, port), KERN_INVALID_ARGUMENT);
    IS(take(port, &in), MACH_RCV_TIMED_OUT);
    CHECK(refs_of(port, MACH_PORT_RIGHT_SEND) == 1);
    made = new_semaphore(0);
    mach_timespec_t wrong = {0, 1000000000};
    IS(semaphore_timedwait(made, wrong), KERN_INVALID_VALUE);
    /* Another reference outlives it, and is dead. */
    OK(mach_port_mod_refs(SELF, made, MACH_PORT_RIGHT_SEND, 1));
    OK(semaphore_destroy(SELF, made));
    CHECK(type_of(made) == MACH_PORT_TYPE_DEAD_NAME);
    IS(semaphore_wait(made), KERN_TERMINATED);
    OK(mach_port_deallocate(SELF, made));
    OK(mach_port_destroy(SELF, port));
    /* As often as it may be signalled, and not once more. */
    made = new_semaphore(65536);
    IS(semaphore_signal(made), KERN_RESOURCE_SHORTAGE);
    OK(semaphore_wait(made));
    OK(semaphore_signal(made));
    OK(semaphore_destroy(SELF, made));
}

static void *waits(void *code) {
    kern_return_t got = semaphore_wait(semaphore);
    CHECK(got == (kern_return_t)(long)code);
    __sync_fetch_and_add(&passed, 1);
    return 0;
}

static void *waits_and_signals(void *other) {
    OK(semaphore_wait_signal(semaphore, *(semaphore_t *)other));
    return 0;
}

#define THREADS 4

static void start(pthread_t *threads, long code) {
    passed = 0;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], 0, waits, (void *)code) == 0);
}

static void join(pthread_t *threads) {
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], 0) == 0);
    CHECK(passed == THREADS);
}

static void threads_wait_for_one_another(void) {
    pthread_t threads[THREADS], one;
    semaphore = new_semaphore(0);
    /* One for each signal. */
    start(threads, KERN_SUCCESS);
    for (int i = 0; i < THREADS; i++) OK(semaphore_signal(semaphore));
    join(threads);
    /* All at once, however many have come: those that come later hear the next. */
    start(threads, KERN_SUCCESS);
    while (passed < THREADS) {
        OK(semaphore_signal_all(semaphore));
        usleep(1000);
    }
    join(threads);
    IS(semaphore_timedwait(semaphore, none), KERN_OPERATION_TIMED_OUT);
    /* One signals another before it waits. */
    semaphore_t other = new_semaphore(0);
    CHECK(pthread_create(&one, 0, waits_and_signals, &other) == 0);
    OK(semaphore_timedwait(other, long_time));
    OK(semaphore_signal(semaphore));
    CHECK(pthread_join(one, 0) == 0);
    OK(semaphore_destroy(SELF, other));
    OK(semaphore_destroy(SELF, semaphore));
}

static void *waits_for_its_end(void *unused) {
    (void)unused;
    kern_return_t got = semaphore_wait(semaphore);
    CHECK(got == KERN_TERMINATED || got == KERN_INVALID_NAME);
    return 0;
}

static void an_end_is_told_to_who_waits(void) {
    for (int round = 0; round < 50; round++) {
        pthread_t threads[THREADS];
        semaphore = new_semaphore(0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], 0, waits_for_its_end, 0) == 0);
        if (round % 2) usleep(round * 20);
        OK(semaphore_destroy(SELF, semaphore));
        for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], 0) == 0);
    }
}

static void the_host_is_told(void) {
    mach_port_t host = mach_host_self(), other = new_port_with_send();
    vm_size_t page = 0;
    host_basic_info_data_t info;
    mach_msg_type_number_t count = HOST_BASIC_INFO_COUNT;
    OK(host_page_size(host, &page));
    CHECK(page == vm_page_size);
    IS(host_page_size(other, &page), KERN_INVALID_ARGUMENT);
    CHECK(HOST_BASIC_INFO_COUNT == 12);
    OK(host_info(host, HOST_BASIC_INFO, (host_info_t)&info, &count));
    CHECK(count == 12 && info.avail_cpus >= 1 && info.max_cpus >= info.avail_cpus);
    CHECK(info.logical_cpu == info.avail_cpus && info.max_mem >= info.memory_size);
    CHECK(info.max_mem == (uint64_t)sysconf(_SC_PHYS_PAGES) * page);
    /* Room for what was told once. */
    memset(&info, 0xee, sizeof info);
    count = 5;
    OK(host_info(host, HOST_BASIC_INFO, (host_info_t)&info, &count));
    CHECK(count == 5 && info.avail_cpus >= 1 && info.cpu_threadtype == (int)0xeeeeeeee);
    count = 4;
    IS(host_info(host, HOST_BASIC_INFO, (host_info_t)&info, &count), KERN_FAILURE);
    count = 12;
    IS(host_info(other, HOST_BASIC_INFO, (host_info_t)&info, &count), KERN_INVALID_HOST);
    IS(host_info(host, 99, (host_info_t)&info, &count), KERN_INVALID_ARGUMENT);
    IS(host_info(host, HOST_BASIC_INFO, (host_info_t)16, &count), KERN_INVALID_ADDRESS);
    OK(mach_port_destroy(SELF, other));
}

int main(void) {
    what_was_signalled_is_counted();
    what_makes_no_sense_is_told();
    threads_wait_for_one_another();
    an_end_is_told_to_who_waits();
    the_host_is_told();
    return 0;
}
