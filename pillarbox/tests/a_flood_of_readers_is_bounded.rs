//! A peer with a reader right may ask for thousands of readers, acknowledge what
//! it was not given, say nothing of what it was, and send nonsense: it gets so many
//! readers and no more, holds up nobody, and what it had goes back when it goes.

mod family;

use std::time::Duration;

use family::linked::give;
use family::{is_part, long, settled};
use pillarbox::limits::{SHARED_PREFETCH, SHARED_READERS_EACH};
use pillarbox::shared::{AttachError, Policy, SharedMailbox, SharedReader};
use pillarbox::{CallError, Capacity, Deadline, Message, SendRight, Task};

/// The protocol of readers, as they speak it.
const ATTACH: i32 = 1;
const DONE: i32 = 2;
const BACK: i32 = 3;
const LEAVE: i32 = 4;

struct Shared {
    owner: Task,
    mailbox: SharedMailbox,
    post: SendRight,
}

impl Shared {
    fn new(policy: Policy) -> Shared {
        let owner = Task::new();
        let port = owner.port(Capacity::Unbounded);
        let post = port.make_send().unwrap();
        Shared { owner, mailbox: SharedMailbox::new(port, policy), post }
    }

    /// A task of its own with a right to read.
    fn reader(&self) -> (Task, SendRight) {
        let task = Task::new();
        let right = give(&self.owner, &task, self.mailbox.reader_right().unwrap());
        (task, right)
    }

    /// Serves until `holds`.
    fn serve_until(&mut self, holds: impl Fn(&SharedMailbox) -> bool) {
        let until = long();
        while !holds(&self.mailbox) {
            assert!(!until.has_passed(), "{:?}", self.mailbox.status());
            self.mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        }
    }

    /// Serves while `work` runs.
    fn while_running<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let worker = scope.spawn(work);
            self.serve_until(|_| worker.is_finished());
            worker.join().unwrap()
        })
    }
}

#[test]
fn who_asks_for_thousands_of_readers_gets_so_many() {
    if is_part() {
        return;
    }
    let mut shared = Shared::new(Policy::RoundRobin);
    let (flood, right) = shared.reader();
    let (honest, other) = shared.reader();
    let (attached, refused) = shared.while_running(|| {
        let mut attached = Vec::new();
        let mut refused = 0;
        for _ in 0..2_000 {
            match SharedReader::attach(&flood, right.clone(), u32::MAX, long()) {
                Ok(reader) => attached.push(reader),
                Err(AttachError::TooMany) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        (attached, refused)
    });
    assert_eq!((attached.len(), refused), (SHARED_READERS_EACH as usize, 2_000 - attached.len()));
    assert_eq!(shared.mailbox.status().readers, attached.len());
    // It says nothing of what it is given, and others are served all the same.
    let each = u64::from(SHARED_PREFETCH) * attached.len() as u64;
    for number in 0..4 * each {
        shared.post.send(Message::new("").with_tag(number), long()).unwrap();
    }
    let taken = shared.while_running(|| {
        let mut reader = SharedReader::attach(&honest, other, 4, long()).unwrap();
        let mut taken = 0;
        while taken < 3 * each {
            reader.receive(long()).unwrap().unwrap().acknowledge(long()).unwrap();
            taken += 1;
        }
        taken
    });
    assert!(taken >= 3 * each);
    let held = shared.mailbox.status().held as u64;
    assert!(held <= each + 4, "it holds its credit and no more: {held}");
    // When it goes, everything it had goes back, to the one who is left.
    drop(attached);
    flood.close();
    let (honest, other) = shared.reader();
    shared.while_running(|| {
        let mut reader = SharedReader::attach(&honest, other, 64, long()).unwrap();
        for _ in 0..each {
            reader.receive(long()).unwrap().unwrap().acknowledge(long()).unwrap();
        }
    });
    shared.serve_until(|mailbox| mailbox.status().held == 0);
    shared.serve_until(|mailbox| mailbox.status().readers == 0);
    shared.owner.close();
}

#[test]
fn what_is_said_of_what_was_not_given_changes_nothing_and_is_counted() {
    if is_part() {
        return;
    }
    let mut shared = Shared::new(Policy::RoundRobin);
    let (task, right) = shared.reader();
    let (_liar, lies) = shared.reader();
    let mut reader =
        shared.while_running(|| SharedReader::attach(&task, right, 8, long()).unwrap());
    for number in 0..8 {
        shared.post.send(Message::new("").with_tag(number), long()).unwrap();
    }
    shared.serve_until(|mailbox| mailbox.status().held == 8);
    // Of every number there may be, of every reader; as pulses and as messages.
    let mut said = 0;
    for number in (0..200).chain([u64::MAX]) {
        for id in [DONE, BACK, 99] {
            lies.send(Message::new("").with_id(id).with_tag(number), long()).unwrap();
            said += 1;
        }
        lies.send(Message::new("").with_id(LEAVE).with_tag(number), long()).unwrap();
        if number < 64 {
            lies.pulse(DONE, number, 0).unwrap();
            said += 1;
        }
        shared.mailbox.serve(Deadline::Now).unwrap();
    }
    shared.serve_until(|mailbox| mailbox.status().strange == said);
    assert_eq!((shared.mailbox.status().readers, shared.mailbox.status().held), (1, 8));
    for number in 0..8 {
        let delivery = reader.receive(long()).unwrap().unwrap();
        assert_eq!((delivery.message().tag(), delivery.redelivered()), (number, 0));
        delivery.acknowledge(long()).unwrap();
    }
    shared.serve_until(|mailbox| mailbox.status().held == 0);
    shared.owner.close();
}

#[test]
fn what_asks_to_read_and_is_no_question_gets_no_reader() {
    if is_part() {
        return;
    }
    let mut shared = Shared::new(Policy::All);
    let (task, right) = shared.reader();
    let port = task.port(Capacity::Bounded(1));
    let questions = [
        Message::new("").with_right(port.make_send().unwrap()),
        Message::new([0xff; 64]).with_right(port.make_send().unwrap()),
        Message::new([1]),
        Message::new([1]).with_right(port.make_send_once().unwrap()),
    ];
    for question in questions {
        let answer = shared.while_running(|| right.call(question.with_id(ATTACH), long()));
        assert!(matches!(answer, Err(CallError::Dropped)), "{answer:?}");
    }
    // A right to a port that nobody reads: it is attached, and lags alone.
    let dead = task.port(Capacity::Rendezvous);
    let question = Message::new([1]).with_id(ATTACH).with_right(dead.make_send().unwrap());
    shared.while_running(|| right.call(question, long())).unwrap();
    let mut reader =
        shared.while_running(|| SharedReader::attach(&task, right, 8, long()).unwrap());
    for number in 0..100 {
        shared.post.send(Message::new("").with_tag(number), long()).unwrap();
    }
    let tags: Vec<u64> = shared.while_running(|| {
        let next = |_| {
            let delivery = reader.receive(long()).unwrap().unwrap();
            let tag = delivery.message().tag();
            delivery.acknowledge(long()).unwrap();
            tag
        };
        (0..100).map(next).collect()
    });
    assert_eq!(tags, (0..100).collect::<Vec<_>>(), "one that takes nothing holds up nobody");
    drop(dead);
    shared.serve_until(|mailbox| mailbox.status().readers == 1);
    settled(|| shared.mailbox.status().strange, |strange| *strange == 4);
    shared.owner.close();
}
