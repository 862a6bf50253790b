//! Bodies of every length up to the limit arrive whole, around each border;
//! so do as many descriptors as a message may carry. Where the receiver has no
//! room for them, what is lost is lost in its place and everything else comes.

mod family;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use family::{Reaped, act, acting, is_part, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, SendFailure, SendRight, Task, limits};
use rustix::fs::MemfdFlags;
use rustix::process::{Resource, getrlimit, setrlimit};

const BACK: i32 = 1;
const COUNT: i32 = 2;
const STARVE: i32 = 3;
const FEED: i32 = 4;

fn sum(bytes: &[u8]) -> u64 {
    // Order matters: a page in another place makes another sum.
    bytes.chunks(8).fold(7, |sum: u64, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.rotate_left(5) ^ u64::from_le_bytes(word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

fn number_in(fd: OwnedFd) -> u8 {
    let mut byte = [0];
    File::from(fd).read_exact_at(&mut byte, 0).unwrap();
    byte[0]
}

#[test]
fn receiver_part() {
    if !acting("receiver_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    offer(&[&inbox]);
    let mut hoard: Vec<File> = Vec::new();
    let before = getrlimit(Resource::Nofile);
    while let Ok(mut order) = inbox.receive(long()) {
        let mut answer = Message::new("").with_tag(sum(order.body()));
        match order.id() {
            BACK => answer = Message::new(order.body()),
            COUNT => {
                // A byte for each: its number, or that it is lost.
                let came = order.take_descriptors().into_iter();
                let numbers: Vec<u8> =
                    came.map(|descriptor| descriptor.take().map_or(255, number_in)).collect();
                let lost = u64::from(order.is_body_lost());
                answer = Message::new(numbers).with_tag(lost);
            }
            STARVE => {
                // Room for a few descriptors, said in the tag, and no more.
                let few = rustix::process::Rlimit { current: Some(48), ..before };
                setrlimit(Resource::Nofile, few).unwrap();
                while let Ok(file) = File::open("/dev/null") {
                    hoard.push(file);
                }
                hoard.truncate(hoard.len() - order.tag() as usize);
            }
            FEED => {
                hoard.clear();
                setrlimit(Resource::Nofile, before).unwrap();
            }
            _ => {}
        }
        order.reply(answer, long()).unwrap();
    }
}

fn receiver() -> (Reaped, SendRight) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let (child, [post]) = meet(act("receiver_part"), &inbox);
    (child, post)
}

/// Bytes that look random, so that no page is like another.
fn body(length: usize) -> Vec<u8> {
    let mut random = family::Random::new(length as u64);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A descriptor with a number in it.
fn numbered(number: u8) -> OwnedFd {
    let mut file = File::from(rustix::fs::memfd_create("number", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(&[number]).unwrap();
    file.into()
}

#[test]
fn bodies_of_every_length_arrive_whole() {
    if is_part() {
        return;
    }
    // Before the receiver waits for them: on a busy machine this takes minutes.
    let longest = [64 << 20, 256 << 20].map(|length| {
        let bytes = body(length);
        let expected = sum(&bytes);
        (bytes, expected)
    });
    let (_child, post) = receiver();
    let border = limits::INLINE_BYTES;
    let around = [0, 1, 7, 8, 4095, 4096, border - 1, border, border + 1, border + 4096];
    for length in around {
        let bytes = body(length);
        let request = Message::new(bytes.clone()).with_id(BACK);
        let answer = post.call(request, long()).unwrap();
        assert!(answer.body() == bytes, "{length} bytes");
    }
    // Every frame length there is, so that every place of the ring is an end.
    for length in (0..4000).step_by(13) {
        let request = Message::new(body(length)).with_id(BACK);
        assert_eq!(post.call(request, long()).unwrap().body().len(), length);
    }
    for (bytes, expected) in longest {
        let length = bytes.len();
        let answer = post.call(Message::new(bytes), Deadline::Never).unwrap();
        assert_eq!(answer.tag(), expected, "{length} bytes");
    }
}

#[test]
fn a_body_beyond_the_limit_comes_back() {
    if is_part() {
        return;
    }
    let (_child, post) = receiver();
    // Untouched pages of zeros: they cost nothing until somebody reads them.
    let length = limits::MESSAGE_BYTES as usize + 1;
    let failed = post.send(Message::new(vec![0; length]), Deadline::Never).unwrap_err();
    assert_eq!(failed.reason, SendFailure::TooLong { bytes: length as u64 });
    assert_eq!(failed.message.body().len(), length);
}

#[test]
fn as_many_descriptors_arrive_as_a_message_may_carry() {
    if is_part() {
        return;
    }
    let (_child, post) = receiver();
    let most = limits::MESSAGE_DESCRIPTORS;
    // With a body in memory of its own, too: one descriptor more.
    for bytes in [0, limits::INLINE_BYTES + 1] {
        for count in [0, 1, most - 1, most] {
            let request = Message::new(body(bytes)).with_id(COUNT);
            let request = (0..count)
                .fold(request, |request, number| request.with_descriptor(numbered(number as u8)));
            let answer = post.call(request, long()).unwrap();
            let expected: Vec<u8> = (0..count as u8).collect();
            assert_eq!(answer.body(), expected);
            assert_eq!(answer.tag(), 0, "the body came");
        }
    }
    let request = Message::new("");
    let request = (0..=most).fold(request, |request, _| request.with_descriptor(numbered(0)));
    let failed = post.send(request, long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::TooManyDescriptors(most + 1));
    assert_eq!(failed.message.descriptors().len(), most + 1);
}

#[test]
fn what_has_no_room_is_lost_in_its_place() {
    if is_part() {
        return;
    }
    let (_child, post) = receiver();
    let ask = |id, tag| post.call(Message::new("").with_id(id).with_tag(tag), long()).unwrap();
    for room in [0, 1, 3] {
        ask(STARVE, room);
        let request = (1..6).fold(Message::new("small").with_id(COUNT), |request, number| {
            request.with_descriptor(numbered(number))
        });
        let answer = post.call(request, long()).unwrap();
        let numbers = answer.body();
        assert_eq!(numbers.len(), 5, "each has its place");
        let came = numbers.iter().take_while(|&&number| number != 255).count();
        assert_eq!(numbers[..came], [1, 2, 3, 4, 5][..came]);
        assert!(numbers[came..].iter().all(|&number| number == 255));
        assert!(came <= room as usize, "room for {room}, {came} came");
        if room == 0 {
            // A body that cannot be mapped is said to be lost, not to be empty.
            let request = Message::new(body(limits::INLINE_BYTES + 1)).with_id(COUNT);
            assert_eq!(post.call(request, long()).unwrap().tag(), 1);
        }
        // Messages without descriptors do not suffer, and it passes.
        let request = Message::new(body(100)).with_id(BACK);
        assert_eq!(post.call(request, long()).unwrap().body(), body(100));
        ask(FEED, 0);
        let request = Message::new("").with_id(COUNT).with_descriptor(numbered(9));
        assert_eq!(post.call(request, long()).unwrap().body(), [9]);
    }
}

#[test]
fn a_pipe_passed_on_is_the_pipe() {
    if is_part() {
        return;
    }
    let (_child, post) = receiver();
    let (mut reading, writing) = std::io::pipe().unwrap();
    post.call(Message::new("").with_descriptor(writing.into()), long()).unwrap();
    // The receiver dropped it with the message: the last end is closed.
    let mut all = Vec::new();
    reading.read_to_end(&mut all).unwrap();
    assert!(all.is_empty());
}
