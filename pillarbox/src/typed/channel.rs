//! Send rights and receive rights that know a type.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::carry::{pack, unpack};
use super::error::{TypedCallError, TypedReceiveError, TypedSendError};
use super::leaving::Leaving;
use super::once::{Received, SenderOnce};
use super::right::{of_receive_right, of_send_right};
use crate::deadline::Deadline;
use crate::error::{SendFailure, TaskError};
use crate::message::Message;
use crate::port::{PortOptions, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;

/// Makes a port for values of type `T` in the task of this process.
///
/// # Rights
/// Returns one send right and the receive right.
///
/// # Errors
/// As [`Task::current`].
///
/// # Blocking
/// Never, but for the first [`Task::current`] of a process.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, channel};
/// let (sender, receiver) = channel::<(u8, String)>(Capacity::Bounded(4))?;
/// sender.send((1, "one".into()), Deadline::Never)?;
/// assert_eq!(receiver.receive(Deadline::Never)?.value, (1, "one".into()));
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
/// use pillarbox::{Capacity, Task, typed};
/// let task = Task::new();
/// let (sender, receiver) = typed::channel_in::<u8>(&task, Capacity::Unbounded)?;
/// assert_eq!(sender.right().owner(), Some(task.identity().task));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel_in<T>(
    task: &Task,
    options: impl Into<PortOptions>,
) -> Result<(Sender<T>, Receiver<T>), TaskError> {
    let (send, receive) = rights_in(task, options)?;
    Ok((Sender::new(send), Receiver::new(receive)))
}

/// A port's first send right, and its receive right.
pub(super) fn rights_in(
    task: &Task,
    options: impl Into<PortOptions>,
) -> Result<(SendRight, ReceiveRight), TaskError> {
    task.core.check()?;
    let receive = task.port(options);
    let send = receive.make_send().map_err(|_| TaskError::Forked)?;
    Ok((send, receive))
}

/// A send right to a port of values of type `T`. A clone is a right of its own.
///
/// It may be a field of a value that is sent, and is copied then.
///
/// # Examples
/// ```
/// use pillarbox::typed::Sender;
/// use pillarbox::{Capacity, Deadline, channel};
///
/// // Whoever gets this can send us numbers.
/// let (offers, inbox) = channel::<Sender<u64>>(Capacity::Bounded(1))?;
/// let (sender, numbers) = channel::<u64>(Capacity::Bounded(1))?;
/// offers.send(sender, Deadline::Never)?;
///
/// let sender = inbox.receive(Deadline::Never)?.value;
/// sender.send(7, Deadline::Never)?;
/// assert_eq!(numbers.receive(Deadline::Never)?.value, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sender<T> {
    right: SendRight,
    takes: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    /// Takes a send right to be one for values of type `T`.
    ///
    /// That is an allegation: nothing is checked here, and where it is wrong the
    /// receiver blames this task.
    ///
    /// # Rights
    /// The right is the sender's from now on.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::{Receiver, Sender};
    /// use pillarbox::{Capacity, Deadline, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(1));
    /// let sender = Sender::<u32>::new(inbox.make_send()?);
    /// sender.send(7, Deadline::Never)?;
    /// // The receiver has the last word.
    /// let receiver = Receiver::<String>::new(inbox);
    /// assert!(receiver.receive(Deadline::Never).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(right: SendRight) -> Self {
        Sender { right, takes: PhantomData }
    }
}

of_send_right!(Sender);

impl<T: Serialize> Sender<T> {
    /// Sends `value` and gives away every right in it.
    ///
    /// # Rights
    /// Send rights in the value are copied into the message, and the value's own
    /// are dropped with it; what is in a [`super::Carry`] moves. On an error
    /// nothing has left the value.
    ///
    /// # Errors
    /// On any error nothing was sent and the value comes back whole. See
    /// [`super::TypedSendFailure`].
    ///
    /// # Blocking
    /// As [`SendRight::send`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, SendFailure, channel};
    /// let (sender, receiver) = channel::<String>(Capacity::Bounded(1))?;
    /// sender.send("first".into(), Deadline::Now)?;
    /// let error = sender.send("second".into(), Deadline::Now).unwrap_err();
    /// assert_eq!(error.reason, SendFailure::Full.into());
    /// assert_eq!(error.value, "second");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&self, value: T, deadline: Deadline) -> Result<(), TypedSendError<T>> {
        let (message, leaving) = Leaving::pack(value, pack)?;
        self.right
            .send(message, deadline)
            .map_err(|mut error| leaving.unsent(error.reason, &mut error.message))
    }

    /// Sends `request` with a reply right and waits for an answer of type `A`.
    ///
    /// # Rights
    /// As [`Sender::send`]; the rights in the answer are this task's.
    ///
    /// # Errors
    /// See [`TypedCallError`]. An answer that is no `A` blames the server.
    ///
    /// # Blocking
    /// As [`SendRight::call`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, channel};
    /// let (sender, receiver) = channel::<u32>(Capacity::Bounded(1))?;
    /// std::thread::spawn(move || {
    ///     let mut request = receiver.receive(Deadline::Never).unwrap();
    ///     let twice = request.value * 2;
    ///     request.reply(twice, Deadline::Never).unwrap();
    /// });
    /// let twice: u32 = sender.call(21, Deadline::Never)?;
    /// assert_eq!(twice, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call<A: DeserializeOwned>(
        &self,
        request: T,
        deadline: Deadline,
    ) -> Result<A, TypedCallError<T>> {
        let (message, leaving) = Leaving::pack(request, pack).map_err(TypedCallError::Unsent)?;
        match self.right.call(message, deadline) {
            Ok(mut answer) => unpack(&mut answer).map_err(TypedCallError::Answer),
            Err(error) => Err(leaving.unanswered(error)),
        }
    }
}

/// The receive right of a port of values of type `T`. Dropping it ends the
/// port.
///
/// # Examples
/// ```
/// use pillarbox::typed::Receiver;
/// use pillarbox::{Capacity, Deadline, Task};
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// let receiver = Receiver::<u64>::new(inbox);
/// receiver.make_send()?.send(3, Deadline::Never)?;
/// assert_eq!(receiver.receive(Deadline::Never)?.value, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receiver<T> {
    right: ReceiveRight,
    gives: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    /// Takes a receive right to be one for values of type `T`. Messages that
    /// are none are errors of [`Receiver::receive`].
    ///
    /// # Rights
    /// The right is the receiver's from now on.
    pub fn new(right: ReceiveRight) -> Self {
        Receiver { right, gives: PhantomData }
    }

    /// Makes a sender for one value. If it is dropped unused,
    /// [`Receiver::receive`] tells so, with [`TypedReceiveError::Notification`].
    ///
    /// # Rights
    /// Makes a send-once right.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Never.
    pub fn make_send_once(&self) -> Result<SenderOnce<T>, SendFailure> {
        self.right.make_send_once().map(SenderOnce::new)
    }
}

of_receive_right!(Receiver);

impl<T: DeserializeOwned> Receiver<T> {
    /// Takes the next message and reads it as a `T`.
    ///
    /// # Rights
    /// The rights in the value, and the reply right, are this task's.
    ///
    /// # Errors
    /// See [`TypedReceiveError`]. After any but
    /// [`TypedReceiveError::Receive`] a message was used up, its rights are
    /// released, and the next call takes the next message.
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::{TypedOffence, TypedReceiveError};
    /// use pillarbox::{Capacity, Deadline, Message, channel};
    ///
    /// let (sender, receiver) = channel::<bool>(Capacity::Bounded(1))?;
    /// sender.right().send(Message::new([2]), Deadline::Never)?;
    /// let error = receiver.receive(Deadline::Never).unwrap_err();
    /// let TypedReceiveError::Fault { offence, sender } = error else { panic!("{error}") };
    /// assert_eq!(offence, TypedOffence::NotTrueOrFalse(2));
    /// assert_eq!(sender.map(|it| it.pid as u32), Some(std::process::id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive(&self, deadline: Deadline) -> Result<Received<T>, TypedReceiveError> {
        read(self.right.receive(deadline)?)
    }

    /// Takes the first message of which `wanted` says so, and reads it as a `T`.
    /// The others stay as they are. `wanted` sees the message before it is read:
    /// its id, tag and sender; its body is what the sender wrote.
    ///
    /// # Rights
    /// As [`Receiver::receive`].
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive_where`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, channel};
    ///
    /// let (sender, receiver) = channel::<bool>(Capacity::Bounded(2))?;
    /// sender.right().send(Message::new([0]).with_tag(1), Deadline::Never)?;
    /// sender.right().send(Message::new([1]).with_tag(2), Deadline::Never)?;
    /// let second = receiver.receive_where(|message| message.tag() == 2, Deadline::Never)?;
    /// assert!(second.value);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_where(
        &self,
        wanted: impl FnMut(&Message) -> bool,
        deadline: Deadline,
    ) -> Result<Received<T>, TypedReceiveError> {
        read(self.right.receive_where(wanted, deadline)?)
    }
}

/// Reads a message that was received.
pub(super) fn read<T: DeserializeOwned>(
    mut message: Message,
) -> Result<Received<T>, TypedReceiveError> {
    TypedReceiveError::instead(&message)?;
    let value = unpack(&mut message)?;
    Ok(Received::new(value, message))
}
