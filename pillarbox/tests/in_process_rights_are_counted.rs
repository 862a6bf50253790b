//! Within one task: a census finds every right where it is, and none at the end.

use pillarbox::{Capacity, Census, Deadline, Holding, Message, Task};

fn counts(task: &Task) -> (u64, u64, u64) {
    let census = task.census();
    (
        census.count(Holding::Receive),
        census.count(Holding::OwnSend),
        census.count(Holding::OwnSendOnce),
    )
}

#[test]
fn a_census_follows_every_right() {
    let task = Task::new();
    assert_eq!(task.census(), Census::default());
    let inbox = task.port(Capacity::Bounded(4));
    assert_eq!(counts(&task), (1, 0, 0));
    let post = inbox.make_send().unwrap();
    let copy = post.clone();
    let once = inbox.make_send_once().unwrap();
    assert_eq!(counts(&task), (1, 2, 1));
    // In a message they are in one place still.
    post.send(Message::new("").with_right(copy).with_right(once), Deadline::Now).unwrap();
    assert_eq!(counts(&task), (1, 2, 1));
    let mut message = inbox.receive(Deadline::Now).unwrap();
    assert_eq!(counts(&task), (1, 2, 1));
    let mut rights = message.take_rights();
    let once = rights.pop().unwrap().into_send_once().unwrap();
    once.send(Message::new(""), Deadline::Now).unwrap();
    assert_eq!(counts(&task), (1, 2, 0));
    drop(rights);
    assert_eq!(counts(&task), (1, 1, 0));
    drop(inbox.make_send_once().unwrap());
    assert_eq!(counts(&task), (1, 1, 0));
    drop(post);
    assert_eq!(counts(&task), (1, 0, 0));
    drop(inbox);
    assert_eq!(task.census(), Census::default());
}

#[test]
fn a_census_names_the_port() {
    let task = Task::new();
    let (one, two) = (task.port(Capacity::Unbounded), task.port(Capacity::Rendezvous));
    assert_ne!(one.id(), two.id());
    let _posts = [one.make_send().unwrap(), two.make_send().unwrap(), two.make_send().unwrap()];
    let rows = task.census().rows;
    let sends = |port: u64| {
        let mine = rows.iter().find(|row| row.holding == Holding::OwnSend && row.port == port);
        mine.map(|row| (row.count, row.peer))
    };
    assert_eq!((sends(one.id()), sends(two.id())), (Some((1, None)), Some((2, None))));
}

#[test]
fn two_tasks_have_each_their_own() {
    let (one, two) = (Task::new(), Task::new());
    assert_ne!(one.identity().task, two.identity().task);
    let inbox = one.port(Capacity::Bounded(1));
    assert_eq!(one.census().count(Holding::Receive), 1);
    assert_eq!(two.census(), Census::default());
    drop(inbox);
}

/// Many threads do everything there is to do with rights, and nothing is left.
#[test]
fn after_much_use_nothing_is_left() {
    const THREADS: u64 = 4;
    let task = Task::new();
    let ports: Vec<_> = (0..4).map(|_| task.port(Capacity::Unbounded)).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (task, ports) = (&task, &ports);
            scope.spawn(move || {
                for turn in 0..1_000u64 {
                    let here = &ports[((thread + turn) % 4) as usize];
                    let there = &ports[((thread * 7 + turn * 3) % 4) as usize];
                    let own = task.port(Capacity::Bounded(1));
                    let message = Message::new("")
                        .with_right(there.make_send().unwrap())
                        .with_right(there.make_send_once().unwrap())
                        .with_right(own.make_send().unwrap())
                        .with_reply(own.make_send_once().unwrap());
                    here.make_send().unwrap().send(message, Deadline::Now).unwrap();
                    let Ok(mut taken) = there.receive(Deadline::Now) else { continue };
                    match turn % 3 {
                        0 => drop(taken),
                        1 if taken.reply_right().is_some() => {
                            // Its port may be gone.
                            let _ = taken.reply(Message::new(""), Deadline::Now);
                        }
                        _ => {
                            for right in taken.take_rights() {
                                if let Ok(right) = right.into_send() {
                                    // Its port may be gone.
                                    let _ = right.send(Message::new(""), Deadline::Now);
                                }
                            }
                        }
                    }
                }
            });
        }
    });
    assert_eq!(task.census().count(Holding::Receive), 4);
    drop(ports);
    assert_eq!(task.census(), Census::default());
}
