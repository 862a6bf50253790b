//! A right that a task gave and died is good though its owner, all of whose threads are in
//! user code, has not read the claim when gives of the dead end: it looks before.

mod family;

use std::time::Duration;

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Deadline, Message, Task};

/// A little longer than gives of the dead wait for their claims.
const LATE: Duration = Duration::from_nanos(abi::limits::ORPHAN_GIVE_NS + 1_000_000_000);

#[test]
fn a_claim_that_nobody_rang_for_is_read() {
    let (owner, giver, last) = (Task::new(), Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(4));
    let to_owner = give(&owner, &giver, port.make_send().unwrap());
    let known = give(&owner, &last, port.make_send().unwrap());
    let inbox = last.port(Capacity::Bounded(1));
    let to_last = give(&last, &giver, inbox.make_send().unwrap());
    // A thread of the owner's sleeps and leaves: nobody sleeps there, says its page.
    let _ = port.receive(Deadline::after(Duration::from_millis(5)));
    to_last.send(Message::new("right").with_right(to_owner), long()).unwrap();
    let given = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    giver.close();
    std::thread::sleep(LATE); // sleep: until gives of the dead end
    given.send(Message::new("here"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"here");
    drop(known);
}
