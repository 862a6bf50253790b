//! A server knows its clients again after it has answered them: by their
//! connection, which the kernel vouches for. It is told of a client's end once,
//! after everything the client had sent. Death is watched at three grains: a
//! right, a connection, a task.

mod family;

use std::collections::HashSet;

use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::{Capacity, Deadline, Message, Notification, Task};

/// Sends so much right before it dies.
const LAST_WORDS: i32 = 500;

/// Calls twice, then says much and is gone.
#[test]
fn client_part() {
    if !acting("client_part") {
        return;
    }
    let task = Task::current().unwrap();
    let own = task.port(Capacity::Bounded(1));
    let parent = given("parent");
    let hello = Message::new("").with_right(own.make_send().unwrap());
    parent.call(hello, long()).unwrap();
    parent.call(Message::new(""), long()).unwrap();
    for word in 0..LAST_WORDS {
        parent.send(Message::new("").with_id(word), long()).unwrap();
    }
    std::process::abort();
}

#[test]
fn a_client_is_known_again_and_its_end_is_told_once_and_last() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Unbounded);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let child = act("client_part").right("parent", inbox.make_send().unwrap()).spawn();
        clients.push(Reaped(child.unwrap()));
    }
    // Both have said hello before either may go on.
    let mut hellos: Vec<_> = (0..2).map(|_| inbox.receive(long()).unwrap()).collect();
    let rights: Vec<_> =
        hellos.iter_mut().map(|hello| hello.take_rights().remove(0).into_send().unwrap()).collect();
    let peers: Vec<_> = hellos.iter().map(|hello| hello.peer().unwrap()).collect();
    for (hello, peer) in hellos.iter().zip(&peers) {
        assert_eq!(Some(peer.identity()), hello.sender());
        assert!(clients.iter().any(|client| client.pid() == peer.identity().pid));
        assert_eq!(task.peer(peer.identity().task).as_ref(), Some(peer));
        assert!(!peer.is_gone());
    }
    assert_ne!(peers[0], peers[1]);
    assert_eq!(peers.iter().collect::<HashSet<_>>().len(), 2);
    for hello in &mut hellos {
        hello.reply(Message::new(""), long()).unwrap();
    }
    drop(hellos);
    // The second request of each is known to be of the same.
    let mut again: Vec<_> = (0..2).map(|_| inbox.receive(long()).unwrap()).collect();
    assert!(again.iter().all(|request| peers.contains(&request.peer().unwrap())));

    // One client is watched at every grain, each more than once.
    let (watched, other) = (&peers[0], &peers[1]);
    let news = || inbox.make_send_once().unwrap();
    rights[0].notify_dead(news()).unwrap();
    for _ in 0..3 {
        watched.notify_gone(news()).unwrap();
    }
    let by_name = task.peer(watched.identity().task).unwrap();
    by_name.notify_gone(news()).unwrap();
    for request in &mut again {
        if request.peer().as_ref() == Some(watched) {
            request.reply(Message::new(""), long()).unwrap();
        }
    }
    for word in 0..LAST_WORDS {
        let message = inbox.receive(long()).unwrap();
        assert_eq!((message.notification(), message.id()), (None, word));
        assert_eq!(message.peer().as_ref(), Some(watched));
    }
    let mut told: Vec<_> =
        (0..5).map(|_| inbox.receive(long()).unwrap().notification().unwrap()).collect();
    told.sort_by_key(|told| *told != Notification::DeadName);
    assert_eq!(told[0], Notification::DeadName);
    assert!(told[1..].iter().all(|told| *told == Notification::PeerGone));
    assert!(inbox.receive(Deadline::Now).is_err());

    // Who asks late is told at once; of a task that is gone nothing is known.
    assert!(watched.is_gone() && !other.is_gone());
    watched.notify_gone(news()).unwrap();
    let late = inbox.receive(Deadline::Now).unwrap();
    assert_eq!(late.notification(), Some(Notification::PeerGone));
    assert_eq!(task.peer(watched.identity().task), None);
    assert!(!task.peers().contains(watched) && task.peers().contains(other));
    // The other was not touched by any of this.
    for mut request in again.into_iter().filter(|request| request.reply_right().is_some()) {
        request.reply(Message::new(""), long()).unwrap();
    }
    assert_eq!(inbox.receive(long()).unwrap().peer().as_ref(), Some(other));
}

#[test]
fn a_task_is_not_a_peer_of_its_own() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    inbox.make_send().unwrap().send(Message::new(""), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().peer(), None);
    assert_eq!(task.peer(task.identity().task), None);
}
