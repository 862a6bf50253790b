//! A stream of answers: many messages for one request, until either side ends it.
//!
//! The client makes a port. With the request it gives the server a send right
//! for the items and a send-once right for the end, so that the end is told
//! whatever becomes of the server: [finished](Sink::finish), dropped or died.
//! How far the server may be ahead is the capacity of that port. The server
//! learns that nobody reads any more as every sender does: the port is gone.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FINISHED;
use super::run::{Broken, List};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{ReceiveError, SendFailure};
use crate::message::{Message, Notification};
use crate::port::{Capacity, PortCore, ReceiveRight};
use crate::right::{SendOnceRight, SendRight};
use crate::typed::growing::{pack_value, unpack_value};
use crate::typed::leaving::Leaving;
use crate::typed::{Carry, TypedReceiveError, TypedSendError};

/// What of a stream the server gets.
pub(super) type Ends = (SendRight, Carry<SendOnceRight>);

/// Makes a stream, and the rights its server needs.
pub(super) fn open<T>(
    task: &Arc<TaskCore>,
    capacity: Capacity,
) -> Result<(Stream<T>, Ends), SendFailure> {
    task.check().map_err(|_| SendFailure::Forked)?;
    let inbox = ReceiveRight::new(PortCore::new(task, &capacity.into()));
    let ends = (inbox.make_send()?, Carry::new(inbox.make_send_once()?));
    Ok((Stream { inbox, end: None, gives: PhantomData }, ends))
}

/// The client's end of a stream of answers.
///
/// Dropping it ends the stream: what was not taken is dropped, and the server
/// is told.
///
/// # Examples
/// ```
/// use pillarbox::interface::Sink;
/// use pillarbox::{Capacity, Deadline, Task};
///
/// #[pillarbox::interface(name = "org.example.Count", version = 1)]
/// trait Count {
///     #[id(1)]
///     fn up_to(&self, last: u32) -> Stream<u32>;
/// }
///
/// struct Plain;
/// impl Count for Plain {
///     // For the server, a method that answers a stream has a sink to fill.
///     fn up_to(&self, last: u32, sink: Sink<u32>) {
///         std::thread::spawn(move || {
///             for number in 1..=last {
///                 if sink.send(number, Deadline::Never).is_err() {
///                     return; // nobody reads any more
///                 }
///             }
///             let _ = sink.finish(Deadline::Never);
///         });
///     }
/// }
///
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// let client = CountClient::new(inbox.make_send()?);
/// std::thread::spawn(move || CountServer::new(Plain).serve(&inbox, Deadline::Never));
///
/// let mut numbers = client.up_to(3, Deadline::Never)?;
/// let mut sum = 0;
/// while let Some(number) = numbers.receive(Deadline::Never)? {
///     sum += number;
/// }
/// assert_eq!(sum, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream<T> {
    inbox: ReceiveRight,
    end: Option<End>,
    gives: PhantomData<fn() -> T>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Dropped,
    Died,
}

impl<T: DeserializeOwned> Stream<T> {
    /// Takes the next item; `None` once the server has finished the stream.
    ///
    /// # Rights
    /// The rights in the item are this task's.
    ///
    /// # Errors
    /// See [`StreamError`]. After [`StreamError::Receive`] and
    /// [`StreamError::Item`] the stream goes on.
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive`].
    ///
    /// # Examples
    /// See [`Stream`].
    pub fn receive(&mut self, deadline: Deadline) -> Result<Option<T>, StreamError> {
        if let Some(end) = self.ended() {
            return end;
        }
        let message = self.inbox.receive(deadline)?;
        self.take(message)
    }

    /// What is told once the stream has ended.
    pub(super) fn ended(&self) -> Option<Result<Option<T>, StreamError>> {
        self.end.map(End::told)
    }

    pub(super) fn take(&mut self, mut message: Message) -> Result<Option<T>, StreamError> {
        let end = match (message.notification(), message.sender()) {
            (Some(Notification::SendOnceDied), None) => End::Died,
            // The last of the two rights the server had, or still has.
            (Some(_), None) => End::Dropped,
            _ if message.id() == FINISHED => End::Finished,
            _ => return unpack_value(&mut message).map(Some).map_err(StreamError::Item),
        };
        self.end = Some(end);
        end.told()
    }
}

impl End {
    fn told<T>(self) -> Result<Option<T>, StreamError> {
        match self {
            End::Finished => Ok(None),
            End::Dropped => Err(StreamError::Dropped),
            End::Died => Err(StreamError::Died),
        }
    }
}

impl<T> Stream<T> {
    /// The port the items come to: to ask how many wait.
    ///
    /// # Rights
    /// Borrows it.
    pub fn right(&self) -> &ReceiveRight {
        &self.inbox
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("end", &self.end).finish_non_exhaustive()
    }
}

/// Why there is no next item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// No item came: not before the deadline, say.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The server dropped its end before it had finished: it panicked, say.
    #[error("the server dropped the stream before it was finished")]
    Dropped,
    /// The server died.
    #[error("the server died before the stream was finished")]
    Died,
    /// What came is no item, or could not be read here. It was taken.
    #[error("the item cannot be read: {0}")]
    Item(TypedReceiveError),
}

/// The server's end of a stream of answers.
///
/// Dropped before it was [finished](Sink::finish), it tells the client so. It
/// needs no thread: with [`Deadline::Now`] a full stream gives the item back.
///
/// # Examples
/// See [`Stream`].
pub struct Sink<T> {
    items: SendRight,
    end: SendOnceRight,
    takes: PhantomData<fn(T)>,
}

impl<T> Sink<T> {
    /// Takes the two rights of a sink from a request.
    #[doc(hidden)]
    pub fn take(list: &mut List<'_>) -> Result<Self, Broken> {
        let (items, end): Ends = list.take()?;
        // It was just read, and only a descriptor can be lost.
        let end = end.into_inner().ok_or_else(Broken::missing)?;
        Ok(Sink::from_parts(items, end))
    }

    /// Ends the stream: the client takes what was sent before, and is then told
    /// that this was all.
    ///
    /// # Rights
    /// Consumes both rights of the sink.
    ///
    /// # Errors
    /// The sink comes back, and the stream has not ended.
    ///
    /// # Blocking
    /// Waits for room in the lane until `deadline`; the end never waits for room
    /// in the stream.
    pub fn finish(self, deadline: Deadline) -> Result<(), FinishError<T>> {
        let (items, end) = self.into_parts();
        end.send(finish_message(), deadline).map_err(|error| FinishError {
            reason: error.reason,
            sink: Sink::from_parts(items, error.right),
        })
    }

    pub(super) fn into_parts(self) -> (SendRight, SendOnceRight) {
        (self.items, self.end)
    }

    pub(super) const fn from_parts(items: SendRight, end: SendOnceRight) -> Self {
        Sink { items, end, takes: PhantomData }
    }

    /// The send right the items go to: to be told, or to ask, whether the client
    /// has dropped the stream or died.
    ///
    /// # Rights
    /// Borrows it.
    pub fn right(&self) -> &SendRight {
        &self.items
    }
}

impl<T: Serialize> Sink<T> {
    /// Sends the next item.
    ///
    /// # Rights
    /// As [`crate::typed::Sender::send`].
    ///
    /// # Errors
    /// On any error nothing was sent and the item comes back:
    /// [`SendFailure::Full`] where the client is behind,
    /// [`SendFailure::Dead`] where it has dropped the stream or died.
    ///
    /// # Blocking
    /// As [`SendRight::send`].
    pub fn send(&self, item: T, deadline: Deadline) -> Result<(), TypedSendError<T>> {
        let (message, leaving) = Leaving::pack(item, pack_value)?;
        self.items
            .send(message, deadline)
            .map_err(|mut error| leaving.unsent(error.reason, &mut error.message))
    }
}

impl<T> fmt::Debug for Sink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("items", &self.items).finish_non_exhaustive()
    }
}

/// The last message of a stream.
pub(super) fn finish_message() -> Message {
    Message::default().with_id(FINISHED)
}

/// A stream that could not be ended, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct FinishError<T> {
    /// Why.
    pub reason: SendFailure,
    /// The sink, as it was.
    pub sink: Sink<T>,
}
