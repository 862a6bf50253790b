//! An older kernel will do: without `futex_waitv`, `SO_PASSPIDFD`, and memfds
//! that say they are not executable.
//!
//! A filter on system calls, which holds for one thread, answers as such a
//! kernel does. What was found out about the kernel is remembered for the whole
//! process, so this file has one test.
#![cfg(not(loom))]
#![allow(unsafe_code, reason = "installs the filter")]

use abi::limits;
use shm::{EventFd, LinkSocket, OwnPage, PeerPage, Received, WakeWord, Woke};

/// One step of the filter.
fn step(code: u32, if_so: u8, if_not: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: if_so, jf: if_not, k: value }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;

/// Where the number of the call lies, and the low half of its n-th argument.
const CALL: u32 = 0;
const fn argument(number: u32) -> u32 {
    let low_half = if cfg!(target_endian = "big") { 4 } else { 0 };
    16 + number * 8 + low_half
}

fn refuse(errno: i32) -> libc::sock_filter {
    step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// From here on this thread runs on a kernel of the year of `futex_waitv`, or a
/// little before.
fn grow_older() {
    const MFD_NOEXEC_SEAL: u32 = 8;
    const SO_PASSPIDFD: u32 = 76;
    let mut steps = [
        step(LOAD, 0, 0, CALL),
        step(EQUAL, 0, 1, libc::SYS_futex_waitv as u32),
        refuse(libc::ENOSYS),
        step(EQUAL, 0, 3, libc::SYS_memfd_create as u32),
        step(LOAD, 0, 0, argument(1)),
        step(ANY_BIT, 0, 5, MFD_NOEXEC_SEAL),
        refuse(libc::EINVAL),
        step(EQUAL, 0, 3, libc::SYS_setsockopt as u32),
        step(LOAD, 0, 0, argument(2)),
        step(EQUAL, 0, 1, SO_PASSPIDFD),
        refuse(libc::ENOPROTOOPT),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true).unwrap();
    // SAFETY: the program and its steps live through the call, which copies them.
    let set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn an_older_kernel_will_do() {
    std::thread::spawn(|| {
        grow_older();
        // Memories.
        let (_own, mut writer, fd) = OwnPage::create(limits::LANE_BYTES).unwrap();
        let (peer, _reader) = PeerPage::open(fd, limits::LANE_BYTES).unwrap();
        writer.publish();
        // Sleeping on the own word alone, heads or no heads.
        assert!(!shm::wait::can_wait_on_heads());
        let own_word = WakeWord::new();
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(20);
        let heads = [(&*peer, 0)];
        while shm::sleep(&own_word, own_word.now(), &heads, Some(soon)) == Woke::Maybe {}
        let seen = own_word.now();
        own_word.raise();
        assert_eq!(shm::sleep(&own_word, seen, &heads, None), Woke::Maybe);
        // Who is there, by a pidfd that we open ourselves.
        let (near, far) = LinkSocket::pair().unwrap();
        let far = LinkSocket::from_fd(far).unwrap();
        near.send(b"x", &[]).unwrap();
        let Received::Packet { who: Some(who), .. } = far.receive(&mut [0; 8]) else {
            panic!("nobody");
        };
        assert_eq!(who.process, shm::socket::own_process());
        assert!(who.pidfd.is_some());
        EventFd::new().unwrap().raise();
    })
    .join()
    .unwrap();
}
