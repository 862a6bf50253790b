//! A port that holds n messages holds n, whoever sends them and whatever places
//! others were given and let lie: not one less, not one more. What an idle
//! sender still sends on a place that was written off is accepted, waits beside
//! the queue, and comes in as soon as there is room, in its order.

mod family;

use family::hand::{BLOCK, DROP, JOIN, SEND, SEND_NOW, SEND_SOON, Told, obey};
use family::{is_part, long};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendFailure, Task};

const LIMITS: [u32; 6] = [1, 2, 5, 8, 100, 1000];

#[test]
fn hand_part() {
    obey("hand_part");
}

/// Takes `count` messages, each the next of its sender, and says whose they
/// were.
fn take(inbox: &ReceiveRight, count: u64, next: &mut [(i32, u64)]) -> Vec<i32> {
    (0..count)
        .map(|_| {
            let message = inbox.receive(Deadline::Now).unwrap();
            let (_, next) = next.iter_mut().find(|(pid, _)| *pid == message.id()).unwrap();
            *next += 1;
            assert_eq!(message.tag(), *next, "sender {}", message.id());
            message.id()
        })
        .collect()
}

fn fill(limit: u32, how: i32, warm: bool, idle: &Told, eager: &Told) {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(limit));
    let places = u64::from(limit);
    let case = format!("limit {limit}, order {how}, warm {warm}");
    idle.take(inbox.make_send().unwrap());
    let mut next = [(idle.pid(), 0), (eager.pid(), 0)];
    if warm {
        // What it sent and had taken makes its reserve grow.
        assert_eq!(idle.tell(SEND, places), places, "{case}");
        take(&inbox, places, &mut next);
    }
    eager.take(inbox.make_send().unwrap());
    let accepted = if how == SEND {
        let accepted = eager.tell(SEND, places);
        eager.tell(BLOCK, 0);
        accepted
    } else {
        eager.tell(how, places + 10)
    };
    assert_eq!(accepted, places, "{case}");
    assert_eq!(inbox.status().queued, places, "{case}");
    // Nor is there room for us.
    let own = inbox.make_send().unwrap().send(Message::new(""), Deadline::Now).unwrap_err();
    assert_eq!(own.reason, SendFailure::Full, "{case}");

    // The idle one was promised places: what it sends on them is accepted.
    let late = idle.tell(SEND_NOW, places + 10);
    assert!(late <= places, "{case}: {late} beside");
    if how != SEND && limit >= 8 {
        assert!(late >= 1, "{case}: it had no reserve");
    }
    assert_eq!(inbox.status().queued, places, "{case}");
    let came = take(&inbox, places, &mut next);
    assert!(came.iter().all(|pid| *pid == eager.pid()), "{case}");
    assert!(inbox.status().queued <= places, "{case}");
    let came = take(&inbox, late, &mut next);
    assert!(came.iter().all(|pid| *pid == idle.pid()), "{case}");
    if how == SEND {
        // It asked, and comes after those that had been accepted.
        let last = inbox.receive(long()).unwrap();
        assert_eq!((last.id(), last.tag()), (eager.pid(), places + 1), "{case}");
        assert_eq!(eager.tell(JOIN, 0), 1);
    }
    assert!(inbox.receive(Deadline::Now).is_err(), "{case}");
    idle.tell(DROP, 0);
    eager.tell(DROP, 0);
}

#[test]
fn a_bounded_port_holds_exactly_its_limit() {
    if is_part() {
        return;
    }
    let (idle, eager) = (Told::start("hand_part"), Told::start("hand_part"));
    for limit in LIMITS {
        for how in [SEND_NOW, SEND_SOON, SEND] {
            for warm in [false, true] {
                fill(limit, how, warm, &idle, &eager);
            }
        }
    }
}
