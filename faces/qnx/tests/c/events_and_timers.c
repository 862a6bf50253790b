/* Events, within one process, and timers that send them. */
#include "check.h"

#include <signal.h>

static volatile sig_atomic_t signals, value;

static void on_signal(int signal, siginfo_t *info, void *none) {
    (void)signal;
    (void)none;
    signals++;
    value = info->si_value.sival_int;
}

int main(void) {
    int chid = new_channel(_NTO_CHF_PRIVATE), coid = connect_to(chid);
    union any in;
    struct _msg_info info;
    struct sigevent event, other;

    SIGEV_PULSE_INIT(&event, coid, SIGEV_PULSE_PRIO_INHERIT, 3, 44);
    CHECK(SIGEV_GET_TYPE(&event) == SIGEV_PULSE && event.sigev_coid == coid);
    OK(MsgDeliverEvent(0, &event));
    IS(receive(chid, &in, &info), 0);
    CHECK(in.pulse.code == 3 && in.pulse.value.sival_int == 44 && info.priority == 10);
    SIGEV_PULSE_PTR_INIT(&event, coid, 21, 4, &in);
    OK(MsgDeliverEvent(0, &event));
    IS(receive(chid, &in, &info), 0);
    CHECK(in.pulse.code == 4 && in.pulse.value.sival_ptr == &in && info.priority == 21);
    SIGEV_NONE_INIT(&event);
    OK(MsgDeliverEvent(0, &event));

    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    OK(sigaction(SIGUSR1, &action, NULL));
    SIGEV_SIGNAL_INIT(&event, SIGUSR1);
    OK(MsgDeliverEvent(0, &event));
    CHECK(signals == 1);
    SIGEV_SIGNAL_CODE_INIT(&event, SIGUSR1, 55, 1);
    OK(MsgDeliverEvent(0, &event));
    /* Valgrind brings it a little later. */
    for (int i = 0; signals < 2 && i < 20000; i++) usleep(1000);
    CHECK(signals == 2 && value == 55);

    /* One that makes no sense is refused, and changes nothing. */
    SIGEV_PULSE_INIT(&event, coid + 1, 10, 3, 44);
    FAILS(MsgDeliverEvent(0, &event), EBADF);
    SIGEV_PULSE_INIT(&event, coid, 10, 300, 44);
    FAILS(MsgVerifyEvent(0, &event), EINVAL);
    SIGEV_SIGNAL_INIT(&event, 99);
    FAILS(MsgDeliverEvent(0, &event), EINVAL);
    event.sigev_notify = 0x77;
    FAILS(MsgVerifyEvent(0, &event), EINVAL);
    SIGEV_PULSE_INIT(&event, coid, 10, 3, 44);
    OK(MsgVerifyEvent(0, &event));
    FAILS(MsgVerifyEvent(77, &event), ESRCH);
    FAILS(MsgDeliverEvent(77, &event), ESRCH);

    /* Registered: a number stands for it, and its value is fixed or not. */
    other = event;
    OK(MsgRegisterEvent(&event, coid));
    CHECK(memcmp(&event, &other, sizeof event) != 0);
    event.sigev_value.sival_int = 45;
    OK(MsgDeliverEvent(0, &event));
    pulse_is(chid, 3, 44);
    SIGEV_MAKE_UPDATEABLE(&other);
    OK(MsgRegisterEvent(&other, SYSMGR_COID));
    CHECK(other.sigev_notify & SIGEV_FLAG_UPDATEABLE);
    other.sigev_value.sival_int = 46;
    OK(MsgDeliverEvent(0, &other));
    pulse_is(chid, 3, 46);
    OK(MsgUnregisterEvent(&event));
    FAILS(MsgUnregisterEvent(&event), EINVAL);
    FAILS(MsgDeliverEvent(0, &event), EINVAL);
    OK(MsgUnregisterEvent(&other));
    SIGEV_PULSE_INIT(&event, coid, 10, 3, 44);
    FAILS(MsgRegisterEvent(&event, coid + 1), EBADF);

    /* A timer that repeats; what it is about to do; and it is quiet when stopped. */
    timer_t timer;
    SIGEV_PULSE_INIT(&event, coid, 12, 7, 70);
    OK(timer_create(CLOCK_REALTIME, &event, &timer));
    struct itimerspec time = {{0, 2000000}, {0, 1000000}}, now;
    OK(timer_gettime(timer, &now));
    CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
    OK(timer_settime(timer, 0, &time, NULL));
    for (int i = 0; i < 10; i++) {
        pulse_is(chid, 7, 70);
        OK(timer_gettime(timer, &now));
        CHECK(now.it_interval.tv_nsec == 2000000);
    }
    memset(&time, 0, sizeof time);
    OK(timer_settime(timer, 0, &time, &now));
    CHECK(now.it_interval.tv_nsec == 2000000 && now.it_value.tv_nsec > 0);
    while (poll_channel(chid, &in) == 0) {}
    CHECK(errno == ETIMEDOUT);
    /* At a point of the clock that is past. */
    time.it_value.tv_sec = 1;
    OK(timer_settime(timer, TIMER_ABSTIME, &time, NULL));
    pulse_is(chid, 7, 70);
    time.it_value.tv_nsec = 1000000000;
    FAILS(timer_settime(timer, 0, &time, NULL), EINVAL);
    OK(timer_delete(timer));
    FAILS(timer_delete(timer), EINVAL);

    /* Those of the system's are the system's. */
    SIGEV_SIGNAL_INIT(&event, SIGUSR1);
    OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    signals = 0;
    struct itimerspec once = {{0, 0}, {0, 1000}};
    OK(timer_settime(timer, 0, &once, NULL));
    while (signals == 0) usleep(100);
    OK(timer_delete(timer));
    FAILS(timer_create(99, &event, &timer), EINVAL);
    return 0;
}
