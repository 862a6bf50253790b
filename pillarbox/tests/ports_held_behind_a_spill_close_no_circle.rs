//! A port in a message that waits behind spilled ones is as good as in the queue: where
//! the port of that queue is sent into it, both end, for nobody could ever receive from
//! either.

mod family;

use family::linked::give;
use family::{is_part, long, settled};
use pillarbox::{Capacity, Deadline, Message, SendRight, Task, Terms};

/// What is sent to the port nobody reads: more than a lane and a queue hold.
const MESSAGES: u64 = 1000;
const BODY: usize = 16 * 1024;

#[test]
fn both_end() {
    if is_part() {
        return;
    }
    let (owner, sender) = (Task::new(), Task::new());
    let (outer, home) = (owner.port(Capacity::Unbounded), owner.port(Capacity::Bounded(4)));
    let post = give(&owner, &sender, outer.make_send().unwrap());
    // What is sent on it goes by the lane: nothing was spilled on this one.
    let narrow = outer.make_send_with(&Terms::new().ids(0..1)).unwrap();
    let narrow = give(&owner, &sender, narrow);
    let mail = give(&owner, &sender, home.make_send().unwrap());
    let inner = sender.port(Capacity::Bounded(4));
    let reach = give(&sender, &owner, inner.make_send().unwrap());
    for _ in 0..MESSAGES {
        post.send(Message::new(vec![0; BODY]), Deadline::Now).unwrap();
    }
    narrow.send(Message::new("held").with_right(inner), long()).unwrap();
    mail.send(Message::new("behind it"), long()).unwrap();
    home.receive(long()).unwrap();
    assert!(outer.status().queued < MESSAGES, "most of it is not read yet");
    assert!(!post.is_dead() && !reach.is_dead());
    let _ = reach.send(Message::new("").with_right(outer), long());
    let all_are_dead = || {
        // A look round of the owner's.
        let _ = home.receive(Deadline::Now);
        [&post, &narrow, &reach].map(SendRight::is_dead)
    };
    settled(all_are_dead, |&dead| dead == [true; 3]);
    for task in [owner, sender] {
        task.close();
    }
}
