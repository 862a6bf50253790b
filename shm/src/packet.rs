//! Taking one packet with everything the kernel says about it.
//!
//! By hand, since the safe call knows nothing of `SCM_PIDFD` and would lose the
//! descriptor in it. The control bytes are the kernel's, not the peer's, and
//! are read with checked indices all the same.
#![allow(
    unsafe_code,
    reason = "recvmsg, socket options, and descriptors that just arrived (M6, M10)"
)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use abi::limits;

use crate::refuse::{self, Call};
use crate::who::Credentials;

/// Descriptors one packet carries: those of a message, its ports and regions, its body,
/// one to spare.
pub(crate) const PACKET_DESCRIPTORS: usize =
    limits::MESSAGE_DESCRIPTORS + limits::MESSAGE_RECEIVES + limits::MESSAGE_REGIONS + 2;

/// `SO_PASSPIDFD`, Linux 6.5.
const SO_PASSPIDFD: libc::c_int = 76;
/// `SCM_PIDFD`, Linux 6.5.
const SCM_PIDFD: libc::c_int = 4;

/// Words of the longest control data a packet within the limits brings: the
/// sender's credentials, its pidfd, and descriptors.
const CONTROL_WORDS: usize =
    (control_bytes(12) + control_bytes(4) + control_bytes(PACKET_DESCRIPTORS * 4)) / 8;

/// Bytes of one piece of control data with `bytes` in it.
const fn control_bytes(bytes: usize) -> usize {
    CONTROL_HEAD + bytes.next_multiple_of(8)
}

/// Bytes of the head of a piece: its length, level and type.
const CONTROL_HEAD: usize = mem::size_of::<libc::cmsghdr>();

/// How often a socket's pending error may stand before its packets, and how often
/// the kernel may have no memory for one.
const ERRORS: usize = 4;

/// What was there to receive.
#[derive(Debug)]
pub enum Received {
    /// A packet.
    Packet {
        /// Bytes of it in the buffer.
        bytes: usize,
        /// The packet was longer than the buffer; the rest is gone.
        cut: bool,
        /// The descriptors it carried, as many as could be installed.
        descriptors: Vec<OwnedFd>,
        /// Descriptors did not fit, or our table was full: they are gone.
        lost: bool,
        /// Who sent it, by the kernel's word.
        who: Option<Credentials>,
    },
    /// Nothing now.
    Empty,
    /// Nothing any more: the peer closed its end or died, and everything it
    /// sent has been received.
    End,
    /// The system could not say: out of memory, or in a forked child no socket.
    Failed(io::Error),
}

/// Set once the kernel has refused to send pidfds.
static PIDFDS_REFUSED: AtomicBool = AtomicBool::new(false);

/// Has the kernel say with each packet who sent it.
pub(crate) fn ask_who(socket: BorrowedFd<'_>) -> io::Result<()> {
    refuse::at(Call::PassCred)?;
    rustix::net::sockopt::set_socket_passcred(socket, true)?;
    ask_for_pidfd(socket, true);
    Ok(())
}

/// Has the kernel open a pidfd of the sender for each packet, or no more. Older
/// kernels refuse, and the pid has to do.
pub(crate) fn ask_for_pidfd(socket: BorrowedFd<'_>, yes: bool) {
    let value = libc::c_int::from(yes);
    if refuse::at(Call::PassPidfd).is_err() {
        PIDFDS_REFUSED.store(true, Relaxed);
        return;
    }
    // SAFETY: M10: reads one integer of the length that is said.
    let refused = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSPIDFD,
            ptr::from_ref(&value).cast(),
            mem::size_of_val(&value) as libc::socklen_t,
        )
    };
    if refused != 0 {
        // Relaxed: a flag that says the same to whoever reads it, when it does.
        PIDFDS_REFUSED.store(true, Relaxed);
    }
}

/// Takes one packet from `socket`.
///
/// `ECONNRESET` says that the peer died with something of ours unread. It is
/// told once, before what the peer had sent; so it is passed over.
pub(crate) fn receive(socket: BorrowedFd<'_>, buf: &mut [u8]) -> Received {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut errors = 0;
    loop {
        match receive_once(socket, buf, &mut control) {
            Ok(taken) => return taken,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) => return Received::Empty,
                Some(libc::ECONNRESET | libc::ENOMEM | libc::ENOBUFS) if errors < ERRORS => {
                    errors += 1;
                }
                Some(libc::ECONNRESET | libc::ENOTCONN) => return Received::End,
                _ => return Received::Failed(error),
            },
        }
    }
}

fn receive_once(
    socket: BorrowedFd<'_>,
    buf: &mut [u8],
    control: &mut [u64; CONTROL_WORDS],
) -> io::Result<Received> {
    refuse::at(Call::RecvMsg)?;
    let mut piece = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: M10: integers and null pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: M10: every pointer is to a buffer that lives through the call, as
    // long as is said.
    let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let Ok(bytes) = usize::try_from(bytes) else {
        return Err(io::Error::last_os_error());
    };
    let mut arrived = Arrived::default();
    let filled = (message.msg_controllen as usize).div_ceil(8);
    arrived.read(control.get(..filled.min(CONTROL_WORDS)).unwrap_or_default());
    let lost = arrived.refused() || message.msg_flags & libc::MSG_CTRUNC != 0;
    let who = arrived.who();
    if bytes == 0 && who.is_none() && arrived.descriptors.is_empty() {
        // An empty packet comes from somebody; the end comes from nobody.
        return Ok(Received::End);
    }
    Ok(Received::Packet {
        bytes: bytes.min(buf.len()),
        cut: message.msg_flags & libc::MSG_TRUNC != 0,
        descriptors: arrived.descriptors,
        lost,
        who,
    })
}

/// What came with a packet.
#[derive(Default)]
struct Arrived {
    descriptors: Vec<OwnedFd>,
    pidfd: Option<OwnedFd>,
    pid_uid_gid: Option<[u32; 3]>,
}

impl Arrived {
    /// Reads control data, and takes every descriptor in it.
    fn read(&mut self, control: &[u64]) {
        let bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut rest = bytes.as_slice();
        while let Some((length, level, kind)) = piece_head(rest) {
            let Some(data) = rest.get(CONTROL_HEAD..length) else {
                return;
            };
            let numbers = data.as_chunks::<4>().0;
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let taken = numbers.iter().filter_map(|raw| take(*raw));
                    self.descriptors.extend(taken);
                }
                (libc::SOL_SOCKET, SCM_PIDFD) => {
                    self.pidfd = numbers.first().and_then(|raw| take(*raw));
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    if let [pid, uid, gid] = numbers {
                        self.pid_uid_gid = Some([*pid, *uid, *gid].map(u32::from_ne_bytes));
                    }
                }
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(8)..).unwrap_or_default();
        }
    }

    /// Where a test has the kernel refuse: what could not be installed is gone.
    fn refused(&mut self) -> bool {
        if self.pidfd.is_some() && refuse::at(Call::InstallPidfd).is_err() {
            self.pidfd = None;
        }
        let lost = !self.descriptors.is_empty() && refuse::at(Call::Install).is_err();
        if lost {
            self.descriptors.clear();
        }
        lost
    }

    fn who(&mut self) -> Option<Credentials> {
        let [pid, uid, gid] = self.pid_uid_gid?;
        Some(Credentials::new(
            pid.cast_signed(),
            uid,
            gid,
            self.pidfd.take(),
            !PIDFDS_REFUSED.load(Relaxed),
        ))
    }
}

/// Length, level and type of the piece of control data that `bytes` begin with.
fn piece_head(bytes: &[u8]) -> Option<(usize, libc::c_int, libc::c_int)> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (level, rest) = rest.split_first_chunk::<4>()?;
    let (kind, _) = rest.split_first_chunk::<4>()?;
    let length = usize::from_ne_bytes(*length);
    (length >= CONTROL_HEAD).then_some((
        length,
        libc::c_int::from_ne_bytes(*level),
        libc::c_int::from_ne_bytes(*kind),
    ))
}

/// Takes a descriptor the kernel has just installed for us. An error number in
/// its place (a pidfd that could not be opened) is none.
fn take(raw: [u8; 4]) -> Option<OwnedFd> {
    let raw = RawFd::from_ne_bytes(raw);
    // SAFETY: M6: installed by this call to recvmsg, so open, and nobody else's.
    (raw >= 0).then(|| unsafe { OwnedFd::from_raw_fd(raw) })
}

const _: () = assert!(CONTROL_HEAD == 16, "written for 64-bit Linux");
