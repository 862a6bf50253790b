//! The owner of a shared mailbox: hands out, takes back, forwards answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use abi::{TaskId, limits};
use rights::sharing::{Bounds, HandOut, Share, Sharing};

use super::copy::{come_back, copy_of};
use super::handing::Held;
use super::out::{Answers, Out, Unsent};
use super::{ATTACH, About, Attach, Attached, BACK, DONE, LEAVE, WORDS};
use crate::deadline::Deadline;
use crate::error::{ReceiveError, SendFailure};
use crate::future::Receiving;
use crate::message::{Envelope, Message};
use crate::port::{Capacity, PortOptions, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;
use crate::wait::Waiter;

/// To whom the owner hands a message.
#[non_exhaustive]
pub enum Policy {
    /// To one reader after the other.
    RoundRobin,
    /// To the reader that has the fewest unacknowledged.
    LeastLoaded,
    /// All messages of one key to one reader, while it stays; another key may have
    /// another reader. Of one key they are handed out in order.
    ByKey(Box<dyn FnMut(&Envelope) -> u64 + Send>),
    /// To every reader that is there. One that is more than
    /// [`limits::SHARED_BEHIND`] messages behind is let go.
    All,
}

impl Policy {
    /// By the message's tag.
    pub fn by_tag() -> Self {
        Policy::ByKey(Box::new(|envelope| envelope.tag))
    }

    /// The key of a message, where messages have one.
    pub(super) fn key(&mut self, message: &Message) -> u64 {
        match self {
            Policy::ByKey(key) => key(&message.envelope()),
            Policy::RoundRobin | Policy::LeastLoaded | Policy::All => 0,
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Policy::RoundRobin => "RoundRobin",
            Policy::LeastLoaded => "LeastLoaded",
            Policy::ByKey(_) => "ByKey",
            Policy::All => "All",
        })
    }
}

/// What there is to know of a shared mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStatus {
    /// Readers that are attached.
    pub readers: usize,
    /// Messages taken from the port and not acknowledged.
    pub held: usize,
    /// What readers said of messages that they did not have, or had no more.
    pub strange: u64,
}

#[derive(Debug)]
pub(super) struct Reader {
    /// What it was handed and is not sent yet, in order. It goes before the right: what
    /// waits for a place there takes its question back, which only a holder may.
    outs: VecDeque<Out>,
    right: SendRight,
    task: TaskId,
    /// It takes nothing any more, and what it said last is perhaps not heard yet.
    dying: Option<Dying>,
}

/// A reader that is gone is seen on its board, ahead of the words it said before:
/// it is let go when nothing more is heard.
#[derive(Clone, Copy, Debug)]
struct Dying {
    /// What it had written was read since.
    looked: bool,
    /// Words of whomever that are heard before its own would have been.
    left: u32,
}

/// The owner's side of a port that several tasks read.
///
/// Nothing happens by itself: the owner's own thread hands out, in
/// [`SharedMailbox::serve`], or a task of its executor, in [`SharedMailbox::serve_async`].
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Task};
/// use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
/// use std::time::Duration;
/// let task = Task::current()?;
/// let port = task.port(Capacity::Bounded(8));
/// let post = port.make_send()?;
/// let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
/// let right = mailbox.reader_right()?;
/// let worker = std::thread::spawn(move || {
///     let mut reader = SharedReader::attach(&task, right, 1, Deadline::Never).expect("the owner serves");
///     let delivery = reader.receive(Deadline::Never).expect("one comes").expect("the owner is there");
///     assert_eq!(delivery.message().body(), b"work");
///     delivery.acknowledge(Deadline::Never).expect("the owner is there");
/// });
/// post.send(Message::new("work"), Deadline::Never)?;
/// while !worker.is_finished() {
///     mailbox.serve(Deadline::after(Duration::from_millis(10)))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SharedMailbox {
    pub(super) port: ReceiveRight,
    control: ReceiveRight,
    pub(super) policy: Policy,
    pub(super) rule: Sharing,
    pub(super) readers: BTreeMap<u64, Reader>,
    pub(super) kept: HashMap<u64, Held>,
    pub(super) answers: Answers,
    /// The system had no descriptor for a duplicate: to be tried again.
    again: bool,
    /// One message is taken also where nobody reads.
    ahead: bool,
    /// Nothing is taken and nothing handed out.
    pub(super) paused: bool,
    /// Who had the port before: what comes from there says not who has sent it.
    pub(super) before: Option<TaskId>,
    strange: u64,
}

impl SharedMailbox {
    /// Shares `port` among readers.
    ///
    /// # Rights
    /// The receive right is the mailbox's.
    pub fn new(port: ReceiveRight, policy: Policy) -> Self {
        let task = Task { core: Arc::clone(&port.core().task) };
        let control = task.port(PortOptions::new(Capacity::Bounded(1024)).pulses(WORDS));
        let share = match policy {
            Policy::RoundRobin => Share::RoundRobin,
            Policy::LeastLoaded => Share::LeastLoaded,
            Policy::ByKey(_) => Share::ByKey,
            Policy::All => Share::All,
        };
        let bounds = Bounds {
            waiting: limits::SHARED_WAITING,
            keys: limits::SHARED_KEYS,
            behind: limits::SHARED_BEHIND,
        };
        SharedMailbox {
            port,
            control,
            policy,
            rule: Sharing::new(share, bounds),
            readers: BTreeMap::new(),
            kept: HashMap::new(),
            answers: Answers::default(),
            again: false,
            ahead: false,
            paused: false,
            before: None,
            strange: 0,
        }
    }

    /// Takes one message also where there is no reader, and holds it for the first who
    /// comes: so a turn of an owner that has none ends when there is something to read,
    /// and [`SharedMailbox::status`] says so. Without this it stays in the port. Not with
    /// [`Policy::All`], where what comes is for those who are there.
    #[must_use]
    pub fn take_ahead(mut self) -> Self {
        self.ahead = !matches!(self.policy, Policy::All);
        self
    }

    /// A reader right: who holds it may attach a [`super::SharedReader`]. It is a
    /// send right, and may be cloned, given, narrowed and revoked as any.
    ///
    /// One that is revoked attaches nobody and acknowledges nothing any more: who
    /// attached with it gets what it has credit for, and no more.
    ///
    /// # Rights
    /// Makes a send right, which is this task's.
    ///
    /// # Errors
    /// [`SendFailure::Forked`].
    pub fn reader_right(&self) -> Result<SendRight, SendFailure> {
        self.control.make_send()
    }

    /// The port's own right, to make send rights from.
    ///
    /// # Rights
    /// Borrows it.
    pub fn port(&self) -> &ReceiveRight {
        &self.port
    }

    /// How many readers there are, and what is out.
    pub fn status(&self) -> SharedStatus {
        SharedStatus { readers: self.readers.len(), held: self.rule.held(), strange: self.strange }
    }

    /// Hands out what comes, takes acknowledgements, and takes back what dead
    /// readers had, until `deadline`.
    ///
    /// # Errors
    /// [`ReceiveError::Forked`].
    ///
    /// # Blocking
    /// Until `deadline`. A reader whose way is full holds up nobody: what it was
    /// handed waits for it, as long as it is there.
    pub fn serve(&mut self, deadline: Deadline) -> Result<(), ReceiveError> {
        loop {
            match self.turn(deadline) {
                Ok(()) => {}
                Err(ReceiveError::Deadline) => return Ok(()),
                Err(error) => return Err(error),
            }
            if deadline.has_passed() {
                return Ok(());
            }
        }
    }

    /// Waits for one thing to happen, and does what is to be done then.
    ///
    /// # Errors
    /// [`ReceiveError::Deadline`] where nothing happened, [`ReceiveError::Forked`].
    ///
    /// # Blocking
    /// As [`SharedMailbox::serve`].
    pub fn turn(&mut self, deadline: Deadline) -> Result<(), ReceiveError> {
        let task = Arc::clone(&self.port.core().task);
        task.check().map_err(|_| ReceiveError::Forked)?;
        let waiter = Waiter::mine();
        let waker = Waker::from(Arc::clone(&waiter));
        let mut cx = Context::from_waker(&waker);
        let (mut at_control, mut at_port) = (false, false);
        self.push(&mut cx);
        let until = if self.again { soon(deadline) } else { deadline };
        let found = task.wait(until, None, |waiter| {
            self.push(&mut cx);
            let control = self.control.core();
            // What readers say comes first: it makes room for more.
            if let Some(said) = control.poll_receive(waiter, &mut at_control) {
                return Some(Found::Said(said));
            }
            if self.is_silent(waiter) {
                return Some(Found::Silence);
            }
            let port = self.port.core();
            if !self.wants() {
                return None;
            }
            port.poll_receive(waiter, &mut at_port).map(Found::Mail)
        });
        self.control.core().leave_receivers(&waiter, &mut at_control);
        self.port.core().leave_receivers(&waiter, &mut at_port);
        match found {
            Some(found) => self.take(found),
            None if self.again => {}
            None => return Err(ReceiveError::Deadline),
        }
        self.push(&mut cx);
        Ok(())
    }

    /// Waits for one thing to happen, and does what is to be done then, as
    /// [`SharedMailbox::turn`] does, without a thread that waits.
    ///
    /// # Errors
    /// [`ReceiveError::Forked`].
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was taken from the port is the mailbox's, which goes on
    /// where it was in the next turn, of either kind.
    ///
    /// # Examples
    /// As [`SharedMailbox::serve_async`].
    pub async fn turn_async(&mut self) -> Result<(), ReceiveError> {
        let task = Arc::clone(&self.port.core().task);
        let (mut at_control, mut at_port) = (Receiving::default(), Receiving::default());
        let found = poll_fn(|cx| {
            if task.check().is_err() {
                return Poll::Ready(Err(ReceiveError::Forked));
            }
            self.push(cx);
            let control = Arc::clone(self.control.core());
            let heard = at_control.poll_by(&control, cx, |waiter, waiting| {
                let said = control.poll_receive(waiter, waiting).map(Found::Said);
                said.or_else(|| self.is_silent(waiter).then_some(Found::Silence))
            });
            if let Poll::Ready(found) = heard {
                return Poll::Ready(Ok(found));
            }
            if self.again {
                task.wake_soon(at_control.waiter());
            }
            if !self.wants() {
                return Poll::Pending;
            }
            at_port.poll(self.port.core(), cx).map(|mail| mail.map(Found::Mail))
        })
        .await?;
        self.take(found);
        poll_fn(|cx| {
            self.push(cx);
            Poll::Ready(())
        })
        .await;
        Ok(())
    }

    /// Serves for ever, without a thread that waits.
    ///
    /// # Errors
    /// [`ReceiveError::Forked`].
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancel safety
    /// As [`SharedMailbox::turn_async`].
    ///
    /// # Examples
    /// See [`super::SharedReader::receive_async`].
    pub async fn serve_async(&mut self) -> Result<(), ReceiveError> {
        loop {
            self.turn_async().await?;
        }
    }

    /// Whether another message may be taken from the port.
    fn wants(&self) -> bool {
        let ahead = self.ahead && self.readers.is_empty() && self.rule.held() == 0;
        !self.paused && (self.rule.wants() || ahead)
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Mail(message) => {
                let key = self.policy.key(&message);
                let item = self.rule.accept(key);
                self.kept.insert(item, Held::of(message, self.before));
                while let Some(reader) = self.rule.laggard() {
                    self.let_go(reader);
                }
            }
            Found::Said(message) => {
                for dying in self.readers.values_mut().filter_map(|it| it.dying.as_mut()) {
                    dying.left = dying.left.saturating_sub(1);
                }
                self.hear(message);
                self.bury(|dying| dying.left == 0);
            }
            Found::Silence => self.bury(|dying| dying.looked),
        }
    }

    /// A reader says something, or the library says something of one.
    fn hear(&mut self, mut message: Message) {
        if let Some(number) = message.completion() {
            self.answered(number, message);
        } else if message.is_own_notification() {
            for reader in self.readers.values_mut().filter(|reader| reader.right.is_dead()) {
                reader.is_dying();
            }
        } else if message.id() == ATTACH {
            let Some(answer) = self.attach(&mut message) else {
                self.strange += 1;
                return;
            };
            if let (Ok(body), Some(caller)) = (postcard::to_stdvec(&answer), message.take_reply()) {
                self.answers.add(caller, Message::new(body));
            }
        } else {
            self.word(&message);
        }
    }

    fn word(&mut self, message: &Message) {
        let from = message.sender().map(|sender| sender.task);
        let number = message.tag();
        let speaks =
            |reader: u64| from.is_some() && self.readers.get(&reader).map(|it| it.task) == from;
        if message.id() == LEAVE {
            // One that is gone already may say so yet.
            if speaks(number) {
                self.let_go(number);
            }
            return;
        }
        // Of what is still here it knows nothing.
        let here = |reader: u64| {
            let outs = self.readers.get(&reader).map(|it| &it.outs);
            outs.is_some_and(|outs| outs.iter().any(|out| out.number == number))
        };
        let holder = self.rule.holder(number);
        let holder = holder.filter(|(_, reader)| speaks(*reader) && !here(*reader));
        match (message.id(), holder) {
            (DONE, Some((_, reader))) => drop(self.finish(number, reader)),
            (BACK, Some((_, reader))) => {
                let _ = self.rule.give_back(number, reader, true);
            }
            _ => self.strange += 1,
        }
    }

    fn attach(&mut self, message: &mut Message) -> Option<Attached> {
        let Attach { prefetch } = postcard::from_bytes(message.body()).ok()?;
        let right = message.take_rights().pop()?.into_send().ok()?;
        let task = message.sender()?.task;
        let same = self.readers.values().filter(|reader| reader.task == task).count();
        if self.readers.len() >= limits::SHARED_READERS
            || same >= limits::SHARED_READERS_EACH as usize
        {
            return Some(Attached::TooMany);
        }
        let told = self.control.make_send_once().ok()?;
        right.notify_dead(told).ok()?;
        let credit = prefetch.clamp(1, limits::SHARED_PREFETCH);
        let reader = self.rule.join(credit as usize);
        self.readers.insert(reader, Reader { right, task, outs: VecDeque::new(), dying: None });
        Some(Attached::As(reader))
    }

    fn finish(&mut self, number: u64, reader: u64) -> Option<Held> {
        match self.rule.finish(number, reader) {
            Some((item, true)) => self.kept.remove(&item),
            Some((_, false)) | None => None,
        }
    }

    /// The answer of a hand-out, which is its acknowledgement too, or the news
    /// that the reply right was let go: then the reader says what it makes of it.
    fn answered(&mut self, number: u64, mut answer: Message) {
        let Some((item, reader)) = self.rule.holder(number) else { return };
        if answer.notification().is_some() {
            return;
        }
        let caller = self.kept.get_mut(&item).and_then(|kept| kept.message.take_reply());
        if let (Some(caller), Ok(answer)) = (caller, copy_of(&mut answer)) {
            self.answers.add(caller, answer);
        }
        drop(self.finish(number, reader));
    }

    /// A reader is there no more: what it had goes back.
    pub(super) fn let_go(&mut self, reader: u64) {
        let gone = self.readers.remove(&reader);
        // First what waits for a place there, then the right.
        let (outs, right) = gone.map(|gone| (gone.outs, gone.right)).unzip();
        for out in outs.unwrap_or_default() {
            let (number, item) = (out.number, out.item);
            if let (Some(copy), Some(kept)) = (out.into_copy(), self.kept.get_mut(&item)) {
                come_back(&mut kept.message, copy);
            }
            let _ = self.rule.give_back(number, reader, false);
        }
        drop(right);
        for item in self.rule.leave(reader) {
            self.kept.remove(&item);
        }
    }

    /// Hands out, and sends what was handed out as far as there is room.
    fn push(&mut self, cx: &mut Context<'_>) {
        self.again = false;
        self.answers.poll(cx);
        self.hand_out();
        for reader in self.readers.values_mut().filter(|reader| reader.dying.is_none()) {
            while let Some(out) = reader.outs.front_mut() {
                match out.poll(&reader.right, cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => drop(reader.outs.pop_front()),
                    Poll::Ready(Err(Unsent::Later)) => {
                        self.again = true;
                        break;
                    }
                    Poll::Ready(Err(Unsent::Reader)) => {
                        reader.is_dying();
                        break;
                    }
                }
            }
        }
    }

    /// Nothing is there to be heard. Whether what those who are gone had written was read
    /// before; if not it is read now, and there is another look.
    fn is_silent(&mut self, waiter: &Arc<Waiter>) -> bool {
        let mut again = false;
        let mut silent = false;
        for reader in self.readers.values_mut() {
            let Some(dying) = &mut reader.dying else { continue };
            silent |= dying.looked;
            if !std::mem::replace(&mut dying.looked, true) {
                // Another thread may be just reading it: who looks waits for that one.
                reader.right.read_owner();
                again = true;
            }
        }
        if again && !silent {
            waiter.raise();
        }
        silent
    }

    /// Lets go of readers that are gone.
    fn bury(&mut self, may: impl Fn(&Dying) -> bool) {
        let dead = |(id, reader): (&u64, &Reader)| reader.dying.filter(&may).map(|_| *id);
        let dead: Vec<u64> = self.readers.iter().filter_map(dead).collect();
        for reader in dead {
            self.let_go(reader);
        }
    }

    fn hand_out(&mut self) {
        while !self.paused
            && let Some(out) = self.rule.hand_out()
        {
            match self.out(&out) {
                Ok(ready) => {
                    if let Some(reader) = self.readers.get_mut(&out.reader) {
                        reader.outs.push_back(ready);
                    }
                }
                Err(why) => {
                    let _ = self.rule.give_back(out.number, out.reader, false);
                    if why == Unsent::Later {
                        self.again = true;
                        return;
                    }
                    self.let_go(out.reader);
                }
            }
        }
    }

    /// What a reader is to be sent.
    fn out(&mut self, out: &HandOut) -> Result<Out, Unsent> {
        let kept = self.kept.get_mut(&out.item).ok_or(Unsent::Reader)?;
        let about = About::of(kept, out.number, out.times);
        let about = postcard::to_stdvec(&about).map_err(|_| Unsent::Later)?;
        let copy = copy_of(&mut kept.message).map_err(|_| Unsent::Later)?;
        let answers = kept.message.reply_right().map(|_| Arc::clone(self.control.core()));
        Ok(Out::new((out.number, out.item), about, copy, answers))
    }
}

/// What a turn waits for.
enum Found {
    Mail(Message),
    Said(Message),
    /// Nothing more is said by those who are gone.
    Silence,
}

impl Reader {
    fn is_dying(&mut self) {
        self.dying.get_or_insert(Dying { looked: false, left: 4 * WORDS });
    }
}

/// When what the system refused is tried again.
fn soon(deadline: Deadline) -> Deadline {
    Deadline::At(deadline.instant_or(Instant::now() + Duration::from_millis(10)))
}
