//! Channels of values that are their own bytes: no length, no serde.
//!
//! The body of a message is exactly the bytes of one `T`. Any bytes of that many
//! are a `T` ([`FromBytes`]), and a `T` has no padding that could say what its
//! sender did not mean to say ([`IntoBytes`]). The bytes are in the order of
//! this machine.
//!
//! Derive the traits with the crate `zerocopy`, version 0.8, whose traits these
//! are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
pub use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Received, TypedOffence, TypedReceiveError};
use crate::deadline::Deadline;
use crate::error::{CallError, SendFailure, TaskError};
use crate::message::Message;
use crate::port::{PortOptions, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;

/// Makes a port for values of the size of `T` in the task of this process.
///
/// # Rights
/// Returns one send right and the receive right.
///
/// # Errors
/// As [`Task::current`].
///
/// # Blocking
/// As [`super::channel`].
///
/// # Examples
/// ```
/// use pillarbox::typed::fixed;
/// use pillarbox::{Capacity, Deadline};
/// let (sender, receiver) = fixed::channel::<[u64; 3]>(Capacity::Bounded(8))?;
/// sender.send([1, 2, 3], Deadline::Never)?;
/// assert_eq!(receiver.receive(Deadline::Never)?.value, [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<T>(options: impl Into<PortOptions>) -> Result<(Sender<T>, Receiver<T>), TaskError> {
    channel_in(&Task::current()?, options)
}

/// As [`channel`], in a task of the caller's choice.
///
/// # Rights
/// Returns one send right and the receive right, both of `task`.
///
/// # Errors
/// [`TaskError::Forked`] for a task of the process this one was forked from.
///
/// # Blocking
/// Never.
///
/// # Examples
/// ```
/// use pillarbox::typed::fixed;
/// use pillarbox::{Capacity, Task};
/// let task = Task::new();
/// let (sender, receiver) = fixed::channel_in::<u32>(&task, Capacity::Unbounded)?;
/// assert_eq!(sender.right().owner(), Some(task.id()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel_in<T>(
    task: &Task,
    options: impl Into<PortOptions>,
) -> Result<(Sender<T>, Receiver<T>), TaskError> {
    task.core.check()?;
    let receiver = Receiver::from_right(task.port(options));
    let sender = receiver.make_send().map_err(|_| TaskError::Forked)?;
    Ok((sender, receiver))
}

/// A value that was not sent, and why.
#[derive(thiserror::Error)]
#[error("{reason}")]
pub struct FixedSendError<T> {
    /// Why.
    pub reason: SendFailure,
    /// The value.
    pub value: T,
}

/// Why a call has no answer.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum FixedCallError<T> {
    /// The request was not sent; it is here.
    #[error("the request was not sent: {}", .0.reason)]
    Unsent(FixedSendError<T>),
    /// The request was sent, and no answer came before the deadline.
    #[error("no answer came before the deadline")]
    Deadline,
    /// The server dropped the reply right without using it.
    #[error("the server dropped the request without an answer")]
    Dropped,
    /// The task that held the reply right died before it answered.
    #[error("the server died before it answered")]
    Died,
    /// The call belongs to the process this one was forked from.
    #[error("the call belongs to the parent of this process")]
    Forked,
    /// The right did not permit the request when it arrived. Nothing was done.
    #[error("the right does not permit the request")]
    Refused,
    /// An answer came that has another size, or could not be read here.
    #[error("the answer cannot be read: {0}")]
    Answer(TypedReceiveError),
}

impl<T> fmt::Debug for FixedSendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedSendError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for FixedCallError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FixedCallError::Unsent(error) => f.debug_tuple("Unsent").field(error).finish(),
            FixedCallError::Deadline => f.write_str("Deadline"),
            FixedCallError::Dropped => f.write_str("Dropped"),
            FixedCallError::Died => f.write_str("Died"),
            FixedCallError::Forked => f.write_str("Forked"),
            FixedCallError::Refused => f.write_str("Refused"),
            FixedCallError::Answer(error) => f.debug_tuple("Answer").field(error).finish(),
        }
    }
}

fn read<T: FromBytes>(message: &Message) -> Result<T, TypedReceiveError> {
    let sender = message.sender();
    let fault = |offence| TypedReceiveError::Fault { offence, sender };
    if message.is_body_lost() {
        return Err(TypedReceiveError::BodyLost);
    }
    let left = message.rights().len() + message.descriptors().len();
    if left > 0 {
        return Err(fault(TypedOffence::RightsLeftOver(left)));
    }
    let (bytes, expected) = (message.body().len(), size_of::<T>());
    T::read_from_bytes(message.body())
        .map_err(|_| fault(TypedOffence::WrongSize { bytes, expected }))
}

/// A send right to a port of values of the size of `T`. A clone is a right of
/// its own.
///
/// # Examples
/// ```
/// use pillarbox::typed::fixed;
/// use pillarbox::{Capacity, Deadline, Task};
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// let sender = fixed::Sender::<u32>::from_right(inbox.make_send()?);
/// sender.send(0x0403_0201_u32.to_le(), Deadline::Never)?;
/// assert_eq!(inbox.receive(Deadline::Never)?.body(), [1, 2, 3, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sender<T> {
    right: SendRight,
    takes: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    /// Takes a send right to be one for values of the size of `T`: an
    /// allegation, as with [`super::Sender::from_right`].
    ///
    /// # Rights
    /// The right is the sender's from now on.
    pub fn from_right(right: SendRight) -> Self {
        Sender { right, takes: PhantomData }
    }

    /// The send right itself.
    ///
    /// # Rights
    /// Borrows it.
    pub fn right(&self) -> &SendRight {
        &self.right
    }

    /// The send right, without its type.
    ///
    /// # Rights
    /// Moves it.
    pub fn into_right(self) -> SendRight {
        self.right
    }
}

impl<T: IntoBytes + Immutable> Sender<T> {
    /// Sends the bytes of `value`.
    ///
    /// # Rights
    /// Borrows the send right. A value of bytes has no rights.
    ///
    /// # Errors
    /// On any error nothing was sent and the value comes back.
    ///
    /// # Blocking
    /// As [`SendRight::send`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::fixed;
    /// use pillarbox::{Capacity, Deadline, SendFailure};
    /// let (sender, receiver) = fixed::channel::<u16>(Capacity::Unbounded)?;
    /// drop(receiver);
    /// let error = sender.send(7, Deadline::Never).unwrap_err();
    /// assert_eq!((error.reason, error.value), (SendFailure::Dead, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&self, value: T, deadline: Deadline) -> Result<(), FixedSendError<T>> {
        let message = Message::new(value.as_bytes());
        self.right
            .send(message, deadline)
            .map_err(|error| FixedSendError { reason: error.reason, value })
    }

    /// Sends `request` with a reply right and waits for an answer of the size of
    /// `A`.
    ///
    /// # Rights
    /// Borrows the send right.
    ///
    /// # Errors
    /// See [`FixedCallError`].
    ///
    /// # Blocking
    /// As [`SendRight::call`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::fixed;
    /// use pillarbox::{Capacity, Deadline};
    /// let (sender, receiver) = fixed::channel::<u32>(Capacity::Bounded(1))?;
    /// std::thread::spawn(move || {
    ///     let mut request = receiver.receive(Deadline::Never).unwrap();
    ///     let wide = u64::from(request.value);
    ///     fixed::reply(&mut request, wide, Deadline::Never).unwrap();
    /// });
    /// let wide: u64 = sender.call(7, Deadline::Never)?;
    /// assert_eq!(wide, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call<A: FromBytes>(
        &self,
        request: T,
        deadline: Deadline,
    ) -> Result<A, FixedCallError<T>> {
        match self.right.call(Message::new(request.as_bytes()), deadline) {
            Ok(answer) => read(&answer).map_err(FixedCallError::Answer),
            Err(CallError::Unsent(error)) => {
                let reason = error.reason;
                Err(FixedCallError::Unsent(FixedSendError { reason, value: request }))
            }
            Err(CallError::Deadline | CallError::Withdrawn) => Err(FixedCallError::Deadline),
            Err(CallError::Dropped) => Err(FixedCallError::Dropped),
            Err(CallError::Died) => Err(FixedCallError::Died),
            Err(CallError::Forked) => Err(FixedCallError::Forked),
            Err(CallError::Refused) => Err(FixedCallError::Refused),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender::from_right(self.right.clone())
    }
}

impl<T> From<Sender<T>> for SendRight {
    fn from(sender: Sender<T>) -> Self {
        sender.right
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.right).finish()
    }
}

/// As for [`SendRight`]: a field of a value of [`super::channel`].
impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.right.serialize(serializer)
    }
}

/// As for [`SendRight`].
impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SendRight::deserialize(deserializer).map(Sender::from_right)
    }
}

/// The receive right of a port of values of the size of `T`. Dropping it ends
/// the port. See [`channel`] for an example.
pub struct Receiver<T> {
    right: ReceiveRight,
    gives: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    /// Takes a receive right to be one for values of the size of `T`.
    ///
    /// # Rights
    /// The right is the receiver's from now on.
    pub fn from_right(right: ReceiveRight) -> Self {
        Receiver { right, gives: PhantomData }
    }

    /// The receive right itself.
    ///
    /// # Rights
    /// Borrows it.
    pub fn right(&self) -> &ReceiveRight {
        &self.right
    }

    /// The receive right, without its type.
    ///
    /// # Rights
    /// Moves it.
    pub fn into_right(self) -> ReceiveRight {
        self.right
    }

    /// Makes a sender.
    ///
    /// # Rights
    /// Makes a send right.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Never.
    pub fn make_send(&self) -> Result<Sender<T>, SendFailure> {
        self.right.make_send().map(Sender::from_right)
    }
}

impl<T: FromBytes> Receiver<T> {
    /// Takes the next message, which must be the bytes of one `T` and carry no
    /// rights.
    ///
    /// # Rights
    /// The reply right, if there is one, is this task's.
    ///
    /// # Errors
    /// See [`TypedReceiveError`].
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::{TypedOffence, TypedReceiveError, fixed};
    /// use pillarbox::{Capacity, Deadline, Message};
    /// let (sender, receiver) = fixed::channel::<u32>(Capacity::Bounded(1))?;
    /// sender.right().send(Message::new([1, 2, 3]), Deadline::Never)?;
    /// let error = receiver.receive(Deadline::Never).unwrap_err();
    /// let offence = TypedOffence::WrongSize { bytes: 3, expected: 4 };
    /// assert!(matches!(error, TypedReceiveError::Fault { offence: it, .. } if it == offence));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive(&self, deadline: Deadline) -> Result<Received<T>, TypedReceiveError> {
        let message = self.right.receive(deadline)?;
        if let Some(what) = message.notification() {
            return Err(TypedReceiveError::Notification(what));
        }
        if let Some(pulse) = message.pulse() {
            return Err(TypedReceiveError::Pulse(pulse));
        }
        let value = read(&message)?;
        Ok(Received::new(value, message))
    }
}

impl<T> From<ReceiveRight> for Receiver<T> {
    fn from(right: ReceiveRight) -> Self {
        Receiver::from_right(right)
    }
}

impl<T> From<Receiver<T>> for ReceiveRight {
    fn from(receiver: Receiver<T>) -> Self {
        receiver.right
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.right).finish()
    }
}

/// Why a reply was not sent.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum FixedReplyError<A> {
    /// The message came without a reply right, or was answered already.
    #[error("the message asks for no reply")]
    NoReply(A),
    /// The reply was not sent; the answer is here, and the right is the
    /// message's again.
    #[error("the reply was not sent: {}", .0.reason)]
    Unsent(FixedSendError<A>),
}

impl<A> fmt::Debug for FixedReplyError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FixedReplyError::NoReply(_) => f.debug_tuple("NoReply").finish_non_exhaustive(),
            FixedReplyError::Unsent(error) => f.debug_tuple("Unsent").field(error).finish(),
        }
    }
}

/// Answers a message with the bytes of `answer`. See [`Sender::call`] for an
/// example.
///
/// # Rights
/// Uses up the reply right.
///
/// # Errors
/// See [`FixedReplyError`]. The answer comes back, and where the send failed the
/// reply right is still in `request`.
///
/// # Blocking
/// As [`crate::SendOnceRight::send`].
pub fn reply<T, A: IntoBytes + Immutable>(
    request: &mut Received<T>,
    answer: A,
    deadline: Deadline,
) -> Result<(), FixedReplyError<A>> {
    let Some(right) = request.reply.take() else {
        return Err(FixedReplyError::NoReply(answer));
    };
    right.send(Message::new(answer.as_bytes()), deadline).map_err(|error| {
        request.reply = Some(error.right);
        FixedReplyError::Unsent(FixedSendError { reason: error.reason, value: answer })
    })
}
