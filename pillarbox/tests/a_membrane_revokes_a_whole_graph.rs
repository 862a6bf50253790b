//! Everything that was reached through a membrane ends in one call, whoever has
//! it and however it was come by; and what had come in goes home.

mod asleep;
mod family;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use family::linked::give;
use family::{Reaped, act_with, acting, given, long, settled};
use pillarbox::{
    Capacity, Deadline, FacetError, Holding, Message, Notification, ReceiveRight, Right,
    SendFailure, SendRight, Task, Terms,
};

/// Peers, directories of the graph, and leaves in each directory.
const PEERS: usize = 4;
const DIRECTORIES: usize = 40;
const LEAVES: usize = 25;

/// What a directory is asked.
const LIST: i32 = 1;
const SUBSCRIBE: i32 = 2;
const CHECK: i32 = 3;

const WHICH: &str = "PILLARBOX_TEST_WHICH";

fn first_right(message: &mut Message) -> SendRight {
    message.take_rights().remove(0).into_send().unwrap()
}

fn failure(right: &SendRight) -> Option<SendFailure> {
    right.send(Message::new("?"), long()).err().map(|error| error.reason)
}

// ---- the graph ---------------------------------------------------------------------

/// Directories, each a badge of one port, in a circle; each with leaves, which are
/// ports of their own.
struct Graph {
    door: ReceiveRight,
    directories: Vec<SendRight>,
    leaves: Vec<ReceiveRight>,
    subscribers: Vec<SendRight>,
}

impl Graph {
    fn new(task: &Task) -> Graph {
        let door = task.port(Capacity::Bounded(64));
        let directory =
            |number| door.make_send_with(&Terms::new().badge(number as u64).ids(1..=3)).unwrap();
        let directories = (0..DIRECTORIES).map(directory).collect();
        let leaves = (0..DIRECTORIES * LEAVES).map(|_| task.port(Capacity::Bounded(1))).collect();
        Graph { door, directories, leaves, subscribers: Vec::new() }
    }

    /// Answers one request; returns its id.
    fn serve(&mut self) -> i32 {
        let mut request = self.door.receive(long()).unwrap();
        let number = request.badge().unwrap() as usize;
        let mut answer = Message::new("");
        match request.id() {
            LIST => {
                let next = self.directories[(number + 1) % DIRECTORIES].clone();
                answer = answer.with_right(next);
                for leaf in &self.leaves[number * LEAVES..][..LEAVES] {
                    answer = answer.with_right(leaf.make_send().unwrap());
                }
            }
            SUBSCRIBE => self.subscribers.push(first_right(&mut request)),
            other => assert_eq!(other, CHECK),
        }
        let id = request.id();
        request.reply(answer, long()).unwrap();
        id
    }
}

// ---- several processes ----------------------------------------------------------------

#[test]
fn explorer_part() {
    if !acting("explorer_part") {
        return;
    }
    let which: usize = std::env::var(WHICH).unwrap().parse().unwrap();
    let (task, control) = (Task::current().unwrap(), given("control"));
    let callback = task.port(Capacity::Bounded(8));
    let mut directory = given("root");
    let mut found: Vec<SendRight> = Vec::new();
    let subscription =
        Message::new("").with_id(SUBSCRIBE).with_right(callback.make_send().unwrap());
    directory.call(subscription, long()).unwrap();
    for number in 0..DIRECTORIES {
        let mut listed = directory.call(Message::new("").with_id(LIST), long()).unwrap();
        let mut rights = listed.take_rights().into_iter().map(|right| right.into_send().unwrap());
        found.push(std::mem::replace(&mut directory, rights.next().unwrap()));
        if number % PEERS == which {
            found.extend(rights);
        }
    }
    // What comes on the callback is inside as well.
    found.push(first_right(&mut callback.receive(long()).unwrap()));
    found.push(directory);
    assert!(found.iter().all(|right| !right.is_dead()));
    let before = task.census();
    assert!(before.count(Holding::ImportedSend) > (DIRECTORIES * LEAVES / PEERS) as u64);

    callback.notify_no_senders(callback.make_send_once().unwrap()).unwrap();
    control.call(Message::new("").with_id(CHECK), long()).unwrap();
    for (index, right) in found.iter().enumerate() {
        assert_eq!(failure(right), Some(SendFailure::Revoked), "{index} {}", found.len());
    }
    // What had come in on the other side has come home.
    let news = callback.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(Notification::NoSenders));
    let after = task.census();
    assert_eq!(after.count(Holding::ImportedSend), 1);
    assert_eq!(after.count(Holding::ExportedSend), 0);
    assert!(after.count(Holding::Dead) > 0);
    found.clear();
    assert_eq!(task.census().count(Holding::Dead), 0);
    control.call(Message::new("").with_id(CHECK), long()).unwrap();
    // Until the other side has looked.
    control.call(Message::new("").with_id(CHECK), long()).unwrap();
}

#[test]
fn a_thousand_rights_at_several_processes_end_in_one_call() {
    let task = Task::current().unwrap();
    let mut graph = Graph::new(&task);
    let control = task.port(Capacity::Bounded(PEERS as u32));
    let membrane = task.membrane();
    let mut children: Vec<Reaped> = (0..PEERS)
        .map(|which| {
            let child = act_with("explorer_part", |command| {
                command.env(WHICH, which.to_string());
            })
            .right("root", membrane.wrap(&graph.directories[0]).unwrap())
            .right("control", control.make_send().unwrap());
            Reaped(child.spawn().unwrap())
        })
        .collect();
    for _ in 0..PEERS * (DIRECTORIES + 1) {
        graph.serve();
    }
    // The callbacks came in through the membrane: what goes out on them is inside.
    let extra = task.port(Capacity::Bounded(8));
    for subscriber in &graph.subscribers {
        let message = Message::new("").with_right(extra.make_send().unwrap());
        subscriber.send(message, long()).unwrap();
    }
    let mut waiting: Vec<Message> = (0..PEERS).map(|_| control.receive(long()).unwrap()).collect();
    let (outside, held) = membrane.reach();
    assert_eq!((outside, held), (DIRECTORIES * LEAVES + DIRECTORIES + 1, PEERS));
    assert!(task.census().count(Holding::ExportedSend) >= (DIRECTORIES * LEAVES) as u64);

    let ended = membrane.revoke();
    assert!(ended >= (DIRECTORIES * LEAVES + PEERS) as u64, "{ended}");
    assert_eq!((membrane.revoke(), membrane.is_revoked()), (0, true));
    let census = task.census();
    assert_eq!(census.count(Holding::ExportedSend), PEERS as u64);
    assert_eq!(census.count(Holding::ImportedSend), 0);
    for subscriber in &graph.subscribers {
        assert_eq!(failure(subscriber), Some(SendFailure::Revoked));
        assert!(subscriber.is_dead());
    }
    // The objects themselves are what they were.
    assert!(graph.directories.iter().all(|right| !right.is_dead()));

    for mut request in waiting.drain(..) {
        request.reply(Message::new("revoked"), long()).unwrap();
    }
    // Each has let go of its dead rights: nothing of them is left here either.
    let mut waiting: Vec<Message> = (0..PEERS).map(|_| control.receive(long()).unwrap()).collect();
    for mut request in waiting.drain(..) {
        request.reply(Message::new(""), long()).unwrap();
    }
    let mut last: Vec<Message> = (0..PEERS).map(|_| control.receive(long()).unwrap()).collect();
    assert_eq!(task.census().count(Holding::Dead), 0);
    assert_eq!(graph.door.refused(), 0);
    assert!(graph.leaves.iter().all(|leaf| leaf.status().senders == 0));
    for request in &mut last {
        request.reply(Message::new(""), long()).unwrap();
    }
    assert!(children.iter_mut().all(Reaped::ended_well));
}

// ---- what is inside and what is not --------------------------------------------------------

/// A task with a membrane, its one object, and a peer with a right to that.
fn inside() -> (Task, ReceiveRight, pillarbox::Membrane, Task, SendRight) {
    let (owner, peer) = (Task::new(), Task::new());
    let object = owner.port(Capacity::Bounded(16));
    let membrane = owner.membrane();
    let wrapped = membrane.wrap(&object.make_send().unwrap()).unwrap();
    let held = give(&owner, &peer, wrapped);
    (owner, object, membrane, peer, held)
}

#[test]
fn a_right_given_on_by_a_peer_ends_too() {
    let (_owner, object, membrane, peer, held) = inside();
    let friend = Task::new();
    let mailbox = friend.port(Capacity::Bounded(4));
    let post = give(&friend, &peer, mailbox.make_send().unwrap());
    post.send(Message::new("").with_right(held), long()).unwrap();
    let given_on = first_right(&mut mailbox.receive(long()).unwrap());
    given_on.send(Message::new("friend"), long()).unwrap();
    assert_eq!(object.receive(long()).unwrap().body(), b"friend");
    membrane.revoke();
    assert_eq!(failure(&given_on), Some(SendFailure::Revoked));
}

#[test]
fn a_right_that_came_in_goes_back_as_it_came() {
    let (owner, object, membrane, peer, held) = inside();
    let callback = peer.port(Capacity::Bounded(4));
    let own = callback.make_send().unwrap();
    held.send(Message::new("").with_right(own.clone()), long()).unwrap();
    let came = first_right(&mut object.receive(long()).unwrap());
    assert_eq!(came.owner(), Some(peer.identity().task));
    came.send(Message::new("").with_right(came.clone()), long()).unwrap();
    assert!(first_right(&mut callback.receive(long()).unwrap()).same_port(&own));
    // A wrapped right that goes out again stays what it is.
    let wrapped = membrane.wrap(&object.make_send().unwrap()).unwrap();
    came.send(Message::new("").with_right(wrapped), long()).unwrap();
    assert!(first_right(&mut callback.receive(long()).unwrap()).same_port(&held));
    // And what comes home is the wrapped one, not the port's own.
    held.send(Message::new("").with_right(held.clone()), long()).unwrap();
    let home = first_right(&mut object.receive(long()).unwrap());
    assert!(home.same_port(&object.make_send().unwrap()) && !home.is_dead());
    // Sent to another task that is not inside, a right that came in is as good.
    let outsider = Task::new();
    let mailbox = outsider.port(Capacity::Bounded(4));
    let post = give(&outsider, &owner, mailbox.make_send().unwrap());
    post.send(Message::new("").with_right(came.clone()), long()).unwrap();
    let there = first_right(&mut mailbox.receive(long()).unwrap());
    there.send(Message::new("there"), long()).unwrap();
    assert_eq!(callback.receive(long()).unwrap().body(), b"there");
    membrane.revoke();
    assert!(came.is_dead() && home.is_dead() && !there.is_dead());
    assert_eq!(came.attenuate(&Terms::new()).unwrap_err(), FacetError::Ended);
}

#[test]
fn an_answer_to_a_call_comes_in_and_its_failure_changes_nothing() {
    let (owner, object, membrane, peer, held) = inside();
    let callback = peer.port(Capacity::Bounded(4));
    held.send(Message::new("").with_right(callback.make_send().unwrap()), long()).unwrap();
    let came = first_right(&mut object.receive(long()).unwrap());
    let another = peer.port(Capacity::Bounded(4));
    let answered = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut asked = callback.receive(long()).unwrap();
            let answer = Message::new("").with_right(another.make_send().unwrap());
            asked.reply(answer, long()).unwrap();
        });
        came.call(Message::new("another"), long())
    });
    let in_answer = first_right(&mut answered.unwrap());
    in_answer.send(Message::new("good"), long()).unwrap();
    assert_eq!(another.receive(long()).unwrap().body(), b"good");
    membrane.revoke();
    assert_eq!(failure(&in_answer), Some(SendFailure::Revoked));
    // A message that cannot go out has its own rights back, unwrapped.
    let own = owner.port(Capacity::Bounded(4));
    let error = came.send(Message::new("").with_right(own.make_send().unwrap()), long());
    let mut error = error.unwrap_err();
    assert_eq!(error.reason, SendFailure::Revoked);
    let back = first_right(&mut error.message);
    back.send(Message::new("mine"), long()).unwrap();
    assert_eq!(own.receive(long()).unwrap().body(), b"mine");
}

#[test]
fn a_promise_that_came_in_is_broken_aloud_after_the_revocation() {
    let (owner, object, membrane, peer, held) = inside();
    let answers = peer.port(Capacity::Bounded(4));
    let ask = || Message::new("").with_reply(answers.make_send_once().unwrap());
    for _ in 0..3 {
        held.send(ask(), long()).unwrap();
    }
    let mut asked = object.receive(long()).unwrap();
    // A full message: every right of ours in it is wrapped, once for each port.
    let own = owner.port(Capacity::Bounded(4));
    let rights = [own.make_send().unwrap(), own.make_send().unwrap()];
    let answer = rights.into_iter().fold(Message::new(""), Message::with_right);
    asked.reply(answer, long()).unwrap();
    assert_eq!(membrane.reach(), (2, 0));
    let rights = answers.receive(long()).unwrap().take_rights();
    let rights: Vec<_> = rights.into_iter().map(Right::into_send).map(Result::unwrap).collect();
    assert!(rights[0].same_port(&rights[1]));
    let mut asked = object.receive(long()).unwrap();
    let mut last = object.receive(long()).unwrap();
    let front = membrane.wrap(&object.make_send().unwrap()).unwrap();
    front.send(Message::new("").with_right(own.make_send().unwrap()), long()).unwrap();
    membrane.revoke();
    let answer = Message::new("late").with_right(own.make_send().unwrap());
    let error = asked.reply(answer, long()).unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
    drop(error);
    let told = answers.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
    // What was accepted before can still be read; what it carries is over.
    let carried = first_right(&mut object.receive(long()).unwrap());
    assert_eq!(failure(&carried), Some(SendFailure::Revoked));
    last.reply(Message::new("late"), long()).unwrap_err();
    let told = answers.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
    assert!(rights.iter().all(|right| failure(right) == Some(SendFailure::Revoked)));
    assert!(object.receive(Deadline::Now).is_err());
}

#[test]
fn a_wait_on_a_right_that_came_in_ends_with_the_membrane() {
    let (_owner, object, membrane, peer, held) = inside();
    let callback = peer.port(Capacity::Bounded(1));
    callback.make_send().unwrap().send(Message::new("full"), long()).unwrap();
    held.send(Message::new("").with_right(callback.make_send().unwrap()), long()).unwrap();
    let came = first_right(&mut object.receive(long()).unwrap());
    std::thread::scope(|scope| {
        let waits = || came.send(Message::new("waits"), Deadline::Never).unwrap_err();
        let wait = asleep::spawn_asleep(scope, waits);
        membrane.revoke();
        let error = wait.join().unwrap();
        assert_eq!((error.reason, error.message.body()), (SendFailure::Revoked, &b"waits"[..]));
    });
    assert_eq!(callback.receive(long()).unwrap().body(), b"full");
    assert!(callback.receive(Deadline::Now).is_err());
}

#[test]
fn a_look_into_the_queue_gives_nothing_away() {
    let (_owner, object, membrane, peer, held) = inside();
    let callback = peer.port(Capacity::Bounded(4));
    held.send(Message::new("").with_right(callback.make_send().unwrap()), long()).unwrap();
    let mut copied = None;
    let look = |message: &Message| {
        let Right::Send(right) = &message.rights()[0] else { return false };
        copied = Some(right.clone());
        true
    };
    let seen = object.receive_where(look, long()).unwrap();
    membrane.revoke();
    let copied = copied.unwrap();
    assert_eq!(failure(&copied), Some(SendFailure::Revoked));
    assert!(matches!(&seen.rights()[0], Right::Send(right) if right.is_dead()));
}

#[test]
fn membranes_lie_one_around_the_other() {
    let (owner, peer) = (Task::new(), Task::new());
    let object = owner.port(Capacity::Bounded(16));
    let (inner, outer) = (owner.membrane(), owner.membrane());
    let once = inner.wrap(&object.make_send().unwrap()).unwrap();
    let twice = give(&owner, &peer, outer.wrap(&once).unwrap());
    let single = give(&owner, &peer, once);
    let callback = peer.port(Capacity::Bounded(4));
    twice.send(Message::new("").with_right(callback.make_send().unwrap()), long()).unwrap();
    let came = first_right(&mut object.receive(long()).unwrap());
    let own = owner.port(Capacity::Bounded(4));
    came.send(Message::new("").with_right(own.make_send().unwrap()), long()).unwrap();
    let out = first_right(&mut callback.receive(long()).unwrap());
    out.send(Message::new("both"), long()).unwrap();
    assert_eq!(own.receive(long()).unwrap().body(), b"both");
    assert_eq!((inner.reach(), outer.reach()), ((2, 1), (2, 1)));
    outer.revoke();
    assert_eq!(failure(&out), Some(SendFailure::Revoked));
    assert_eq!(failure(&came), Some(SendFailure::Revoked));
    assert_eq!(failure(&twice), Some(SendFailure::Revoked));
    assert_eq!(failure(&single), None);
    inner.revoke();
    assert_eq!(failure(&single), Some(SendFailure::Revoked));
    drop((came, out, twice, single));
    // What is released lies in the lane until a thread of the owner's comes.
    let reach = || {
        let _ = object.receive(Deadline::Now);
        (inner.reach(), outer.reach())
    };
    settled(reach, |reach| *reach == ((0, 0), (0, 0)));
}

#[test]
fn what_cannot_be_wrapped_says_why() {
    let (owner, _object, membrane, peer, held) = inside();
    assert_eq!(
        peer.membrane().wrap(&held).unwrap_err(),
        FacetError::NotOwner(owner.identity().task)
    );
    let foreign = peer.port(Capacity::Bounded(1)).make_send().unwrap();
    assert_eq!(membrane.wrap(&foreign).unwrap_err(), FacetError::NotOwner(peer.identity().task));
    membrane.revoke();
    let own = owner.port(Capacity::Bounded(1));
    assert_eq!(membrane.wrap(&own.make_send().unwrap()).unwrap_err(), FacetError::Ended);
}

/// Polls until it is ready, with no executor.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
        std::thread::yield_now();
    }
}

#[test]
fn futures_pass_a_membrane_as_threads_do() {
    let (owner, object, membrane, peer, held) = inside();
    let callback = peer.port(Capacity::Unbounded);
    let ask = || Message::new("").with_reply(callback.make_send_once().unwrap());
    held.send(ask().with_right(callback.make_send().unwrap()), long()).unwrap();
    held.send(ask(), long()).unwrap();
    let mut request = object.receive(long()).unwrap();
    let late = object.receive(long()).unwrap().take_reply().unwrap();
    let came = first_right(&mut request);
    let own = owner.port(Capacity::Bounded(4));
    let with_own = || Message::new("").with_right(own.make_send().unwrap());
    finish(came.send_async(with_own())).unwrap();
    finish(request.take_reply().unwrap().send_async(with_own())).unwrap();
    let got = [(); 2].map(|()| first_right(&mut callback.receive(long()).unwrap()));
    let mut answered = std::thread::scope(|scope| {
        scope.spawn(|| {
            let answer = Message::new("").with_right(callback.make_send().unwrap());
            callback.receive(long()).unwrap().reply(answer, long()).unwrap();
        });
        finish(came.call_async(Message::new(""))).unwrap()
    });
    let in_answer = first_right(&mut answered);
    assert!(in_answer.same_port(&came) && !in_answer.is_dead());
    drop(came.send_async(with_own()));
    // Pulses pass as well.
    came.pulse(5, 6, 0).unwrap();
    assert_eq!(callback.receive(long()).unwrap().pulse().unwrap().value, 6);

    membrane.revoke();
    assert!(matches!(came.pulse(5, 6, 0), Err(pillarbox::PulseError::Revoked)));
    assert!(got.iter().all(|right| failure(right) == Some(SendFailure::Revoked)));
    for right in [&came, &in_answer] {
        let mut error = finish(right.send_async(with_own())).unwrap_err();
        assert_eq!(error.reason, SendFailure::Revoked);
        assert!(first_right(&mut error.message).same_port(&own.make_send().unwrap()));
    }
    let error = finish(late.send_async(with_own())).unwrap_err();
    assert_eq!(error.reason, SendFailure::Revoked);
}
