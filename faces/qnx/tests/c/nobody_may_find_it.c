/* The server of names lets this process look up what it lists, and be found by nobody. */
#include "check.h"

int main(void) {
    FAILS(ChannelCreate(0), EPERM);
    CHECK(name_attach(NULL, "clock", 0) == NULL && errno == EPERM);
    FAILS(name_open("clock", 0), ENOENT);
    FAILS(ConnectAttach(0, getppid(), 1, _NTO_SIDE_CHANNEL, 0), ESRCH);
    /* Its own it may have. */
    int chid = new_channel(_NTO_CHF_PRIVATE);
    CHECK(chid == 1);
    OK(MsgSendPulse(connect_to(chid), 1, 1, 7));
    pulse_is(chid, 1, 7);
    OK(ChannelDestroy(chid));
    return 0;
}
