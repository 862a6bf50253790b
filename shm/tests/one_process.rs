//! Both ends of a link in one process: what an honest pair can rely on.
#![cfg(not(loom))]

use std::os::fd::AsFd;

use abi::frame::{Header, Kind};
use abi::{Slot, limits};
use shm::{Body, LinkSocket, Listener, OwnPage, PeerPage, Received, WriteError};

const LANE: u32 = limits::LANE_BYTES_MIN;

fn header(length: usize, extra: usize) -> Header {
    let slot = Slot { index: 1, generation: 1 };
    Header { length: 32 + length as u32, extra: extra as u32, ..Header::new(Kind::Message, slot) }
}

#[test]
fn frames_cross_a_lane_many_times_round() {
    let (_own, mut writer, fd) = OwnPage::create(LANE).unwrap();
    let (back, _, back_fd) = OwnPage::create(LANE).unwrap();
    let (_peer, mut reader) = PeerPage::open(fd, LANE).unwrap();
    let (back_peer, _) = PeerPage::open(back_fd, LANE).unwrap();
    let mut out = Vec::new();
    for number in 0..20_000 {
        let length = number % 700;
        let bytes: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
        let (extra, body) = bytes.split_at(length / 3);
        let header = header(length, extra.len());
        writer.write(&header, &[extra, body], limits::LANE_RESERVE, &back_peer).unwrap();
        // Not seen before it is published.
        assert!(!reader.pending());
        assert_eq!(reader.next(), Ok(None));
        writer.publish();
        assert!(reader.pending());
        let frame = reader.next().unwrap().unwrap();
        assert_eq!(frame, header);
        out.clear();
        reader.extra(&frame, &mut out);
        assert_eq!(out, extra);
        reader.body(&frame, &mut out);
        assert_eq!(out, bytes);
        let mut short = [0; 5];
        let copied = reader.body_into(&frame, &mut short);
        assert_eq!(short[..copied], body[..body.len().min(5)]);
        reader.finish(&frame);
        back.set_tail(reader.position());
    }
    assert_eq!(reader.next(), Ok(None));
    assert_eq!(reader.position(), writer.head());
    assert_eq!((reader.lane_bytes(), writer.lane_bytes()), (LANE, LANE));
}

#[test]
fn room_that_was_made_is_there() {
    let (_own, mut writer, fd) = OwnPage::create(LANE).unwrap();
    let (back, _, back_fd) = OwnPage::create(LANE).unwrap();
    let (_peer, mut reader) = PeerPage::open(fd, LANE).unwrap();
    let (back_peer, _) = PeerPage::open(back_fd, LANE).unwrap();
    let body = [3; 5000];
    let frame = header(body.len(), 0);
    let keep = limits::LANE_RESERVE;
    for _ in 0..200 {
        while writer.make_room(frame.length, keep, &back_peer).is_ok() {
            writer.write(&frame, &[&body], keep, &back_peer).unwrap();
        }
        let full = writer.write(&frame, &[&body], keep, &back_peer);
        assert_eq!(full, Err(WriteError::NoRoom));
        // What the protocol itself must say still gets in.
        writer.write(&header(0, 0), &[], 0, &back_peer).unwrap();
        writer.publish();
        while let Some(frame) = reader.next().unwrap() {
            reader.finish(&frame);
        }
        back.set_tail(reader.position());
    }
    let long = writer.make_room(limits::FRAME_BYTES as u32 + 1, 0, &back_peer);
    assert_eq!(long, Err(WriteError::Length));
}

#[test]
fn packets_carry_descriptors_and_who_sent_them() {
    let (near, far) = LinkSocket::pair().unwrap();
    let far = LinkSocket::from_fd(far).unwrap();
    let body = Body::create(&[b"hello ", b"world"]).unwrap();
    near.send(b"packet", &[body.as_fd()]).unwrap();
    let mut buf = [0; 64];
    let Received::Packet { bytes, cut: false, mut descriptors, lost: false, who: Some(who) } =
        far.receive(&mut buf)
    else {
        panic!("no packet");
    };
    assert_eq!(&buf[..bytes], b"packet");
    assert_eq!(who.process, shm::socket::own_process());
    let body = Body::open(descriptors.pop().unwrap(), 11).unwrap();
    assert_eq!(&*body, b"hello world");
    assert!(matches!(far.receive(&mut buf), Received::Empty));
    far.ring();
    far.shutdown();
    assert!(matches!(near.receive(&mut buf), Received::Packet { bytes: 1, .. }));
    assert!(matches!(near.receive(&mut buf), Received::End));
}

#[test]
fn a_packet_sent_before_it_was_accepted_says_who_sent_it() {
    let (listener, address) = Listener::bind_abstract().unwrap();
    assert!(listener.accept().unwrap().is_none());
    let client = LinkSocket::connect(&address).unwrap();
    client.send(b"early", &[]).unwrap();
    let server = listener.accept().unwrap().unwrap();
    assert!(matches!(
        server.receive(&mut [0; 8]),
        Received::Packet { who: Some(who), .. } if who.process == shm::socket::own_process()
    ));
    server.send(b"answer", &[]).unwrap();
    assert!(matches!(
        client.receive(&mut [0; 8]),
        Received::Packet { who: Some(who), .. } if who.process == shm::socket::own_process()
    ));
    drop(listener);
    let refused = LinkSocket::connect(&address).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(std::io::ErrorKind::ConnectionRefused));
}

#[test]
fn a_place_in_the_file_system_can_be_listened_at_once() {
    let folder = std::env::temp_dir().join(format!("pillarbox-shm-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("socket");
    let nobody = LinkSocket::connect_path(&path).map_err(|error| error.kind());
    assert_eq!(nobody.err(), Some(std::io::ErrorKind::NotFound));
    let listener = Listener::bind_path(&path).unwrap();
    let again = Listener::bind_path(&path).map_err(|error| error.kind());
    assert_eq!(again.err(), Some(std::io::ErrorKind::AddrInUse));
    let client = LinkSocket::connect_path(&path).unwrap();
    let server = listener.accept().unwrap().unwrap();
    server.ring();
    assert!(matches!(client.receive(&mut [0; 8]), Received::Packet { bytes: 1, .. }));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn only_a_link_socket_is_taken_for_one() {
    let (reading, _writing) = rustix::pipe::pipe().unwrap();
    assert!(LinkSocket::from_fd(reading).is_err());
    let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(LinkSocket::from_fd(stream.into()).is_err());
}
