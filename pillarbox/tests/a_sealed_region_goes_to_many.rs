//! A sealed region is made once and sent to as many as one likes: each reads the same
//! memory as a plain slice, may send it on, and nobody can write it.

mod family;

use std::os::fd::AsFd;

use family::{Reaped, act, acting, begin, is_part, long, meet};
use pillarbox::{Capacity, Message, Region, SendFailure, SendRight, Task};

const BYTES: usize = 300_000;

/// Adds up what comes, and sends it on to whoever came with it.
#[test]
fn reader_part() {
    let Some((_, orders, parent)) = begin("reader_part") else { return };
    while let Ok(mut message) = orders.receive(long()) {
        let regions = message.take_regions();
        assert!(regions[0].is_sealed());
        let sum = regions[0].as_slice().unwrap().iter().map(|byte| u64::from(*byte)).sum();
        let onward = message.take_rights().pop();
        let answer = Message::new("read").with_tag(sum).with_region(regions[0].clone());
        match onward {
            Some(onward) => onward.into_send().unwrap().send(answer, long()).unwrap(),
            None => parent.send(answer, long()).unwrap(),
        }
    }
}

#[test]
fn eight_receivers_read_the_same_memory() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(16));
    let readers: Vec<(Reaped, [SendRight; 1])> =
        (0..8).map(|_| meet(act("reader_part"), &inbox)).collect();
    let bytes: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let region = Region::sealed(&bytes).unwrap();
    assert_eq!((region.len(), region.as_slice()), (BYTES, Some(&bytes[..])));
    for (_, [post]) in &readers {
        post.send(Message::new("").with_region(region.clone()), long()).unwrap();
    }
    for _ in &readers {
        let mut came = inbox.receive(long()).unwrap();
        assert_eq!(came.tag(), sum);
        let back = came.take_regions().remove(0);
        assert!(back.is_sealed() && back.as_slice() == Some(&bytes[..]));
    }
    // Sent on from one reader to the other, and from there to us.
    let [first, second] = [&readers[0].1[0], &readers[1].1[0]];
    let message = Message::new("").with_region(region).with_right(second.clone());
    first.send(message, long()).unwrap();
    let mut came = inbox.receive(long()).unwrap();
    assert_eq!(came.sender().map(|who| who.pid), Some(readers[1].0.pid()));
    assert_eq!(came.take_regions()[0].as_slice(), Some(&bytes[..]));
}

#[test]
fn it_moves_with_a_port_and_waits_where_nobody_reads() {
    if is_part() {
        return;
    }
    let (one, two) = (Task::new(), Task::new());
    let door = two.port(Capacity::Bounded(4));
    let post = family::linked::give(&two, &one, door.make_send().unwrap());
    let moved = one.port(Capacity::Bounded(4));
    let to_moved = moved.make_send().unwrap();
    let region = Region::sealed(b"in a queue").unwrap();
    let message = Message::new("queued").with_region(region).with_region(vec![4; 90_000]);
    to_moved.send(message, long()).unwrap();
    post.send(Message::new("").with_right(moved), long()).unwrap();
    let right = door.receive(long()).unwrap().take_rights().remove(0);
    let pillarbox::Right::Receive(moved) = right else { panic!("a receive right: {right:?}") };
    let came = moved.receive(long()).unwrap();
    assert_eq!(came.regions()[0].as_slice(), Some(&b"in a queue"[..]));
    assert_eq!(came.regions()[1].to_vec(), vec![4; 90_000]);
    // A port without limit whose owner does not read.
    let open = two.port(Capacity::Unbounded);
    let to_open = family::linked::give(&two, &one, open.make_send().unwrap());
    for number in 0..300_u64 {
        let body = vec![number as u8; 33_000];
        let region = vec![number as u8; 100];
        let mut message = Message::new(body).with_region(region);
        // As much as may wait for one that does not read waits.
        while let Err(error) = to_open.send(message, long()) {
            assert_eq!(error.reason, SendFailure::OverLimit, "message {number}");
            assert!(open.peek().is_some());
            message = *error.message;
        }
    }
    for number in 0..300_u64 {
        let came = open.receive(long()).unwrap();
        assert_eq!(came.body(), vec![number as u8; 33_000]);
        assert_eq!(came.regions()[0].to_vec(), vec![number as u8; 100]);
    }
    one.close();
    two.close();
}

#[test]
fn nobody_can_write_it() {
    if is_part() {
        return;
    }
    assert!(Region::sealed(b"").is_err());
    let sealed = shm::body::Sealed::create(b"for ever").unwrap();
    assert!(rustix::io::pwrite(sealed.as_fd(), b"x", 0).is_err());
    assert!(rustix::fs::ftruncate(sealed.as_fd(), 4).is_err());
    assert_eq!(sealed.bytes(), Some(&b"for ever"[..]));
    assert!(!acting("reader_part"));
}
