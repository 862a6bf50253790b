//! What it costs to receive from a set is counted in members that are looked at,
//! and those are the ones that have something.

use pillarbox::{Capacity, Deadline, Message, Task};

/// How many members are looked at to receive ten messages of ten members, among
/// so many, and to find nothing ten times.
fn visits(ports: usize) -> u64 {
    let task = Task::new();
    let set = task.port_set();
    let ports: Vec<_> = (0..ports)
        .map(|number| {
            let meets = number % 2 == 0;
            task.port(if meets { Capacity::Rendezvous } else { Capacity::Bounded(1) })
        })
        .collect();
    for port in &ports {
        let _ = set.add(port).unwrap();
    }
    let every = ports.len() / 10;
    let before = set.status();
    assert_eq!((before.members, before.ready), (ports.len(), 0));
    for port in ports.iter().skip(1).step_by(every) {
        port.make_send().unwrap().send(Message::new(""), Deadline::Now).unwrap();
    }
    assert_eq!(set.status().ready, 10);
    for _ in 0..10 {
        let _ = set.receive(Deadline::Now).unwrap();
    }
    for _ in 0..10 {
        assert!(set.receive(Deadline::Now).is_err());
    }
    let after = set.status();
    assert_eq!(after.ready, 0);
    after.visits - before.visits
}

#[test]
fn ten_messages_cost_ten_visits_however_many_members_there_are() {
    assert_eq!((visits(20), visits(1_000), visits(100_000)), (10, 10, 10));
}
