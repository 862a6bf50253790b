//! A system that refuses: every call this crate makes of the kernel, by name,
//! and a way for tests to have the n-th one of a kind fail.
//!
//! Each call site asks `at` first. In a build without the feature `refuse`,
//! which is every build but the tests' own, the answer is a constant and
//! nothing of this is left.
//!
//! The library of C and `std` make calls of their own, for a thread and for a
//! child: those are one kind each ([`Call::Thread`], [`Call::Spawn`]).

use rustix::io::Errno;

macro_rules! calls {
    ($($(#[$doc:meta])+ $name:ident: $($errno:ident)+,)+) => {
        /// A kind of system call, as this crate uses it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Call { $($(#[$doc])+ $name,)+ }

        impl Call {
            /// Every kind.
            pub const ALL: &[Call] = &[$(Call::$name,)+];

            /// How the kernel, a filter on system calls, or an older kernel
            /// may refuse it.
            pub const fn refusals(self) -> &'static [Errno] {
                match self { $(Call::$name => &[$(Errno::$errno),+],)+ }
            }
        }
    };
}

calls! {
    /// Memory of its own; `INVAL` from a kernel that does not know all flags.
    MemfdCreate: MFILE NFILE NOMEM INVAL,
    /// Room in it.
    Fallocate: NOSPC NOMEM INTR,
    /// What must be in it.
    Write: NOSPC NOMEM INTR,
    /// The seals.
    SealAdd: PERM NOMEM,
    /// A mapping.
    Mmap: NOMEM,
    /// Not for children.
    DontFork: NOMEM,
    /// Readable, writable.
    Mprotect: NOMEM,
    /// What a peer's memory is.
    Verify: NOMEM NOSYS,
    /// A connected pair of sockets.
    SocketPair: MFILE NFILE NOMEM NOBUFS,
    /// A socket.
    Socket: MFILE NFILE NOMEM NOBUFS,
    /// Credentials with each packet.
    PassCred: NOMEM PERM,
    /// A pidfd with each packet; `NOPROTOOPT` before Linux 6.5.
    PassPidfd: NOPROTOOPT NOMEM,
    /// A name for a socket.
    Bind: NOMEM NOSPC ACCESS,
    /// Others may connect.
    Listen: NOMEM NOBUFS,
    /// The name the kernel chose.
    GetSockName: NOBUFS NOMEM,
    /// A connection to another.
    Connect: INTR AGAIN NOMEM PERM,
    /// A connection of another's.
    Accept: MFILE NFILE NOMEM NOBUFS INTR CONNABORTED,
    /// A packet that carries descriptors.
    SendDescriptors: TOOMANYREFS MFILE NOMEM NOBUFS INTR,
    /// A packet that carries none.
    Send: NOMEM NOBUFS INTR,
    /// A bell.
    Ring: NOMEM NOBUFS INTR,
    /// The next packet.
    RecvMsg: INTR NOMEM,
    /// The descriptors of a packet, which have no place in our table.
    Install: MFILE,
    /// The pidfd of a packet, likewise.
    InstallPidfd: MFILE,
    /// A process by its pid.
    PidfdOpen: MFILE NFILE NOMEM NOSYS,
    /// A set of descriptors to wait on.
    EpollCreate: MFILE NFILE NOMEM,
    /// One more of them.
    EpollAdd: NOMEM NOSPC,
    /// Waiting for them; `PERM` and `NOSYS` where the newer call is barred.
    EpollWait: INTR PERM NOSYS,
    /// A bell of our own.
    Eventfd: MFILE NFILE NOMEM,
    /// Ringing it, and silencing it.
    EventfdUse: INTR,
    /// Sleeping on one word.
    FutexWait: INTR AGAIN NOMEM,
    /// Sleeping on several; `NOSYS` before Linux 5.16, `PERM` where it is barred.
    FutexWaitv: INTR AGAIN NOMEM NOSYS PERM,
    /// A barrier in every thread of the process; `NOSYS` before Linux 4.16, `PERM` where
    /// it is barred.
    Membarrier: NOSYS PERM,
    /// A copy of a descriptor.
    Dup: MFILE,
    /// A thread.
    Thread: AGAIN,
    /// A child.
    Spawn: AGAIN NOMEM MFILE,
}

/// Whether the call that follows may be made.
#[cfg(not(feature = "refuse"))]
#[inline(always)]
pub(crate) const fn at(_: Call) -> Result<(), Errno> {
    Ok(())
}

#[cfg(feature = "refuse")]
pub(crate) use self::plan::at;
#[cfg(feature = "refuse")]
pub use self::plan::{Planned, counts, plan};

#[cfg(feature = "refuse")]
mod plan {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    use super::{Call, Errno};

    /// Stands in every binary that has this module, and in no other.
    #[used]
    static MARK: [u8; 31] = *b"pillarbox: system calls refused";

    /// No call is to be refused.
    const NONE: u64 = u64::MAX;

    /// How often each kind was asked for. Relaxed throughout: a count, and a
    /// plan that is made while nothing else runs.
    static COUNTS: [AtomicU64; Call::ALL.len()] = [const { AtomicU64::new(0) }; Call::ALL.len()];
    /// Which kind, from which count on, up to which, and with what.
    static KIND: AtomicU64 = AtomicU64::new(NONE);
    static FIRST: AtomicU64 = AtomicU64::new(0);
    static LAST: AtomicU64 = AtomicU64::new(0);
    static ERRNO: AtomicU64 = AtomicU64::new(0);
    static FIRED: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn at(call: Call) -> Result<(), Errno> {
        let Some(count) = COUNTS.get(call as usize) else { return Ok(()) };
        let count = count.fetch_add(1, Relaxed);
        let due = FIRST.load(Relaxed)..=LAST.load(Relaxed);
        if KIND.load(Relaxed) != call as u64 || !due.contains(&count) {
            return Ok(());
        }
        FIRED.fetch_add(1, Relaxed);
        Err(Errno::from_raw_os_error(ERRNO.load(Relaxed) as i32))
    }

    /// How often this process has made each kind of call.
    pub fn counts() -> Vec<(Call, u64)> {
        Call::ALL
            .iter()
            .filter_map(|&call| Some((call, COUNTS.get(call as usize)?.load(Relaxed))))
            .collect()
    }

    /// Has `times` calls of the kind fail with `errno`, after `after` more have
    /// gone well. Until what is returned is dropped, and one plan at a time.
    pub fn plan(call: Call, after: u64, times: u64, errno: Errno) -> Planned {
        FIRED.store(0, Relaxed);
        let now = COUNTS.get(call as usize).map_or(0, |count| count.load(Relaxed));
        FIRST.store(now + after, Relaxed);
        LAST.store((now + after).saturating_add(times.saturating_sub(1)), Relaxed);
        ERRNO.store(errno.raw_os_error().unsigned_abs().into(), Relaxed);
        KIND.store(call as u64, Relaxed);
        Planned { _only: () }
    }

    /// A plan that holds while this lives.
    #[derive(Debug)]
    #[must_use = "the plan ends when this is dropped"]
    pub struct Planned {
        _only: (),
    }

    impl Planned {
        /// How many calls were refused so far.
        pub fn refused(&self) -> u64 {
            FIRED.load(Relaxed)
        }
    }

    impl Drop for Planned {
        fn drop(&mut self) {
            KIND.store(NONE, Relaxed);
        }
    }
}
