/* A calculator: each request carries the right to answer it, once.
 *
 *     cc mach_calculator.c $(pkg-config --cflags --libs pillarbox-mach) -o mach_calculator
 */
#include <mach/mach.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ADD = 1, MULTIPLY, STOP };

typedef struct {
    mach_msg_header_t header;
    int left, right;
} request_t;

typedef struct {
    mach_msg_header_t header;
    int result;
} answer_t;

static void must(kern_return_t code, const char *what) {
    if (code != KERN_SUCCESS) {
        mach_error(what, code);
        exit(1);
    }
}

static mach_port_t calculator;

static void *serve(void *unused) {
    (void)unused;
    for (;;) {
        struct {
            request_t request;
            mach_msg_trailer_t trailer;
        } in;
        must(mach_msg(&in.request.header, MACH_RCV_MSG, 0, sizeof in, calculator, 0, 0),
             "receive");
        answer_t out = {0};
        /* The reply right arrived as the remote port; its kind says how to use it. */
        out.header.msgh_bits = MACH_MSGH_BITS(MACH_MSGH_BITS_REMOTE(in.request.header.msgh_bits), 0);
        out.header.msgh_remote_port = in.request.header.msgh_remote_port;
        out.header.msgh_id = in.request.header.msgh_id + 100;
        out.result = in.request.header.msgh_id == ADD
                         ? in.request.left + in.request.right
                         : in.request.left * in.request.right;
        must(mach_msg(&out.header, MACH_SEND_MSG, sizeof out, 0, 0, 0, 0), "answer");
        if (in.request.header.msgh_id == STOP) return NULL;
    }
}

static int ask(int what, int left, int right) {
    mach_port_t reply = mig_get_reply_port();
    union {
        request_t request;
        struct {
            answer_t answer;
            mach_msg_trailer_t trailer;
        } in;
    } m = {0};
    m.request.header.msgh_bits =
        MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    m.request.header.msgh_remote_port = calculator;
    m.request.header.msgh_local_port = reply;
    m.request.header.msgh_id = what;
    m.request.left = left;
    m.request.right = right;
    must(mach_msg(&m.request.header, MACH_SEND_MSG | MACH_RCV_MSG, sizeof m.request, sizeof m.in,
                  reply, 0, 0),
         "call");
    return m.in.answer.result;
}

int main(void) {
    must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &calculator), "allocate");
    must(mach_port_insert_right(mach_task_self(), calculator, calculator,
                                MACH_MSG_TYPE_MAKE_SEND),
         "insert");
    pthread_t server;
    if (pthread_create(&server, NULL, serve, NULL) != 0) return 1;
    printf("2 + 3 = %d\n", ask(ADD, 2, 3));
    printf("6 * 7 = %d\n", ask(MULTIPLY, 6, 7));
    if (ask(STOP, 1, 1) != 1) return 1;
    pthread_join(server, NULL);
    return 0;
}
