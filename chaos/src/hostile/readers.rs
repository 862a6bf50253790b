//! Mailboxes of the victim that the hostile may read, and the honest reader of each.
//!
//! Of one each message goes to one reader: the honest one gets none twice, and in the
//! end nothing is held by readers that are gone. Of the other each reader gets every
//! message: the honest one gets all of them, in order, whatever the others do.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, Right, SendRight, Task};

use super::client::{connect, long};
use super::victim::{Victim, counter};

/// How far the posting may be ahead of the honest reader, who must not lag.
const AHEAD: u64 = 64;

/// How long what is held may take to be read when nobody posts any more.
const SETTLE: Duration = Duration::from_secs(100);

/// How long whoever posts rests between two messages.
const PACE: Duration = Duration::from_millis(1);

/// A mailbox, and what is known of it.
struct Readable {
    /// What the door offers it as.
    name: &'static str,
    each_gets_all: bool,
    post: SendRight,
    posted: AtomicU64,
    read: AtomicU64,
    held: AtomicU64,
    attached: AtomicBool,
}

/// Both of them.
pub(super) struct Readers {
    mailboxes: Vec<(SharedMailbox, Readable)>,
    over: AtomicBool,
}

impl Readers {
    pub(super) fn new(task: &Task) -> Result<Readers, Box<dyn std::error::Error>> {
        let policies = [("e-one", Policy::RoundRobin, false), ("f-every", Policy::All, true)];
        let mut mailboxes = Vec::new();
        for (name, policy, each_gets_all) in policies {
            let port = task.port(Capacity::Bounded(16));
            let post = port.make_send()?;
            let readable = Readable {
                name,
                each_gets_all,
                post,
                posted: AtomicU64::new(0),
                read: AtomicU64::new(0),
                held: AtomicU64::new(0),
                attached: AtomicBool::new(false),
            };
            mailboxes.push((SharedMailbox::new(port, policy), readable));
        }
        Ok(Readers { mailboxes, over: AtomicBool::new(false) })
    }

    /// What the door offers.
    pub(super) fn offer(&self) -> Result<Vec<(String, SendRight)>, pillarbox::SendFailure> {
        let named = |(mailbox, readable): &(SharedMailbox, Readable)| {
            Ok((readable.name.to_owned(), mailbox.reader_right()?))
        };
        self.mailboxes.iter().map(named).collect()
    }

    /// Serves, posts and reads until the victim has had enough and all is read.
    pub(super) fn run(mut self, victim: &Victim, path: &Path) {
        let honest = Task::new();
        let mut mailboxes = Vec::new();
        let mut known = Vec::new();
        for (mailbox, readable) in std::mem::take(&mut self.mailboxes) {
            mailboxes.push(mailbox);
            known.push(readable);
        }
        let (over, known) = (&self.over, &known);
        std::thread::scope(|scope| {
            for (mailbox, readable) in mailboxes.iter_mut().zip(known) {
                scope.spawn(|| serve(mailbox, readable, over));
                scope.spawn(|| read(victim, readable, &honest, path, over));
            }
            for readable in known {
                post(victim, readable, scope);
            }
            while !victim.is_done() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            let until = Instant::now() + SETTLE;
            while !known.iter().all(Readable::is_read) {
                if Instant::now() > until {
                    for readable in known {
                        victim.broken(format_args!("not all is read: {}", readable.told()));
                    }
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            over.store(true, Ordering::Release);
        });
        honest.close();
    }
}

impl Readable {
    fn is_read(&self) -> bool {
        let all = self.read.load(Ordering::Acquire) == self.posted.load(Ordering::Acquire);
        self.held.load(Ordering::Acquire) == 0 && (all || !self.each_gets_all)
    }

    fn told(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Acquire);
        format!(
            "{}: {} posted, {} read, {} held",
            self.name,
            of(&self.posted),
            of(&self.read),
            of(&self.held)
        )
    }
}

fn serve(mailbox: &mut SharedMailbox, readable: &Readable, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        if mailbox.serve(Deadline::after(Duration::from_millis(20))).is_err() {
            return;
        }
        let waits = mailbox.port().status().queued;
        readable.held.store(mailbox.status().held as u64 + waits, Ordering::Release);
    }
}

fn post<'scope>(
    victim: &'scope Victim,
    readable: &'scope Readable,
    scope: &'scope std::thread::Scope<'scope, '_>,
) {
    scope.spawn(move || {
        while !victim.is_done() {
            let posted = readable.posted.load(Ordering::Relaxed);
            let is_ahead = posted >= readable.read.load(Ordering::Acquire) + AHEAD;
            std::thread::park_timeout(PACE);
            if !readable.attached.load(Ordering::Acquire) || (readable.each_gets_all && is_ahead) {
                continue;
            }
            let message = Message::new("a word for readers").with_tag(posted + 1);
            let soon = Deadline::after(Duration::from_millis(50));
            if readable.post.send(message, soon).is_ok() {
                readable.posted.store(posted + 1, Ordering::Release);
                readable.held.fetch_add(1, Ordering::Release);
            }
        }
    });
}

/// The honest reader.
fn read(victim: &Victim, readable: &Readable, honest: &Task, path: &Path, over: &AtomicBool) {
    let offered = connect(honest, path);
    let right = offered.ok().and_then(|mut offered| offered.remove(readable.name));
    let Some(right) = right.and_then(|right: Right| right.into_send().ok()) else {
        return victim.broken(format_args!("{} is not offered", readable.name));
    };
    let mut reader = match SharedReader::attach(honest, right, 8, long()) {
        Ok(reader) => reader,
        Err(error) => {
            return victim.broken(format_args!("no reader of {}: {error}", readable.name));
        }
    };
    readable.attached.store(true, Ordering::Release);
    let (mut last, mut seen) = (0, HashSet::new());
    while !over.load(Ordering::Acquire) {
        let delivery = match reader.receive(Deadline::after(Duration::from_millis(20))) {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return victim.broken(format_args!("{} has ended", readable.name)),
            Err(_) => continue,
        };
        let tag = delivery.message().tag();
        if readable.each_gets_all && (tag != last + 1 || delivery.redelivered() > 0) {
            victim.broken(format_args!("number {tag} of {} came after {last}", readable.name));
        }
        if !readable.each_gets_all && !seen.insert(tag) {
            victim.broken(format_args!("number {tag} of {} came twice", readable.name));
        }
        last = tag;
        if let Err(error) = delivery.acknowledge(long()) {
            victim.broken(format_args!("number {tag} is not acknowledged: {error}"));
        }
        readable.read.fetch_add(1, Ordering::Release);
        victim.count(counter::READ);
    }
}
