//! A child among several that hand rights about: it keeps what it is given, gives it
//! on, and says what became of it.

use std::time::Duration;

use pillarbox::{
    Capacity, Deadline, Holding, Message, Notification, ReceiveRight, Right, SendOnceRight,
    SendRight, StatusError, Task,
};

use super::{Reaped, act, begin, inbox, long, meet};

/// Keeps the rights in the order. From another member there is no answer.
pub(crate) const KEEP: i32 = 1;
/// Takes the right in the order as the one to give to, and makes sure of it.
pub(crate) const NEXT: i32 = 2;
/// Gives all it keeps to that one, within `tag` milliseconds: 1 if it did.
pub(crate) const PASS: i32 = 3;
/// The same with a copy of the first send right.
pub(crate) const COPY: i32 = 4;
/// How many it keeps.
pub(crate) const HELD: i32 = 5;
/// Whether the first send right is good; zero where there is none.
pub(crate) const ASK: i32 = 6;
/// Sends a message with this tag on the first send right.
pub(crate) const SAY: i32 = 7;
/// Whether all its send rights are confirmed and lead to one port: 1 if so.
pub(crate) const SAME: i32 = 8;
/// Lets all it keeps go.
pub(crate) const DROP: i32 = 9;
/// Answers all it keeps that can be answered.
pub(crate) const ANSWER: i32 = 10;
/// Makes a port, and answers with a right to it.
pub(crate) const PORT: i32 = 11;
/// How many can send to that port.
pub(crate) const SENDERS: i32 = 12;
/// How often it was told that nobody can.
pub(crate) const TOLD: i32 = 13;
/// What it still counts for others: rights given to peers, and on their way.
pub(crate) const COUNTED: i32 = 14;
/// Sends the port away, in the answer.
pub(crate) const MOVE: i32 = 15;
/// Calls the right in the order and keeps what came of it for `HEARD`.
pub(crate) const CALL: i32 = 16;
/// How the calls ended: how many did, and how many of them with an answer.
pub(crate) const HEARD: i32 = 17;

/// In how many slots its peers hold rights to the port.
pub(crate) const SLOTS: i32 = 18;
/// Gives away, in the answer, a promise of one message to the port.
pub(crate) const ONCE: i32 = 19;
/// Has the first promise it keeps told that a port of its own is dead.
pub(crate) const TELL_DEAD: i32 = 20;
/// Waits for what comes to the port: 1 if it is the news of a death.
pub(crate) const NEWS: i32 = 21;
/// As `PASS`, by a future.
pub(crate) const PASS_ASYNC: i32 = 22;

/// What a right is.
pub(crate) const GOOD: u64 = 1;
pub(crate) const DEAD: u64 = 2;

/// Does so until it is killed.
pub(crate) fn obey(part: &str) {
    let Some((task, orders, _)) = begin(part) else { return };
    let mut member = Member { task, ..Member::default() };
    while let Ok(mut order) = orders.receive(Deadline::Never) {
        let mut answer = Message::new("");
        let tag = member.act(&mut order, &mut answer);
        if order.reply_right().is_some() {
            order.reply(answer.with_tag(tag), long()).unwrap();
        }
    }
}

#[derive(Default)]
struct Member {
    task: Task,
    kept: Vec<SendRight>,
    onces: Vec<SendOnceRight>,
    next: Option<SendRight>,
    port: Option<ReceiveRight>,
    news: Option<ReceiveRight>,
    told: u64,
    calls: Vec<std::thread::JoinHandle<bool>>,
    heard: (u64, u64),
}

impl Member {
    fn act(&mut self, order: &mut Message, answer: &mut Message) -> u64 {
        let tag = order.tag();
        match order.id() {
            KEEP => self.keep(order.take_rights()),
            NEXT => {
                self.next = order.take_rights().pop().and_then(|right| right.into_send().ok());
                u64::from(self.next.as_ref().is_some_and(|next| next.status(long()).is_ok()))
            }
            PASS | COPY => self.pass(order.id() == COPY, tag),
            PASS_ASYNC => self.pass_async(),
            HELD => (self.kept.len() + self.onces.len()) as u64,
            ASK => match self.kept.first().map(|right| right.status(long())) {
                Some(Ok(_)) => GOOD,
                Some(Err(StatusError::Dead)) => DEAD,
                None => 0,
                other => panic!("{other:?}"),
            },
            SAY => match self
                .kept
                .first()
                .map(|right| right.send(Message::new("").with_tag(tag), long()))
            {
                Some(Ok(())) => GOOD,
                Some(Err(error)) if error.reason == pillarbox::SendFailure::Dead => DEAD,
                other => panic!("{other:?}"),
            },
            SAME => {
                let all = self.kept.iter().all(|right| right.status(long()).is_ok());
                u64::from(all && self.kept.iter().all(|right| right.same_port(&self.kept[0])))
            }
            DROP => {
                self.kept.clear();
                self.onces.clear();
                0
            }
            ANSWER => {
                for right in self.onces.drain(..) {
                    // Who asked may have gone.
                    let _ = right.send(Message::new("answered"), long());
                }
                0
            }
            PORT => {
                let port = self.task.port(Capacity::Bounded(64));
                let news = self.task.port(Capacity::Bounded(4));
                *answer = Message::new("").with_right(port.make_send().unwrap());
                port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
                (self.port, self.news, self.told) = (Some(port), Some(news), 0);
                0
            }
            SENDERS => self.port.as_ref().map_or(0, |port| port.status().senders),
            TOLD => {
                while let Some(Ok(told)) =
                    self.news.as_ref().map(|news| news.receive(Deadline::Now))
                {
                    assert_eq!(told.notification(), Some(Notification::NoSenders));
                    self.told += 1;
                }
                self.told
            }
            COUNTED => self.counted(),
            SLOTS => {
                let own = self.port.as_ref().map_or(0, ReceiveRight::id);
                let rows = self.task.census().rows.into_iter();
                let slots = rows.filter(|row| row.port == own);
                slots.filter(|row| row.holding == Holding::ExportedSend).count() as u64
            }
            ONCE => {
                let once = self.port.as_ref().unwrap().make_send_once().unwrap();
                *answer = Message::new("").with_right(once);
                0
            }
            TELL_DEAD => {
                let own = self.task.port(Capacity::Bounded(1));
                let dead = own.make_send().unwrap();
                drop(own);
                dead.notify_dead(self.onces.remove(0)).unwrap();
                0
            }
            NEWS => {
                let news = self.port.as_ref().unwrap().receive(long()).unwrap();
                u64::from(news.notification() == Some(Notification::DeadName))
            }
            MOVE => {
                *answer = Message::new("").with_right(self.port.take().unwrap());
                0
            }
            CALL => {
                for right in order.take_rights().into_iter().filter_map(|one| one.into_send().ok())
                {
                    let call = move || right.call(Message::new("?").with_id(KEEP), long());
                    self.calls.push(std::thread::spawn(move || call().is_ok()));
                }
                0
            }
            HEARD => {
                for call in self.calls.extract_if(.., |call| call.is_finished()) {
                    let (ended, answered) = &mut self.heard;
                    *ended += 1;
                    *answered += u64::from(call.join().unwrap());
                }
                self.heard.0 << 32 | self.heard.1
            }
            other => panic!("no order: {other}"),
        }
    }

    fn keep(&mut self, rights: Vec<Right>) -> u64 {
        for right in rights {
            match right {
                Right::Send(right) => self.kept.push(right),
                Right::SendOnce(right) => self.onces.push(right),
                other => panic!("what is {other:?} for?"),
            }
        }
        0
    }

    fn pass(&mut self, copies: bool, milliseconds: u64) -> u64 {
        let mut message = Message::new("").with_id(KEEP);
        if copies {
            message = self.kept.first().cloned().into_iter().fold(message, Message::with_right);
        } else {
            message = self.kept.drain(..).fold(message, Message::with_right);
            message = self.onces.drain(..).fold(message, Message::with_right);
        }
        let deadline = match milliseconds {
            0 => Deadline::Now,
            some => Deadline::after(Duration::from_millis(some)),
        };
        match self.next.as_ref().unwrap().send(message, deadline) {
            Ok(()) => 1,
            Err(error) if copies => {
                drop(error);
                0
            }
            Err(mut error) => self.keep(error.message.take_rights()),
        }
    }

    fn pass_async(&mut self) -> u64 {
        let mut message = Message::new("").with_id(KEEP);
        message = self.kept.drain(..).fold(message, Message::with_right);
        message = self.onces.drain(..).fold(message, Message::with_right);
        u64::from(block_on(self.next.as_ref().unwrap().send_async(message)).is_ok())
    }

    fn counted(&self) -> u64 {
        let counted = |holding| {
            matches!(
                holding,
                Holding::Given | Holding::ExportedSend | Holding::ExportedSendOnce | Holding::Dead
            )
        };
        let own = self.port.as_ref().map_or(0, ReceiveRight::id);
        let rows = self.task.census().rows.into_iter();
        rows.filter(|row| row.port == own && counted(row.holding)).map(|row| row.count).sum()
    }
}

/// Polls on this thread until it is ready.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// The parent's side of one.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) child: Reaped,
    pub(crate) orders: SendRight,
}

impl Told {
    /// Starts one, which acts `part`.
    pub(crate) fn start(part: &str) -> Told {
        let (child, [orders]) = meet(act(part), &inbox());
        Told { child, orders }
    }

    /// Gives an order and waits until it is done.
    pub(crate) fn tell(&self, id: i32, tag: u64) -> u64 {
        self.order(Message::new("").with_id(id).with_tag(tag)).tag()
    }

    /// The same to one that may be dead.
    pub(crate) fn try_tell(&self, id: i32, tag: u64) -> Option<u64> {
        let order = Message::new("").with_id(id).with_tag(tag);
        self.orders.call(order, long()).ok().map(|answer| answer.tag())
    }

    /// An order with a right in it.
    pub(crate) fn give(&self, id: i32, right: impl Into<Right>) -> u64 {
        self.order(Message::new("").with_id(id).with_right(right)).tag()
    }

    pub(crate) fn order(&self, order: Message) -> Message {
        self.orders.call(order, long()).unwrap()
    }

    /// Has it make a port. Returns a right to it.
    pub(crate) fn port(&self) -> SendRight {
        let mut answer = self.order(Message::new("").with_id(PORT));
        answer.take_rights().remove(0).into_send().unwrap()
    }

    /// Has it give to `next` from now on.
    pub(crate) fn before(&self, next: &Told) {
        assert_eq!(self.give(NEXT, next.orders.clone()), 1);
    }

    /// Waits until it keeps so many.
    pub(crate) fn holds(&self, many: u64) {
        super::settled(|| self.tell(HELD, 0), |&held| held == many);
    }
}
