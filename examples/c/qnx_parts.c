/* A message in parts: a header and data from different places, of which the server reads
 * the header first and the data when it knows where to.
 *
 *     cc qnx_parts.c $(pkg-config --cflags --libs pillarbox-qnx) -o parts
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/iomsg.h>
#include <sys/netmgr.h>
#include <sys/neutrino.h>

typedef struct {
    uint16_t type;
    uint16_t zero;
    uint32_t bytes;
} write_t;

static void *server(void *chid) {
    write_t header;
    struct _msg_info info;
    rcvid_t rcvid = MsgReceive(*(int *)chid, &header, sizeof header, &info);
    if (rcvid <= 0 || info.srcmsglen - info.msglen < header.bytes) exit(EXIT_FAILURE);
    printf("server: %u bytes are coming, %zd are here\n", header.bytes, info.msglen);
    char *data = malloc(header.bytes);
    ssize_t got = 0;
    while (got < header.bytes) {
        ssize_t more = MsgRead(rcvid, data + got, 4096, sizeof header + got);
        if (more <= 0) exit(EXIT_FAILURE);
        got += more;
    }
    printf("server: %.24s... and so on\n", data);
    free(data);
    MsgReply(rcvid, got, NULL, 0);
    return NULL;
}

int main(void) {
    int chid = ChannelCreate(_NTO_CHF_PRIVATE);
    int coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, server, &chid);

    const char *line = "one line of many. ";
    size_t length = strlen(line), lines = 10000;
    char *data = malloc(length * lines);
    for (size_t at = 0; at < lines; at++) memcpy(data + at * length, line, length);
    write_t header = {_IO_MAX + 1, 0, (uint32_t)(length * lines)};
    iov_t parts[2];
    SETIOV(&parts[0], &header, sizeof header);
    SETIOV(&parts[1], data, length * lines);
    long written = MsgSendv(coid, parts, 2, NULL, 0);
    if (written == -1) {
        perror("MsgSendv");
        return EXIT_FAILURE;
    }
    printf("client: %ld bytes were written\n", written);
    pthread_join(thread, NULL);
    free(data);
    return EXIT_SUCCESS;
}
