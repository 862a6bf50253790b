//! A wait at a port set ends when the set is closed, in every thread; and a message
//! that is longer than a receiver has room for stays where it is.

mod executor;

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use executor::{block_on, poll_once};
use pillarbox::{Capacity, Deadline, Member, Message, ReceiveError, SetReceiveError, Task};

#[test]
fn closing_a_set_ends_every_wait_at_it() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let set = Arc::new(task.port_set());
    let _ = set.add(&inbox).unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let set = Arc::clone(&set);
            std::thread::spawn(move || set.receive_within(9, Deadline::Never))
        })
        .collect();
    let whole = {
        let set = Arc::clone(&set);
        std::thread::spawn(move || set.receive(Deadline::Never))
    };
    let mut future = pin!(set.receive_within_async(9));
    assert!(poll_once(future.as_mut()).is_pending());
    let mut first = pin!(set.receive_async());
    assert!(poll_once(first.as_mut()).is_pending());

    set.close();
    for thread in waiting {
        assert_eq!(thread.join().unwrap().unwrap_err(), SetReceiveError::Closed);
    }
    assert_eq!(whole.join().unwrap().unwrap_err(), ReceiveError::Closed);
    assert_eq!(block_on(future).unwrap_err(), SetReceiveError::Closed);
    let Poll::Ready(closed) = poll_once(first.as_mut()) else { panic!("the set is closed") };
    assert_eq!(closed.unwrap_err(), ReceiveError::Closed);
    // Later ones as well, whatever there is to take; its members are what they were.
    inbox.make_send().unwrap().send(Message::new("still there"), Deadline::Now).unwrap();
    assert_eq!(set.receive_within(99, Deadline::Now).unwrap_err(), SetReceiveError::Closed);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"still there");
}

#[test]
fn a_message_without_room_stays_where_it_is() {
    let task = Task::new();
    let (long_one, other) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let set = task.port_set();
    let member = set.add(&long_one).unwrap();
    let _ = set.add(&other).unwrap();
    let post = long_one.make_send().unwrap();
    post.send(Message::new("twelve bytes"), Deadline::Now).unwrap();
    for _ in 0..2 {
        let short = set.receive_within(11, Deadline::Now).unwrap_err();
        assert_eq!(short, SetReceiveError::TooLong { member, bytes: 12 });
    }
    // The others have their turn meanwhile.
    other.make_send().unwrap().send(Message::new("short"), Deadline::Now).unwrap();
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.extend(set.receive_within(11, Deadline::Now).ok());
    }
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].0, Member::from(&other));
    assert_eq!(block_on(set.receive_within_async(12)).unwrap().1.body(), b"twelve bytes");
    assert_eq!(set.receive_within(11, Deadline::Now).unwrap_err(), SetReceiveError::Deadline);
}
