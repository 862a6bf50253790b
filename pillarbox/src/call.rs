//! Where the answer of a call arrives.
//!
//! | file              | part                                                |
//! |-------------------|-----------------------------------------------------|
//! | this one          | the cell: one promise of a reply, at the caller     |
//! | `call/start.rs`   | calling, and starting a call                        |
//! | `call/pending.rs` | a call under way, to be waited for or withdrawn     |
//! | `call/holder.rs`  | what the holder of a reply right sees and may do    |
//! | `call/watch.rs`   | who is told that an answer is wanted no more        |
//! | `call/parts.rs`   | an answer that is written in parts                  |
//!
//! What the caller wants of its answer is state. It is kept here, and written
//! into every slot the reply right has on a board of ours: its holder sees it at
//! once, wherever it was given on to. The rule is [`rights::reply`].

mod holder;
mod parts;
mod pending;
mod start;
mod watch;

use std::sync::Arc;

use abi::{Offence, Slot};
use rights::reply::{Comes, Gone, Promised, ReplyState};

pub use self::holder::PartError;
pub(crate) use self::parts::InParts;
use self::parts::Parts;
pub use self::pending::{PendingCall, StartedCall, Withdraw, Withdrawer};
pub(crate) use self::watch::{News, Watch};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::link::Link;
use crate::membrane::Within;
use crate::message::{Body, Message, Notification};
use crate::metrics::Since;
use crate::port::{After, PortCore};
use crate::right::SendOnceRight;
use crate::wait::parking::{Mutex, lock, try_lock};
use crate::wait::{BURST, Spin, Waiter};

/// A port for one message, without a queue.
#[derive(Debug)]
pub(crate) struct ReplyCell {
    pub(crate) id: u64,
    pub(crate) task: Arc<TaskCore>,
    /// Where the answer goes, if no thread waits for it.
    to: Option<Completion>,
    /// The membranes the answer comes in through.
    within: Option<Within>,
    /// When the call was made.
    since: Since,
    cell: Mutex<Cell>,
}

/// A port that takes the answer, and the caller's number for it.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) port: Arc<PortCore>,
    pub(crate) number: u64,
}

/// What a message knows of the call it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallNote {
    /// A request: bytes of its answer that may come in parts.
    Room(u64),
    /// What became of a call: the caller's number for it.
    Completion(u64),
}

#[derive(Debug)]
struct Cell {
    promised: Promised,
    answer: Option<Message>,
    waiter: Option<Arc<Waiter>>,
    parts: Option<Box<Parts>>,
    /// The slots of the reply right, each with the number of its link. Mostly
    /// there is one.
    place: Option<(u32, Slot)>,
    more_places: Vec<(u32, Slot)>,
    /// The reply right is in our own space, and its holder asked to be told.
    watch: Option<Box<Watch>>,
}

/// What a look into a cell that is over finds.
pub(crate) struct Seen {
    /// `None` where it was taken already, or is wanted no more.
    answer: Option<Message>,
    within: Option<Within>,
}

impl ReplyCell {
    pub(crate) fn new(
        task: &Arc<TaskCore>,
        room: u64,
        to: Option<Completion>,
        within: Option<Within>,
    ) -> Arc<Self> {
        let id = task.next_id();
        Arc::new(ReplyCell {
            id,
            since: Since::of(id, task),
            task: Arc::clone(task),
            to,
            within,
            cell: Mutex::new(Cell {
                promised: Promised::new(room),
                answer: None,
                waiter: None,
                parts: None,
                place: None,
                more_places: Vec::new(),
                watch: None,
            }),
        })
    }

    // ---- the answer --------------------------------------------------------

    /// The one message, or the one notification, of the reply right.
    pub(crate) fn arrive(&self, message: Message, after: &mut After) {
        if let Err(late) = self.offer(message, after) {
            after.drop_later(late);
        }
    }

    /// As [`ReplyCell::arrive`], but what comes too late comes back.
    pub(crate) fn offer(&self, mut message: Message, after: &mut After) -> Result<(), Message> {
        let mut cell = lock(&self.cell);
        if cell.promised.comes() == Comes::Late {
            return Err(message);
        }
        if message.notification.is_none() {
            self.answered();
        }
        if let Some(watch) = cell.watch.take() {
            watch.let_go(after);
        }
        if let Some(parts) = cell.parts.take()
            && !message.is_own_notification()
        {
            let last = std::mem::replace(&mut message.body, Body::NONE);
            message.body = Body::Parts(Box::new(InParts::new(*parts, last)));
        }
        match &self.to {
            None => {
                cell.answer = Some(message);
                if let Some(waiter) = cell.waiter.take() {
                    after.wake(waiter);
                }
            }
            Some(completion) => {
                drop(cell);
                message.put_note(CallNote::Completion(completion.number));
                message.put_within(self.within.clone());
                completion.port.arrive_once(message, after);
            }
        }
        Ok(())
    }

    /// The answer is here.
    #[inline]
    pub(crate) fn answered(&self) {
        self.since.over(&self.task, |times| &times.calling);
    }

    /// A part of the answer has come.
    ///
    /// # Errors
    /// [`Offence::PartBeyondRoom`].
    pub(crate) fn part(&self, offset: u64, bytes: &[u8]) -> Result<(), Offence> {
        let mut cell = lock(&self.cell);
        if cell.promised.part(offset, bytes.len() as u64)? == Comes::Kept {
            let room = cell.promised.room();
            cell.parts.get_or_insert_default().place(room, offset, bytes);
        }
        Ok(())
    }

    /// Takes what is there, or leaves the waiter to be told.
    pub(crate) fn look(&self, waiter: Option<&Arc<Waiter>>) -> Option<Seen> {
        let mut cell = lock(&self.cell);
        if !cell.promised.is_open() {
            let answer = cell.answer.take();
            drop(cell);
            return Some(Seen { answer, within: self.within.clone() });
        }
        if let Some(waiter) = waiter {
            cell.waiter = Some(Arc::clone(waiter));
        }
        None
    }

    /// Keeps the promise by a message that is received as it comes. False where it must
    /// be kept by [`ReplyCell::arrive`].
    pub(crate) fn passes(&self) -> bool {
        let mut cell = lock(&self.cell);
        self.to.is_none()
            && cell.parts.is_none()
            && cell.watch.is_none()
            && cell.promised.is_open()
            && cell.promised.comes() == Comes::Kept
    }

    /// Takes the answer out of a lane if it comes while this thread spins.
    #[inline]
    pub(crate) fn answer_awake(
        &self,
        deadline: Deadline,
        link: &Link,
    ) -> Option<Result<Message, CallError>> {
        // Such an answer is a message of the peer's, is no notification, and counts
        // nothing: there is no more to be said of it than where it comes in.
        let mut answer = self.take_awake(deadline, link)?;
        if let Some(within) = &self.within {
            answer.come_inside(within);
        }
        Some(Ok(answer))
    }

    #[inline]
    fn take_awake(&self, deadline: Deadline, link: &Link) -> Option<Message> {
        let task = &self.task;
        let _hush = task.hush()?;
        let mut spin = Spin::begin(task, deadline);
        loop {
            if task.has_business() || self.is_ready() {
                return None;
            }
            let mut seat = try_lock(&task.seat)?;
            let _ = seat.links(task);
            for _ in 0..BURST {
                if let Some(any) = seat.next_with_frames() {
                    let ours = std::ptr::eq(&**any, link);
                    let taken = if ours { any.take_answer(self) } else { None };
                    drop(seat);
                    return taken;
                }
                if !spin.turn() {
                    return None;
                }
            }
        }
    }

    /// Whether a look would find the answer, or that none will come.
    pub(crate) fn is_ready(&self) -> bool {
        !lock(&self.cell).promised.is_open()
    }

    /// Waits for the answer. At the deadline the call is as it was.
    pub(crate) fn wait(
        &self,
        deadline: Deadline,
        link: Option<&Link>,
    ) -> Result<Message, CallError> {
        if let Some(answer) = link.and_then(|link| self.answer_awake(deadline, link)) {
            return answer;
        }
        let seen = self.task.wait(deadline, link, |waiter| self.look(Some(waiter)));
        seen.map_or(Err(CallError::Deadline), Seen::verdict)
    }

    /// What is there now.
    pub(crate) fn try_take(&self) -> Option<Result<Message, CallError>> {
        self.look(None).map(Seen::verdict)
    }

    // ---- what is wanted ------------------------------------------------------

    pub(crate) fn state(&self) -> ReplyState {
        lock(&self.cell).promised.state()
    }

    pub(crate) fn room(&self) -> u64 {
        lock(&self.cell).promised.room()
    }

    /// Asks the holder of the reply right to come to an end. Returns whether
    /// that is news.
    pub(crate) fn ask_to_end(&self) -> bool {
        self.change(|promised| promised.ask())
    }

    /// No answer is wanted any more. Returns whether that is news: an answer
    /// that is here stays.
    pub(crate) fn end(&self, why: Gone) -> bool {
        let news = self.change(|promised| promised.end(why));
        if news && let Some(completion) = &self.to {
            completion.port.end_once();
        }
        news
    }

    /// A handler has jumped out of what waited for it.
    pub(crate) fn jumped(self: Arc<Self>) {
        let _ = self.end(Gone::Withdrawn);
    }

    fn change(&self, change: impl FnOnce(&mut Promised) -> bool) -> bool {
        let mut after = After::default();
        let (places, parts) = {
            let mut cell = lock(&self.cell);
            if !change(&mut cell.promised) {
                return false;
            }
            let state = cell.promised.state();
            if let Some(watch) = &mut cell.watch {
                watch.see(state, &mut after);
            }
            let parts = if state.is_gone() { cell.parts.take() } else { None };
            // Another thread may wait for what this one withdraws.
            if state.is_gone()
                && let Some(waiter) = cell.waiter.take()
            {
                after.wake(waiter);
            }
            let places: Vec<_> = cell.place.iter().chain(&cell.more_places).copied().collect();
            (places, parts)
        };
        drop(parts);
        after.run();
        if !places.is_empty() {
            let links = self.task.links();
            for (number, slot) in places {
                if let Some(link) = links.iter().find(|link| link.number == number) {
                    link.show_reply(slot, self);
                }
            }
        }
        true
    }

    /// The reply right is given a slot on a board: what is to be written there.
    /// Under the lock of that link's exports.
    pub(crate) fn joined(&self, link: u32, slot: Slot) -> (ReplyState, u64) {
        let mut cell = lock(&self.cell);
        if cell.place.is_none() {
            cell.place = Some((link, slot));
        } else {
            cell.more_places.push((link, slot));
        }
        (cell.promised.state(), cell.promised.room())
    }

    /// A slot of the reply right has ended while the promise goes on.
    pub(crate) fn left(&self, link: u32, slot: Slot) {
        let mut cell = lock(&self.cell);
        if cell.place == Some((link, slot)) {
            cell.place = cell.more_places.pop();
        } else {
            cell.more_places.retain(|place| *place != (link, slot));
        }
    }

    // ---- a holder in our own task ------------------------------------------------

    fn watch(&self, news: News, to: SendOnceRight, after: &mut After) {
        let mut cell = lock(&self.cell);
        let state = cell.promised.state();
        let watch = cell.watch.get_or_insert_default();
        watch.set(news, to, after);
        watch.see(state, after);
    }

    fn unwatch(&self, after: &mut After) {
        if let Some(watch) = lock(&self.cell).watch.take() {
            watch.let_go(after);
        }
    }
}

impl Seen {
    /// The answer, or what became of the promise of one.
    pub(crate) fn verdict(self) -> Result<Message, CallError> {
        let Some(mut answer) = self.answer else { return Err(CallError::Withdrawn) };
        answer.charge = None;
        let own = answer.sender.is_none();
        match answer.notification {
            Some(Notification::SendOnceDropped) if own => Err(CallError::Dropped),
            Some(Notification::SendOnceDied) if own => Err(CallError::Died),
            Some(Notification::Refused) => Err(CallError::Refused),
            _ => {
                if let Some(within) = &self.within {
                    answer.come_inside(within);
                }
                Ok(answer)
            }
        }
    }
}
