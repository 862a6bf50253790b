//! The numbers that programs see, and what a failed call leaves.

/// What a call failed with, as `errno` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

macro_rules! errnos {
    ($($name:ident)*) => { $(pub(crate) const $name: Errno = Errno(libc::$name);)* };
}

errnos! {
    EAGAIN EBADF EBUSY EFAULT EINTR EINVAL ENOENT ENOSYS EOVERFLOW EPERM ESRCH ETIMEDOUT
    ENAMETOOLONG ENOTSUP
}

/// Memory of the server's was bad while a client waited for it. Linux has no such number.
pub(crate) const ESRVRFAULT: Errno = Errno(312);

/// What Linux has no text for.
pub(crate) const fn text(error: i32) -> Option<&'static str> {
    match error {
        0 => Some("No error"),
        300 => Some("Must be done on local machine"),
        312 => Some("Server fault on msg pass"),
        _ => None,
    }
}

/// Flags of a channel.
pub(crate) mod chf {
    pub(crate) const FIXED_PRIORITY: u32 = 0x1;
    pub(crate) const UNBLOCK: u32 = 0x2;
    pub(crate) const THREAD_DEATH: u32 = 0x4;
    pub(crate) const DISCONNECT: u32 = 0x8;
    pub(crate) const COID_DISCONNECT: u32 = 0x40;
    pub(crate) const PRIVATE: u32 = 0x1000;
    pub(crate) const MSG_PAUSING: u32 = 0x2000;
    /// Every flag there is.
    pub(crate) const ALL: u32 = 0xffff;
}

/// Flags of a connection.
pub(crate) mod cof {
    pub(crate) const CLOEXEC: u32 = 0x1;
    pub(crate) const DEAD: u32 = 0x2;
    pub(crate) const NOSHARE: u32 = 0x40;
    /// Every flag there is.
    pub(crate) const ALL: u32 = 0x7fff;
}

/// Codes of pulses that the system sends.
pub(crate) mod pulse_code {
    pub(crate) const UNBLOCK: i8 = -32;
    pub(crate) const DISCONNECT: i8 = -33;
    pub(crate) const THREADDEATH: i8 = -34;
    pub(crate) const COIDDEATH: i8 = -35;
    pub(crate) const RESTART: i8 = -39;
}

/// States a thread may be in, as bits of a timeout.
pub(crate) mod timeout_in {
    pub(crate) const SEND: u32 = 1 << 4;
    pub(crate) const RECEIVE: u32 = 1 << 5;
    pub(crate) const REPLY: u32 = 1 << 6;
}

/// Flags in what is told of a message.
pub(crate) mod mi {
    pub(crate) const UNBLOCK_REQ: u16 = 0x100;
    pub(crate) const BITS_64: u16 = 0x1000;
}

/// The bit of a connection's number that says it is none of the descriptors.
pub(crate) const SIDE_CHANNEL: i32 = 0x4000_0000;

/// The bit of a server's number for a client.
pub(crate) const SCOID: i32 = 0x1_0000;

/// The priority of a thread that was given no other.
pub(crate) const PRIORITY: u16 = 10;

/// The highest priority there is.
pub(crate) const PRIORITY_MOST: u16 = 255;
