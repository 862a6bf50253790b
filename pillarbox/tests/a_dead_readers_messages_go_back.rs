//! What a reader had not acknowledged when it died or left goes to others, to the
//! front and flagged; nothing is lost, and nothing comes twice unflagged.

mod family;

use std::collections::HashMap;
use std::time::Duration;

use family::{Random, Reaped, act, acting, given, is_part, long, seed, tell};
use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, Right, Task};

#[test]
fn what_is_left_goes_back_to_the_front_with_its_rights() {
    let task = Task::new();
    let port = task.port(Capacity::Unbounded);
    let post = port.make_send().unwrap();
    let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    let right = mailbox.reader_right().unwrap();
    let other = task.port(Capacity::Bounded(4));
    let long_body = vec![7; 100_000];
    for number in 0..4 {
        let message = Message::new(long_body.clone()).with_tag(number);
        let message = message.with_right(other.make_send().unwrap());
        post.send(message, Deadline::Now).unwrap();
    }
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let attach = |prefetch| SharedReader::attach(&task, right.clone(), prefetch, long());
            let mut first = attach(3).unwrap();
            let mut held: Vec<_> =
                (0..3).map(|_| first.receive(long()).unwrap().unwrap()).collect();
            held.remove(1).acknowledge(long()).unwrap();
            // It takes a right out, and leaves with the rest.
            drop(held[0].message_mut().take_rights());
            drop(first);
            let mut second = attach(1).unwrap();
            for tag in [0, 2, 3] {
                let delivery = second.receive(long()).unwrap().unwrap();
                let message = delivery.message();
                assert_eq!(message.tag(), tag);
                // The last may have been on its way to the first reader when that left:
                // it had room for one more.
                assert!(tag == 3 || delivery.redelivered() == 1);
                assert_eq!(message.body(), long_body);
                assert!(matches!(message.rights(), [Right::Send(_)]));
                delivery.acknowledge(long()).unwrap();
            }
            drop(held);
        });
        while !reading.is_finished() {
            mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        }
        reading.join().unwrap();
    });
    mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
    assert_eq!(mailbox.status().held, 0);
}

#[test]
fn reader_part() {
    if !acting("reader_part") {
        return;
    }
    let task = Task::current().unwrap();
    let done = given("done");
    let mut reader = SharedReader::attach(&task, given("reader"), 8, long()).unwrap();
    while let Ok(Some(delivery)) = reader.receive(long()) {
        let number = delivery.message().tag();
        let times = i32::try_from(delivery.redelivered()).unwrap();
        done.send(Message::new("").with_tag(number).with_id(times), long()).unwrap();
        delivery.acknowledge(long()).unwrap();
    }
}

#[test]
fn readers_killed_at_random_lose_nothing_and_doubles_are_flagged() {
    const MESSAGES: u64 = 10_000;
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    let task = Task::current().unwrap();
    let port = task.port(Capacity::Unbounded);
    let post = port.make_send().unwrap();
    let mut mailbox = SharedMailbox::new(port, Policy::LeastLoaded);
    let done = task.port(Capacity::Unbounded);
    let start = || {
        let child = act("reader_part").right("done", done.make_send().unwrap());
        let right = mailbox.reader_right().unwrap();
        Reaped(child.right("reader", right).spawn().unwrap())
    };
    let mut children = [(); 3].map(|()| start());
    let right = mailbox.reader_right().unwrap();
    for number in 0..MESSAGES {
        post.send(Message::new("").with_tag(number), Deadline::Now).unwrap();
    }
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let (mut kills, mut doubles, mut next_kill) = (0, 0, 300);
    let (mut until, mut before) = (long(), 0);
    while (seen.len() as u64) < MESSAGES || mailbox.status().held > 0 {
        mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        while let Ok(message) = done.receive(Deadline::Now) {
            let times = seen.entry(message.tag()).or_default();
            if message.id() == 0 {
                assert_eq!(*times, 0, "{} came twice and was not flagged", message.tag());
            } else if *times > 0 {
                doubles += 1;
            }
            *times += 1;
        }
        if seen.len() as u64 > next_kill && kills < 20 {
            next_kill += 300 + random.below(200);
            kills += 1;
            let which = usize::try_from(random.below(3)).unwrap();
            children[which].kill();
            let child = act("reader_part").right("done", done.make_send().unwrap());
            children[which] = Reaped(child.right("reader", right.clone()).spawn().unwrap());
        }
        let seen = seen.len();
        if seen > before {
            // However slow the machine is: it stands still only where nothing comes.
            (until, before) = (long(), seen);
        }
        assert!(!until.has_passed(), "{seen} of {MESSAGES}, {:?}", mailbox.status());
    }
    assert!(kills > 5);
    tell(&format!("{kills} readers killed, {doubles} doubles, all flagged"));
}
