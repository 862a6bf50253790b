/* A watcher: it is told when the port behind a right has ended.
 *
 *     cc mach_dead_name_watcher.c $(pkg-config --cflags --libs pillarbox-mach) -o mach_watcher
 */
#include <mach/mach.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void must(kern_return_t code, const char *what) {
    if (code != KERN_SUCCESS) {
        mach_error(what, code);
        exit(1);
    }
}

static void *end_it(void *port) {
    must(mach_port_mod_refs(mach_task_self(), *(mach_port_t *)port, MACH_PORT_RIGHT_RECEIVE, -1),
         "end the port");
    return NULL;
}

int main(void) {
    mach_port_t watched, notify, previous;
    must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &watched), "allocate");
    must(mach_port_insert_right(mach_task_self(), watched, watched, MACH_MSG_TYPE_MAKE_SEND),
         "insert");
    must(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &notify), "allocate");
    must(mach_port_request_notification(mach_task_self(), watched, MACH_NOTIFY_DEAD_NAME, 0,
                                        notify, MACH_MSG_TYPE_MAKE_SEND_ONCE, &previous),
         "request");

    pthread_t other;
    if (pthread_create(&other, NULL, end_it, &watched) != 0) return 1;
    mach_dead_name_notification_t news;
    must(mach_msg(&news.not_header, MACH_RCV_MSG, 0, sizeof news, notify, 0, 0), "receive");
    pthread_join(other, NULL);

    mach_port_urefs_t refs;
    must(mach_port_get_refs(mach_task_self(), watched, MACH_PORT_RIGHT_DEAD_NAME, &refs), "refs");
    printf("%s is dead, with %u references: ours, and that of the news\n",
           news.not_port == watched ? "the watched name" : "another name", refs);
    must(mach_port_mod_refs(mach_task_self(), watched, MACH_PORT_RIGHT_DEAD_NAME, -2), "drop");
    must(mach_port_destroy(mach_task_self(), notify), "destroy");
    return 0;
}
