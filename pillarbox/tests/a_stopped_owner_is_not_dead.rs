//! A right whose owner is stopped when it is given is good when the owner runs again.

mod family;

use std::time::Duration;

use family::linked::give;
use family::{act, acting, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, SendFailure, Task};

/// Longer than a stranger may be silent, and far shorter than an owner may take.
const STOPPED: Duration = Duration::from_millis(3_000);

/// Takes one message.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let port = Task::current().unwrap().port(Capacity::Bounded(4));
    offer(&[&port]);
    assert_eq!(port.receive(long()).unwrap().body(), b"at last");
}

#[test]
fn who_is_given_a_right_of_a_stopped_task_waits_for_it() {
    let giver = Task::current().unwrap();
    let (mut child, [to_owner]) = meet(act("owner_part"), &giver.port(Capacity::Bounded(1)));
    let holder = Task::new();
    let inbox = holder.port(Capacity::Bounded(1));
    let to_holder = give(&holder, &giver, inbox.make_send().unwrap());
    child.stop();
    to_holder.send(Message::new("yours").with_right(to_owner), long()).unwrap();
    let given = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    // The holder has no link with the owner, which cannot let it in.
    let failed = given.send(Message::new("too early"), Deadline::after(STOPPED)).unwrap_err();
    assert!(matches!(failed.reason, SendFailure::NotJoined(_)), "{}", failed.reason);
    assert!(!given.is_dead());
    child.resume();
    given.send(Message::new("at last"), long()).unwrap();
    assert!(child.ended_well());
}
