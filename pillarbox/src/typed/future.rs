//! Typed channels as futures.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::carry::{pack, unpack};
use super::channel::read;
use super::{
    Received, Receiver, Sender, SenderOnce, TypedCallError, TypedReceiveError, TypedReplyError,
    TypedSendError, TypedSendOnceError,
};
use crate::error::CallError;
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
        let (message, outgoing) = match pack(&value) {
            Ok(packed) => packed,
            Err(error) => return Err(TypedSendError { reason: error.into(), value }),
        };
        self.right().send_async(message).await.map_err(|mut error| {
            outgoing.come_back(&mut error.message);
            TypedSendError { reason: error.reason.into(), value }
        })
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
        let unsent = |reason, value| TypedCallError::Unsent(TypedSendError { reason, value });
        let (message, outgoing) = match pack(&request) {
            Ok(packed) => packed,
            Err(error) => return Err(unsent(error.into(), request)),
        };
        match self.right().call_async(message).await {
            Ok(mut answer) => unpack(&mut answer).map_err(TypedCallError::Answer),
            Err(CallError::Unsent(mut error)) => {
                outgoing.come_back(&mut error.message);
                Err(unsent(error.reason.into(), request))
            }
            Err(CallError::Deadline | CallError::Withdrawn) => Err(TypedCallError::Deadline),
            Err(CallError::Dropped) => Err(TypedCallError::Dropped),
            Err(CallError::Died) => Err(TypedCallError::Died),
            Err(CallError::Forked) => Err(TypedCallError::Forked),
            Err(CallError::Refused) => Err(TypedCallError::Refused),
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
        let (message, outgoing) = match pack(&value) {
            Ok(packed) => packed,
            Err(error) => {
                return Err(TypedSendOnceError { reason: error.into(), value, right: self });
            }
        };
        self.into_right().send_async(message).await.map_err(|mut error| {
            outgoing.come_back(&mut error.message);
            let right = SenderOnce::from_right(error.right);
            TypedSendOnceError { reason: error.reason.into(), value, right }
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
