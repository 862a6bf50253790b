//! Channels of values that are their own bytes: no length, no serde.
//!
//! The body of a message is exactly the bytes of one `T`. Any bytes of that many
//! are a `T` ([`FromBytes`]), and a `T` has no padding that could say what its
//! sender did not mean to say ([`IntoBytes`]). The bytes are in the order of
//! this machine.
//!
//! Derive the traits with the crate `zerocopy`, version 0.8, whose traits these
//! are.

mod future;

use std::marker::PhantomData;

pub use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::right::{of_receive_right, of_send_right};
use super::{
    Received, TypedCallError, TypedOffence, TypedReceiveError, TypedReplyError, TypedSendError,
};
use crate::deadline::Deadline;
use crate::error::{SendFailure, TaskError};
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
/// assert_eq!(sender.right().owner(), Some(task.identity().task));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel_in<T>(
    task: &Task,
    options: impl Into<PortOptions>,
) -> Result<(Sender<T>, Receiver<T>), TaskError> {
    let (send, receive) = super::channel::rights_in(task, options)?;
    Ok((Sender::new(send), Receiver::new(receive)))
}

/// A value that was not sent, and why.
pub type FixedSendError<T> = TypedSendError<T, SendFailure>;

/// Why a call has no answer.
pub type FixedCallError<T> = TypedCallError<T, SendFailure>;

/// Why a reply was not sent.
pub type FixedReplyError<A> = TypedReplyError<A, SendFailure>;

fn received<T: FromBytes>(message: Message) -> Result<Received<T>, TypedReceiveError> {
    TypedReceiveError::instead(&message)?;
    let value = read(&message)?;
    Ok(Received::new(value, message))
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
/// let sender = fixed::Sender::<u32>::new(inbox.make_send()?);
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
    /// allegation, as with [`super::Sender::new`].
    ///
    /// # Rights
    /// The right is the sender's from now on.
    pub fn new(right: SendRight) -> Self {
        Sender { right, takes: PhantomData }
    }
}

of_send_right!(Sender);

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
            Err(error) => Err(FixedCallError::of_call(error, request, |_| ())),
        }
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
    pub fn new(right: ReceiveRight) -> Self {
        Receiver { right, gives: PhantomData }
    }
}

of_receive_right!(Receiver);

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
        received(self.right.receive(deadline)?)
    }
}

pub use self::future::reply_async;

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
