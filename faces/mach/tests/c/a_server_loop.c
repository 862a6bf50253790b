/* mach_msg_server and its kin: what is answered, what is not, and what is let go. */
#include "check.h"

#include <pthread.h>

typedef struct {
    mach_msg_header_t head;
    NDR_record_t ndr;
    int value;
    mach_msg_max_trailer_t trailer;
} ask_t;

static boolean_t demux(mach_msg_header_t *in, mach_msg_header_t *out) {
    ask_t *ask = (ask_t *)in;
    mig_reply_error_t *said = (mig_reply_error_t *)out;
    mig_reply_setup(in, out);
    said->RetCode = MIG_BAD_ID;
    if (in->msgh_id == 400) {
        said->RetCode = KERN_SUCCESS;
        ask_t *answer = (ask_t *)out;
        answer->head.msgh_size = 40;
        memcpy((char *)out + 36, &ask->value, 4);
        return TRUE;
    }
    if (in->msgh_id == 401) {
        said->RetCode = MIG_NO_REPLY;
        return TRUE;
    }
    return FALSE;
}

static mach_port_t service;

static void *serve(void *unused) {
    (void)unused;
    mach_msg_return_t code = mach_msg_server(demux, 256, service, 0);
    CHECK(code == MACH_RCV_PORT_CHANGED || code == MACH_RCV_INVALID_NAME);
    return 0;
}

int main(void) {
    service = new_port_with_send();
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, serve, 0) == 0);
    struct {
        mach_msg_header_t head;
        NDR_record_t ndr;
        int value, second;
        mach_msg_max_trailer_t trailer;
    } m;
    for (int id = 400; id < 403; id++) {
        memset(&m, 0, sizeof m);
        mach_port_t reply = mig_get_reply_port();
        m.head.msgh_bits =
            MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
        m.head.msgh_remote_port = service;
        m.head.msgh_local_port = reply;
        m.head.msgh_id = id;
        m.value = 17;
        mach_msg_return_t code = mach_msg(&m.head, MACH_SEND_MSG | MACH_RCV_MSG | MACH_RCV_TIMEOUT,
                                          36, sizeof m, reply, id == 401 ? 30 : 10000, 0);
        if (id == 401) {
            IS(code, MACH_RCV_TIMED_OUT);
            continue;
        }
        OK(code);
        CHECK(m.head.msgh_id == id + 100);
        if (id == 400) CHECK(m.value == KERN_SUCCESS && m.second == 17);
        if (id == 402) CHECK(m.value == MIG_BAD_ID);
    }
    OK(mach_port_destroy(SELF, service));
    CHECK(pthread_join(thread, 0) == 0);
    return 0;
}
