//! A right another task gave us, not yet confirmed by its owner.
//!
//! The message that brought it names the owner and a ticket. We claim it on our
//! own link with the owner, which is opened if there is none. Until the owner
//! has answered, a send on the right waits, and says for whom. It may be given on
//! meanwhile, as [`chain`](super::chain) says.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::frame::{Header, Kind};
use abi::right::{Address, Kind as RightKind};
use abi::{Offence, Slot, TaskId, Ticket, limits};
use rights::reply::{Gone, ReplyState};

use super::again::Ways;
use super::follow::Follow;
use super::{Held, Link};
use crate::call::{News, Watch};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::Notification;
use crate::moving::gone;
use crate::port::After;
use crate::right::{SendOnceRight, SendRight};
use crate::wait::parking::{Mutex, MutexGuard, lock};
use crate::wait::{Waiter, forget};

/// What became of a claim.
#[derive(Debug)]
pub(crate) enum Joined {
    /// A send right.
    Send(Held),
    /// A send-once right.
    Once(Arc<Link>, Slot),
    /// The port has come to us: a right of our own.
    Own(SendRight),
    /// The port is its old owner's again.
    Back,
    /// The owner is gone, or knows no such ticket.
    Dead,
}

/// How a send-once right ended before its owner was known.
#[derive(Debug)]
enum LastWord {
    Said(Notification),
    /// Its promise went on to another task.
    GivenOn,
}

#[derive(Debug, Default)]
struct Waiting {
    waiters: Vec<Arc<Waiter>>,
    watchers: Vec<SendOnceRight>,
    /// Who is to hear of room, for a right that follows its port.
    room: Option<SendOnceRight>,
    /// A send-once right that ended before its owner was known.
    last_word: Option<LastWord>,
    /// Who is to be told that no answer is wanted on a send-once right.
    reply: Watch,
}

/// A right on its way to us.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) task: Arc<TaskCore>,
    pub(crate) kind: RightKind,
    pub(crate) owner: TaskId,
    pub(crate) address: Address,
    pub(crate) giver: TaskId,
    pub(crate) ticket: Ticket,
    result: OnceLock<Joined>,
    /// The link it was claimed on.
    claimed: OnceLock<Arc<Link>>,
    /// Send rights in our space that lead here.
    held: AtomicUsize,
    waiting: Mutex<Waiting>,
    once_taken: AtomicBool,
    /// For a right whose port has gone to the owner.
    follow: Option<Follow>,
    /// For our own rights to a port that we gave away: what tells its new owner.
    gone: OnceLock<Weak<gone::Gone>>,
}

impl Join {
    pub(crate) fn new(
        task: &Arc<TaskCore>,
        kind: RightKind,
        owner: TaskId,
        address: Address,
        giver: TaskId,
        ticket: Ticket,
    ) -> Arc<Self> {
        Join::made(task, kind, (owner, address), (giver, ticket), None)
    }

    /// A right of ours whose port has gone to `owner`.
    pub(super) fn following_to(
        task: &Arc<TaskCore>,
        kind: RightKind,
        owner: (TaskId, Address),
        given: (TaskId, Ticket),
        follow: Follow,
    ) -> Arc<Self> {
        Join::made(task, kind, owner, given, Some(follow))
    }

    fn made(
        task: &Arc<TaskCore>,
        kind: RightKind,
        (owner, address): (TaskId, Address),
        (giver, ticket): (TaskId, Ticket),
        follow: Option<Follow>,
    ) -> Arc<Self> {
        Arc::new(Join {
            task: Arc::clone(task),
            kind,
            owner,
            address,
            giver,
            ticket,
            result: OnceLock::new(),
            claimed: OnceLock::new(),
            held: AtomicUsize::new(0),
            waiting: Mutex::default(),
            once_taken: AtomicBool::new(false),
            follow,
            gone: OnceLock::new(),
        })
    }

    /// That our own rights have followed is said here.
    pub(crate) fn speak_to(&self, gone: &Arc<gone::Gone>) {
        let _ = self.gone.set(Arc::downgrade(gone));
    }

    /// Our own rights to a port that we gave away.
    pub(crate) fn own_of_moved(
        task: &Arc<TaskCore>,
        kind: RightKind,
        owner: (TaskId, Address),
        ticket: Ticket,
    ) -> Arc<Self> {
        Join::made(task, kind, owner, (task.id, ticket), None)
    }

    pub(super) fn follow(&self) -> Option<&Follow> {
        self.follow.as_ref()
    }

    pub(crate) fn result(&self) -> Option<&Joined> {
        self.result.get()
    }

    /// Takes the one use of a send-once right.
    pub(crate) fn take_once(&self) -> bool {
        !self.once_taken.swap(true, Ordering::Relaxed)
    }

    /// The owner has answered, or will not.
    pub(crate) fn settle(&self, result: Joined, after: &mut After) {
        self.settle_under(result, None, after);
    }

    /// The same, by who has decided where what is sent again goes.
    pub(super) fn settle_under(
        &self,
        result: Joined,
        ways: Option<MutexGuard<'_, Ways>>,
        after: &mut After,
    ) {
        let (watchers, last_word, room) = {
            let mut waiting = lock(&self.waiting);
            if let Err(late) = self.result.set(result) {
                after.drop_joined(late);
                return;
            }
            drop(ways);
            for waiter in waiting.waiters.drain(..) {
                after.wake(waiter);
            }
            let reply = std::mem::take(&mut waiting.reply);
            match self.result.get() {
                Some(Joined::Once(link, slot)) => link.adopt_watch(*slot, reply, after),
                _ => reply_died(reply, after),
            }
            let watchers = std::mem::take(&mut waiting.watchers);
            (watchers, waiting.last_word.take(), waiting.room.take())
        };
        self.task.look_at_bequests();
        if let Some(to) = room {
            self.hand_room_on(to, after);
        }
        if let Some(gone) = self.gone.get().and_then(Weak::upgrade) {
            gone.own_followed(after);
        }
        match self.result.get() {
            Some(Joined::Send(held)) => {
                for to in watchers {
                    held.entry().watch_death(to);
                }
            }
            Some(Joined::Once(link, slot)) => {
                if let Some(what) = last_word {
                    self.say_last_word(link, *slot, what);
                }
            }
            Some(Joined::Own(right)) => {
                for to in watchers {
                    let _ = right.notify_dead(to);
                }
            }
            Some(Joined::Back) => self.back_to_old(watchers),
            Some(Joined::Dead) | None => {
                for to in watchers {
                    after.fire(to, Notification::DeadName);
                }
            }
        }
    }

    /// Waits until the owner has answered.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<(), SendFailure> {
        if self.result.get().is_some() {
            return Ok(());
        }
        let found = self.wait_for(deadline, |waiter| self.stand(waiter));
        found.ok_or_else(|| self.not_joined())
    }

    /// Waits until `look`, which leaves the waiter to be told, finds something.
    pub(super) fn wait_for(
        &self,
        deadline: Deadline,
        look: impl FnMut(&Arc<Waiter>) -> Option<()>,
    ) -> Option<()> {
        let forget = |owner| {
            self.forget(&Waiter::mine());
            drop::<Option<Arc<Link>>>(owner);
        };
        // An owner whose threads are all busy hears the bell.
        let owner = self.task.link_with(self.owner);
        let (owner, found) = shm::jump::held(owner, forget, |owner| {
            self.task.wait(deadline, owner.as_deref(), look)
        });
        forget(owner);
        found
    }

    /// Looks whether the owner has answered, or leaves the waiter to be told.
    pub(crate) fn stand(&self, waiter: &Arc<Waiter>) -> Option<()> {
        self.stand_until(waiter, || self.result.get().is_some())
    }

    /// Looks whether it is `done`, or leaves the waiter to be told of the next step.
    pub(super) fn stand_until(&self, waiter: &Arc<Waiter>, done: impl Fn() -> bool) -> Option<()> {
        let mut waiting = lock(&self.waiting);
        forget(&mut waiting.waiters, waiter);
        if done() {
            return Some(());
        }
        waiting.waiters.push(Arc::clone(waiter));
        None
    }

    /// Who asked waits no more, and may ask again.
    pub(super) fn not_joined(&self) -> SendFailure {
        self.be_patient();
        SendFailure::NotJoined(self.owner)
    }

    /// Somebody depends on the owner's word, and no thread waits for it here: the
    /// owner's may all be in user code.
    pub(crate) fn be_patient(&self) {
        if let Some(owner) = self.task.link_with(self.owner) {
            self.task.be_patient(&owner);
        }
    }

    pub(crate) fn forget(&self, waiter: &Arc<Waiter>) {
        forget(&mut lock(&self.waiting).waiters, waiter);
    }

    pub(crate) fn watch_death(&self, to: SendOnceRight) {
        let late = {
            let mut waiting = lock(&self.waiting);
            if self.result.get().is_none() {
                waiting.watchers.push(to);
                None
            } else {
                Some(to)
            }
        };
        if late.is_none() {
            self.be_patient();
        }
        match (late, self.result.get()) {
            (Some(to), Some(Joined::Send(held))) => held.entry().watch_death(to),
            (Some(to), Some(Joined::Own(right))) => {
                let _ = right.notify_dead(to);
            }
            (Some(to), Some(Joined::Back)) => self.back_to_old(vec![to]),
            (Some(to), _) => to.notify(Notification::DeadName),
            (None, _) => {}
        }
    }

    /// Whether it is of a right whose port has gone elsewhere.
    pub(crate) fn follows_port(&self) -> bool {
        self.follow.is_some() || self.gone.get().is_some()
    }

    /// Tells `to` when there is room in the port that this right follows. Returns
    /// the right of an earlier request.
    #[must_use = "what was replaced speaks when it is dropped"]
    pub(crate) fn watch_room(&self, to: SendOnceRight, after: &mut After) -> Option<SendOnceRight> {
        {
            let mut waiting = lock(&self.waiting);
            if self.result.get().is_none() {
                return waiting.room.replace(to);
            }
        }
        self.hand_room_on(to, after);
        None
    }

    /// The right has followed: the question is the new owner's.
    fn hand_room_on(&self, to: SendOnceRight, after: &mut After) {
        match self.result.get() {
            Some(Joined::Send(held)) => {
                after.ask_for_room(SendRight::import(held.clone()), to);
            }
            Some(Joined::Own(right)) => after.ask_for_room(right.clone(), to),
            Some(Joined::Back) => match self.old_entry() {
                Some(entry) => after.let_go_of(entry.watch_room(to)),
                None => after.fire(to, Notification::DeadName),
            },
            Some(Joined::Once(..) | Joined::Dead) | None => {
                after.fire(to, Notification::DeadName);
            }
        }
    }

    pub(crate) fn watch_reply(&self, news: News, to: SendOnceRight, after: &mut After) {
        let mut waiting = lock(&self.waiting);
        waiting.reply.set(news, to, after);
        match self.result.get() {
            None => {}
            Some(Joined::Once(link, slot)) => {
                link.adopt_watch(*slot, std::mem::take(&mut waiting.reply), after);
            }
            Some(_) => {
                reply_died(std::mem::take(&mut waiting.reply), after);
            }
        }
    }

    pub(crate) fn unwatch_reply(&self, after: &mut After) {
        let mut waiting = lock(&self.waiting);
        std::mem::take(&mut waiting.reply).let_go(after);
        if let Some(Joined::Once(link, slot)) = self.result.get() {
            link.unwatch_reply(*slot, after);
        }
    }

    /// A send-once right ended before its owner was known: the owner hears of it
    /// when it is.
    pub(crate) fn notify_later(self: &Arc<Self>, what: Notification) {
        self.end_later(LastWord::Said(what));
    }

    /// The promise of a send-once right was given on before its owner was known.
    pub(super) fn was_given_on(self: &Arc<Self>) {
        self.end_later(LastWord::GivenOn);
    }

    fn end_later(self: &Arc<Self>, what: LastWord) {
        let mut waiting = lock(&self.waiting);
        if self.result.get().is_none() {
            waiting.last_word = Some(what);
            drop(waiting);
            // Nobody else holds it, and its word is to be said.
            self.task.keep_until_settled(Arc::clone(self));
            return;
        }
        drop(waiting);
        if let Some(Joined::Once(link, slot)) = self.result.get() {
            self.say_last_word(link, *slot, what);
        }
    }

    /// The end of a send-once right, said on the slot it turned out to be.
    fn say_last_word(&self, link: &Arc<Link>, slot: Slot, what: LastWord) {
        if !self.take_once() {
            return;
        }
        match what {
            LastWord::Said(Notification::SendOnceDropped) => link.say_dropped(slot),
            LastWord::Said(other) => link.say_notification(slot, other, 0),
            LastWord::GivenOn => link.let_go_of_given(slot),
        }
        link.let_go_once();
    }

    /// The link it was claimed on, once it was.
    pub(super) fn claimed(&self) -> Option<&Arc<Link>> {
        self.claimed.get()
    }

    fn note_claimed(&self, link: &Arc<Link>, after: &mut After) {
        if self.claimed.set(Arc::clone(link)).is_ok() {
            let mut waiting = lock(&self.waiting);
            for waiter in waiting.waiters.drain(..) {
                after.wake(waiter);
            }
            let is_watched = !waiting.watchers.is_empty();
            drop(waiting);
            if is_watched {
                self.be_patient();
            }
        }
    }
}

impl Join {
    /// One send right more in our space leads here.
    pub(crate) fn hold(&self) {
        // Relaxed: who lets go of the last one has seen the others.
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// One less. Its end is nothing to us after the last, though the claim may be
    /// open still.
    pub(crate) fn let_go(&self) {
        if self.held.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.forget_watchers();
        }
    }

    fn forget_watchers(&self) {
        let watchers = std::mem::take(&mut lock(&self.waiting).watchers);
        for to in watchers {
            to.notify(Notification::LetGo);
        }
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        // Rights to a port that went away are not counted.
        if self.task.check().is_ok() {
            self.forget_watchers();
        }
        if let Some(result) = self.result.take() {
            let_go_flat(result);
        }
    }
}

thread_local! {
    /// Rights that claims led to, while one such is being dropped.
    static LATER: RefCell<Option<Vec<Joined>>> = const { RefCell::new(None) };
}

/// Drops what a claim led to: a right whose port may have gone on, with a claim of its
/// own, and so on. One after the other: a long way would not find room on the stack.
fn let_go_flat(result: Joined) {
    let mut result = Some(result);
    let first = LATER.try_with(|later| match &mut *later.borrow_mut() {
        Some(list) => {
            list.extend(result.take());
            false
        }
        none => {
            *none = Some(Vec::new());
            true
        }
    });
    if !matches!(first, Ok(true)) {
        return;
    }
    while let Some(next) = result.take() {
        drop(next);
        result = LATER.with_borrow_mut(|later| later.as_mut().and_then(Vec::pop));
    }
    LATER.set(None);
}

/// The owner of a reply right is gone, or denies it.
fn reply_died(mut watch: Watch, after: &mut After) {
    watch.see(ReplyState::Gone(Gone::Died), after);
}

/// What was claimed, and the claim itself where it is kept.
type Claimed = (RightKind, Option<Arc<Join>>);

/// The claims of one link.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    open: HashMap<(TaskId, Ticket), Weak<Join>>,
    /// A right may be dropped while its claim is open; what it was stays known,
    /// so that the answer can be given back. The claim itself is kept where messages
    /// went before it: its owner may be dead, and they are to be sent again.
    kinds: HashMap<(TaskId, Ticket), Claimed>,
    waiting: VecDeque<Arc<Join>>,
    ended: bool,
}

impl Joins {
    pub(crate) fn fail_all(&mut self, after: &mut After) {
        self.ended = true;
        for (_, join) in self.open.drain() {
            if let Some(join) = join.upgrade() {
                join.fail(false, after);
            }
        }
        for join in self.waiting.drain(..) {
            join.fail(false, after);
        }
        for (_, kept) in std::mem::take(&mut self.kinds).into_values() {
            kept.into_iter().for_each(|join| after.let_join_go(join));
        }
    }
}

impl Link {
    /// Claims a right from its owner. At most [`limits::QUESTIONS`] claims are
    /// open; further ones wait for an answer to one of them.
    pub(crate) fn claim(self: &Arc<Self>, join: Arc<Join>, after: &mut After) {
        let mut joins = lock(&self.joins);
        if joins.ended || self.is_dead() {
            drop(joins);
            join.fail(false, after);
            return;
        }
        if joins.open.len() >= self.task.limits.questions as usize / 2 {
            // An owner that answers nothing must not make us remember all.
            if joins.waiting.len() >= limits::GIVES {
                drop(joins);
                join.fail(false, after);
            } else {
                joins.waiting.push_back(join);
            }
            return;
        }
        let key = (join.giver, join.ticket);
        if let Some(open) = joins.open.get_mut(&key)
            && join.follow().is_some()
            && open.strong_count() == 0
        {
            // The right that asked was let go while it followed its port, and came
            // anew: nothing was sent on it meanwhile, and the answer is for this one.
            *open = Arc::downgrade(&join);
            drop(joins);
            let _ = join.claims_with();
            join.note_claimed(self, after);
            return;
        }
        if joins.open.contains_key(&key) {
            // Two answers would come, and one of them to no question of ours.
            drop(joins);
            if let Some(giver) = self.task.link_with(join.giver) {
                giver.fault(Offence::TicketReused);
            }
            join.fail(false, after);
            return;
        }
        joins.kinds.insert(key, (join.kind, None));
        joins.open.insert(key, Arc::downgrade(&join));
        drop(joins);
        let no_slot = Slot { index: 0, generation: 0 };
        let header = Header { tag: join.ticket.0, ..Header::new(Kind::Claim, no_slot) };
        let mut words = join.giver.encode().to_vec();
        if let Some(sent) = join.claims_with() {
            words.extend_from_slice(&sent.to_le_bytes());
            if sent > 0
                && let Some((_, kept)) = lock(&self.joins).kinds.get_mut(&key)
            {
                *kept = Some(Arc::clone(&join));
            }
        }
        self.say(header, &words);
        if join.follows_port() {
            // The owner's threads may all be busy, and perhaps nobody waits here: whoever
            // looks at the right finds where it leads all the same.
            self.ring_awake();
        }
        join.note_claimed(self, after);
    }

    /// An answer to a claim has come: takes the claim, and sends the next.
    /// `None` for an answer to no question.
    pub(crate) fn claim_answered(
        self: &Arc<Self>,
        giver: TaskId,
        ticket: Ticket,
        after: &mut After,
    ) -> Option<(RightKind, Option<Arc<Join>>)> {
        let (answered, next) = {
            let mut joins = lock(&self.joins);
            let join = joins.open.remove(&(giver, ticket))?;
            let (kind, kept) = joins.kinds.remove(&(giver, ticket))?;
            ((kind, kept.or_else(|| join.upgrade())), joins.waiting.pop_front())
        };
        if let Some(next) = next {
            self.claim(next, after);
        }
        Some(answered)
    }

    pub(crate) fn open_claims(&self) -> usize {
        let joins = lock(&self.joins);
        joins.open.len() + joins.waiting.len()
    }
}
