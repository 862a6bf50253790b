//! What is answered once: send-once rights that know a type, and values that
//! came with one.

use std::marker::PhantomData;

use serde::Serialize;

use super::carry::pack;
use super::error::{TypedReplyError, TypedSendError, TypedSendOnceError};
use super::leaving::Leaving;
use super::right::of_right;
use crate::deadline::Deadline;
use crate::message::Message;
use crate::right::SendOnceRight;

/// A send-once right to a port or a caller that waits for a `T`.
///
/// Dropping it tells who waits. In a value it moves in a [`super::Carry`].
///
/// # Examples
/// ```
/// use pillarbox::typed::{Carry, SenderOnce};
/// use pillarbox::{Capacity, Deadline, channel};
///
/// let (sender, receiver) = channel::<Carry<SenderOnce<String>>>(Capacity::Bounded(1))?;
/// let (_, answers) = channel::<String>(Capacity::Bounded(1))?;
/// sender.send(Carry::new(answers.make_send_once()?), Deadline::Never)?;
///
/// let once = receiver.receive(Deadline::Never)?.value.into_inner().ok_or("empty")?;
/// once.send("done".into(), Deadline::Never)?;
/// assert_eq!(answers.receive(Deadline::Never)?.value, "done");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SenderOnce<T> {
    right: SendOnceRight,
    takes: PhantomData<fn(T)>,
}

impl<T> SenderOnce<T> {
    /// Takes a send-once right to be one for a value of type `T`: an allegation,
    /// as with [`super::Sender::new`].
    ///
    /// # Rights
    /// The right is the sender's from now on.
    pub fn new(right: SendOnceRight) -> Self {
        SenderOnce { right, takes: PhantomData }
    }
}

of_right!(SenderOnce, SendOnceRight);

impl<T: Serialize> SenderOnce<T> {
    /// Sends `value` and uses the right up.
    ///
    /// # Rights
    /// Consumes the right; the rights in the value go as with [`super::Sender::send`].
    ///
    /// # Errors
    /// On any error nothing was sent; the value and the unused right come back.
    ///
    /// # Blocking
    /// As [`SendOnceRight::send`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, channel};
    /// let (_, receiver) = channel::<&'static str>(Capacity::Bounded(1))?;
    /// receiver.make_send_once()?.send("once", Deadline::Never)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(self, value: T, deadline: Deadline) -> Result<(), TypedSendOnceError<T>> {
        let (message, leaving) = match Leaving::pack(value, pack) {
            Ok(packed) => packed,
            Err(error) => return Err(error.on(self)),
        };
        self.right.send(message, deadline).map_err(|mut error| {
            let unsent = leaving.unsent(error.reason, &mut error.message);
            unsent.on(SenderOnce::new(error.right))
        })
    }
}

/// A value that was received, and what came with it.
///
/// # Rights
/// Dropped with its reply right, it tells the caller that there will be no
/// answer.
///
/// # Examples
/// ```
/// use pillarbox::typed::{Received, SenderOnce};
/// use pillarbox::{Capacity, Deadline, channel};
///
/// let (sender, receiver) = channel::<u8>(Capacity::Bounded(1))?;
/// sender.send(1, Deadline::Never)?;
/// let Received { value, reply, .. } = receiver.receive(Deadline::Never)?;
/// assert_eq!((value, reply.is_none()), (1, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Received<T> {
    /// The value.
    pub value: T,
    /// Who sent it: the kernel's word.
    pub sender: Option<crate::message::Identity>,
    /// Which message of its port this was, counted from 1.
    pub sequence: u64,
    /// Where the answer goes, if the sender waits for one.
    pub reply: Option<SendOnceRight>,
}

impl<T> Received<T> {
    pub(super) fn new(value: T, mut message: Message) -> Self {
        Received {
            value,
            sender: message.sender(),
            sequence: message.sequence(),
            reply: message.take_reply(),
        }
    }

    /// Answers the message. It can be answered once.
    ///
    /// # Rights
    /// Uses up the reply right; the rights in the answer go as with
    /// [`super::Sender::send`].
    ///
    /// # Errors
    /// See [`TypedReplyError`]. The answer comes back, and where the send failed
    /// the reply right is still here.
    ///
    /// # Blocking
    /// As [`SendOnceRight::send`].
    ///
    /// # Examples
    /// See [`super::Sender::call`].
    pub fn reply<A: Serialize>(
        &mut self,
        answer: A,
        deadline: Deadline,
    ) -> Result<(), TypedReplyError<A>> {
        let Some(right) = self.reply.take() else {
            return Err(TypedReplyError::NoReply(answer));
        };
        SenderOnce::new(right).send(answer, deadline).map_err(|error| {
            let TypedSendOnceError { reason, value, right } = error;
            self.reply = Some(right.into_right());
            TypedReplyError::Unsent(TypedSendError { reason, value })
        })
    }
}
