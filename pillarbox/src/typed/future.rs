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
    /// # Cancel safety
    /// As [`SendRight::send_async`](crate::SendRight::send_async): what is
    /// dropped before it is ready was not sent.
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
    /// # Cancel safety
    /// As [`SendRight::call_async`](crate::SendRight::call_async).
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
    /// # Cancel safety
    /// As [`SendOnceRight::send_async`]: dropped before it is ready, nothing was
    /// sent, and the right tells who waits.
    pub async fn send_async(self, value: T) -> Result<(), TypedSendOnceError<T>> {
        let (message, leaving) = match Leaving::pack(value, pack) {
            Ok(packed) => packed,
            Err(error) => return Err(error.on(self)),
        };
        let sent = self.into_right().send_async(message).await;
        sent.map_err(|mut error| {
            let unsent = leaving.unsent(error.reason, &mut error.message);
            unsent.on(SenderOnce::from_right(error.right))
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
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`](crate::ReceiveRight::receive_async):
    /// what is dropped before it is ready has taken nothing.
    pub async fn receive_async(&self) -> Result<Received<T>, TypedReceiveError> {
        read(self.right().receive_async().await?)
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
    /// # Cancel safety
    /// Dropped before it is ready, nothing was sent, and the caller is told that
    /// there will be no answer.
    pub async fn reply_async<A: Serialize>(&mut self, answer: A) -> Result<(), TypedReplyError<A>> {
        let Some(right) = self.reply.take() else {
            return Err(TypedReplyError::NoReply(answer));
        };
        SenderOnce::from_right(right).send_async(answer).await.map_err(|error| {
            let TypedSendOnceError { reason, value, right } = error;
            self.reply = Some(SendOnceRight::from(right));
            TypedReplyError::Unsent(TypedSendError { reason, value })
        })
    }
}
