//! The numbers that C programs see: codes, options, kinds of rights; and what they say.

/// What most calls return.
pub(crate) type Code = i32;

macro_rules! numbers {
    ($($(#[$about:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$about])* pub(crate) const $name: Code = $value;)*
    };
}

numbers! {
    KERN_SUCCESS = 0;
    KERN_INVALID_ADDRESS = 1;
    KERN_NO_SPACE = 3;
    KERN_INVALID_ARGUMENT = 4;
    KERN_FAILURE = 5;
    KERN_RESOURCE_SHORTAGE = 6;
    KERN_NOT_RECEIVER = 7;
    KERN_NO_ACCESS = 8;
    KERN_ALREADY_IN_SET = 11;
    KERN_NOT_IN_SET = 12;
    KERN_NAME_EXISTS = 13;
    KERN_INVALID_NAME = 15;
    KERN_INVALID_TASK = 16;
    KERN_INVALID_RIGHT = 17;
    KERN_INVALID_VALUE = 18;
    KERN_INVALID_CAPABILITY = 20;
    KERN_RIGHT_EXISTS = 21;
    KERN_INVALID_HOST = 22;
    KERN_TERMINATED = 37;
    KERN_NOT_SUPPORTED = 46;
    KERN_OPERATION_TIMED_OUT = 49;

    SEND_INVALID_DATA = 0x1000_0002;
    SEND_INVALID_DEST = 0x1000_0003;
    SEND_TIMED_OUT = 0x1000_0004;
    SEND_INVALID_VOUCHER = 0x1000_0005;
    /// Of older systems: the message is taken, and that is told.
    SEND_WILL_NOTIFY = 0x1000_0005;
    SEND_NOTIFY_IN_PROGRESS = 0x1000_0006;
    SEND_INTERRUPTED = 0x1000_0007;
    SEND_MSG_TOO_SMALL = 0x1000_0008;
    SEND_INVALID_REPLY = 0x1000_0009;
    SEND_INVALID_RIGHT = 0x1000_000a;
    SEND_INVALID_MEMORY = 0x1000_000c;
    SEND_NO_BUFFER = 0x1000_000d;
    SEND_TOO_LARGE = 0x1000_000e;
    SEND_INVALID_TYPE = 0x1000_000f;
    SEND_INVALID_HEADER = 0x1000_0010;
    SEND_INVALID_TRAILER = 0x1000_0011;
    RCV_INVALID_NAME = 0x1000_4002;
    RCV_TIMED_OUT = 0x1000_4003;
    RCV_TOO_LARGE = 0x1000_4004;
    RCV_INTERRUPTED = 0x1000_4005;
    RCV_PORT_CHANGED = 0x1000_4006;
    RCV_INVALID_DATA = 0x1000_4008;

    MIG_TYPE_ERROR = -300;
    MIG_REPLY_MISMATCH = -301;
    MIG_SERVER_DIED = -308;
    MIG_BAD_ARGUMENTS = -304;
    MIG_BAD_ID = -303;
    MIG_NO_REPLY = -305;

    BOOTSTRAP_NOT_PRIVILEGED = 1100;
    BOOTSTRAP_NAME_IN_USE = 1101;
    BOOTSTRAP_UNKNOWN_SERVICE = 1102;
    BOOTSTRAP_SERVICE_ACTIVE = 1103;
    BOOTSTRAP_NO_MEMORY = 1105;

    NETNAME_NOT_YOURS = 1000;
    NETNAME_NOT_CHECKED_IN = 1001;
    NETNAME_NO_SUCH_HOST = 1002;
    NETNAME_INVALID_PORT = 1004;
}

/// Options of a message call.
pub(crate) mod option {
    pub(crate) const SEND_MSG: i32 = 1;
    pub(crate) const RCV_MSG: i32 = 2;
    pub(crate) const RCV_LARGE: i32 = 4;
    pub(crate) const RCV_LARGE_IDENTITY: i32 = 8;
    pub(crate) const SEND_TIMEOUT: i32 = 0x10;
    pub(crate) const SEND_INTERRUPT: i32 = 0x40;
    pub(crate) const SEND_NOTIFY: i32 = 0x80;
    pub(crate) const RCV_TIMEOUT: i32 = 0x100;
    pub(crate) const RCV_INTERRUPT: i32 = 0x400;
    pub(crate) const RCV_GUARDED_DESC: i32 = 0x1000;
    pub(crate) const SEND_TRAILER: i32 = 0x2_0000;
    /// Of our own: what finds no room is left with the owner of the port.
    pub(crate) const LEAVE: i32 = 1 << 30;
}

/// What a right in a message is to become, and what one was received as.
pub(crate) mod disposition {
    pub(crate) const MOVE_RECEIVE: u8 = 16;
    pub(crate) const MOVE_SEND: u8 = 17;
    pub(crate) const MOVE_SEND_ONCE: u8 = 18;
    pub(crate) const COPY_SEND: u8 = 19;
    pub(crate) const MAKE_SEND: u8 = 20;
    pub(crate) const MAKE_SEND_ONCE: u8 = 21;
}

/// Kinds of rights, as calls name them.
pub(crate) mod right {
    pub(crate) const SEND: u32 = 0;
    pub(crate) const RECEIVE: u32 = 1;
    pub(crate) const SEND_ONCE: u32 = 2;
    pub(crate) const PORT_SET: u32 = 3;
    pub(crate) const DEAD_NAME: u32 = 4;
    pub(crate) const NUMBER: u32 = 6;

    /// The bit of a kind in what `mach_port_type` tells.
    pub(crate) const fn kind(right: u32) -> u32 {
        1 << (right + 16)
    }

    pub(crate) const DNREQUEST: u32 = 0x8000_0000;
    pub(crate) const SPREQUEST: u32 = 0x4000_0000;
    pub(crate) const SPREQUEST_DELAYED: u32 = 0x2000_0000;
}

/// Ids of notifications.
pub(crate) mod notify {
    pub(crate) const PORT_DELETED: i32 = 65;
    pub(crate) const SEND_POSSIBLE: i32 = 66;
    pub(crate) const PORT_DESTROYED: i32 = 69;
    pub(crate) const NO_SENDERS: i32 = 70;
    pub(crate) const SEND_ONCE: i32 = 71;
    pub(crate) const DEAD_NAME: i32 = 72;
}

const KERN: [&str; 57] = [
    "(os/kern) successful",
    "(os/kern) invalid address",
    "(os/kern) protection failure",
    "(os/kern) no space available",
    "(os/kern) invalid argument",
    "(os/kern) failure",
    "(os/kern) resource shortage",
    "(os/kern) not receiver",
    "(os/kern) no access",
    "(os/kern) memory failure",
    "(os/kern) memory error",
    "(os/kern) already in set",
    "(os/kern) not in set",
    "(os/kern) name exists",
    "(os/kern) aborted",
    "(os/kern) invalid name",
    "(os/kern) invalid task",
    "(os/kern) invalid right",
    "(os/kern) invalid value",
    "(os/kern) urefs overflow",
    "(os/kern) invalid capability",
    "(os/kern) right exists",
    "(os/kern) invalid host",
    "(os/kern) memory present",
    "(os/kern) memory data moved",
    "(os/kern) memory restart copy",
    "(os/kern) invalid processor set",
    "(os/kern) policy limit",
    "(os/kern) invalid policy",
    "(os/kern) invalid object",
    "(os/kern) already waiting",
    "(os/kern) default set",
    "(os/kern) exception protected",
    "(os/kern) invalid ledger",
    "(os/kern) invalid memory control",
    "(os/kern) invalid security",
    "(os/kern) not depressed",
    "(os/kern) terminated",
    "(os/kern) lock set destroyed",
    "(os/kern) lock unstable",
    "(os/kern) lock owned",
    "(os/kern) lock owned self",
    "(os/kern) semaphore destroyed",
    "(os/kern) RPC terminated",
    "(os/kern) terminate orphan",
    "(os/kern) let orphan continue",
    "(os/kern) service not supported",
    "(os/kern) node down",
    "(os/kern) not waiting",
    "(os/kern) operation timed out",
    "(os/kern) code signing error",
    "(os/kern) policy static",
    "(os/kern) insufficient buffer size",
    "(os/kern) denied",
    "(os/kern) missing key certificate",
    "(os/kern) invalid key certificate",
    "(os/kern) not found",
];

const SEND: [&str; 26] = [
    "(ipc/send) no error",
    "(ipc/send) send in progress",
    "(ipc/send) invalid data",
    "(ipc/send) invalid destination port",
    "(ipc/send) timed out",
    "(ipc/send) invalid voucher",
    "(ipc/send) unused error",
    "(ipc/send) interrupted",
    "(ipc/send) msg too small",
    "(ipc/send) invalid reply port",
    "(ipc/send) invalid port right",
    "(ipc/send) invalid notify port",
    "(ipc/send) invalid memory",
    "(ipc/send) no msg buffer",
    "(ipc/send) msg too large",
    "(ipc/send) invalid msg-type",
    "(ipc/send) invalid msg header",
    "(ipc/send) invalid msg-trailer",
    "(ipc/send) invalid context",
    "(ipc/send) invalid options",
    "(ipc/send) unused error",
    "(ipc/send) out-of-line buffer too large",
    "(ipc/send) destination does not accept port transfer",
    "(ipc/send) message filtered",
    "(ipc/send) auxiliary buffer too small",
    "(ipc/send) auxiliary buffer too large",
];

const RECEIVE: [&str; 20] = [
    "(ipc/rcv) no error",
    "(ipc/rcv) receive in progress",
    "(ipc/rcv) invalid name",
    "(ipc/rcv) timed out",
    "(ipc/rcv) msg too large",
    "(ipc/rcv) interrupted",
    "(ipc/rcv) port changed",
    "(ipc/rcv) invalid notify port",
    "(ipc/rcv) invalid data",
    "(ipc/rcv) port died",
    "(ipc/rcv) port in set",
    "(ipc/rcv) header error",
    "(ipc/rcv) body error",
    "(ipc/rcv) invalid type",
    "(ipc/rcv) scatter list too small",
    "(ipc/rcv) invalid trailer",
    "(ipc/rcv) unused error",
    "(ipc/rcv) receive in progress, timed out",
    "(ipc/rcv) invalid reply port",
    "(ipc/rcv) invalid arguments",
];

const MIG: [&str; 10] = [
    "(ipc/mig) client type check failure",
    "(ipc/mig) wrong reply message ID",
    "(ipc/mig) server detected error",
    "(ipc/mig) bad request message ID",
    "(ipc/mig) server type check failure",
    "(ipc/mig) no reply should be sent",
    "(ipc/mig) server raised exception",
    "(ipc/mig) array not large enough",
    "(ipc/mig) server died",
    "(ipc/mig) trailer type check failure",
];

const UNKNOWN: &str = "unknown error code";

/// What a code says.
pub(crate) fn text(code: Code) -> &'static str {
    let at = |texts: &[&'static str], index: i32| {
        usize::try_from(index).ok().and_then(|index| texts.get(index)).copied().unwrap_or(UNKNOWN)
    };
    match code {
        -309..=-300 => at(&MIG, -300 - code),
        0x1000_0000..0x1000_4000 => at(&SEND, (code & !0x3e00) - 0x1000_0000),
        0x1000_4000..0x1000_8000 => at(&RECEIVE, (code & !0x3e00) - 0x1000_4000),
        _ => at(&KERN, code),
    }
}

/// What a code of the bootstrap calls says.
pub(crate) fn bootstrap_text(code: Code) -> &'static str {
    match code {
        0 => "Success",
        BOOTSTRAP_NOT_PRIVILEGED => "Permission denied",
        BOOTSTRAP_NAME_IN_USE | BOOTSTRAP_SERVICE_ACTIVE => "Service name already exists",
        BOOTSTRAP_UNKNOWN_SERVICE => "Unknown service name",
        1104 => "Too many lookups were requested in one request",
        BOOTSTRAP_NO_MEMORY => "Out of memory",
        code => text(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_they_mean() {
        assert_eq!(text(KERN_SUCCESS), "(os/kern) successful");
        assert_eq!(text(KERN_INVALID_RIGHT), "(os/kern) invalid right");
        assert_eq!(text(KERN_NOT_SUPPORTED), "(os/kern) service not supported");
        assert_eq!(text(SEND_INVALID_DEST), "(ipc/send) invalid destination port");
        assert_eq!(text(SEND_INVALID_DEST | 0x2000), text(SEND_INVALID_DEST));
        assert_eq!(text(RCV_TIMED_OUT), "(ipc/rcv) timed out");
        assert_eq!(text(-308), "(ipc/mig) server died");
        for unknown in [57, -1, -310, 0x1000_0000 + 26, i32::MAX, i32::MIN] {
            assert_eq!(text(unknown), UNKNOWN, "{unknown}");
        }
        assert_eq!(bootstrap_text(1102), "Unknown service name");
        assert_eq!(bootstrap_text(15), "(os/kern) invalid name");
    }
}
