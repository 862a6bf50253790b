//! An owner that says of each question that there is no such port, and shows the port
//! alive on its board, is believed: a future that asks it ends.

mod executor;
mod family;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use abi::frame::{Header, Kind};
use family::raw::Peer;
use family::{Reaped, act, acting, is_part, long};
use pillarbox::{Capacity, StatusError, Task};

/// Answers every question with nothing, until its parent is gone or it is killed.
#[test]
fn denier_part() {
    if !acting("denier_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    loop {
        let (header, _) = peer.next();
        if header.kind == Kind::Status {
            let nothing = Header::new(Kind::StatusIs, header.slot);
            peer.say(Header { tag: header.tag, ..nothing }, &[]);
        }
    }
}

#[test]
fn a_future_that_asks_a_liar_ends() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let child = act("denier_part").right("inbox", inbox.make_send().unwrap());
    let child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let post = ready.take_rights().remove(0).into_send().unwrap();
    assert_eq!(post.status(long()), Err(StatusError::Dead));
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    let asking = std::thread::spawn(move || {
        let answer = executor::block_on(post.status_async());
        told.store(true, Ordering::Release);
        answer
    });
    let until = long();
    while !over.load(Ordering::Acquire) && !until.has_passed() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    // Who still asks hears of the death.
    drop(child);
    assert!(over.load(Ordering::Acquire), "it is asked again and again");
    assert_eq!(asking.join().unwrap(), Err(StatusError::Dead));
}
