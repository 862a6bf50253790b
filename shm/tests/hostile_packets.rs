//! A peer that lies in packets, with descriptors, and by its silence.
//!
//! The memory of such a peer is in `hostile.rs`.
#![cfg(not(loom))]

use std::os::fd::AsFd;

use abi::limits;
use shm::{Body, LinkSocket, Received, SendPacketError};

fn connected() -> (LinkSocket, LinkSocket) {
    let (near, far) = LinkSocket::pair().unwrap();
    (near, LinkSocket::from_fd(far).unwrap())
}

#[test]
fn descriptors_that_do_not_fit_are_counted_lost() {
    let (near, far) = connected();
    // By hand: our own `send` refuses so many.
    let null = std::fs::File::open("/dev/null").unwrap();
    let many = vec![null.as_fd(); 200];
    assert!(matches!(near.send(b"x", &many), Err(SendPacketError::System(_))));
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
    let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&many)));
    let piece = [rustix::io::IoSlice::new(b"x")];
    let flags = rustix::net::SendFlags::NOSIGNAL;
    rustix::net::sendmsg(near.as_fd(), &piece, &mut ancillary, flags).unwrap();
    let Received::Packet { descriptors, lost, .. } = far.receive(&mut [0; 8]) else {
        panic!("no packet");
    };
    assert!(lost && descriptors.len() < 200);
    // And those that came are of a kind that is closed on exec.
    for fd in &descriptors {
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    shm::close_later(descriptors);
    // The next packet is whole.
    near.send(b"next", &[null.as_fd()]).unwrap();
    assert!(matches!(
        far.receive(&mut [0; 8]),
        Received::Packet { bytes: 4, lost: false, cut: false, who: Some(_), descriptors } if descriptors.len() == 1
    ));
}

#[test]
fn as_many_descriptors_as_a_message_may_carry_arrive() {
    let (near, far) = connected();
    let null = std::fs::File::open("/dev/null").unwrap();
    let most = vec![null.as_fd(); limits::MESSAGE_DESCRIPTORS + 2];
    near.send(b"x", &most).unwrap();
    assert!(matches!(
        far.receive(&mut [0; 8]),
        Received::Packet { lost: false, who: Some(who), descriptors, .. }
            if descriptors.len() == most.len() && who.process == shm::socket::own_process()
    ));
}

#[test]
fn a_packet_without_bytes_is_not_the_end() {
    let (near, far) = connected();
    near.send(&[], &[]).unwrap();
    near.send(b"longer than the buffer", &[]).unwrap();
    let mut buf = [0; 6];
    assert!(matches!(far.receive(&mut buf), Received::Packet { bytes: 0, cut: false, .. }));
    assert!(matches!(far.receive(&mut buf), Received::Packet { bytes: 6, cut: true, .. }));
    assert_eq!(&buf, b"longer");
    assert!(matches!(far.receive(&mut buf), Received::Empty));
    drop(near);
    assert!(matches!(far.receive(&mut buf), Received::End));
    assert!(matches!(far.receive(&mut buf), Received::End));
    assert!(matches!(far.send(b"x", &[]), Err(SendPacketError::Gone)));
    far.ring();
}

/// KERNEL-FACTS: a peer that died with our bell unread is first an error, then
/// its packets with their descriptors, then the end.
#[test]
fn what_a_peer_sent_before_it_died_is_received() {
    let (near, far) = connected();
    let body = Body::create(&[b"kept"]).unwrap();
    far.send(b"last words", &[body.as_fd()]).unwrap();
    near.ring();
    drop(far);
    let mut buf = [0; 16];
    let Received::Packet { bytes, descriptors, .. } = near.receive(&mut buf) else {
        panic!("lost");
    };
    assert_eq!((bytes, descriptors.len()), (10, 1));
    assert!(matches!(near.receive(&mut buf), Received::End));
}

#[test]
fn a_full_socket_says_so() {
    let (near, far) = connected();
    let mut sent = 0;
    let refused = loop {
        match near.send(&[7; 1000], &[]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendPacketError::Full));
    near.ring();
    let mut buf = [0; 1000];
    for _ in 0..sent {
        assert!(matches!(far.receive(&mut buf), Received::Packet { bytes: 1000, .. }));
    }
    near.send(b"room again", &[]).unwrap();
}

/// KERNEL-FACTS: the pid in a packet is the kernel's word, not the sender's.
#[test]
fn nobody_sends_in_another_name_without_the_right_to() {
    let (near, far) = connected();
    near.send(b"x", &[]).unwrap();
    let Received::Packet { who: Some(who), .. } = far.receive(&mut [0; 8]) else {
        panic!("nobody");
    };
    assert_eq!(who.pid.unsigned_abs(), std::process::id());
    assert_eq!(who.uid, rustix::process::getuid().as_raw());
    assert_eq!(who.gid, rustix::process::getgid().as_raw());
    assert!(who.process != 0 && who.pidfd.is_some());
    near.stop_asking();
    far.stop_asking();
    near.send(b"x", &[]).unwrap();
    let Received::Packet { who: Some(who), .. } = far.receive(&mut [0; 8]) else {
        panic!("nobody");
    };
    assert_eq!((who.process, who.pidfd.is_none()), (0, true));
}
