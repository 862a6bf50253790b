//! Many threads receive from one port, some whatever comes, some by id, by tag
//! or by choice: each message goes to exactly one, and every wait ends.

mod family;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use family::{Random, Reaped, act, acting, given, is_part, long, seed, seeded};
use pillarbox::{
    Capacity, Deadline, Message, Order, PortOptions, ReceiveError, ReceiveRight, Task,
};

const EACH: u64 = 3_000;
const THREADS: u64 = 8;

/// Receives in one of the five ways, whichever `random` says.
fn receive_somehow(inbox: &ReceiveRight, random: &mut Random) -> Result<Message, ReceiveError> {
    let wait = random.micros(300);
    let deadline = if random.below(4) == 0 { Deadline::Now } else { Deadline::after(wait) };
    let want = random.below(4);
    match random.below(5) {
        0 => inbox.receive_id(want as i32, deadline),
        1 => inbox.receive_tag(want, deadline),
        2 => inbox.receive_where(|message| message.tag() % 4 == want, deadline),
        3 => {
            let mut buffer = [0; 8];
            let part = inbox.receive_into(&mut buffer, pillarbox::Short::Truncate, deadline)?;
            let number = Message::new(&buffer[..part.bytes]);
            Ok(number.with_tag(part.message.tag()).with_id(part.message.id()))
        }
        _ => inbox.receive(deadline),
    }
}

/// Sends `EACH` messages whose body is which one it is.
fn chatter(post: &pillarbox::SendRight, who: u64, random: &mut Random) {
    for turn in 0..EACH {
        let message = Message::new((who << 32 | turn).to_le_bytes())
            .with_id(random.below(4) as i32)
            .with_tag(random.below(4))
            .with_priority(random.below(3) as u16);
        post.send(message, long()).unwrap();
    }
}

fn each_once(options: PortOptions, from_here: u64, children: u64) {
    let task = Task::current().unwrap();
    let seed = seed();
    let inbox = std::sync::Arc::new(task.port(options));
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let came = std::sync::Arc::new(AtomicU64::new(0));
    let receivers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (inbox, over) = (std::sync::Arc::clone(&inbox), std::sync::Arc::clone(&over));
            let came = std::sync::Arc::clone(&came);
            seeded(seed ^ thread, move |mut random| {
                let mut got = Vec::new();
                while !over.load(Ordering::Acquire) {
                    if let Ok(message) = receive_somehow(&inbox, &mut random) {
                        got.push(u64::from_le_bytes(message.body().try_into().unwrap()));
                        came.fetch_add(1, Ordering::Relaxed);
                    }
                }
                got
            })
        })
        .collect();
    let senders: Vec<_> = (0..from_here)
        .map(|who| {
            let post = inbox.make_send().unwrap();
            seeded(seed ^ (100 + who), move |mut random| chatter(&post, who, &mut random))
        })
        .collect();
    let mut others: Vec<Reaped> = (0..children)
        .map(|_| {
            let child = act("chatter_part").right("inbox", inbox.make_send().unwrap());
            Reaped(child.spawn().unwrap())
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    assert!(others.iter_mut().all(Reaped::ended_well));
    // A look at the port may miss what lies in a lane that another thread reads.
    let sent = (from_here + children) * EACH;
    family::settled(|| came.load(Ordering::Relaxed), |&came| came >= sent);
    over.store(true, Ordering::Release);
    let mut count: HashMap<u64, u64> = HashMap::new();
    for receiver in receivers {
        for number in receiver.join().unwrap() {
            *count.entry(number).or_default() += 1;
        }
    }
    assert_eq!(count.len() as u64, sent);
    assert!(count.values().all(|&times| times == 1));
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn chatter_part() {
    if !acting("chatter_part") {
        return;
    }
    let who = u64::from(std::process::id());
    chatter(&given("inbox"), who, &mut Random::new(who));
}

#[test]
fn each_message_of_this_task_goes_to_exactly_one() {
    if is_part() {
        return;
    }
    each_once(Capacity::Unbounded.into(), 3, 0);
    each_once(Capacity::Bounded(5).into(), 3, 0);
    each_once(PortOptions::new(Capacity::Bounded(64)).order(Order::Priority), 3, 0);
}

#[test]
fn each_message_of_other_tasks_goes_to_exactly_one() {
    if is_part() {
        return;
    }
    each_once(PortOptions::new(Capacity::Bounded(64)).order(Order::Priority), 1, 2);
}

#[test]
fn each_in_one_thread_all_waits_end_when_everything_was_taken() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    const TURNS: u64 = 500;
    std::thread::scope(|scope| {
        // Without a deadline: a wake that is lost hangs this test.
        let threads = [
            scope.spawn(|| (0..TURNS).all(|_| inbox.receive_id(1, long()).is_ok())),
            scope.spawn(|| (0..TURNS).all(|_| inbox.receive_tag(2, long()).is_ok())),
            scope.spawn(|| {
                (0..TURNS).all(|_| inbox.receive_where(|it| it.priority() == 3, long()).is_ok())
            }),
            scope.spawn(|| {
                (0..TURNS).all(|_| inbox.receive_where(|it| it.body() == b"4", long()).is_ok())
            }),
        ];
        for _ in 0..TURNS {
            for message in [
                Message::new("").with_id(1),
                Message::new("").with_tag(2),
                Message::new("").with_priority(3),
                Message::new("4"),
            ] {
                post.send(message, Deadline::Now).unwrap();
            }
        }
        for thread in threads {
            assert!(thread.join().unwrap());
        }
    });
    assert_eq!(inbox.status().queued, 0);
    let none = inbox.receive_where(|_| true, Deadline::after(Duration::from_millis(1)));
    assert_eq!(none.unwrap_err(), ReceiveError::Deadline);
}
