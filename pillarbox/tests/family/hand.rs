//! A child that does as it is told, one order after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use pillarbox::{Capacity, Deadline, Message, SendFailure, SendRight, Task};

use super::{Random, Reaped, act, begin, long, meet};

/// Takes the right in the order as the one to send on.
pub(crate) const TAKE: i32 = 1;
/// Lets it go.
pub(crate) const DROP: i32 = 2;
/// Sends `tag` messages, or as many as there is room for; the answer's tag says
/// how many were accepted.
pub(crate) const SEND: i32 = 3;
/// The same without waiting.
pub(crate) const SEND_NOW: i32 = 4;
/// The same with deadlines as short as can be.
pub(crate) const SEND_SOON: i32 = 5;
/// A thread sends one message of priority `tag`. Answered when it sleeps.
pub(crate) const BLOCK: i32 = 6;
/// The same with a deadline in so many microseconds.
pub(crate) const BLOCK_MICROS: i32 = 7;
/// Joins all such threads; the answer's tag says how many sent.
pub(crate) const JOIN: i32 = 8;

/// What the child does until its parent is gone.
pub(crate) fn obey(part: &str) {
    let Some((_, orders, _)) = begin(part) else { return };
    let mut hand = Hand { post: None, sent: 0, blocked: Vec::new() };
    while let Ok(mut order) = orders.receive(Deadline::Never) {
        if order.notification().is_some() {
            return;
        }
        let done = hand.act(&mut order);
        order.reply(Message::new("").with_tag(done), long()).unwrap();
    }
}

struct Hand {
    post: Option<SendRight>,
    /// Messages sent so far: each carries its number.
    sent: u64,
    blocked: Vec<std::thread::JoinHandle<bool>>,
}

impl Hand {
    fn act(&mut self, order: &mut Message) -> u64 {
        let tag = order.tag();
        match order.id() {
            TAKE => {
                self.post = order.take_rights().pop().map(|right| right.into_send().unwrap());
                self.sent = 0;
                0
            }
            DROP => {
                self.post = None;
                0
            }
            SEND => self.send(tag, |_| long()),
            SEND_NOW => self.send(tag, |_| Deadline::Now),
            SEND_SOON => {
                let mut random = Random::new(tag);
                self.send(tag, |_| Deadline::after(random.micros(40)))
            }
            BLOCK => self.block(tag, Deadline::Never),
            BLOCK_MICROS => {
                let micros = std::time::Duration::from_micros(tag);
                self.block(0, Deadline::after(micros))
            }
            JOIN => self.blocked.drain(..).map(|thread| u64::from(thread.join().unwrap())).sum(),
            other => panic!("no order: {other}"),
        }
    }

    fn next(&mut self) -> Message {
        self.sent += 1;
        let pid = i32::try_from(std::process::id()).unwrap();
        Message::new("").with_id(pid).with_tag(self.sent)
    }

    fn send(&mut self, most: u64, mut deadline: impl FnMut(u64) -> Deadline) -> u64 {
        let post = self.post.clone().unwrap();
        for accepted in 0..most {
            let message = self.next();
            if let Err(error) = post.send(message, deadline(accepted)) {
                assert_eq!(error.reason, SendFailure::Full);
                self.sent -= 1;
                return accepted;
            }
        }
        most
    }

    fn block(&mut self, priority: u64, deadline: Deadline) -> u64 {
        let post = self.post.clone().unwrap();
        let message = self.next().with_priority(u16::try_from(priority).unwrap());
        let number = Arc::new(AtomicI32::new(0));
        let told = Arc::clone(&number);
        let thread = std::thread::spawn(move || {
            told.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
            let sent = post.send(message, deadline);
            told.store(-1, Ordering::Release);
            sent.is_ok()
        });
        while !is_asleep(number.load(Ordering::Acquire)) {
            std::thread::yield_now();
        }
        self.blocked.push(thread);
        0
    }
}

/// Whether a thread sleeps, or has done what it was to do.
fn is_asleep(number: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{number}/stat"));
    // The state follows the name, which ends in the last parenthesis.
    let state = stat.ok().and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
    number == -1 || state == Some('S')
}

/// The parent's side of such a child.
pub(crate) struct Told {
    pub(crate) child: Reaped,
    orders: SendRight,
}

impl Told {
    /// Starts one, which acts `part`.
    pub(crate) fn start(part: &str) -> Told {
        let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
        let (child, [orders]) = meet(act(part), &inbox);
        Told { child, orders }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Has it send on `post` from now on, counting anew.
    pub(crate) fn take(&self, post: SendRight) {
        self.order(Message::new("").with_id(TAKE).with_right(post));
    }

    /// Gives an order and waits until it is done.
    pub(crate) fn tell(&self, id: i32, tag: u64) -> u64 {
        self.order(Message::new("").with_id(id).with_tag(tag))
    }

    fn order(&self, order: Message) -> u64 {
        self.orders.call(order, long()).unwrap().tag()
    }
}
