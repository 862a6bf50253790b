//! Everything once, both ends in one process.
use abi::frame::{Header, Kind};
use abi::{Slot, limits};
use shm::*;

#[test]
fn a_frame_crosses_a_lane() {
    let (own, mut writer, fd) = OwnPage::create(limits::LANE_BYTES).unwrap();
    let (back, _w2, fd2) = OwnPage::create(limits::LANE_BYTES).unwrap();
    let (peer, mut reader) = PeerPage::open(fd, limits::LANE_BYTES).unwrap();
    let (back_peer, _r2) = PeerPage::open(fd2, limits::LANE_BYTES).unwrap();
    let slot = Slot {
        index: 1,
        generation: 1,
    };
    let mut out = Vec::new();
    for i in 0..200_000_u32 {
        let len = (i % 300) as usize;
        let body: Vec<u8> = (0..len).map(|b| (b as u32 + i) as u8).collect();
        let (a, b) = body.split_at(len / 3);
        let extra = a.len() as u32;
        let header = Header {
            length: 32 + len as u32,
            extra,
            ..Header::new(Kind::Message, slot)
        };
        writer
            .write(&header, &[a, b], limits::LANE_RESERVE, &back_peer)
            .unwrap();
        writer.publish();
        assert!(reader.pending());
        let got = reader.next().unwrap().unwrap();
        assert_eq!(got, header);
        out.clear();
        reader.extra(&got, &mut out);
        assert_eq!(out, a);
        reader.body(&got, &mut out);
        assert_eq!(out, body);
        reader.finish(&got);
        back.set_tail(reader.position());
        assert_eq!(reader.next().unwrap(), None);
    }
    own.bump_change();
    assert_eq!(peer.change(), 1);
}

#[test]
fn packets_carry_descriptors_and_who_sent_them() {
    let (a, b) = LinkSocket::pair().unwrap();
    let b = LinkSocket::from_fd(b).unwrap();
    let body = Body::create(&[b"hello ", b"world"]).unwrap();
    use std::os::fd::AsFd;
    a.send(b"packet", &[body.as_fd()]).unwrap();
    let mut buf = [0; 64];
    match b.receive(&mut buf) {
        Received::Packet {
            bytes,
            mut descriptors,
            lost,
            cut,
            who,
        } => {
            assert_eq!((bytes, lost, cut), (6, false, false));
            let who = who.unwrap();
            assert_eq!(who.pid as u32, std::process::id());
            assert_eq!(who.process, shm::socket::own_process());
            let body = Body::open(descriptors.pop().unwrap(), 11).unwrap();
            assert_eq!(&*body, b"hello world");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(b.receive(&mut buf), Received::Empty));
    b.ring();
    drop(b);
    assert!(matches!(
        a.receive(&mut buf),
        Received::Packet { bytes: 1, .. }
    ));
    assert!(matches!(a.receive(&mut buf), Received::End));
    let (listener, address) = Listener::bind_abstract().unwrap();
    assert!(listener.accept().unwrap().is_none());
    let c = LinkSocket::connect(&address).unwrap();
    c.send(b"early", &[]).unwrap();
    let d = listener.accept().unwrap().unwrap();
    match d.receive(&mut buf) {
        Received::Packet { who: Some(who), .. } => {
            assert_eq!(who.process, shm::socket::own_process())
        }
        other => panic!("{other:?}"),
    }
}
