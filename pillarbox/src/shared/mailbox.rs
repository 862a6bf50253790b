//! The owner of a shared mailbox: hands out, takes back, forwards answers.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use abi::{TaskId, limits};
use rights::sharing::{Bounds, HandOut, Share, Sharing};

use super::copy::{come_back, copy_of};
use super::{ABOUT, ATTACH, About, Attach, Attached, BACK, DONE, LEAVE, WORDS};
use crate::deadline::Deadline;
use crate::error::{ReceiveError, SendFailure};
use crate::message::{Envelope, Message};
use crate::port::{Capacity, PortCore, PortOptions, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;
use crate::wait::Waiter;

/// How often we try a reader that has no room for what it asked for, or a caller
/// that has none for its answer.
const PATIENT: u32 = 3;

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
struct Reader {
    right: SendRight,
    task: TaskId,
}

/// The owner's side of a port that several tasks read.
///
/// Nothing happens by itself: the owner's own thread hands out, in
/// [`SharedMailbox::serve`], or a task of its executor, in [`SharedMailbox::run`].
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
    port: ReceiveRight,
    control: ReceiveRight,
    policy: Policy,
    rule: Sharing,
    readers: BTreeMap<u64, Reader>,
    kept: HashMap<u64, Message>,
    /// The system had no descriptor for a duplicate: to be tried again.
    again: bool,
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
            again: false,
            strange: 0,
        }
    }

    /// A reader right: who holds it may attach a [`super::SharedReader`]. It is a
    /// send right, and may be cloned, given, narrowed and revoked as any.
    ///
    /// One that is revoked attaches nobody and acknowledges nothing any more: who
    /// attached with it gets what it has credit for, and no more.
    ///
    /// # Errors
    /// [`SendFailure::Forked`].
    pub fn reader_right(&self) -> Result<SendRight, SendFailure> {
        self.control.make_send()
    }

    /// The port's own right, to make send rights from.
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
    /// Until `deadline`. A reader or caller whose way is full holds it up for 50 ms,
    /// three times at most; then it is let go.
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
        self.hand_out();
        let core = Arc::clone(&self.port.core().task);
        core.check().map_err(|_| ReceiveError::Forked)?;
        let (port, control) = (self.port.core(), self.control.core());
        let wants = self.rule.wants();
        let until = if self.again { soon(deadline) } else { deadline };
        let (mut at_control, mut at_port) = (false, false);
        let found = core.wait(until, None, |waiter| {
            look(port, control, wants, waiter, &mut at_control, &mut at_port)
        });
        let waiter = Waiter::mine();
        control.leave_receivers(&waiter, &mut at_control);
        port.leave_receivers(&waiter, &mut at_port);
        match found {
            Some(found) => self.take(found),
            None if self.again => {}
            None => return Err(ReceiveError::Deadline),
        }
        self.hand_out();
        Ok(())
    }

    /// Serves for ever, without a thread that waits.
    ///
    /// # Errors
    /// [`ReceiveError::Forked`].
    ///
    /// # Cancel safety
    /// Nothing is lost: what was taken from the port is the mailbox's, which goes on
    /// where it was in the next call.
    pub async fn run(&mut self) -> Result<(), ReceiveError> {
        loop {
            self.hand_out();
            let wants = self.rule.wants();
            let found = {
                let mut control = pin!(self.control.receive_async());
                let mut port = pin!(self.port.receive_async());
                poll_fn(|cx| {
                    if let Poll::Ready(said) = control.as_mut().poll(cx) {
                        return Poll::Ready(said.map(Found::Said));
                    }
                    if !wants {
                        return Poll::Pending;
                    }
                    port.as_mut().poll(cx).map(|mail| mail.map(Found::Mail))
                })
                .await?
            };
            self.take(found);
        }
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Mail(message) => {
                let key = match &mut self.policy {
                    Policy::ByKey(key) => key(&message.envelope()),
                    Policy::RoundRobin | Policy::LeastLoaded | Policy::All => 0,
                };
                let item = self.rule.accept(key);
                self.kept.insert(item, message);
                while let Some(reader) = self.rule.laggard() {
                    self.let_go(reader);
                }
            }
            Found::Said(message) => self.hear(message),
        }
    }

    /// A reader says something, or the library says something of one.
    fn hear(&mut self, mut message: Message) {
        if let Some(number) = message.completion() {
            self.answered(number, message);
        } else if message.is_own_notification() {
            let dead = |(id, reader): (&u64, &Reader)| reader.right.is_dead().then_some(*id);
            let dead: Vec<u64> = self.readers.iter().filter_map(dead).collect();
            for reader in dead {
                self.let_go(reader);
            }
        } else if message.id() == ATTACH {
            let Some(answer) = self.attach(&mut message) else {
                self.strange += 1;
                return;
            };
            if let Ok(body) = postcard::to_stdvec(&answer) {
                // A caller without room is told that there is no answer.
                let _ = message.reply(Message::new(body), Deadline::Now);
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
        let holder = self.rule.holder(number).filter(|(_, reader)| speaks(*reader));
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
        self.readers.insert(reader, Reader { right, task });
        Some(Attached::As(reader))
    }

    fn finish(&mut self, number: u64, reader: u64) -> Option<Message> {
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
        let caller = self.kept.get_mut(&item).and_then(Message::take_reply);
        if let (Some(mut caller), Ok(mut answer)) = (caller, copy_of(&mut answer)) {
            for _ in 0..PATIENT {
                match caller.send(answer, Deadline::Now) {
                    Err(error) if error.reason == SendFailure::Full => {
                        (caller, answer) = (error.right, *error.message);
                    }
                    // Who has withdrawn, or is gone, hears nothing.
                    Ok(()) | Err(_) => break,
                }
            }
        }
        drop(self.finish(number, reader));
    }

    /// A reader is there no more: what it had goes back.
    fn let_go(&mut self, reader: u64) {
        for item in self.rule.leave(reader) {
            self.kept.remove(&item);
        }
        self.readers.remove(&reader);
    }

    fn hand_out(&mut self) {
        self.again = false;
        while let Some(out) = self.rule.hand_out() {
            match self.send_out(&out) {
                Ok(()) => {}
                Err(Unsent::Later) => {
                    let _ = self.rule.give_back(out.number, out.reader, false);
                    self.again = true;
                    return;
                }
                Err(Unsent::Reader) => {
                    let _ = self.rule.give_back(out.number, out.reader, false);
                    self.let_go(out.reader);
                }
            }
        }
    }

    fn send_out(&mut self, out: &HandOut) -> Result<(), Unsent> {
        let reader = self.readers.get(&out.reader).ok_or(Unsent::Reader)?;
        let kept = self.kept.get_mut(&out.item).ok_or(Unsent::Reader)?;
        let about = About::of(kept, out.number, out.times);
        let about = postcard::to_stdvec(&about).map_err(|_| Unsent::Later)?;
        let mut copy = copy_of(kept).map_err(|_| Unsent::Later)?;
        let wants_reply = kept.wants_reply();
        let mut about = Some(Message::new(about).with_id(ABOUT));
        let mut why = Unsent::Reader;
        for _ in 0..PATIENT {
            let failed = match about.take() {
                Some(first) => match reader.right.send(first, Deadline::Now) {
                    Ok(()) => None,
                    Err(error) => {
                        about = Some(*error.message);
                        Some(error.reason)
                    }
                },
                None => None,
            };
            let failed = match failed {
                Some(reason) => reason,
                None => {
                    let sent = if wants_reply {
                        let to = &self.control;
                        let call = reader.right.start_call_to(copy, to, out.number, Deadline::Now);
                        call.map(drop)
                    } else {
                        reader.right.send(copy, Deadline::Now)
                    };
                    match sent {
                        Ok(()) => return Ok(()),
                        Err(error) => {
                            copy = *error.message;
                            error.reason
                        }
                    }
                }
            };
            match failed {
                SendFailure::Full => {}
                SendFailure::DescriptorsInFlight
                | SendFailure::NotJoined(_)
                | SendFailure::System(_) => {
                    why = Unsent::Later;
                    break;
                }
                _ => break,
            }
        }
        come_back(kept, copy);
        Err(why)
    }
}

/// What a turn waits for.
enum Found {
    Mail(Message),
    Said(Message),
}

/// Why a message was not handed out.
enum Unsent {
    /// The reader takes nothing.
    Reader,
    /// The system has something to spare later.
    Later,
}

/// What readers say comes first: it makes room for more.
fn look(
    port: &Arc<PortCore>,
    control: &Arc<PortCore>,
    wants: bool,
    waiter: &Arc<Waiter>,
    at_control: &mut bool,
    at_port: &mut bool,
) -> Option<Found> {
    if let Some(said) = control.poll_receive(waiter, at_control) {
        return Some(Found::Said(said));
    }
    if !wants {
        return None;
    }
    port.poll_receive(waiter, at_port).map(Found::Mail)
}

/// When what the system refused is tried again.
fn soon(deadline: Deadline) -> Deadline {
    Deadline::At(deadline.instant_or(Instant::now() + Duration::from_millis(10)))
}
