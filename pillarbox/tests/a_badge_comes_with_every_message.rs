//! The badge of a send right comes with every message sent on it, whoever holds
//! the right: so the owner knows which of the rights it made was used.

mod family;

use family::linked::give;
use family::{Reaped, act, acting, given, long};
use pillarbox::{Capacity, Deadline, Message, Task, Terms};

#[test]
fn a_badge_comes_with_messages_of_the_own_task() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let plain = inbox.make_send().unwrap();
    let seven = inbox.make_send_with(&Terms::new().badge(7)).unwrap();
    let copy = seven.clone();
    let zero = inbox.make_send_with(&Terms::new().badge(0)).unwrap();
    let none = inbox.make_send_with(&Terms::new()).unwrap();
    let rights =
        [(&plain, None), (&seven, Some(7)), (&copy, Some(7)), (&zero, Some(0)), (&none, None)];
    for (right, badge) in rights {
        right.send(Message::new("now"), Deadline::Now).unwrap();
        let message = inbox.receive(Deadline::Now).unwrap();
        assert_eq!(message.badge(), badge);
        // A badge is not passed on with the message it came with.
        plain.send(message, Deadline::Now).unwrap();
        assert_eq!(inbox.receive(Deadline::Now).unwrap().badge(), None);
    }
    // One that waits for a place has its badge too.
    plain.send(Message::new("first"), Deadline::Now).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| seven.send(Message::new("waits"), long()).unwrap());
        assert_eq!(inbox.receive(long()).unwrap().badge(), None);
        assert_eq!(inbox.receive(long()).unwrap().badge(), Some(7));
    });
    // What comes on a send-once right comes without.
    seven.send(Message::new("ask").with_reply(inbox.make_send_once().unwrap()), long()).unwrap();
    let mut asked = inbox.receive(long()).unwrap();
    let reply = asked.take_reply().unwrap();
    reply.send(asked, long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().badge(), None);
}

#[test]
fn two_rights_of_one_peer_to_one_port_are_told_apart() {
    let (far, near) = (Task::new(), Task::new());
    let inbox = far.port(Capacity::Bounded(8));
    let plain = give(&far, &near, inbox.make_send().unwrap());
    let one = give(&far, &near, inbox.make_send_with(&Terms::new().badge(1)).unwrap());
    let two = give(&far, &near, inbox.make_send_with(&Terms::new().badge(2)).unwrap());
    for turn in 0..30 {
        for (right, badge) in [(&plain, None), (&one, Some(1)), (&two, Some(2))] {
            right.send(Message::new("").with_id(turn), long()).unwrap();
            let message = inbox.receive(long()).unwrap();
            assert_eq!((message.badge(), message.id()), (badge, turn));
            assert_eq!(message.sender().unwrap().task, near.identity().task);
        }
    }
}

#[test]
fn a_badge_stays_when_the_right_is_given_on_and_comes_home() {
    let (owner, first, second) = (Task::new(), Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(8));
    let held = give(&owner, &first, inbox.make_send_with(&Terms::new().badge(9)).unwrap());
    let mailbox = second.port(Capacity::Bounded(8));
    let to_second = give(&second, &first, mailbox.make_send().unwrap());
    to_second.send(Message::new("").with_right(held.clone()), long()).unwrap();
    let given_on = mailbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    given_on.send(Message::new("second"), long()).unwrap();
    let message = inbox.receive(long()).unwrap();
    assert_eq!(
        (message.badge(), message.sender().unwrap().task),
        (Some(9), second.identity().task)
    );
    // Home again it is the right it was, not the port's own.
    let home = give(&owner, &first, inbox.make_send().unwrap());
    home.send(Message::new("home").with_right(held), long()).unwrap();
    let back = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    assert!(back.same_port(&inbox.make_send().unwrap()));
    back.send(Message::new("own"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().badge(), Some(9));
}

#[test]
fn badged_part() {
    if !acting("badged_part") {
        return;
    }
    given("three").send(Message::new("first"), long()).unwrap();
    given("four").send(Message::new("second"), long()).unwrap();
}

#[test]
fn a_badge_comes_from_another_process() {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let badged = |badge| inbox.make_send_with(&Terms::new().badge(badge)).unwrap();
    let child = act("badged_part").right("three", badged(3)).right("four", badged(4)).spawn();
    let mut child = Reaped(child.unwrap());
    assert_eq!(inbox.receive(long()).unwrap().badge(), Some(3));
    assert_eq!(inbox.receive(long()).unwrap().badge(), Some(4));
    assert!(child.ended_well());
}
