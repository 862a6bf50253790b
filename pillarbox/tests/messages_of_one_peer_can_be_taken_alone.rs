//! A receiver that names a peer takes that peer's messages only, in their order,
//! leaves the rest in theirs, and hears of that peer's end after its last message.

mod asleep;
mod family;

use asleep::spawn_asleep;
use family::linked::give;
use family::long;
use pillarbox::{Callers, Capacity, Deadline, Message, Peer, ReceiveFromError, ReceiveRight, Task};

/// A task with an open inbox, two others, and each as it sees them and is seen.
fn three() -> (ReceiveRight, [(Task, Peer, Peer); 2]) {
    let hub = Task::new();
    let inbox = hub.open_inbox(Capacity::Bounded(64), Callers::anyone()).unwrap();
    let others = [(); 2].map(|()| {
        let other = Task::new();
        let port = hub.port(Capacity::Bounded(1));
        drop(give(&hub, &other, port.make_send().unwrap()));
        let (seen, hub_seen) =
            (hub.peer(other.identity().task).unwrap(), other.peer(hub.identity().task).unwrap());
        (other, seen, hub_seen)
    });
    (inbox, others)
}

fn say((task, _, hub): &(Task, Peer, Peer), tag: u64) {
    task.send_to(hub, Message::new("").with_tag(tag), long()).unwrap();
}

#[test]
fn the_rest_stays_in_order() {
    let (inbox, [one, two]) = three();
    for tag in 0..10 {
        say(&one, tag);
        say(&two, 100 + tag);
    }
    for tag in 0..5 {
        assert_eq!(inbox.receive_from(&two.1, long()).unwrap().tag(), 100 + tag);
    }
    let mut rest: Vec<u64> = (0..15).map(|_| inbox.receive(long()).unwrap().tag()).collect();
    let of_two: Vec<u64> = rest.extract_if(.., |tag| *tag >= 100).collect();
    assert_eq!((of_two, rest), ((105..110).collect(), (0..10).collect()));
}

#[test]
fn a_message_of_another_does_not_end_the_wait() {
    let (inbox, [one, two]) = three();
    std::thread::scope(|scope| {
        let taker = spawn_asleep(scope, || inbox.receive_from(&two.1, long()).unwrap().tag());
        say(&one, 1);
        say(&two, 2);
        assert_eq!(taker.join().unwrap(), 2);
    });
    assert_eq!(inbox.receive_from(&two.1, Deadline::Now).unwrap_err(), ReceiveFromError::Deadline);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), 1);
}

#[test]
fn the_end_of_the_peer_ends_the_wait_after_its_last_message() {
    let (inbox, [one, two]) = three();
    say(&one, 1);
    say(&one, 2);
    one.0.close();
    for tag in [1, 2] {
        assert_eq!(inbox.receive_from(&one.1, long()).unwrap().tag(), tag);
    }
    assert_eq!(inbox.receive_from(&one.1, long()).unwrap_err(), ReceiveFromError::Gone);
    std::thread::scope(|scope| {
        let taker = spawn_asleep(scope, || inbox.receive_from(&two.1, long()).unwrap_err());
        two.0.close();
        assert_eq!(taker.join().unwrap(), ReceiveFromError::Gone);
    });
}
