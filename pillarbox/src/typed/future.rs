//! Typed channels as futures.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::carry::{pack, unpack};
use super::channel::read;
use super::leaving::Leaving;
use super::{
    Received, Receiver, Sender, SenderOnce, TypedCallError, TypedReceiveError, TypedReplyError,
    TypedSendError, TypedSendOnceError,
};
use crate::error::{ReplyError, SendError, SendFailure};
use crate::future::ReplyFuture;
use crate::message::Message;
use crate::right::SendOnceRight;

impl<T: Serialize> Sender<T> {
    /// Sends `value`, as [`Sender::send`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`Sender::send`].
    ///
    /// # Errors
    /// On any error nothing was sent and the value comes back whole.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`SendRight::send_async`](crate::SendRight::send_async): what is
    /// dropped before it is ready was not sent.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::{Receiver, Sender, TypedReceiveError};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, channel};
    ///
    /// /// Passes each line on, as fast as they are taken.
    /// async fn pass_on(from: Receiver<String>, to: Sender<String>) -> Result<(), TypedReceiveError> {
    ///     loop {
    ///         let line = from.receive_async().await?.value;
    ///         if to.send_async(line).await.is_err() {
    ///             return Ok(());
    ///         }
    ///     }
    /// }
    ///
    /// let (first, from) = channel::<String>(Capacity::Bounded(4))?;
    /// let (to, last) = channel::<String>(Capacity::Bounded(4))?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut passing = pin!(pass_on(from, to));
    /// assert!(pin!(first.send_async("a line".to_owned())).poll(&mut cx).is_ready());
    /// assert!(passing.as_mut().poll(&mut cx).is_pending());
    /// let Poll::Ready(line) = pin!(last.receive_async()).poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(line?.value, "a line");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_async(&self, value: T) -> Result<(), TypedSendError<T>> {
        let (message, leaving) = Leaving::pack(value, pack)?;
        let sent = self.right().send_async(message).await;
        sent.map_err(|mut error| leaving.unsent(error.reason, &mut error.message))
    }

    /// Sends `request` with a reply right and waits for an answer of type `A`,
    /// as [`Sender::call`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`Sender::call`].
    ///
    /// # Errors
    /// See [`TypedCallError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`SendRight::call_async`](crate::SendRight::call_async).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, channel};
    /// let (sender, receiver) = channel::<u32>(Capacity::Bounded(1))?;
    /// let serve = async {
    ///     let mut request = receiver.receive_async().await.unwrap();
    ///     let twice = request.value * 2;
    ///     request.reply_async(twice).await.unwrap();
    /// };
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut call = pin!(sender.call_async::<u32>(21));
    /// assert!(call.as_mut().poll(&mut cx).is_pending());
    /// assert!(pin!(serve).poll(&mut cx).is_ready());
    /// let Poll::Ready(twice) = call.poll(&mut cx) else { panic!("it was answered") };
    /// assert_eq!(twice?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn call_async<A: DeserializeOwned>(
        &self,
        request: T,
    ) -> Result<A, TypedCallError<T>> {
        let (message, leaving) = Leaving::pack(request, pack).map_err(TypedCallError::Unsent)?;
        match self.right().call_async(message).await {
            Ok(mut answer) => unpack(&mut answer).map_err(TypedCallError::Answer),
            Err(error) => Err(leaving.unanswered(error)),
        }
    }
}

impl<T: Serialize> SenderOnce<T> {
    /// Sends `value` and uses the right up, as [`SenderOnce::send`] does, without
    /// a thread that waits.
    ///
    /// # Rights
    /// As [`SenderOnce::send`].
    ///
    /// # Errors
    /// On any error nothing was sent; the value and the unused right come back.
    ///
    /// # Blocking
    /// Never. It has no deadline, and waits for room in the lane only.
    ///
    /// # Cancel safety
    /// As [`SendOnceRight::send_async`](crate::SendOnceRight::send_async): dropped
    /// before it is ready, nothing was sent, and the right tells who waits.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// use pillarbox::{Capacity, Deadline, channel};
    /// let (_, receiver) = channel::<String>(Capacity::Bounded(1))?;
    /// let once = receiver.make_send_once()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(pin!(once.send_async("once".to_owned())).poll(&mut cx).is_ready());
    /// assert_eq!(receiver.receive(Deadline::Now)?.value, "once");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_async(self, value: T) -> Result<(), TypedSendOnceError<T>> {
        let (message, leaving) = match Leaving::pack(value, pack) {
            Ok(packed) => packed,
            Err(error) => return Err(error.on(self)),
        };
        let sent = self.into_right().send_async(message).await;
        sent.map_err(|mut error| {
            let unsent = leaving.unsent(error.reason, &mut error.message);
            unsent.on(SenderOnce::new(error.right))
        })
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Takes the next message and reads it as a `T`, as [`Receiver::receive`]
    /// does, without a thread that waits.
    ///
    /// # Rights
    /// As [`Receiver::receive`].
    ///
    /// # Errors
    /// See [`TypedReceiveError`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`](crate::ReceiveRight::receive_async):
    /// what is dropped before it is ready has taken nothing.
    ///
    /// # Examples
    /// See [`Sender::send_async`] and [`Sender::call_async`].
    pub async fn receive_async(&self) -> Result<Received<T>, TypedReceiveError> {
        read(self.right().receive_async().await?)
    }

    /// Takes the first message of which `wanted` says so and reads it as a `T`, as
    /// [`Receiver::receive_where`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`Receiver::receive`].
    ///
    /// # Errors
    /// See [`TypedReceiveError`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`](crate::ReceiveRight::receive_async): what
    /// `wanted` has looked at is in its place.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, channel};
    /// let (sender, receiver) = channel::<bool>(Capacity::Bounded(2))?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut second = pin!(receiver.receive_where_async(|message| message.tag() == 2));
    /// sender.right().send(Message::new([0]).with_tag(1), Deadline::Now)?;
    /// assert!(second.as_mut().poll(&mut cx).is_pending());
    /// sender.right().send(Message::new([1]).with_tag(2), Deadline::Now)?;
    /// let Poll::Ready(second) = second.poll(&mut cx) else { panic!("it came") };
    /// assert!(second?.value);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn receive_where_async(
        &self,
        wanted: impl FnMut(&Message) -> bool,
    ) -> Result<Received<T>, TypedReceiveError> {
        read(self.right().receive_where_async(wanted).await?)
    }
}

impl<T> Received<T> {
    /// Answers the message, as [`Received::reply`] does, without a thread that
    /// waits.
    ///
    /// # Rights
    /// As [`Received::reply`].
    ///
    /// # Errors
    /// See [`TypedReplyError`].
    ///
    /// # Blocking
    /// Never. It has no deadline, and waits for room in the lane only.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was sent, and the message can still be
    /// answered: it has its reply right again.
    ///
    /// # Examples
    /// See [`Sender::call_async`].
    pub async fn reply_async<A: Serialize>(&mut self, answer: A) -> Result<(), TypedReplyError<A>> {
        if self.reply.is_none() {
            return Err(TypedReplyError::NoReply(answer));
        }
        let (message, leaving) = Leaving::pack(answer, pack).map_err(TypedReplyError::Unsent)?;
        let Err(mut error) = answer_async(&mut self.reply, message).await else { return Ok(()) };
        Err(TypedReplyError::Unsent(leaving.unsent(error.reason, &mut error.message)))
    }
}

/// Answers with the right in `reply`, which is there again if nothing was sent.
pub(super) async fn answer_async(
    reply: &mut Option<SendOnceRight>,
    message: Message,
) -> Result<(), SendError> {
    match ReplyFuture::new(reply, message).await {
        Ok(()) => Ok(()),
        Err(ReplyError::NoReply(message)) => Err(SendError { reason: SendFailure::Dead, message }),
        Err(ReplyError::Unsent(error)) => {
            *reply = Some(error.right);
            Err(SendError { reason: error.reason, message: error.message })
        }
    }
}
