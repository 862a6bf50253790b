//! A message whose descriptors were lost on the way of those before its sender, or found
//! no room in the kernel, comes with a gap in their place: in a lane, in a bag or spilled.
//! Its sender said so, and is blamed only where it did not.

mod family;

use std::os::fd::AsFd;

use abi::bag::{Origin, Passport};
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::{Slot, limits};
use family::bags::{NOWHERE, PORT, RawBag, move_in};
use family::raw::{Peer, wait_for_the_end};
use family::{Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{Capacity, Message, Offence, ReceiveRight, Task};
use shm::OwnPage;

/// The variable that says by which way, and whether it says what it lost.
const WAY: &str = "PILLARBOX_TEST_WAY";

/// A message names two descriptors, and this brings one.
fn bring_one(peer: &Peer, what: [u8; 4]) {
    let mut packet = [0; 8];
    packet[..4].copy_from_slice(&what);
    let one = std::io::pipe().unwrap().0;
    peer.socket.send(&packet, &[one.as_fd()]).unwrap();
}

fn names_two(extra: &mut Vec<u8>) -> (u8, Attached) {
    let attached = Attached { descriptors: 2, packet: 0, ..Attached::default() };
    (attached.encode(extra), attached)
}

fn in_a_bag(peer: &mut Peer) {
    let mut bag = RawBag::of(Passport { by_priority: false, ..PORT });
    let mut extra = Vec::new();
    let (flags, _) = names_two(&mut extra);
    let header = Header { flags, extra: extra.len() as u32, ..Header::new(Kind::Message, NOWHERE) };
    bag.put(header, &[&extra, &Origin::default().encode(), b"short"]);
    move_in(peer, 0, 1, bag.fd);
}

fn spilled(peer: &mut Peer, slot: Slot) {
    let (_, mut writer, fd) = OwnPage::create(limits::LANE_BYTES_MIN).unwrap();
    let mut rest = Vec::new();
    let (flags, _) = names_two(&mut rest);
    let extra = rest.len() as u32;
    rest.extend_from_slice(&1_u64.to_le_bytes());
    rest.extend_from_slice(&0_u64.to_le_bytes());
    rest.extend_from_slice(b"short");
    let length = (HEADER_BYTES + rest.len()) as u32;
    let header = Header { length, flags, extra, ..Header::new(Kind::Message, slot) };
    writer.append(&header, &[&rest]).unwrap();
    writer.publish();
    let mut offer = *b"spil........";
    offer[4..8].copy_from_slice(&slot.index.to_le_bytes());
    offer[8..].copy_from_slice(&slot.generation.to_le_bytes());
    peer.socket.send(&offer, &[fd.as_fd()]).unwrap();
    peer.say(Header { tag: 1, ..Header::new(Kind::Spilled, NOWHERE) }, &[]);
}

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let way = std::env::var(WAY).unwrap();
    let (inbox, open) = (peer.slot("inbox"), peer.slot("open"));
    match way.as_str() {
        "lane" | "lane, unsaid" => {
            bring_one(&peer, if way == "lane" { *b"desl" } else { *b"desc" });
            let (_, attached) = names_two(&mut Vec::new());
            peer.send(open, &attached, b"short");
        }
        "bag" | "bag, unsaid" => {
            bring_one(&peer, if way == "bag" { *b"bagl" } else { *b"bagd" });
            in_a_bag(&mut peer);
        }
        _ => {
            bring_one(&peer, if way == "spill" { *b"spll" } else { *b"spld" });
            spilled(&mut peer, open);
        }
    }
    peer.send(inbox, &Attached::default(), b"and on");
    wait_for_the_end(&peer.socket);
}

/// A task, the ports that a sender has rights to, and the sender.
fn sent_by(way: &str) -> (Task, ReceiveRight, ReceiveRight, Reaped) {
    let task = Task::new();
    let (inbox, open) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Unbounded));
    let child = act_with("sender_part", |command| {
        command.env(WAY, way);
    });
    let child =
        child.right("inbox", inbox.make_send().unwrap()).right("open", open.make_send().unwrap());
    let child = Reaped(child.spawn_in(&task).unwrap());
    (task, inbox, open, child)
}

fn has_a_gap(mut message: Message) {
    assert_eq!(message.body(), b"short");
    let lost: Vec<bool> =
        message.take_descriptors().into_iter().map(|one| one.take().is_none()).collect();
    assert_eq!(lost, [false, true]);
}

#[test]
fn it_comes_with_a_gap() {
    if is_part() {
        return;
    }
    for way in ["lane", "bag", "spill"] {
        let (task, inbox, open, _child) = sent_by(way);
        if way == "bag" {
            let port = inbox.receive(long()).expect(way).take_rights().remove(0);
            let port = port.into_receive().unwrap();
            has_a_gap(port.receive(long()).expect(way));
        } else {
            has_a_gap(open.receive(long()).expect(way));
        }
        assert_eq!(inbox.receive(long()).expect(way).body(), b"and on", "{way}");
        assert_eq!(task.metrics().lost, 1, "{way}");
        assert!(task.metrics().offences.is_empty(), "{way}");
        task.close();
    }
}

#[test]
fn who_does_not_say_so_is_blamed() {
    if is_part() {
        return;
    }
    for way in ["lane, unsaid", "bag, unsaid", "spill, unsaid"] {
        let (task, inbox, open, mut child) = sent_by(way);
        let name = format!("{:?}", Offence::DescriptorsMissing);
        settled(
            || {
                // What lies in the lane is read by who receives.
                let _ = inbox.receive(pillarbox::Deadline::Now);
                let _ = open.receive(pillarbox::Deadline::Now);
                task.metrics().offences
            },
            |found| found.get(&name) == Some(&1),
        );
        assert!(child.ended_well(), "{way}");
        task.close();
    }
}
