//! Who sent a message is the kernel's word: its process, its user, its group.
//! What a peer says of itself changes none of it.

mod family;

use std::os::unix::process::CommandExt;

use family::raw::Peer;
use family::{Reaped, act, act_with, acting, given, is_part, long, tell};
use pillarbox::{Capacity, Identity, Message, SpawnFailure, Task};

/// The user who is nobody.
const NOBODY: u32 = 65534;

#[test]
fn honest_part() {
    if !acting("honest_part") {
        return;
    }
    let task = Task::current().unwrap();
    let own = task.identity();
    let body = format!("{} {} {} {}", own.task, own.pid, own.uid, own.gid);
    let answer = given("parent").call(Message::new(body), long()).unwrap();
    // Both ways: the parent is who it is.
    let parent = answer.sender().unwrap();
    assert_eq!(parent.pid, rustix::process::getppid().unwrap().as_raw_nonzero().get());
    assert_eq!(answer.body(), format!("{}", parent.task).as_bytes());
}

/// Says in its hello that it is another.
#[test]
fn liar_part() {
    if !acting("liar_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("parent"));
    family::raw::wait_for_the_end(&peer.socket);
}

fn ask(command: impl FnOnce(&mut std::process::Command)) -> Option<(Reaped, Identity, String)> {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let spawn = act_with("honest_part", command).right("parent", inbox.make_send().unwrap());
    let child = match spawn.spawn() {
        Ok(child) => Reaped(child),
        Err(error) => {
            // Nobody may not run what lies where we were built.
            assert!(matches!(error.reason, SpawnFailure::System(_)), "{error}");
            assert_eq!(error.rights.len(), 1, "the right came back");
            return None;
        }
    };
    let mut request = inbox.receive(long()).unwrap();
    let said = String::from_utf8(request.body().to_vec()).unwrap();
    let sender = request.sender().unwrap();
    request.reply(Message::new(task.identity().task.to_string()), long()).unwrap();
    Some((child, sender, said))
}

#[test]
fn a_sender_is_who_the_kernel_says() {
    if is_part() {
        return;
    }
    let own = Task::current().unwrap().identity();
    let (mut child, sender, said) = ask(|_| ()).unwrap();
    assert_eq!(sender.pid, child.pid());
    assert_eq!((sender.uid, sender.gid), (own.uid, own.gid));
    assert_ne!(sender.task.process, own.task.process);
    // Both sides have the same name for it.
    assert_eq!(said, format!("{} {} {} {}", sender.task, sender.pid, sender.uid, sender.gid));
    assert!(child.ended_well());
}

#[test]
fn a_child_that_became_nobody_is_nobody() {
    if is_part() {
        return;
    }
    if Task::current().unwrap().identity().uid != 0 {
        tell("skipped: only root can start a child as somebody else");
        return;
    }
    let asked = ask(|command| {
        command.uid(NOBODY).gid(NOBODY);
    });
    let Some((mut child, sender, said)) = asked else {
        tell("skipped: nobody may not run the test program where it lies");
        return;
    };
    assert_eq!((sender.pid, sender.uid, sender.gid), (child.pid(), NOBODY, NOBODY));
    assert!(said.ends_with(&format!("{NOBODY} {NOBODY}")));
    assert!(child.ended_well());
}

#[test]
fn what_a_peer_says_of_itself_is_only_its_number() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Unbounded);
    let start = || {
        let child = act("liar_part").right("parent", inbox.make_send().unwrap()).spawn();
        Reaped(child.unwrap())
    };
    let children = [start(), start()];
    let senders = [0, 1].map(|_| inbox.receive(long()).unwrap().sender().unwrap());
    for child in &children {
        let named = senders.iter().filter(|sender| sender.pid == child.pid());
        assert_eq!(named.count(), 1);
    }
    // Both said the same number: they are not taken for each other.
    assert_eq!(senders[0].task.number, senders[1].task.number);
    assert_ne!(senders[0].task.process, senders[1].task.process);
}
