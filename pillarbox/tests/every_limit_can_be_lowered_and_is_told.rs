//! Every limit a task has can be lowered, and whoever hits it is told: by an error
//! to the one who caused it, and in the metrics of the task whose limit it is.

mod family;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use family::raw::{OWN, Peer, hear, wait_for_the_end};
use family::{Reaped, act, acting, is_part, long, settled};
use pillarbox::{
    Capacity, Deadline, Limit, Limits, LinkError, Message, ReceiveRight, SendFailure, SendRight,
    StatusError, Task, TaskError, Terms,
};
use shm::socket::{LinkSocket, Received};

/// The library's own limits, but for what `change` changes.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// A place for a door.
fn door(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pillarbox-limits-{name}-{}", std::process::id()))
}

/// An owner with these limits, its port, and a caller with a right to it.
struct Met {
    owner: Task,
    inbox: ReceiveRight,
    caller: Task,
    post: SendRight,
}

fn meet(name: &str, limits: Limits) -> Met {
    let (owner, caller) = (Task::new_with(limits), Task::new());
    let inbox = owner.port(Capacity::Bounded(4096));
    let offer = vec![("inbox".to_owned(), inbox.make_send().unwrap())];
    let door = door(name);
    let listening = owner.listen(&door, offer).unwrap();
    let post = caller.connect(&door, long()).unwrap().remove("inbox").unwrap();
    drop(listening);
    Met { owner, inbox, caller, post: post.into_send().unwrap() }
}

impl Met {
    /// A right of the caller's, at the owner.
    fn right_back(&self) -> (ReceiveRight, SendRight) {
        let home = self.caller.port(Capacity::Unbounded);
        let message = Message::new("").with_right(home.make_send().unwrap());
        self.post.send(message, long()).unwrap();
        let back = self.inbox.receive(long()).unwrap().take_rights().remove(0);
        (home, back.into_send().unwrap())
    }

    fn close(self) {
        self.owner.close();
        self.caller.close();
    }
}

#[test]
fn what_a_message_may_be() {
    if is_part() {
        return;
    }
    let task = Task::new_with(limits(|limits| {
        limits.message_bytes = 10;
        limits.message_rights = 1;
        limits.message_descriptors = 0;
        limits.message_regions = 1;
    }));
    let port = task.port(Capacity::Bounded(4));
    let post = port.make_send().unwrap();
    let refused = |message: Message, failure, limit| {
        let before = task.metrics().refused(limit);
        let error = post.send(message, long()).unwrap_err();
        assert_eq!(error.reason, failure);
        assert_eq!(task.metrics().refused(limit), before + 1);
        *error.message
    };
    let long_one = Message::new("eleven char");
    let back = refused(long_one, SendFailure::TooLong { bytes: 11 }, Limit::MessageBytes);
    assert_eq!(back.body(), b"eleven char");
    let two = Message::new("").with_right(post.clone()).with_right(post.clone());
    let back = refused(two, SendFailure::TooManyRights(2), Limit::MessageRights);
    assert_eq!(back.rights().len(), 2);
    let file = Message::new("").with_descriptor(File::open("/dev/null").unwrap().into());
    let back = refused(file, SendFailure::TooManyDescriptors(1), Limit::MessageDescriptors);
    assert_eq!(back.descriptors().len(), 1);
    let regions = Message::new("").with_region(vec![1]).with_region(vec![2]);
    let back = refused(regions, SendFailure::TooManyRegions(2), Limit::MessageRegions);
    assert_eq!(back.regions().len(), 2);
    post.send(Message::new("ten chars!").with_right(post.clone()), long()).unwrap();
    let once = port.make_send_once().unwrap();
    let error = once.send(Message::new("eleven char"), long()).unwrap_err();
    assert_eq!(error.reason, SendFailure::TooLong { bytes: 11 });
}

#[test]
fn what_a_port_may_hold_and_who_may_be_narrowed() {
    if is_part() {
        return;
    }
    let task = Task::new_with(limits(|limits| {
        limits.capacity_messages = 2;
        limits.facets = 1;
    }));
    let port = task.port(Capacity::Bounded(5));
    assert_eq!(port.status().capacity, 2);
    assert_eq!(task.metrics().refused(Limit::CapacityMessages), 1);
    let _kept = port.make_send_with(&Terms::new()).unwrap();
    let error = port.make_send_with(&Terms::new()).unwrap_err();
    assert_eq!(error, pillarbox::FacetError::TooMany);
    assert_eq!(task.metrics().refused(Limit::Facets), 1);
}

#[test]
fn how_many_rights_a_peer_may_hold() {
    if is_part() {
        return;
    }
    // One for the right it was offered.
    let met = meet("slots", limits(|limits| limits.slots = 2));
    let (home, back) = met.right_back();
    let other = met.owner.port(Capacity::Bounded(1));
    let third = met.owner.port(Capacity::Bounded(1));
    back.send(Message::new("").with_right(other.make_send().unwrap()), long()).unwrap();
    let held = home.receive(long()).unwrap();
    let more = Message::new("more").with_right(third.make_send().unwrap());
    let error = back.send(more, long()).unwrap_err();
    assert_eq!(error.reason, SendFailure::RightsExhausted);
    assert_eq!((error.message.body(), error.message.rights().len()), (&b"more"[..], 1));
    assert_eq!(met.owner.metrics().refused(Limit::Slots), 1);
    // Once it lets one go there is room again.
    drop(held);
    let mut message = Some(*error.message);
    settled(
        || match back.send(message.take().unwrap(), Deadline::Now) {
            Ok(()) => true,
            Err(error) => {
                message = Some(*error.message);
                let _ = other.receive(Deadline::Now);
                false
            }
        },
        |sent| *sent,
    );
    met.close();
}

#[test]
fn how_many_gives_may_wait() {
    if is_part() {
        return;
    }
    let met = meet("gives", limits(|limits| limits.gives = 0));
    let third = Task::new();
    let there = third.port(Capacity::Bounded(4));
    let place = door("third");
    let offer = vec![("there".to_owned(), there.make_send().unwrap())];
    let listening = third.listen(&place, offer).unwrap();
    let to_third = met.caller.connect(&place, long()).unwrap().remove("there").unwrap();
    drop(listening);
    let to_third = to_third.into_send().unwrap();
    to_third.send(Message::new("").with_right(met.post.clone()), long()).unwrap();
    let given = there.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let error = given.send(Message::new("lost?"), long()).unwrap_err();
    assert_eq!((error.reason, error.message.body()), (SendFailure::Dead, &b"lost?"[..]));
    assert_eq!(met.owner.metrics().refused(Limit::Gives), 1);
    // The giver's own right is as good as before.
    met.post.send(Message::new("still"), long()).unwrap();
    assert_eq!(met.inbox.receive(long()).unwrap().body(), b"still");
    third.close();
    met.close();
}

#[test]
fn how_many_may_come() {
    if is_part() {
        return;
    }
    let owner = Task::new_with(limits(|limits| {
        limits.links = 1;
        limits.strangers = 1;
    }));
    let place = door("links");
    let _listening = owner.listen(&place, Vec::new()).unwrap();
    let (one, two) = (Task::new(), Task::new());
    let _ = one.connect(&place, long()).unwrap();
    let refused = two.connect(&place, long()).unwrap_err();
    assert!(matches!(refused, LinkError::Refused(pillarbox::Refusal::Busy)), "{refused}");
    assert_eq!(owner.metrics().refused(Limit::Links), 1);

    // Who says nothing makes room for who comes next.
    let silent = LinkSocket::connect_path(&place).unwrap();
    let next = LinkSocket::connect_path(&place).unwrap();
    let mut packet = [0; 128];
    let Received::Packet { bytes, .. } = hear(&silent, &mut packet) else { panic!("no word") };
    let refusal = abi::hello::Refusal::decode(&packet[..bytes]);
    assert_eq!(refusal, Some(pillarbox::Refusal::Busy));
    assert_eq!(owner.metrics().refused(Limit::Strangers), 1);
    drop(next);
    for task in [one, two, owner] {
        task.close();
    }
}

#[test]
fn how_many_bytes_may_be_queued() {
    if is_part() {
        return;
    }
    let least = pillarbox::limits::LINK_QUEUED_BYTES_MIN;
    let met = meet("queued", limits(|limits| limits.link_queued_bytes = 0));
    assert_eq!(met.owner.limits().link_queued_bytes, least);
    let body = vec![1; 30_000];
    let mut sent = 0;
    let soon = || Deadline::after(Duration::from_millis(300));
    while met.post.send(Message::new(body.clone()), soon()).is_ok() {
        sent += 1;
    }
    let charged = sent * (body.len() as u64 + 32);
    assert!(charged <= least && charged + 2 * body.len() as u64 > least, "{sent} messages");
    // The bytes of messages taken are free again.
    for _ in 0..sent {
        assert_eq!(met.inbox.receive(long()).unwrap().body().len(), body.len());
    }
    met.post.send(Message::new(body), long()).unwrap();
    let traffic = met.caller.metrics().traffic;
    assert!(traffic.messages_sent > sent && traffic.bytes_written > charged, "{traffic:?}");
    met.close();
}

/// Takes what it is given and answers nothing, until it is told to lie.
#[test]
fn mute_part() {
    if !acting("mute_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    while !peer.is_over() {
        std::thread::park_timeout(Duration::from_millis(5));
        if std::env::temp_dir().join(format!("pillarbox-lie-{}", std::process::id())).exists() {
            peer.send(abi::Slot { index: 77, ..OWN }, &abi::frame::Attached::default(), b"");
            wait_for_the_end(&peer.socket);
        }
    }
}

#[test]
fn how_much_a_task_asks_and_writes() {
    if is_part() {
        return;
    }
    let task = Task::new_with(limits(|limits| {
        limits.questions = 2;
        limits.lane_bytes = 0;
    }));
    let inbox = task.port(Capacity::Bounded(8));
    let child = act("mute_part").right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let post = ready.take_rights().remove(0).into_send().unwrap();

    std::thread::scope(|scope| {
        let asked = scope.spawn(|| post.status(long()));
        settled(|| post.status(Deadline::Now), |told| *told == Err(StatusError::Busy));
        assert!(task.metrics().refused(Limit::Questions) >= 1);
        // It reads nothing: what was sent lies in our lane, which is a small one.
        let mut bytes = 0;
        while post.send(Message::new(vec![0; 1000]), Deadline::Now).is_ok() {
            bytes += 1000;
        }
        let lane = pillarbox::limits::LANE_BYTES_MIN;
        assert!(bytes < lane && bytes > lane / 2, "{bytes} bytes");

        // A lie is counted by its name.
        let sign = std::env::temp_dir().join(format!("pillarbox-lie-{}", child.pid()));
        std::fs::write(&sign, "").unwrap();
        assert_eq!(asked.join().unwrap(), Err(StatusError::Dead));
        std::fs::remove_file(&sign).unwrap();
    });
    assert_eq!(task.metrics().offences.get("NeverExported"), Some(&1));
    assert!(child.ended_well());
    task.close();
}

#[test]
fn the_task_of_a_process_is_configured_before_it_is_made() {
    if is_part() {
        return;
    }
    let lowered = limits(|limits| limits.links = 3);
    Task::configure(lowered).unwrap();
    assert_eq!(Task::current().unwrap().limits(), lowered);
    assert!(matches!(Task::configure(Limits::default()), Err(TaskError::TooLate)));
    assert_eq!(Task::current().unwrap().limits(), lowered);
}
