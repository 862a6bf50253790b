//! A task may make or move any number of ports for another: the memory they came in is
//! let go when its last word is said. Where it cannot be said, because somebody who
//! sends does not follow, there is a limit that the mover keeps, and nobody is blamed.

mod family;

use std::time::Duration;

use family::linked::give;
use family::{Reaped, act, acting, given, is_part, long, settled};
use pillarbox::kernel::Kernel;
use pillarbox::{
    Capacity, Deadline, Limit, Limits, Message, ReceiveRight, SendError, SendFailure, SendRight,
    Task,
};

/// One look of a task that has nothing to do.
const SHORT: Duration = Duration::from_millis(1);

/// Memory of other tasks and our own that this process maps.
fn mapped() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("/memfd:")).count()
}

/// Has ports made, keeps some of them, and looks what that leaves.
#[test]
fn asker_part() {
    if !acting("asker_part") {
        return;
    }
    let (kernel, way) = (Kernel::new(given("kernel")), given("way"));
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let made = kernel.make_port(Capacity::Bounded(4), long()).unwrap();
    let here = Message::new("here").with_right(inbox.make_send().unwrap());
    way.send(here, long()).unwrap();
    let before = mapped();
    assert!(before >= 2, "a link is two");
    let mut kept = vec![made];
    for number in 0..300 {
        let port = kernel.make_port(Capacity::Bounded(4), long()).unwrap();
        if number % 2 == 0 {
            kept.push(port);
        }
    }
    // The one who made them has its own word to say first, which we hear in a wait.
    let look = || {
        let _ = inbox.receive(Deadline::after(SHORT));
        mapped()
    };
    settled(look, |mapped| *mapped <= before);
    // They are ports like any other.
    for port in &kept {
        port.make_send().unwrap().send(Message::new("use"), long()).unwrap();
        assert_eq!(port.receive(long()).unwrap().body(), b"use");
    }
    way.send(Message::new("well"), long()).unwrap();
}

#[test]
fn ports_that_were_made_for_a_task_cost_it_nothing_but_themselves() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let asker = act("asker_part")
        .right("kernel", task.kernel().unwrap())
        .right("way", inbox.make_send().unwrap());
    let mut asker = Reaped(asker.spawn_in(&task).unwrap());
    let _back = inbox.receive(long()).unwrap().take_rights();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"well");
    assert!(asker.ended_well());
    task.close();
}

/// Holds the rights it is given until it is let go.
#[test]
fn holder_part() {
    if !acting("holder_part") {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let home = Message::new("").with_right(inbox.make_send().unwrap());
    given("home").send(home, long()).unwrap();
    let mut held = Vec::new();
    while let Ok(mut message) = inbox.receive(long()) {
        held.extend(message.take_rights());
        message.reply(Message::new("held"), long()).unwrap();
    }
}

fn refused(sent: Result<(), SendError>) -> Option<ReceiveRight> {
    let error = sent.err()?;
    assert_eq!(error.reason, SendFailure::RightsExhausted);
    let mut message = *error.message;
    Some(message.take_rights().remove(0).into_receive().expect("it comes back"))
}

fn port_in(way: &SendRight, inbox: &ReceiveRight, port: ReceiveRight) -> ReceiveRight {
    way.send(Message::new("").with_right(port), long()).unwrap();
    inbox.receive(long()).unwrap().take_rights().remove(0).into_receive().unwrap()
}

/// Ports that may have gone to one peer without all who send.
const MOST: usize = 8;

#[test]
fn ports_that_nobody_follows_are_limited_and_nobody_is_blamed() {
    if is_part() {
        return;
    }
    let (old, new) = (Task::new_with(Limits { gives: MOST, ..Limits::default() }), Task::new());
    let (home, inbox) = (old.port(Capacity::Bounded(4)), new.port(Capacity::Bounded(4)));
    let way = give(&new, &old, inbox.make_send().unwrap());
    let holder = act("holder_part").right("home", home.make_send().unwrap());
    let holder = Reaped(holder.spawn_in(&old).unwrap());
    let post = home.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let ports: Vec<_> = (0..=MOST).map(|_| old.port(Capacity::Bounded(4))).collect();
    let rights = ports.iter().map(|port| port.make_send().unwrap());
    let hold = rights.fold(Message::new("hold"), Message::with_right);
    assert_eq!(post.call(hold, long()).unwrap().body(), b"held");
    holder.stop();
    let mut ports = ports.into_iter();
    let mut came: Vec<_> =
        ports.by_ref().take(MOST).map(|port| port_in(&way, &inbox, port)).collect();
    let last = ports.next().unwrap();
    let last = refused(way.send(Message::new("").with_right(last), long())).expect("one too many");
    assert_eq!(old.metrics().refused(Limit::Gives), 1);
    // It is as it was, and so is everything else.
    last.make_send().unwrap().send(Message::new("use"), long()).unwrap();
    assert!(new.metrics().offences.is_empty());
    holder.resume();
    let mut last = Some(last);
    let go = || {
        let message = Message::new("").with_right(last.take()?);
        last = refused(way.send(message, long()));
        last.as_ref().map(|_| ())
    };
    settled(go, Option::is_none);
    came.push(inbox.receive(long()).unwrap().take_rights().remove(0).into_receive().unwrap());
    assert_eq!(came[MOST].receive(long()).unwrap().body(), b"use");
    for port in &came {
        // As tasks do that live: what others say of it is heard in a wait.
        let senders = || {
            let _ = inbox.receive(Deadline::after(SHORT));
            let _ = home.receive(Deadline::after(SHORT));
            port.status().senders
        };
        settled(senders, |senders| *senders == 1);
    }
    assert!(new.metrics().offences.is_empty() && old.metrics().offences.is_empty());
    old.close();
    new.close();
}
