/* Channels, connections, messages and pulses. */
#ifndef PILLARBOX_QNX_SYS_NEUTRINO_H
#define PILLARBOX_QNX_SYS_NEUTRINO_H

#include <bits/types/clockid_t.h>
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/siginfo.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef long rcvid_t;

/* Parts of a message. */
typedef struct iovec iov_t;
#define SETIOV(part, base, length)                                                     \
    ((part)->iov_base = (void *)(base), (part)->iov_len = (size_t)(length))
#define SETIOV_CONST(part, base, length) SETIOV(part, base, length)
#define GETIOVBASE(part) ((part)->iov_base)
#define GETIOVLEN(part) ((part)->iov_len)

/* Flags of a channel. */
#define _NTO_CHF_FIXED_PRIORITY 0x0001
#define _NTO_CHF_UNBLOCK 0x0002
#define _NTO_CHF_THREAD_DEATH 0x0004
#define _NTO_CHF_DISCONNECT 0x0008
#define _NTO_CHF_NET_MSG 0x0010
#define _NTO_CHF_SENDER_LEN 0x0020
#define _NTO_CHF_COID_DISCONNECT 0x0040
#define _NTO_CHF_REPLY_LEN 0x0080
#define _NTO_CHF_PULSE_POOL 0x0100
#define _NTO_CHF_ASYNC_NONBLOCK 0x0200
#define _NTO_CHF_ASYNC 0x0400
#define _NTO_CHF_GLOBAL 0x0800
#define _NTO_CHF_PRIVATE 0x1000
#define _NTO_CHF_MSG_PAUSING 0x2000
#define _NTO_CHF_INHERIT_RUNMASK 0x4000
#define _NTO_CHF_UNBLOCK_TIMER 0x8000

/* Numbers of connections that are none of the descriptors. The first is the system's. */
#define _NTO_SIDE_CHANNEL 0x40000000
#define SYSMGR_PID 1
#define SYSMGR_CHID 1
#define SYSMGR_COID _NTO_SIDE_CHANNEL
#define SYSMGR_HANDLE 0

/* Flags of a connection. */
#define _NTO_COF_CLOEXEC 0x0001
#define _NTO_COF_DEAD 0x0002
#define _NTO_COF_NOSHARE 0x0040
#define _NTO_COF_NETCON 0x0080
#define _NTO_COF_NOEVENT 0x0800
#define _NTO_COF_INSECURE 0x1000
#define _NTO_COF_REG_EVENTS 0x2000
#define _NTO_COF_UNREG_EVENTS 0x4000

/* Codes of pulses. Those from 0 on are the programs' own. */
#define _PULSE_TYPE 0
#define _PULSE_SUBTYPE 0
#define _PULSE_CODE_UNBLOCK (-32)
#define _PULSE_CODE_DISCONNECT (-33)
#define _PULSE_CODE_THREADDEATH (-34)
#define _PULSE_CODE_COIDDEATH (-35)
#define _PULSE_CODE_NET_ACK (-36)
#define _PULSE_CODE_NET_UNBLOCK (-37)
#define _PULSE_CODE_NET_DETACH (-38)
#define _PULSE_CODE_RESTART (-39)
#define _PULSE_CODE_NORESTART (-40)
#define _PULSE_CODE_UNBLOCK_RESTART (-41)
#define _PULSE_CODE_UNBLOCK_TIMER (-42)
#define _PULSE_CODE_MINAVAIL 0
#define _PULSE_CODE_MAXAVAIL 127

struct _pulse {
    uint16_t type;
    uint16_t subtype;
    int8_t code;
    uint8_t zero[3];
    union sigval value;
    int32_t scoid;
};

/* States of threads, and timeouts in them. */
#define STATE_DEAD 0x00
#define STATE_RUNNING 0x01
#define STATE_READY 0x02
#define STATE_STOPPED 0x03
#define STATE_SEND 0x04
#define STATE_RECEIVE 0x05
#define STATE_REPLY 0x06
#define STATE_NET_SEND 0x13
#define STATE_NET_REPLY 0x14
#define _NTO_TIMEOUT_SEND (1 << STATE_SEND)
#define _NTO_TIMEOUT_RECEIVE (1 << STATE_RECEIVE)
#define _NTO_TIMEOUT_REPLY (1 << STATE_REPLY)

/* What is told of a message. */
#define _NTO_MI_ENDIAN_BIG 0x0001
#define _NTO_MI_ENDIAN_DIFF 0x0002
#define _NTO_MI_UNBLOCK_REQ 0x0100
#define _NTO_MI_NET_CRED_DIRTY 0x0200
#define _NTO_MI_CONSTRAINED 0x0400
#define _NTO_MI_BITS_64 0x1000
#define _NTO_MI_BITS_DIFF 0x2000

struct _msg_info64 {
    uint32_t nd;
    uint32_t srcnd;
    pid_t pid;
    int32_t tid;
    int32_t chid;
    int32_t scoid;
    int32_t coid;
    int16_t priority;
    int16_t flags;
    ssize_t msglen;
    ssize_t srcmsglen;
    ssize_t dstmsglen;
    uint32_t type_id;
    uint32_t reserved;
};
#define _msg_info _msg_info64

struct _cred_info {
    uid_t ruid;
    uid_t euid;
    uid_t suid;
    gid_t rgid;
    gid_t egid;
    gid_t sgid;
    uint32_t ngroups;
    gid_t grouplist[8];
};

struct _client_info {
    uint32_t nd;
    pid_t pid;
    pid_t sid;
    uint32_t flags;
    struct _cred_info cred;
};

struct _server_info {
    uint32_t nd;
    pid_t pid;
    int32_t chid;
    int32_t scoid;
    int32_t coid;
    uint32_t flags;
};

int ChannelCreate(unsigned flags);
int ChannelCreate_r(unsigned flags);
int ChannelDestroy(int chid);
int ChannelDestroy_r(int chid);
int ConnectAttach(uint32_t nd, pid_t pid, int chid, unsigned index, int flags);
int ConnectAttach_r(uint32_t nd, pid_t pid, int chid, unsigned index, int flags);
int ConnectDetach(int coid);
int ConnectDetach_r(int coid);
int ConnectFlags(pid_t pid, int coid, unsigned mask, unsigned bits);
int ConnectFlags_r(pid_t pid, int coid, unsigned mask, unsigned bits);
int ConnectServerInfo(pid_t pid, int coid, struct _server_info *info);
int ConnectServerInfo_r(pid_t pid, int coid, struct _server_info *info);
int ConnectClientInfo(int scoid, struct _client_info *info, int ngroups);
int ConnectClientInfo_r(int scoid, struct _client_info *info, int ngroups);

/* Each in four kinds: as it is, not to be cancelled, and both with the error returned. */
#define PILLARBOX_SENDS(name, send, send_size, reply, reply_size)                      \
    long name(int coid, send, send_size, reply, reply_size);                           \
    long name##nc(int coid, send, send_size, reply, reply_size);                       \
    long name##_r(int coid, send, send_size, reply, reply_size);                       \
    long name##nc_r(int coid, send, send_size, reply, reply_size)

PILLARBOX_SENDS(MsgSend, const void *smsg, size_t sbytes, void *rmsg, size_t rbytes);
PILLARBOX_SENDS(MsgSendv, const iov_t *siov, size_t sparts, const iov_t *riov, size_t rparts);
PILLARBOX_SENDS(MsgSendsv, const void *smsg, size_t sbytes, const iov_t *riov, size_t rparts);
PILLARBOX_SENDS(MsgSendvs, const iov_t *siov, size_t sparts, void *rmsg, size_t rbytes);
#undef PILLARBOX_SENDS

rcvid_t MsgReceive(int chid, void *msg, size_t bytes, struct _msg_info *info);
rcvid_t MsgReceive_r(int chid, void *msg, size_t bytes, struct _msg_info *info);
rcvid_t MsgReceivev(int chid, const iov_t *riov, size_t rparts, struct _msg_info *info);
rcvid_t MsgReceivev_r(int chid, const iov_t *riov, size_t rparts, struct _msg_info *info);
int MsgReceivePulse(int chid, void *pulse, size_t bytes, struct _msg_info *info);
int MsgReceivePulse_r(int chid, void *pulse, size_t bytes, struct _msg_info *info);
int MsgReceivePulsev(int chid, const iov_t *piov, size_t parts, struct _msg_info *info);
int MsgReceivePulsev_r(int chid, const iov_t *piov, size_t parts, struct _msg_info *info);
int MsgReply(rcvid_t rcvid, long status, const void *msg, size_t bytes);
int MsgReply_r(rcvid_t rcvid, long status, const void *msg, size_t bytes);
int MsgReplyv(rcvid_t rcvid, long status, const iov_t *riov, size_t rparts);
int MsgReplyv_r(rcvid_t rcvid, long status, const iov_t *riov, size_t rparts);
int MsgError(rcvid_t rcvid, int error);
int MsgError_r(rcvid_t rcvid, int error);
ssize_t MsgRead(rcvid_t rcvid, void *msg, size_t bytes, size_t offset);
ssize_t MsgRead_r(rcvid_t rcvid, void *msg, size_t bytes, size_t offset);
ssize_t MsgReadv(rcvid_t rcvid, const iov_t *riov, size_t rparts, size_t offset);
ssize_t MsgReadv_r(rcvid_t rcvid, const iov_t *riov, size_t rparts, size_t offset);
ssize_t MsgWrite(rcvid_t rcvid, const void *msg, size_t bytes, size_t offset);
ssize_t MsgWrite_r(rcvid_t rcvid, const void *msg, size_t bytes, size_t offset);
ssize_t MsgWritev(rcvid_t rcvid, const iov_t *iov, size_t parts, size_t offset);
ssize_t MsgWritev_r(rcvid_t rcvid, const iov_t *iov, size_t parts, size_t offset);
int MsgInfo(rcvid_t rcvid, struct _msg_info *info);
int MsgInfo_r(rcvid_t rcvid, struct _msg_info *info);
int MsgCurrent(rcvid_t rcvid);
int MsgCurrent_r(rcvid_t rcvid);
int MsgPause(rcvid_t rcvid, unsigned cookie);
int MsgPause_r(rcvid_t rcvid, unsigned cookie);

int MsgSendPulse(int coid, int priority, int code, int value);
int MsgSendPulse_r(int coid, int priority, int code, int value);
int MsgSendPulsePtr(int coid, int priority, int code, void *value);
int MsgSendPulsePtr_r(int coid, int priority, int code, void *value);
int MsgDeliverEvent(rcvid_t rcvid, const struct sigevent *event);
int MsgDeliverEvent_r(rcvid_t rcvid, const struct sigevent *event);
int MsgVerifyEvent(rcvid_t rcvid, const struct sigevent *event);
int MsgVerifyEvent_r(rcvid_t rcvid, const struct sigevent *event);
int MsgRegisterEvent(struct sigevent *event, int coid);
int MsgRegisterEvent_r(struct sigevent *event, int coid);
int MsgUnregisterEvent(const struct sigevent *event);
int MsgUnregisterEvent_r(const struct sigevent *event);

int TimerTimeout(clockid_t id, int flags, const struct sigevent *notify, const uint64_t *ntime,
                 uint64_t *otime);
int TimerTimeout_r(clockid_t id, int flags, const struct sigevent *notify,
                   const uint64_t *ntime, uint64_t *otime);
int SchedGet(pid_t pid, int tid, struct sched_param *param);
int SchedGet_r(pid_t pid, int tid, struct sched_param *param);
int SchedSet(pid_t pid, int tid, int policy, const struct sched_param *param);
int SchedSet_r(pid_t pid, int tid, int policy, const struct sched_param *param);

/* The priority of what this thread sends now: that of whom it serves, or its own. */
int pillarbox_qnx_effective_priority(void);

#ifdef __cplusplus
}
#endif

#endif
