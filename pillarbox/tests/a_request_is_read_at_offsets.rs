//! A server reads of a request what it needs, where it needs it, while the
//! caller waits: short bodies were copied, long ones lie in sealed memory and
//! are read in place. No rights over the caller's process are needed.

mod family;

use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::{Capacity, Deadline, Message, Task, limits};

/// A body far beyond what goes through a lane.
const LONG_BODY: usize = 40 << 20;

fn pattern(at: usize) -> u8 {
    (at * 7 % 253) as u8
}

/// Asks with a long body and a short one. Nobody may look into this process.
#[test]
fn caller_part() {
    if !acting("caller_part") {
        return;
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).unwrap();
    let parent = given("parent");
    for bytes in [LONG_BODY, 100] {
        let body: Vec<u8> = (0..bytes).map(pattern).collect();
        let answer = parent.call(Message::new(body), long()).unwrap();
        assert_eq!(answer.body(), b"read");
    }
}

#[test]
fn any_part_of_a_request_is_read_while_its_sender_waits() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let child = act("caller_part").right("parent", inbox.make_send().unwrap()).spawn();
    let mut child = Reaped(child.unwrap());
    for bytes in [LONG_BODY, 100] {
        let mut request = inbox.receive(long()).unwrap();
        let mut some = [0; 60];
        for at in (0..bytes).step_by(bytes / 37 + 1).chain([bytes - 60]) {
            let count = request.read_at(at as u64, &mut some);
            assert_eq!(count, 60.min(bytes - at));
            assert!(some[..count].iter().zip(at..).all(|(byte, at)| *byte == pattern(at)));
        }
        // Never past its end.
        assert_eq!(request.read_at(bytes as u64 - 1, &mut some), 1);
        assert_eq!(request.read_at(bytes as u64, &mut some), 0);
        assert_eq!(request.read_at(u64::MAX, &mut some), 0);
        assert_eq!(request.read_at(0, &mut []), 0);
        // It stays readable when the answer is out.
        request.reply(Message::new("read"), long()).unwrap();
        assert_eq!(request.read_at(1, &mut some[..1]), 1);
        assert_eq!(some[0], pattern(1));
    }
    assert!(child.ended_well());
}

#[test]
fn within_a_task_it_is_the_same() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let body = vec![7; limits::INLINE_BYTES + 1];
    inbox.make_send().unwrap().send(Message::new(body), Deadline::Now).unwrap();
    let request = inbox.receive(Deadline::Now).unwrap();
    let mut some = [0; 8];
    assert_eq!(request.read_at(limits::INLINE_BYTES as u64 - 3, &mut some), 4);
    assert_eq!(some, [7, 7, 7, 7, 0, 0, 0, 0]);
}
