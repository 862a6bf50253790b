//! As many large bodies may be on their way as the window lets: their memories are sent
//! before their frames, and who has sent no more than that is not blamed.

mod family;

use std::fs::File;

use abi::limits::{DESCRIPTOR_CHARGE, INLINE_BYTES, LINK_QUEUED_BYTES};
use family::linked::give;
use family::long;
use pillarbox::{Capacity, Deadline, Message, SendFailure, Task};

/// As many as the window has room for, were their frames nothing.
const MOST: u64 = LINK_QUEUED_BYTES / DESCRIPTOR_CHARGE;

/// Sends until no more fits, and then takes all, a few times.
fn fill(message: impl Fn(u64) -> Message) {
    let (owner, sender) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(4096));
    let post = give(&owner, &sender, inbox.make_send().expect("a right"));
    for round in 0..4 {
        let mut sent = 0;
        while sent < 2 * MOST {
            match post.send(message(sent), Deadline::Now) {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert_eq!(error.reason, SendFailure::Full, "in round {round} after {sent}");
                    break;
                }
            }
        }
        assert!((MOST * 3 / 4..2 * MOST).contains(&sent), "{sent} were on their way");
        for tag in 0..sent {
            let came = inbox.receive(long()).expect("it was accepted");
            assert_eq!((came.tag(), came.body()[0]), (tag, 7));
        }
    }
}

#[test]
fn large_bodies_fill_the_window_and_nobody_is_blamed() {
    let body = vec![7; INLINE_BYTES + 1];
    fill(|tag| Message::new(body.clone()).with_tag(tag));
}

#[test]
fn descriptors_fill_the_window_and_nobody_is_blamed() {
    fill(|tag| {
        let file = File::open("/dev/null").expect("there is one");
        Message::new([7]).with_tag(tag).with_descriptor(file.into())
    });
}
