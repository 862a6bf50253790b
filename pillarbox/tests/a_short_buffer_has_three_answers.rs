//! A message longer than the buffer is cut off, kept, or split, as the receiver
//! says; its rights are never lost by that.

mod family;

use std::fs::File;

use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::{
    Capacity, Deadline, Message, Order, PortOptions, ReceiveError, ReceiveRight, SendFailure,
    SendRight, Short, Task,
};

fn port() -> (ReceiveRight, SendRight) {
    let inbox = Task::new().port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    (inbox, post)
}

/// A message with one right of each sort, a descriptor, and this body.
fn loaded(inbox: &ReceiveRight, body: &[u8]) -> Message {
    Message::new(body)
        .with_id(3)
        .with_tag(8)
        .with_right(inbox.make_send().unwrap())
        .with_reply(inbox.make_send_once().unwrap())
        .with_descriptor(File::open("/dev/null").unwrap().into())
}

#[test]
fn what_fits_is_taken_whole_whatever_the_answer() {
    for short in [Short::Truncate, Short::Keep, Short::Split] {
        let (inbox, post) = port();
        for body in [&b""[..], b"four"] {
            post.send(Message::new(body), Deadline::Now).unwrap();
            let mut buffer = [b'-'; 4];
            let part = inbox.receive_into(&mut buffer, short, Deadline::Now).unwrap();
            assert_eq!((part.bytes, part.left), (body.len(), 0));
            assert_eq!((&buffer[..part.bytes], part.message.is_rest()), (body, false));
            assert_eq!(part.message.body(), b"");
        }
        let none = inbox.receive_into(&mut [], short, Deadline::Now).unwrap_err();
        assert_eq!(none, ReceiveError::Deadline);
    }
}

#[test]
fn truncate_takes_the_message_and_tells_what_was_lost() {
    let (inbox, post) = port();
    post.send(loaded(&inbox, b"letterbox"), Deadline::Now).unwrap();
    let mut buffer = [0; 6];
    let part = inbox.receive_into(&mut buffer, Short::Truncate, Deadline::Now).unwrap();
    assert_eq!((part.bytes, part.left, &buffer), (6, 3, b"letter"));
    assert_eq!((part.message.id(), part.message.tag()), (3, 8));
    assert_eq!((part.message.rights().len(), part.message.descriptors().len()), (1, 1));
    assert!(part.message.reply_right().is_some());
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn keep_tells_the_size_and_leaves_the_message() {
    let (inbox, post) = port();
    post.send(loaded(&inbox, b"letterbox"), Deadline::Now).unwrap();
    post.send(Message::new("next"), Deadline::Now).unwrap();
    let mut buffer = [b'-'; 6];
    for _ in 0..2 {
        let kept = inbox.receive_into(&mut buffer, Short::Keep, Deadline::Now).unwrap_err();
        assert_eq!((kept, &buffer), (ReceiveError::TooLong { bytes: 9 }, b"------"));
    }
    let mut buffer = [0; 9];
    let part = inbox.receive_into(&mut buffer, Short::Keep, Deadline::Now).unwrap();
    assert_eq!((part.bytes, part.left, &buffer), (9, 0, b"letterbox"));
    assert_eq!((part.message.rights().len(), part.message.sequence()), (1, 1));
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"next");
}

#[test]
fn a_split_message_is_read_on_before_any_other() {
    let (inbox, post) = port();
    post.send(loaded(&inbox, b"letterbox"), Deadline::Now).unwrap();
    post.send(Message::new("next"), Deadline::Now).unwrap();
    let mut buffer = [0; 4];
    let part = inbox.receive_into(&mut buffer, Short::Split, Deadline::Now).unwrap();
    assert_eq!((part.bytes, part.left, &buffer), (4, 5, b"lett"));
    assert_eq!((part.message.rights().len(), part.message.descriptors().len()), (1, 1));
    assert!(part.message.reply_right().is_some() && !part.message.is_rest());
    // The rest is what the message was, without what went with its first part.
    let rest = inbox.peek().unwrap();
    assert_eq!((rest.bytes, rest.id, rest.tag, rest.is_rest), (5, 3, 8, true));
    assert_eq!((rest.rights, rest.descriptors, rest.wants_reply), (0, 0, false));
    let part = inbox.receive_into(&mut buffer, Short::Split, Deadline::Now).unwrap();
    assert_eq!((part.bytes, part.left, &buffer), (4, 1, b"erbo"));
    let last = inbox.receive(Deadline::Now).unwrap();
    assert_eq!((last.body(), last.is_rest(), last.sequence()), (&b"x"[..], true, 1));
    let next = inbox.receive(Deadline::Now).unwrap();
    assert_eq!((next.body(), next.sequence()), (&b"next"[..], 2));
}

#[test]
fn a_part_of_no_bytes_takes_the_rights_and_leaves_the_body() {
    let (inbox, post) = port();
    post.send(loaded(&inbox, b"body"), Deadline::Now).unwrap();
    let part = inbox.receive_into(&mut [], Short::Split, Deadline::Now).unwrap();
    assert_eq!((part.bytes, part.left, part.message.rights().len()), (0, 4, 1));
    let part = inbox.receive_into(&mut [], Short::Split, Deadline::Now).unwrap();
    assert_eq!((part.bytes, part.left, part.message.rights().len()), (0, 4, 0));
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"body");
}

#[test]
fn a_split_message_keeps_its_place_until_its_last_byte() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new("ab"), Deadline::Now).unwrap();
    let mut buffer = [0];
    inbox.receive_into(&mut buffer, Short::Split, Deadline::Now).unwrap();
    let full = post.send(Message::new("cd"), Deadline::Now).unwrap_err();
    assert_eq!((full.reason, inbox.status().queued), (SendFailure::Full, 1));
    inbox.receive_into(&mut buffer, Short::Split, Deadline::Now).unwrap();
    post.send(*full.message, Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"cd");
}

#[test]
fn a_higher_priority_comes_between_the_parts() {
    let inbox = Task::new().port(PortOptions::new(Capacity::Unbounded).order(Order::Priority));
    let post = inbox.make_send().unwrap();
    post.send(Message::new("low"), Deadline::Now).unwrap();
    let mut buffer = [0; 1];
    inbox.receive_into(&mut buffer, Short::Split, Deadline::Now).unwrap();
    post.send(Message::new("high").with_priority(1), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"high");
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"ow");
}

#[test]
fn several_readers_of_a_stream_lose_and_double_no_byte() {
    let (inbox, post) = port();
    const MESSAGES: usize = 200;
    let mut got: Vec<u8> = std::thread::scope(|scope| {
        let readers: Vec<_> = (1..4)
            .map(|size| {
                let inbox = &inbox;
                scope.spawn(move || {
                    let (mut got, mut buffer) = (Vec::new(), vec![0; size * 7]);
                    loop {
                        let part = inbox.receive_into(&mut buffer, Short::Split, long()).unwrap();
                        if part.message.id() == -1 {
                            return got;
                        }
                        let bytes = &buffer[..part.bytes];
                        // Each part is in one piece.
                        assert!(bytes.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
                        got.extend_from_slice(bytes);
                    }
                })
            })
            .collect();
        for _ in 0..MESSAGES {
            let body: Vec<u8> = (0..=255).collect();
            post.send(Message::new(body), long()).unwrap();
        }
        for _ in 0..readers.len() {
            post.send(Message::new("").with_id(-1), long()).unwrap();
        }
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    got.sort_unstable();
    let all: Vec<u8> = (0..=255).flat_map(|byte| [byte; MESSAGES]).collect();
    assert_eq!(got, all);
}

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let post = given("inbox");
    // One through the lane, one in memory of its own.
    for bytes in [10_000, 1_000_000_usize] {
        let body: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
        let message = Message::new(body).with_right(post.clone());
        post.send(message, long()).unwrap();
    }
}

#[test]
fn what_another_task_sent_is_split_and_kept_alike() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let child = act("sender_part").right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    for bytes in [10_000, 1_000_000] {
        let kept = inbox.receive_into(&mut [0; 9], Short::Keep, long()).unwrap_err();
        assert_eq!(kept, ReceiveError::TooLong { bytes });
        let (mut got, mut rights, mut buffer) = (Vec::new(), 0, vec![0; 4_099]);
        while got.len() < bytes {
            let part = inbox.receive_into(&mut buffer, Short::Split, long()).unwrap();
            got.extend_from_slice(&buffer[..part.bytes]);
            rights += part.message.rights().len();
            assert_eq!(got.len() + part.left, bytes);
        }
        assert_eq!(rights, 1);
        assert!(got.iter().enumerate().all(|(at, &byte)| byte == at as u8));
    }
    assert!(child.ended_well());
}
