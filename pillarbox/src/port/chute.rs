//! The chute: what threads of our own task send to a port that is a plain queue.
//!
//! A message that is a body and nothing else, sent within its task, needs nothing of
//! the port but its order and a place. It goes down the chute: its sender holds one
//! short lock at the top, its receiver another at the bottom, and they meet when the
//! receiver has taken all it had. Who finds no place stands in line at the top; who
//! finds no message waits there, too, and is called by who brings one.
//!
//! `rights::chute` has the rules, `general.rs` opens it and shuts it, `standing.rs` is
//! about those who stand in line.
//!
//! Locks: the port's, then the bottom, then the top.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rights::chute::{Bottom, Contents, Refused, Top};

use super::PortCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::{Identity, Letter, Message};
use crate::wait::Waiter;
use crate::wait::parking::{Mutex, MutexGuard, lock};

/// Who stands in line: the number of its wait, and its thread.
pub(super) type Standing = (u64, Arc<Waiter>);

/// Everything and everybody in a chute.
pub(super) type InChute = Contents<Letter, Standing, Arc<Waiter>>;

/// The end where senders are.
type Upper = Top<Letter, Standing, Arc<Waiter>>;

/// A value on lines of the cache that nothing else dirties.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// The chute of one port.
///
/// | word     | written by       | says                                         |
/// |----------|------------------|----------------------------------------------|
/// | `sent`   | who holds top    | so many were put in                          |
/// | `taken`  | who holds bottom | so many were taken out, or somewhat more     |
/// | `stands` | who holds top    | somebody stands in line                      |
/// | `open`   | the general way  | whether it is worth a look                   |
///
/// All are hints, and relaxed: whoever acts on one looks again under its lock. Nobody
/// sleeps on a hint. Who waits for a message says so and looks under the top, where each
/// message is put in; who stands in line for a place does so under the bottom, where each
/// place is made. So one of the two is first, and the other sees it.
/// `shm/tests/loom_chute.rs` goes through all ways this may happen.
#[derive(Debug)]
pub(super) struct Chute {
    top: Apart<Mutex<Upper>>,
    sent: Apart<AtomicU64>,
    bottom: Apart<Mutex<Bottom<Letter>>>,
    taken: Apart<AtomicU64>,
    steady: Apart<Steady>,
}

/// What both ends read, and hardly ever changes.
#[derive(Debug)]
struct Steady {
    open: AtomicBool,
    stands: AtomicBool,
    sender: Identity,
}

/// Who is to be told once no lock is held: wakers are the user's code.
#[derive(Debug, Default)]
#[must_use = "whom this is about sleeps"]
struct Called {
    admitted: Vec<Standing>,
    receivers: Vec<Arc<Waiter>>,
}

impl Called {
    fn call(&mut self, top: &mut Upper) {
        self.receivers.extend(top.call(|waiter| waiter.is_told()));
    }

    fn tell(self) {
        for (_, waiter) in self.admitted {
            waiter.raise();
        }
        for waiter in self.receivers {
            waiter.raise();
        }
    }
}

/// What is to be counted in an open chute, beside what lies in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChuteCounts {
    /// The number of the last turn.
    pub(super) turns: u64,
    /// How many stand in line.
    pub(super) standing: usize,
    /// How many wait for a message.
    pub(super) waiting: usize,
}

/// What one finds who looks into a chute.
#[derive(Debug)]
pub(super) enum Look {
    /// A message, and the number of its turn.
    Taken((u64, Letter)),
    /// Nothing: it waits.
    Waits,
    /// The chute is shut, or what is first does not suit: the queue decides.
    Shut,
}

impl Chute {
    pub(super) fn new(sender: Identity) -> Self {
        Chute {
            top: Apart::default(),
            sent: Apart::default(),
            bottom: Apart::default(),
            taken: Apart::default(),
            steady: Apart(Steady {
                open: AtomicBool::new(false),
                stands: AtomicBool::new(false),
                sender,
            }),
        }
    }

    /// Whether something lies in it. A hint.
    #[inline]
    pub(super) fn stirs(&self) -> bool {
        self.sent.0.load(Ordering::Relaxed) != self.taken.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.steady.0.open.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> u64 {
        let bottom = lock(&self.bottom.0);
        lock(&self.top.0).sent() - bottom.taken()
    }

    /// What may be counted here, of a chute that is open.
    pub(super) fn counts(&self) -> ChuteCounts {
        let bottom = lock(&self.bottom.0);
        let top = lock(&self.top.0);
        ChuteCounts { turns: bottom.turns(), standing: top.standing(), waiting: top.waiting() }
    }

    // ---- senders ---------------------------------------------------------

    /// Puts the body of a message in, where there is a place by what was announced. On a
    /// failure the message is as it was.
    #[inline]
    pub(super) fn post(&self, message: &mut Message) -> Result<(), Refused> {
        let mut top = lock(&self.top.0);
        top.post(|| self.taken.0.load(Ordering::Relaxed), || Letter::of(message))?;
        self.posted(top);
        Ok(())
    }

    /// The same, where there is one.
    #[cold]
    pub(super) fn post_exactly(&self, message: &mut Message) -> Result<(), Refused> {
        let bottom = lock(&self.bottom.0);
        let mut top = lock(&self.top.0);
        top.post(|| bottom.taken(), || Letter::of(message))?;
        drop(bottom);
        self.posted(top);
        Ok(())
    }

    #[inline]
    fn posted(&self, mut top: MutexGuard<'_, Upper>) {
        self.sent.0.store(top.sent(), Ordering::Relaxed);
        let called = top.call(|waiter| waiter.is_told());
        drop(top);
        if let Some(waiter) = called {
            waiter.raise();
        }
    }

    /// Stands in line with it, where there is still no place.
    pub(super) fn stand(
        &self,
        key: u64,
        waiter: &Arc<Waiter>,
        message: &mut Message,
    ) -> Result<(), Refused> {
        let called = {
            // Who takes next sees us, and who took before is counted.
            let bottom = lock(&self.bottom.0);
            let mut top = lock(&self.top.0);
            if !top.is_open() {
                return Err(Refused::Shut);
            }
            top.stand((key, Arc::clone(waiter)), Letter::of(message));
            self.steady.0.stands.store(true, Ordering::Relaxed);
            self.admit(&bottom, &mut top)
        };
        called.tell();
        Ok(())
    }

    /// Lets in who stands in line, as far as there are places.
    fn admit(&self, bottom: &Bottom<Letter>, top: &mut Upper) -> Called {
        let mut called = Called::default();
        while let Some(admitted) = top.admit(|| bottom.taken()) {
            called.admitted.push(admitted);
            called.call(top);
        }
        self.sent.0.store(top.sent(), Ordering::Relaxed);
        self.steady.0.stands.store(top.has_line(), Ordering::Relaxed);
        called
    }

    pub(super) fn stands(&self, key: u64) -> bool {
        lock(&self.top.0).stands(|(one, _)| *one == key)
    }

    /// Leaves the line, if it still stands there.
    pub(super) fn leave(&self, key: u64) -> Option<Message> {
        let letter = lock(&self.top.0).leave(|(one, _)| *one == key)?;
        Some(self.queued(letter))
    }

    // ---- receivers -------------------------------------------------------

    /// Takes what is first, with the number of its turn.
    #[inline(always)]
    pub(super) fn take(&self) -> Option<(u64, Letter)> {
        let mut bottom = lock(&self.bottom.0);
        if bottom.is_empty() {
            if !self.stirs() {
                return None;
            }
            bottom.refill(&mut lock(&self.top.0));
        }
        let first = bottom.take()?;
        if self.count_taken(&mut bottom) {
            self.let_in(bottom);
        } else {
            drop(bottom);
        }
        Some(first)
    }

    /// Says how many were taken. Returns whether somebody stands in line for a place.
    #[inline]
    fn count_taken(&self, bottom: &mut Bottom<Letter>) -> bool {
        if let Some(taken) = bottom.announce() {
            self.taken.0.store(taken, Ordering::Relaxed);
        }
        self.steady.0.stands.load(Ordering::Relaxed)
    }

    /// Lets in who stands in line: nobody does beside a free place while the bottom is
    /// let go.
    #[cold]
    fn let_in(&self, bottom: MutexGuard<'_, Bottom<Letter>>) {
        let called = self.admit(&bottom, &mut lock(&self.top.0));
        drop(bottom);
        called.tell();
    }

    /// The message it is to who receives it.
    #[inline]
    pub(super) fn received(&self, (sequence, letter): (u64, Letter)) -> Message {
        letter.into_message(self.steady.0.sender, sequence)
    }

    /// Takes the first message, if it `suits`, or waits for one. `waiting` says whether
    /// this one waited before.
    pub(super) fn look(
        &self,
        suits: impl Fn(&Letter) -> bool,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Look {
        let is_me = |one: &Arc<Waiter>| Arc::ptr_eq(one, waiter);
        let mut called = Called::default();
        let first = {
            let mut bottom = lock(&self.bottom.0);
            let mut top = lock(&self.top.0);
            if !top.is_open() {
                return Look::Shut;
            }
            bottom.refill(&mut top);
            match bottom.first() {
                None => {
                    top.wait(Arc::clone(waiter), is_me, *waiting);
                    *waiting = true;
                    return Look::Waits;
                }
                Some(first) if !suits(first) => return Look::Shut,
                Some(_) => {}
            }
            let first = bottom.take();
            if self.count_taken(&mut bottom) {
                called = self.admit(&bottom, &mut top);
            }
            if std::mem::take(waiting) {
                top.go(is_me);
                self.pass_on(&bottom, &mut top, &mut called);
            }
            first
        };
        called.tell();
        first.map_or(Look::Shut, Look::Taken)
    }

    /// Who waited does so no more: if there are messages, the next is called for them.
    fn pass_on(&self, bottom: &Bottom<Letter>, top: &mut Upper, called: &mut Called) {
        if top.sent() != bottom.taken() {
            called.call(top);
        }
    }

    /// Waits no more. False where the chute is shut, and it may wait at the queue.
    pub(super) fn go(&self, waiter: &Arc<Waiter>) -> bool {
        let mut called = Called::default();
        {
            let bottom = lock(&self.bottom.0);
            let mut top = lock(&self.top.0);
            if !top.is_open() {
                return false;
            }
            top.go(|one| Arc::ptr_eq(one, waiter));
            self.pass_on(&bottom, &mut top, &mut called);
        }
        called.tell();
        true
    }

    // ---- by the general way ----------------------------------------------

    /// Opens it, with what was in the queue.
    pub(super) fn open(&self, places: u64, contents: InChute) {
        let has_line = !contents.line.is_empty();
        let mut bottom = lock(&self.bottom.0);
        let mut top = lock(&self.top.0);
        bottom.open(&mut top, places, contents);
        self.sent.0.store(top.sent(), Ordering::Relaxed);
        self.steady.0.stands.store(has_line, Ordering::Relaxed);
        self.steady.0.open.store(true, Ordering::Relaxed);
    }

    /// Shuts it.
    pub(super) fn shut(&self) -> InChute {
        let mut bottom = lock(&self.bottom.0);
        let mut top = lock(&self.top.0);
        let contents = bottom.shut(&mut top);
        self.steady.0.open.store(false, Ordering::Relaxed);
        self.steady.0.stands.store(false, Ordering::Relaxed);
        self.taken.0.store(bottom.taken(), Ordering::Relaxed);
        contents
    }

    /// What lies in it as it lies in the queue.
    pub(super) fn queued(&self, letter: Letter) -> Message {
        letter.into_message(self.steady.0.sender, 0)
    }

    /// Whether a message in the queue may lie in it.
    pub(super) fn suits(&self, message: &Message) -> bool {
        message.is_letter()
            && message.sender == Some(self.steady.0.sender)
            && message.badge.is_none()
    }
}

impl PortCore {
    /// Sends a message of our own task down the chute. `None` where the general way is
    /// to be taken, with nothing done. On a failure the message is as it was.
    #[inline]
    pub(crate) fn post(
        &self,
        message: &mut Message,
        deadline: Deadline,
    ) -> Option<Result<(), SendFailure>> {
        let chute = self.state.open_chute()?;
        let may = self.task.check().is_ok()
            && message.is_letter()
            && message.body_len() as u64 <= self.task.limits.message_bytes;
        if !may {
            return None;
        }
        match chute.post(message) {
            Ok(()) => {}
            Err(Refused::Shut) => return None,
            Err(Refused::Full) if deadline == Deadline::Now => match chute.post_exactly(message) {
                Ok(()) => {}
                Err(Refused::Shut) => return None,
                Err(Refused::Full) => return Some(Err(SendFailure::Full)),
            },
            Err(Refused::Full) => return self.post_later(chute, message, deadline),
        }
        if self.task.is_polled() {
            self.task.tell_pollers();
        }
        Some(Ok(()))
    }

    /// Takes what came down the chute.
    #[inline]
    pub(super) fn take_posted(&self) -> Option<Message> {
        let chute = self.state.open_chute()?;
        chute.take().map(|first| chute.received(first))
    }
}
