//! Channels of values that are their own bytes, as futures.

use super::{
    FixedCallError, FixedReplyError, FixedSendError, FromBytes, Immutable, IntoBytes, Receiver,
    Sender, read, received,
};
use crate::message::Message;
use crate::typed::future::answer_async;
use crate::typed::{Received, TypedReceiveError};

impl<T: IntoBytes + Immutable> Sender<T> {
    /// Sends the bytes of `value`, as [`Sender::send`] does, without a thread that
    /// waits.
    ///
    /// # Rights
    /// As [`Sender::send`].
    ///
    /// # Errors
    /// On any error nothing was sent and the value comes back.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`SendRight::send_async`](crate::SendRight::send_async): what is dropped
    /// before it is ready was not sent.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::Capacity;
    /// use pillarbox::typed::fixed;
    /// let (sender, receiver) = fixed::channel::<[u64; 3]>(Capacity::Bounded(8))?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(pin!(sender.send_async([1, 2, 3])).poll(&mut cx).is_ready());
    /// let Poll::Ready(came) = pin!(receiver.receive_async()).poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(came?.value, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_async(&self, value: T) -> Result<(), FixedSendError<T>> {
        let sent = self.right.send_async(Message::new(value.as_bytes())).await;
        sent.map_err(|error| FixedSendError { reason: error.reason, value })
    }

    /// Sends `request` with a reply right and waits for an answer of the size of
    /// `A`, as [`Sender::call`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`Sender::call`].
    ///
    /// # Errors
    /// See [`FixedCallError`]; `Deadline` is none of them.
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
    /// use pillarbox::Capacity;
    /// use pillarbox::typed::fixed;
    /// let (sender, receiver) = fixed::channel::<u32>(Capacity::Bounded(1))?;
    /// let serve = async {
    ///     let mut request = receiver.receive_async().await.unwrap();
    ///     let wide = u64::from(request.value);
    ///     fixed::reply_async(&mut request, wide).await.unwrap();
    /// };
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut call = pin!(sender.call_async::<u64>(7));
    /// assert!(call.as_mut().poll(&mut cx).is_pending());
    /// assert!(pin!(serve).poll(&mut cx).is_ready());
    /// let Poll::Ready(wide) = call.poll(&mut cx) else { panic!("it was answered") };
    /// assert_eq!(wide?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn call_async<A: FromBytes>(&self, request: T) -> Result<A, FixedCallError<T>> {
        match self.right.call_async(Message::new(request.as_bytes())).await {
            Ok(answer) => read(&answer).map_err(FixedCallError::Answer),
            Err(error) => Err(FixedCallError::of_call(error, request, |_| ())),
        }
    }
}

impl<T: FromBytes> Receiver<T> {
    /// Takes the next message, as [`Receiver::receive`] does, without a thread that
    /// waits.
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
    /// is dropped before it is ready has taken nothing.
    ///
    /// # Examples
    /// See [`Sender::send_async`] and [`Sender::call_async`].
    pub async fn receive_async(&self) -> Result<Received<T>, TypedReceiveError> {
        received(self.right.receive_async().await?)
    }
}

/// Answers a message with the bytes of `answer`, as [`reply`](fn@super::reply) does,
/// without a thread that waits.
///
/// # Rights
/// Uses up the reply right.
///
/// # Errors
/// See [`FixedReplyError`]. The answer comes back, and where the send failed the
/// reply right is still in `request`.
///
/// # Blocking
/// Never. It has no deadline, and waits for room in the lane only.
///
/// # Cancel safety
/// Dropped before it is ready, nothing was sent, and the message can still be
/// answered.
///
/// # Examples
/// See [`Sender::call_async`].
pub async fn reply_async<T, A: IntoBytes + Immutable>(
    request: &mut Received<T>,
    answer: A,
) -> Result<(), FixedReplyError<A>> {
    if request.reply.is_none() {
        return Err(FixedReplyError::NoReply(answer));
    }
    let answered = answer_async(&mut request.reply, Message::new(answer.as_bytes())).await;
    answered.map_err(|error| {
        FixedReplyError::Unsent(FixedSendError { reason: error.reason, value: answer })
    })
}
