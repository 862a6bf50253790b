//! A port that goes to another task and comes back, any number of times, leaves nothing
//! at those it was with: no line in their census, and no memory.

mod family;

use family::linked::give;
use family::{long, settled, tell};
use pillarbox::{Capacity, Census, Deadline, Holding, Message, ReceiveRight, SendRight, Task};

/// Each of them a move there and one back.
const ROUNDS: usize = 600;

/// Rounds before the memory is looked at: what is kept for the next is there then.
const WARM: usize = 200;

/// What a round may leave on the average: less than a port.
const MOST_BYTES: usize = 1_024;

/// A task, and a way to it from the other.
struct Side {
    task: Task,
    inbox: ReceiveRight,
    from_other: SendRight,
}

fn two() -> [Side; 2] {
    let tasks = [Task::new(), Task::new()];
    let inboxes = tasks.each_ref().map(|task| task.port(Capacity::Bounded(4)));
    let [first, second] = inboxes.each_ref().map(|inbox| inbox.make_send().unwrap());
    let to_second = give(&tasks[1], &tasks[0], second);
    // The same link serves both ways.
    to_second.send(Message::new("").with_right(first), long()).unwrap();
    let to_first = inboxes[1].receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let ([one, two], [here, there]) = (tasks, inboxes);
    [
        Side { task: one, inbox: here, from_other: to_first },
        Side { task: two, inbox: there, from_other: to_second },
    ]
}

fn go(port: ReceiveRight, to: &Side) -> ReceiveRight {
    to.from_other.send(Message::new("").with_right(port), long()).unwrap();
    to.inbox.receive(long()).unwrap().take_rights().remove(0).into_receive().unwrap()
}

/// Memory of this process that no file backs.
fn own_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// Lets both say what they have to say.
fn look(sides: &[Side; 2]) -> [Census; 2] {
    for side in sides {
        assert!(side.inbox.receive(Deadline::Now).is_err());
    }
    sides.each_ref().map(|side| side.task.census())
}

#[test]
fn a_thousand_moves_leave_what_there_was_before() {
    let sides = two();
    let round = |port| go(go(port, &sides[1]), &sides[0]);
    let port = sides[0].task.port(Capacity::Bounded(4));
    let port = (0..WARM).fold(port, |port, _| round(port));
    let (census, memory) = (look(&sides).map(|census| census.rows.len()), own_memory());
    let port = (0..ROUNDS).fold(port, |port, _| round(port));
    settled(|| look(&sides).map(|census| census.rows.len()), |rows| *rows == census);
    let more = own_memory().saturating_sub(memory);
    tell(&format!("{} bytes of a round are left", more / ROUNDS));
    assert!(more / ROUNDS < MOST_BYTES, "{more} bytes are left of {ROUNDS} rounds");
    port.make_send().unwrap().send(Message::new("still a port"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"still a port");
}

#[test]
fn a_port_that_went_is_in_one_census() {
    let sides = two();
    let ports = |census: Census| census.count(Holding::Receive);
    let before = look(&sides).map(ports);
    let port = sides[0].task.port(Capacity::Bounded(4));
    let id = port.id();
    let own = port.make_send().unwrap();
    let port = go(port, &sides[1]);
    // Our right follows it, and is a right to a port of another task then.
    own.send(Message::new("after it"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"after it");
    let rows =
        || look(&sides)[0].rows.iter().filter(|row| row.peer.is_none() && row.port == id).count();
    settled(rows, |rows| *rows == 0);
    assert_eq!(look(&sides).map(ports), [before[0], before[1] + 1]);
}
