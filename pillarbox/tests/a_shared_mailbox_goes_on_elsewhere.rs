//! A shared mailbox that is taken apart and put together again, here or in another task,
//! has all that was in it, in order, and says of each message what was known of it.

mod family;

use family::linked::give;
use family::long;
use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, Task};

/// Serves until the mailbox is as it should be.
fn serve_until(mailbox: &mut SharedMailbox, so: impl Fn(&SharedMailbox) -> bool) {
    let end = long();
    while !so(mailbox) {
        assert!(!end.has_passed(), "{:?}", mailbox.status());
        let _ = mailbox.turn(Deadline::after(std::time::Duration::from_millis(1)));
    }
}

#[test]
fn what_a_reader_had_goes_first_and_is_marked() {
    let task = Task::new();
    let port = task.port(Capacity::Bounded(16));
    let post = port.make_send().unwrap();
    let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    let right = mailbox.reader_right().unwrap();
    for number in 0..6 {
        post.send(Message::new("").with_tag(number), Deadline::Now).unwrap();
    }
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = SharedReader::attach(&task, right.clone(), 2, long()).unwrap();
            let first = reader.receive(long()).unwrap().unwrap();
            first.acknowledge(long()).unwrap();
            let second = reader.receive(long()).unwrap().unwrap();
            assert_eq!(second.message().tag(), 1);
            (reader, second)
        });
        serve_until(&mut mailbox, |_| reading.is_finished());
        let (mut reader, second) = reading.join().unwrap();
        mailbox.pause();
        assert!(!mailbox.is_at_rest() && mailbox.is_paused());
        let (port, held) = mailbox.into_parts();
        assert_eq!(port.status().queued, 0);
        let known: Vec<_> = held.iter().map(|one| (one.message.tag(), one.redelivered)).collect();
        let tags: Vec<u64> = known.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(tags, [1, 2, 3, 4, 5]);
        assert_eq!(known[0].1, 1, "it may have been worked on");
        assert!(known[2..].iter().all(|(_, times)| *times == 0), "{known:?}");
        assert!(held.iter().all(|one| one.origin == Some(task.identity())));
        // Its reader is told that there is nothing more.
        drop(second);
        while reader.receive(long()).unwrap().is_some() {}
        let mailbox = SharedMailbox::from_parts(port, Policy::RoundRobin, held, None);
        assert_eq!(mailbox.status().held, 5);
    });
}

#[test]
fn a_paused_mailbox_comes_to_rest_and_goes_on() {
    let task = Task::new();
    let port = task.port(Capacity::Bounded(16));
    let post = port.make_send().unwrap();
    let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    let right = mailbox.reader_right().unwrap();
    post.send(Message::new("one"), Deadline::Now).unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = SharedReader::attach(&task, right.clone(), 1, long()).unwrap();
            (reader.receive(long()).unwrap().unwrap(), reader)
        });
        serve_until(&mut mailbox, |_| reading.is_finished());
        let (first, mut reader) = reading.join().unwrap();
        mailbox.pause();
        post.send(Message::new("two"), Deadline::Now).unwrap();
        first.acknowledge(long()).unwrap();
        serve_until(&mut mailbox, SharedMailbox::is_at_rest);
        // What came meanwhile lies where it was.
        assert_eq!(mailbox.port().status().queued, 1);
        mailbox.go_on();
        serve_until(&mut mailbox, |mailbox| mailbox.status().held == 1);
        let second = reader.receive(long()).unwrap().unwrap();
        assert_eq!((second.message().body(), second.redelivered()), (&b"two"[..], 0));
        drop((second, reader));
    });
}

#[test]
fn in_another_task_nothing_is_said_to_be_the_old_owners() {
    let (client, old, new) = (Task::new(), Task::new(), Task::new());
    let port = old.port(Capacity::Bounded(16));
    let post = give(&old, &client, port.make_send().unwrap());
    post.send(Message::new("before"), long()).unwrap();
    let mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    let (port, held) = mailbox.into_parts();
    assert_eq!(held[0].origin.map(|who| who.task), Some(client.identity().task));
    // This one lies in the port when that goes.
    post.send(Message::new("meanwhile"), long()).unwrap();
    let end = long();
    while port.peek().is_none() {
        assert!(!end.has_passed());
        std::thread::yield_now();
    }
    let inbox = new.port(Capacity::Bounded(1));
    let to = give(&new, &old, inbox.make_send().unwrap());
    to.send(Message::new("").with_right(port), long()).unwrap();
    let mut came = inbox.receive(long()).unwrap();
    let port = came.take_rights().pop().unwrap().into_receive().unwrap();
    let before = Some(old.identity().task);
    let mailbox = SharedMailbox::from_parts(port, Policy::RoundRobin, held, before);
    let (_port, held) = mailbox.into_parts();
    let known: Vec<_> =
        held.iter().map(|one| (one.message.body(), one.origin.map(|who| who.task))).collect();
    let from = Some(client.identity().task);
    assert_eq!(known, [(&b"before"[..], from), (&b"meanwhile"[..], None)]);
}
