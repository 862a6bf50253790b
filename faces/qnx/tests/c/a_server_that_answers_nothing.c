/* There is a server of names, and it cannot be asked: that is said, and not taken for
 * none. What needs no names goes on. */
#include "check.h"

int main(void) {
    FAILS(ChannelCreate(0), EAGAIN);
    FAILS(ConnectAttach(0, getppid(), 1, _NTO_SIDE_CHANNEL, 0), EAGAIN);
    FAILS(name_open("clock", 0), EAGAIN);
    CHECK(name_attach(NULL, "clock", 0) == NULL && errno == EAGAIN);
    /* Of the channels that were not made nothing is left. */
    int chid = new_channel(_NTO_CHF_PRIVATE);
    CHECK(chid == 1);
    OK(MsgSendPulse(connect_to(chid), 1, 1, 7));
    pulse_is(chid, 1, 7);
    OK(ChannelDestroy(chid));
    return 0;
}
