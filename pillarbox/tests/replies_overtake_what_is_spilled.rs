//! What is spilled to a port that nobody reads holds up nothing else between the
//! two tasks: calls, their answers and messages to other ports get through, to
//! other unbounded ports too.

mod family;

use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::{Capacity, Deadline, Message, Task};

/// Bytes that wait for a receiver that never comes.
const SPILLED: usize = 60 * 1024 * 1024;

const BODY: usize = 16 * 1024;

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (unread, service, open) = (given("unread"), given("service"), given("open"));
    let home = task.port(Capacity::Bounded(4));
    for _ in 0..SPILLED / BODY {
        unread.send(Message::new(vec![0; BODY]), Deadline::Now).unwrap();
    }
    for number in 0..100 {
        let question = Message::new(vec![1; 20_000]).with_tag(number);
        let answer = service.call(question, long()).unwrap();
        assert_eq!(answer.tag(), number + 1);
        // To an unbounded port that somebody reads.
        open.send(Message::new(vec![2; 20_000]).with_tag(number), Deadline::Now).unwrap();
        unread.send(Message::new("more"), Deadline::Now).unwrap();
    }
    // The other way: who has so much unread asks us.
    let right = home.make_send().unwrap();
    service.send(Message::new("now you").with_id(-1).with_right(right), long()).unwrap();
    for number in 0..100 {
        let mut question = home.receive(long()).unwrap();
        assert_eq!(question.tag(), number);
        question.reply(Message::new("").with_tag(number + 1), long()).unwrap();
    }
    // Until we are killed.
    while home.receive(long()).is_ok() {}
}

#[test]
fn sixty_mebibytes_for_one_port_hold_up_no_other() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let unread = task.port(Capacity::Unbounded);
    let service = task.port(Capacity::Bounded(4));
    let open = task.port(Capacity::Unbounded);
    let child = act("sender_part")
        .right("unread", unread.make_send().unwrap())
        .right("service", service.make_send().unwrap())
        .right("open", open.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    let right = loop {
        let mut question = service.receive(long()).unwrap();
        if question.id() == -1 {
            break question.take_rights().remove(0).into_send().unwrap();
        }
        let tag = question.tag();
        question.reply(Message::new("").with_tag(tag + 1), long()).unwrap();
        assert_eq!(open.receive(long()).unwrap().tag(), tag);
    };
    for number in 0..100 {
        let answer = right.call(Message::new("").with_tag(number), long()).unwrap();
        assert_eq!(answer.tag(), number + 1);
    }
    // All the while nobody has read the rest.
    let waiting = unread.status().queued;
    assert!(waiting < (SPILLED / BODY) as u64 / 4, "{waiting} messages are in our memory");
    child.kill();
    for _ in 0..SPILLED / BODY {
        assert_eq!(unread.receive(long()).unwrap().body().len(), BODY);
    }
    for _ in 0..100 {
        assert_eq!(unread.receive(long()).unwrap().body(), b"more");
    }
}
