//! One right of ours to a port of the peer's.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use abi::Slot;
use abi::board::State;
use abi::frame::ask::NOW;
use abi::frame::{Header, Kind, PortStatus};
use rights::import::Import;

use super::room::Room;
use super::{Join, Joined, Link, Moved};
use crate::deadline::Deadline;
use crate::error::{LeaveError, SendFailure, StatusError};
use crate::full::Left;
use crate::limits::Limit;
use crate::message::{Message, Notification};
use crate::port::After;
use crate::right::SendOnceRight;
use crate::special::keep_watcher;
use crate::wait::parking::{Mutex, lock};
use crate::wait::{Promise, Waiter};

/// What is known of a slot of the peer's.
#[derive(Debug)]
pub(crate) enum Imported {
    /// We hold rights to it.
    Held(Arc<Entry>),
    /// We gave back all we had. While the slot's generation lasts, what we had
    /// sent on it still counts.
    Rested(Slot, Import),
}

impl Imported {
    pub(crate) fn held(&self) -> Option<&Arc<Entry>> {
        match self {
            Imported::Held(entry) => Some(entry),
            Imported::Rested(..) => None,
        }
    }
}

/// A slot of the peer's that we may send to.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) link: Arc<Link>,
    pub(crate) slot: Slot,
    /// Send rights in our space that lead here. At zero the entry goes home.
    handles: AtomicUsize,
    pub(crate) import: Mutex<Import>,
    /// The change count the slot was last read under.
    pub(crate) change_seen: AtomicU64,
    dead: AtomicBool,
    /// The last question the owner answered with: full.
    pub(crate) refused: AtomicU64,
    watchers: Mutex<Vec<SendOnceRight>>,
    pub(super) room: Room,
    asking: Mutex<Asking>,
    /// Where the rights lead since the port went to another task.
    moved: OnceLock<Arc<Moved>>,
    /// Messages that are sent again, before what is sent now.
    pub(super) again: AtomicUsize,
    /// Messages on their way out that name the slot. Until they are published, or
    /// not, it does not go home. Changed under the lock of the imports.
    pins: AtomicUsize,
    /// It goes home when it is named no more.
    going_home: AtomicBool,
}

/// The threads that wait for a place in one port. They share what is granted.
#[derive(Debug, Default)]
struct Asking {
    threads: usize,
    /// The grant when the owner was last asked, and for what priority. A higher
    /// grant is the answer.
    asked_at: Option<(u64, u16)>,
}

/// A question that wants an answer at once, and the grant when it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    number: u64,
    grant: u64,
}

/// The owner's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There was no place.
    Full,
    /// There was one; another thread may have used it.
    Granted,
    /// None yet.
    None,
}

impl Entry {
    /// Sends a message if a place is free, or leaves it with the owner.
    pub(crate) fn leave(
        self: &Arc<Self>,
        message: Message,
        accepted: SendOnceRight,
    ) -> Result<Left, LeaveError> {
        let fail = |reason, mut message: Message, accepted: Option<SendOnceRight>| {
            let accepted = accepted.or_else(|| message.take_accepted());
            Err(LeaveError { reason, message: Box::new(message), accepted })
        };
        let mut message = match self.link.send(self, message, Deadline::Now) {
            Ok(()) => return Ok(Left::Sent(accepted)),
            Err((SendFailure::Full, message)) => message,
            Err((reason, message)) => return fail(reason, message, Some(accepted)),
        };
        if !self.may_leave() {
            return fail(SendFailure::NotifyPending, message, Some(accepted));
        }
        message.put_accepted(Some(accepted));
        match self.link.send(self, message, Deadline::Now) {
            Ok(()) => Ok(Left::Waiting),
            Err((reason, message)) => {
                self.left_nothing();
                fail(reason, message, None)
            }
        }
    }

    /// Whether no message is left with the port. From now on one is.
    pub(crate) fn may_leave(&self) -> bool {
        !std::mem::replace(&mut lock(&self.import).left, true)
    }

    /// The message was not left after all.
    pub(crate) fn left_nothing(&self) {
        lock(&self.import).left = false;
    }

    pub(crate) fn is_dead(&self) -> bool {
        // In this order: a port that goes at this moment has gone by the second look.
        (self.dead.load(Ordering::Relaxed) || self.link.is_dead() || self.slot_is_dead())
            && !self.has_moved()
    }

    /// Whether the port has gone, or is about to go, to another task.
    pub(crate) fn has_moved(&self) -> bool {
        self.link.slot_has_moved(self.slot) || self.follows()
    }

    /// Whether we go after it, or have. The slot may be free already.
    fn follows(&self) -> bool {
        self.last_moved().is_some()
    }

    /// Where the rights lead, unless the port has come back.
    pub(super) fn last_moved(&self) -> Option<&Arc<Moved>> {
        let mut last = self.moved.get();
        while let Some(moved) = last
            && matches!(moved.join.result(), Some(Joined::Back))
        {
            last = moved.next.get();
        }
        last
    }

    /// A share in it, taken by who knows that there is another.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.handles.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    /// Says something about the slot, while it is ours to speak of.
    pub(super) fn say(&self, header: Header) -> bool {
        self.link.say_of(self, header)
    }

    /// Where the rights lead since the port went away, if it did.
    pub(crate) const fn moved(&self) -> &OnceLock<Arc<Moved>> {
        &self.moved
    }

    /// Follows the port, unless we are at it.
    fn follow(&self, after: &mut After) {
        // Under the lock of who wants to hear of the end: they follow too.
        let mut watchers = lock(&self.watchers);
        let mut last = &self.moved;
        while let Some(moved) = last.get() {
            match moved.join.result() {
                Some(Joined::Back) => last = &moved.next,
                _ => {
                    // Those that asked while we looked.
                    self.all_follow(&mut watchers, &moved.join, after);
                    return;
                }
            }
        }
        let Some(join) = self.link.follow(self.slot, after) else { return };
        self.all_follow(&mut watchers, &join, after);
        self.add_moved(last, join);
    }

    /// Who wants to hear of the end, or of room, goes after the port too.
    fn all_follow(&self, watchers: &mut Vec<SendOnceRight>, join: &Arc<Join>, after: &mut After) {
        for to in watchers.drain(..) {
            after.watch(Arc::clone(join), to);
        }
        self.room_moved(join, after);
    }

    fn add_moved(&self, last: &OnceLock<Arc<Moved>>, join: Arc<Join>) {
        let is_first = std::ptr::eq(last, &raw const self.moved);
        let moved = if is_first { Moved::first(join) } else { Moved::later(&self.link, join) };
        let _ = last.set(moved);
    }

    /// What the dead owner had not read is sent again where this claim leads. So the
    /// rights go there too, should that which they follow turn out to have been taken
    /// back before: claimed once more it would be nobody's.
    pub(super) fn follow_next(&self, join: &Arc<Join>) {
        let _asking = lock(&self.watchers);
        let mut last = &self.moved;
        while let Some(moved) = last.get() {
            if Arc::ptr_eq(&moved.join, join) {
                return;
            }
            last = &moved.next;
        }
        self.add_moved(last, Arc::clone(join));
    }

    /// Whether the owner has withdrawn the right, its port perhaps living on.
    pub(crate) fn is_revoked(&self) -> bool {
        self.link.peer.life(self.slot.index).is_some_and(|life| {
            life.generation == self.slot.generation && life.state == State::Revoked
        })
    }

    /// Why nothing can be sent here any more.
    pub(crate) fn failure(&self) -> SendFailure {
        if self.is_revoked() {
            return SendFailure::Revoked;
        }
        if self.has_moved() {
            // The right goes after its port.
            return SendFailure::Dead;
        }
        // The link may have ended since it was looked at.
        self.link.end().map_or(SendFailure::Dead, |end| end.as_send_failure())
    }

    fn slot_is_dead(&self) -> bool {
        self.link.peer.life(self.slot.index).is_none_or(|life| {
            let ours = life.generation == self.slot.generation;
            !(ours && matches!(life.state, State::Live | State::Moved))
        })
    }

    /// Whether it was seen dead: one load, for every send.
    pub(crate) fn was_seen_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn handles(&self) -> usize {
        self.handles.load(Ordering::Relaxed)
    }

    pub(crate) fn watch_death(&self, to: SendOnceRight) {
        let mut gone = Vec::new();
        let late = {
            let mut watchers = lock(&self.watchers);
            if self.dead.load(Ordering::Relaxed) {
                Some(to)
            } else {
                gone = keep_watcher(&mut watchers, to);
                None
            }
        };
        drop(gone);
        let mut after = After::default();
        if let Some(to) = late {
            after.fire(to, Notification::DeadName);
        }
        self.look(&mut after);
        after.run();
    }

    /// Reads the slot and acts on what it says.
    pub(crate) fn look(&self, after: &mut After) {
        if self.has_moved() {
            self.follow(after);
        } else if self.slot_is_dead() && !self.has_moved() {
            self.mark_dead(after);
        }
    }

    pub(crate) fn mark_dead(&self, after: &mut After) {
        let told = {
            let mut watchers = lock(&self.watchers);
            self.dead.store(true, Ordering::Relaxed);
            std::mem::take(&mut *watchers)
        };
        for to in told {
            after.fire(to, Notification::DeadName);
        }
        self.end_room(after);
    }

    /// Asks the owner for a place for a message of this priority, unless a
    /// question is open that is as urgent. `new` for a thread that did not wait
    /// before. False where a place lies unused: then nothing
    /// was asked, and who does not get that place must come back.
    #[must_use = "who may not sleep must look again"]
    pub(crate) fn ask(&self, priority: u16, new: bool) -> bool {
        let mut asking = lock(&self.asking);
        asking.threads += usize::from(new);
        let (grant, unused) = self.look_at_grant();
        // The answer would be that place, a grant no higher, and look like no
        // answer at all: nobody would ever ask again.
        if unused {
            return false;
        }
        if asking.asked_at.is_none_or(|(before, urgent)| grant > before || priority > urgent) {
            asking.asked_at = Some((grant, priority));
            // Said under the lock: a thread that stops asking comes before or
            // after, not between.
            let _ = self.say(Header { priority, ..Header::new(Kind::Ask, self.slot) });
        }
        true
    }

    /// Asks the owner for a place or its word that there is none.
    pub(crate) fn ask_once(&self, priority: u16) -> Question {
        let (grant, _) = self.look_at_grant();
        let number = self.link.task.next_id();
        let header = Header { id: NOW, tag: number, priority, ..Header::new(Kind::Ask, self.slot) };
        let _ = self.say(header);
        Question { number, grant }
    }

    /// What the owner has said to a question.
    pub(crate) fn answer_to(&self, question: &Question) -> Answer {
        if self.refused.load(Ordering::Relaxed) >= question.number {
            return Answer::Full;
        }
        let (grant, _) = self.look_at_grant();
        if grant > question.grant { Answer::Granted } else { Answer::None }
    }

    /// A thread no longer waits for a place. If it gave up and was the last, what
    /// was granted meanwhile goes back.
    pub(crate) fn stop_asking(&self, gave_up: bool) {
        let mut asking = lock(&self.asking);
        asking.threads = asking.threads.saturating_sub(1);
        if asking.threads > 0 {
            return;
        }
        asking.asked_at = None;
        if !gave_up {
            return;
        }
        self.return_places(true, Import::hand_back);
    }

    /// Hands back places that were granted for what is not sent after all, beside those
    /// for `messages` that are.
    pub(super) fn give_up(&self, places: u64, messages: u64) {
        self.return_places(false, |import| import.give_up(places, messages));
    }

    /// Says how many places `take` counts off. Another thread may just be writing a
    /// message on one of them: it looks, and counts, under the lock of the lane, and so
    /// does this; else one place would be used twice.
    fn return_places(&self, stop: bool, take: impl FnOnce(&mut Import) -> u64) {
        self.link.say_return(self, stop, || {
            let _ = self.look_at_grant();
            take(&mut lock(&self.import))
        });
    }

    /// The grant, and whether any of it is unused.
    fn look_at_grant(&self) -> (u64, bool) {
        let mut import = lock(&self.import);
        import.look(self.link.peer.grant(self.slot.index).unwrap_or(0));
        (import.grant, import.may_send())
    }

    pub(crate) fn status(&self, deadline: Deadline) -> Result<PortStatus, StatusError> {
        let asked = self.ask_status()?;
        let answer = self.link.task.wait(deadline, Some(&self.link), |waiter| asked.look(waiter));
        answer.unwrap_or(Err(StatusError::Deadline))
    }

    /// Asks how full the port is.
    pub(crate) fn ask_status(&self) -> Result<AskedStatus, StatusError> {
        if self.is_dead() {
            return Err(StatusError::Dead);
        }
        let cell = Arc::new(StatusCell::default());
        let question = self.link.task.next_id();
        {
            let mut open = lock(&self.link.status);
            if open.len() >= self.link.task.limits.questions as usize / 2 {
                self.link.task.counters.refuse(Limit::Questions);
                return Err(StatusError::Busy);
            }
            open.insert(question, Arc::clone(&cell));
        }
        let header = Header { tag: question, ..Header::new(Kind::Status, self.slot) };
        let asked = AskedStatus { link: Arc::clone(&self.link), question, cell };
        if !self.say(header) {
            // The port has gone elsewhere: who asked looks there.
            let mut after = After::default();
            asked.cell.fail(&mut after);
            self.look(&mut after);
            after.run();
        }
        Ok(asked)
    }
}

/// A status question that is open. Dropping it withdraws it.
#[derive(Debug)]
pub(crate) struct AskedStatus {
    pub(crate) link: Arc<Link>,
    question: u64,
    cell: Arc<StatusCell>,
}

impl AskedStatus {
    pub(crate) fn look(&self, waiter: &Arc<Waiter>) -> Option<Result<PortStatus, StatusError>> {
        if self.link.is_dead() {
            return Some(Err(StatusError::Dead));
        }
        self.cell.promise.look(waiter)
    }
}

impl Drop for AskedStatus {
    fn drop(&mut self) {
        if self.link.task.check().is_ok() {
            lock(&self.link.status).remove(&self.question);
        }
    }
}

/// Where the answer to a status question arrives.
#[derive(Debug, Default)]
pub(crate) struct StatusCell {
    promise: Promise<Result<PortStatus, StatusError>>,
}

impl StatusCell {
    pub(crate) fn answer(&self, answer: Result<PortStatus, StatusError>, after: &mut After) {
        if let Some(waiter) = self.promise.keep(answer) {
            after.wake(waiter);
        }
    }

    pub(crate) fn fail(&self, after: &mut After) {
        self.answer(Err(StatusError::Dead), after);
    }
}

/// The slot is named in a message on its way out, and stays ours until that is
/// published or given up.
#[derive(Debug)]
pub(crate) struct Pin(Arc<Entry>);

impl Drop for Pin {
    fn drop(&mut self) {
        let entry = &self.0;
        if entry.link.task.check().is_err() {
            return;
        }
        let last = {
            let _imports = lock(&entry.link.imports);
            entry.pins.fetch_sub(1, Ordering::Relaxed) == 1
                && entry.going_home.swap(false, Ordering::Relaxed)
        };
        if last {
            entry.link.release_moved(entry);
        }
    }
}

/// One send right's share in an entry.
#[derive(Debug)]
pub(crate) struct Held(Arc<Entry>);

impl Held {
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.0
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        // Nothing is published by this count: the last drop decides under the
        // lock of the imports.
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.0))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.link.task.check().is_ok() {
            self.0.link.release(&self.0);
        }
    }
}

impl Link {
    /// The message we left with the port of `slot` was taken.
    pub(super) fn take_taken(&self, slot: Slot) {
        match lock(&self.imports).get_mut(&slot.index) {
            Some(Imported::Held(entry)) if entry.slot == slot => lock(&entry.import).left = false,
            Some(Imported::Rested(rested, import)) if *rested == slot => import.left = false,
            _ => {}
        }
    }

    /// The right of ours that leads to a slot of the peer's, if we hold one.
    pub(super) fn entry_of(&self, slot: Slot) -> Option<Arc<Entry>> {
        let imports = lock(&self.imports);
        let entry = imports.get(&slot.index).and_then(Imported::held)?;
        (entry.slot == slot).then(|| Arc::clone(entry))
    }

    /// The peer gave us a send right to one of its slots.
    pub(crate) fn learn(self: &Arc<Self>, slot: Slot) -> Result<Held, abi::Offence> {
        if slot.generation == 0 || self.peer.life(slot.index).is_none() {
            return Err(abi::Offence::NeverExported);
        }
        let mut imports = lock(&self.imports);
        let mut import = match imports.get(&slot.index) {
            Some(Imported::Held(entry)) if entry.slot == slot => {
                lock(&entry.import).learn();
                entry.handles.fetch_add(1, Ordering::Relaxed);
                return Ok(Held(Arc::clone(entry)));
            }
            Some(Imported::Held(_)) => return Err(abi::Offence::GenerationReused),
            // The release and a new grant crossed: the slot lives on, and what
            // was sent on it still counts.
            Some(Imported::Rested(rested, import)) if *rested == slot => *import,
            Some(Imported::Rested(..)) | None => Import::default(),
        };
        import.learn();
        let entry = Arc::new(Entry {
            link: Arc::clone(self),
            slot,
            handles: AtomicUsize::new(1),
            import: Mutex::new(import),
            change_seen: AtomicU64::new(u64::MAX),
            dead: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            watchers: Mutex::default(),
            room: Room::default(),
            asking: Mutex::default(),
            moved: OnceLock::new(),
            again: AtomicUsize::new(0),
            pins: AtomicUsize::new(0),
            going_home: AtomicBool::new(false),
        });
        imports.insert(slot.index, Imported::Held(Arc::clone(&entry)));
        Ok(Held(entry))
    }

    /// Keeps the slot of an entry ours while it is named. `None` where it has gone
    /// home.
    pub(super) fn pin(&self, entry: &Arc<Entry>) -> Option<Pin> {
        let imports = lock(&self.imports);
        let known = imports.get(&entry.slot.index).and_then(Imported::held)?;
        Arc::ptr_eq(known, entry).then(|| {
            entry.pins.fetch_add(1, Ordering::Relaxed);
            Pin(Arc::clone(entry))
        })
    }

    /// Rights to a slot have followed its port: here they go home.
    pub(super) fn release_moved(&self, entry: &Arc<Entry>) {
        let mut imports = lock(&self.imports);
        match imports.get(&entry.slot.index) {
            Some(Imported::Held(known)) if Arc::ptr_eq(known, entry) => {}
            _ => return,
        }
        if entry.pins.load(Ordering::Relaxed) > 0 {
            entry.going_home.store(true, Ordering::Relaxed);
            return;
        }
        let (count, import) = {
            let mut import = lock(&entry.import);
            (import.let_go(), *import)
        };
        imports.insert(entry.slot.index, Imported::Rested(entry.slot, import));
        self.say_release(entry.slot, count);
        drop(imports);
        // The new owner hears of it from the old one, whose threads may be busy.
        self.ring_now();
    }

    /// The last send right to a slot was dropped: it goes home, with as many
    /// counts as it came with.
    fn release(&self, entry: &Arc<Entry>) {
        {
            let mut imports = lock(&self.imports);
            // It may have come once more since its last right was dropped.
            if entry.handles.load(Ordering::Acquire) > 0 {
                return;
            }
            match imports.get(&entry.slot.index) {
                Some(Imported::Held(known)) if Arc::ptr_eq(known, entry) => {}
                _ => return,
            }
            let (count, import) = {
                let mut import = lock(&entry.import);
                (import.let_go(), *import)
            };
            imports.insert(entry.slot.index, Imported::Rested(entry.slot, import));
            // Said under the lock, so that the right cannot come again and be
            // released again before this release is written.
            self.say_release(entry.slot, count);
        }
        let unasked = std::mem::take(&mut *lock(&entry.watchers));
        // Its death would be nothing to us any more, nor its room.
        for to in unasked.into_iter().chain(entry.forget_room()) {
            to.notify(Notification::LetGo);
        }
    }
}
