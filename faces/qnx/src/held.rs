//! A thread of a client, and its request from receipt to reply.
//!
//! A thread waits for one reply at a time, so its number serves for all its requests,
//! one after the other. The number outlives the reply: what a server kept of a client
//! it may still send events to.
//!
//! | who                       | does                                          |
//! |---------------------------|-----------------------------------------------|
//! | a receiver                | puts the request in                           |
//! | who replies               | takes it out; there is none from then on      |
//! | a client that would leave | marks the request it means, and no other      |
//!
//! All three are done under one lock. So a mark is gone in the step that takes the
//! request out, and never falls on the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pillarbox::{Deadline, Message, ReplyState, hold_in_wait};

use crate::codes::{EFAULT, ESRCH, Errno, mi};
use crate::letter::{Info, Outcome};

/// How long a reply waits for room where its client reads nothing.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// One thread of a client.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) rcvid: i32,
    pub(crate) scoid: u16,
    pub(crate) chid: i32,
    state: Mutex<Holding>,
}

#[derive(Debug, Default)]
struct Holding {
    request: Option<Message>,
    /// The number of the last request.
    number: Option<u32>,
    /// A request that its client has left before it was received.
    left: Option<u32>,
    /// A request whose time is over as soon as it is received, and why.
    late: Option<(u32, i32)>,
    /// The server was told that the client would leave.
    told: bool,
    /// Parts of the reply were written.
    written: bool,
    info: Info,
}

/// How far the server is with a request that its client would leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// It has not been received: the client may go.
    Queued,
    /// It has been received, and its server is to be told, now.
    Tell,
    /// It has been received.
    Received,
}

/// What is over when a client would leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// Its time to wait for a receiver.
    pub(crate) send: bool,
    /// Its time to wait for the reply.
    pub(crate) reply: bool,
    /// As what.
    pub(crate) error: i32,
}

/// What becomes of a request that a receiver has taken from the queue.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Its server has it.
    Held,
    /// Its server has it, and is to be told that the client would leave.
    HeldAndTell,
    /// Nobody waits for it any more.
    Nobody(Box<Message>),
}

impl Held {
    pub(crate) fn new(rcvid: i32, scoid: u16, chid: i32) -> Self {
        Held { rcvid, scoid, chid, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Holding> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receiver has taken a request of the thread's from the queue. Returns with what
    /// was there before it: its client has forgotten that.
    pub(crate) fn put(
        &self,
        number: u32,
        mut request: Message,
        info: Info,
        unblocks: bool,
    ) -> (Taken, Option<Message>) {
        let mut holding = self.lock();
        let gone = request.reply_right().is_none_or(|reply| reply.state().is_gone());
        if gone || holding.left == Some(number) {
            return (Taken::Nobody(Box::new(request)), None);
        }
        let late = holding.late.take().filter(|(late, _)| *late == number);
        if let (Some((_, error)), false) = (late, unblocks) {
            // The client goes as soon as it is received. What it asked goes on.
            let _ = request.reply(Outcome::Error(error).with_body(Vec::new()), Deadline::Now);
        }
        let tells = late.is_some() && unblocks;
        let before = holding.request.replace(request);
        (holding.number, holding.told, holding.written) = (Some(number), tells, false);
        holding.info = info;
        (if tells { Taken::HeldAndTell } else { Taken::Held }, before)
    }

    /// The bytes of the request go somewhere.
    pub(crate) fn deliver(&self, to: impl FnOnce(&[u8]) -> Option<usize>) -> Option<usize> {
        let mut holding = self.lock();
        let bytes = holding.request.as_ref().map_or(&[][..], |request| request.body());
        let sent = bytes.len();
        let received = to(bytes)?;
        (holding.info.received, holding.info.sent) = (received as u64, sent as u64);
        Some(received)
    }

    /// The client would leave this request.
    pub(crate) fn withdraw(&self, number: u32, over: Over, unblocks: bool) -> Where {
        let mut holding = self.lock();
        if holding.number != Some(number) {
            if over.send {
                holding.left = Some(number);
            } else {
                holding.late = Some((number, over.error));
            }
            return Where::Queued;
        }
        if holding.request.is_some() && over.reply && unblocks && !holding.told {
            holding.told = true;
            return Where::Tell;
        }
        Where::Received
    }

    /// The client is gone with all that it waited for. Returns whether the server is to
    /// be told.
    pub(crate) fn client_goes(&self, unblocks: bool) -> bool {
        let mut holding = self.lock();
        let tells = holding.request.is_some() && unblocks && !holding.told;
        holding.told |= tells;
        tells
    }

    /// Whether the server has a request of the thread's that it did not answer.
    pub(crate) fn waits(&self) -> bool {
        self.lock().request.is_some()
    }

    /// What is known of the last request, and of this one whether its client would leave.
    pub(crate) fn info(&self) -> Info {
        let holding = self.lock();
        let asked = holding.request.as_ref().is_some_and(|request| {
            let state = request.reply_right().map(|reply| reply.state());
            holding.told || state == Some(ReplyState::Asked)
        });
        let flags = mi::BITS_64 | if asked { mi::UNBLOCK_REQ } else { 0 };
        Info { flags, ..holding.info }
    }

    /// Copies bytes of the request, from `offset` on.
    pub(crate) fn read(
        &self,
        offset: usize,
        to: impl FnOnce(&[u8]) -> Option<usize>,
    ) -> Result<usize, Errno> {
        let holding = self.lock();
        let request = holding.request.as_ref().ok_or(ESRCH)?;
        if request.reply_right().is_none_or(|reply| reply.state().is_gone()) {
            return Err(ESRCH);
        }
        to(request.body().get(offset..).unwrap_or_default()).ok_or(EFAULT)
    }

    /// Writes bytes of the reply, at `offset`, as far as there is room.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let mut holding = self.lock();
        let room = holding.info.room.saturating_sub(offset);
        let bytes = bytes.get(..usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
        let bytes = bytes.unwrap_or_default();
        let reply = holding.request.as_mut().and_then(Message::reply_right_mut).ok_or(ESRCH)?;
        if reply.state().is_gone() {
            return Err(ESRCH);
        }
        if !bytes.is_empty() {
            // The lock is let go in any case, also where it is jumped over.
            let (held, written) = hold_in_wait(holding, drop, |holding| {
                let reply = holding.request.as_mut().and_then(Message::reply_right_mut);
                reply?.write_at(offset, bytes, Deadline::after(PATIENCE)).ok()
            });
            holding = held;
            written.ok_or(ESRCH)?;
            holding.written = true;
        }
        Ok(bytes.len())
    }

    /// How many bytes of a reply go.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.lock().info.room).unwrap_or(usize::MAX)
    }

    /// Answers the request. Says also whether the server had been told that its client
    /// would leave.
    pub(crate) fn answer(&self, outcome: Outcome, mut body: Vec<u8>) -> (Result<(), Errno>, bool) {
        let (request, told, written) = {
            let mut holding = self.lock();
            let Some(request) = holding.request.take() else { return (Err(ESRCH), false) };
            body.truncate(usize::try_from(holding.info.room).unwrap_or(usize::MAX));
            (request, std::mem::take(&mut holding.told), holding.written)
        };
        let soon = Deadline::after(PATIENCE);
        let (_, sent) = hold_in_wait((request, body), drop, |(request, body)| {
            if written && !body.is_empty() && matches!(outcome, Outcome::Status(_)) {
                // What was written before lies where the reply goes, and behind it.
                if let Some(reply) = request.reply_right_mut() {
                    let _ = reply.write_at(0, body, soon);
                }
                body.clear();
            }
            request.reply(outcome.with_body(std::mem::take(body)), soon)
        });
        (sent.map_err(|_| ESRCH), told)
    }

    /// Takes the request out, to be dropped where no lock is held.
    pub(crate) fn forget(&self) -> Option<Message> {
        self.lock().request.take()
    }
}
