/* Addresses where nothing is: an error, and the other side hears whose fault it was. */
#include "check.h"

#include <sys/mman.h>

#define NOWHERE ((void *)16)

static int chid, coid;

static void *hears_of_it(void *none) {
    (void)none;
    FAILS(MsgSend(coid, "x", 1, NULL, 0), ESRVRFAULT);
    return NULL;
}

static void *answers(void *none) {
    (void)none;
    union any in;
    rcvid_t rcvid = receive(chid, &in, NULL);
    OK(MsgReply(rcvid, 0, "reply", 5));
    return NULL;
}

static void *is_read(void *none) {
    (void)none;
    IS(MsgSend(coid, "request", 7, NULL, 0), 3);
    return NULL;
}

int main(void) {
    union any in;
    chid = new_channel(0);
    coid = connect_to(chid);
    FAILS(MsgSend(coid, NOWHERE, 8, NULL, 0), EFAULT);
    FAILS(MsgSendv(coid, NOWHERE, 1, NULL, 0), EFAULT);
    iov_t parts[2];
    SETIOV(&parts[0], "abc", 3);
    SETIOV(&parts[1], NOWHERE, 3);
    FAILS(MsgSendvs(coid, parts, 2, NULL, 0), EFAULT);
    SETIOV(&parts[1], "abc", (size_t)-1 / 2);
    FAILS(MsgSendvs(coid, parts, 2, NULL, 0), EOVERFLOW);
    SETIOV(&parts[1], NULL, (size_t)1 << 31);
    FAILS(MsgSendvs(coid, parts, 2, NULL, 0), EOVERFLOW);
    /* Half of it is there. */
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    OK(munmap(pages + 4096, 4096));
    FAILS(MsgSend(coid, pages + 4000, 200, NULL, 0), EFAULT);
    FAILS(poll_channel(chid, &in), ETIMEDOUT);

    /* A server's. */
    pthread_t thread = start(hears_of_it, NULL);
    FAILS(MsgReceive(chid, NOWHERE, 100, NULL), EFAULT);
    pthread_join(thread, NULL);
    thread = start(hears_of_it, NULL);
    FAILS(MsgReceive(chid, &in, sizeof in, NOWHERE), EFAULT);
    pthread_join(thread, NULL);
    /* It is written to where nothing is, and read from there. */
    thread = start(is_read, NULL);
    rcvid_t rcvid = receive(chid, &in, NULL);
    FAILS(MsgRead(rcvid, NOWHERE, 5, 0), ESRVRFAULT);
    FAILS(MsgInfo(rcvid, NOWHERE), EFAULT);
    FAILS(MsgInfo(rcvid, NULL), EFAULT);
    /* The client has room for nothing: then nothing is read. */
    IS(MsgWrite(rcvid, NOWHERE, 5, 0), 0);
    OK(MsgReply(rcvid, 3, NOWHERE, 5));
    pthread_join(thread, NULL);
    /* A client's, for its reply. */
    thread = start(answers, NULL);
    FAILS(MsgSend(coid, "x", 1, NOWHERE, 5), EFAULT);
    pthread_join(thread, NULL);
    OK(MsgSendPulse(coid, 1, 1, 1));
    FAILS(MsgReceive(chid, NOWHERE, 100, NULL), EFAULT);

    FAILS(MsgDeliverEvent(0, NOWHERE), EFAULT);
    FAILS(MsgRegisterEvent(NOWHERE, SYSMGR_COID), EFAULT);
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NOWHERE, NULL, NULL), EFAULT);
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, NOWHERE, NULL), EFAULT);
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, NULL, NOWHERE), EFAULT);
    CHECK(name_attach(NULL, NOWHERE, 0) == NULL && errno == EFAULT);
    FAILS(name_open(NULL, 0), EFAULT);
    FAILS(name_detach(NULL, 0), EINVAL);
    FAILS(name_detach(NOWHERE, 0), EINVAL);
    struct sigevent event;
    timer_t timer;
    SIGEV_PULSE_INIT(&event, coid, 10, 1, 1);
    FAILS(timer_create(CLOCK_MONOTONIC, NOWHERE, &timer), EFAULT);
    FAILS(timer_create(CLOCK_MONOTONIC, &event, NOWHERE), EFAULT);
    OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    FAILS(timer_settime(timer, 0, NOWHERE, NULL), EFAULT);
    FAILS(timer_gettime(timer, NOWHERE), EFAULT);
    return 0;
}
