//! Answers, sent without waiting for anybody.
//!
//! A caller that reads nothing finds its answer dropped: the library tells it
//! so, and nobody waits for it. One thing may take a moment through no fault of
//! the caller's: a right that another task gave us is passed on only when we
//! are linked with its owner. Such an answer is kept aside for a while.

use std::time::{Duration, Instant};

use pillarbox::bootstrap::{Answer, Refused, encode_answer};
use pillarbox::{Deadline, Message, SendFailure, SendOnceRight};

use crate::limits::{ANSWER_PATIENCE, ANSWERS_WAITING};
use crate::step::{self, Step};

/// The first pause before an answer is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Kept {
    reply: SendOnceRight,
    message: Message,
    instead: Answer,
    next: Instant,
    pause: Duration,
    end: Instant,
}

/// Sends answers, and keeps those that must wait for an owner.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    kept: Vec<Kept>,
}

impl Answers {
    /// Sends an answer without rights.
    pub(crate) fn send(&self, reply: Option<SendOnceRight>, answer: &Answer) {
        if let Some(reply) = reply {
            step::before(Step::Answer);
            // No room: the reply right is dropped, and that tells the caller.
            let _ = reply.send(encode_answer(answer), at_once());
        }
    }

    /// Refuses.
    pub(crate) fn refuse(&self, reply: Option<SendOnceRight>, reason: Refused) {
        self.send(reply, &Answer::Refused(reason));
    }

    /// Sends an answer with rights in it. Where they cannot be given, because an
    /// owner does not listen, `instead` is sent.
    pub(crate) fn send_rights(
        &mut self,
        reply: Option<SendOnceRight>,
        message: Message,
        instead: Answer,
    ) {
        let Some(reply) = reply else { return };
        let now = Instant::now();
        let end = now + ANSWER_PATIENCE;
        self.try_send(Kept { reply, message, instead, next: now, pause: PAUSE, end }, now);
    }

    fn try_send(&mut self, answer: Kept, now: Instant) {
        let Kept { reply, message, instead, pause, end, .. } = answer;
        step::before(Step::Answer);
        let Err(error) = reply.send(message, at_once()) else { return };
        let unconfirmed = matches!(error.reason, SendFailure::NotJoined(_));
        if unconfirmed && now < end && self.kept.len() < ANSWERS_WAITING {
            self.kept.push(Kept {
                reply: error.right,
                message: *error.message,
                instead,
                next: now + pause,
                pause: pause * 2,
                end,
            });
        } else {
            self.send(Some(error.right), &instead);
        }
    }

    /// Tries what was kept.
    pub(crate) fn retry(&mut self, now: Instant) {
        let due: Vec<Kept> = self.kept.extract_if(.., |kept| kept.next <= now).collect();
        for kept in due {
            self.try_send(kept, now);
        }
    }

    /// When to try again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.kept.iter().map(|kept| kept.next).min()
    }
}

/// Tries once. [`Deadline::Now`] is not that: it may wait for the peer's word.
pub(crate) fn at_once() -> Deadline {
    Deadline::At(Instant::now())
}
