//! The client's side without a thread that waits: each method, stream and sink
//! as a future.
//!
//! Each begins to do something when it is first polled. Dropped before it is
//! ready it does what the future of [`mod@crate::future`] that it waits for does.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ask::{ABOUT, Asked, Wire};
use super::stream::{FinishError, finish_message};
use super::{ClientError, Protocol, Sink, Stream, StreamError, stream};
use crate::right::SendRight;
use crate::typed::TypedSendError;
use crate::typed::growing::pack_value;
use crate::typed::leaving::Leaving;

impl Wire {
    /// Asks for a method and waits for its answer.
    pub async fn call_async<A: Serialize, R: DeserializeOwned>(
        &self,
        asked: Asked,
        arguments: A,
    ) -> Result<R, ClientError<A>> {
        self.ask_async(asked, (), arguments).await
    }

    /// Asks for a method that is not answered.
    pub async fn one_way_async<A: Serialize>(
        &self,
        asked: Asked,
        arguments: A,
    ) -> Result<(), ClientError<A>> {
        let (message, leaving) = asked.pack(&(), arguments)?;
        let sent = self.right().send_async(message).await;
        sent.map_err(|mut error| {
            ClientError::unsent(leaving.unsent(error.reason, &mut error.message))
        })
    }

    /// Asks for a stream.
    pub async fn stream_async<A: Serialize, T>(
        &self,
        asked: Asked,
        arguments: A,
    ) -> Result<Stream<T>, ClientError<A>> {
        let (stream, ()) = self.open_async(asked, arguments).await?;
        Ok(stream)
    }

    /// Asks for a stream that the server may refuse.
    pub async fn try_stream_async<A: Serialize, T, E: DeserializeOwned>(
        &self,
        asked: Asked,
        arguments: A,
    ) -> Result<Result<Stream<T>, E>, ClientError<A>> {
        let (stream, said) = self.open_async::<A, T, Result<(), E>>(asked, arguments).await?;
        Ok(said.map(|()| stream))
    }

    async fn open_async<A: Serialize, T, R: DeserializeOwned>(
        &self,
        asked: Asked,
        arguments: A,
    ) -> Result<(Stream<T>, R), ClientError<A>> {
        let (stream, ends) = match stream::open(self.right().task(), self.capacity()) {
            Ok(opened) => opened,
            Err(reason) => return Err(ClientError::Unsent { reason: reason.into(), arguments }),
        };
        let said = self.ask_async(asked.with_sink(), (ends,), arguments).await?;
        Ok((stream, said))
    }

    async fn ask_async<F: Serialize, A: Serialize, R: DeserializeOwned>(
        &self,
        asked: Asked,
        first: F,
        arguments: A,
    ) -> Result<R, ClientError<A>> {
        let (message, leaving) = asked.pack(&first, arguments)?;
        match self.right().call_async(message).await {
            Ok(answer) => asked.read(answer),
            Err(error) => Err(ClientError::of_call(error, leaving)),
        }
    }
}

/// Asks a running server which protocol it speaks, as [`super::describe`] does,
/// without a thread that waits.
///
/// # Rights
/// Borrows the send right.
///
/// # Errors
/// See [`ClientError`]; `Deadline` is none of them.
///
/// # Blocking
/// Never. It has no deadline.
///
/// # Cancel safety
/// Dropped, the answer is dropped when it comes.
pub async fn describe_async(right: &SendRight) -> Result<Protocol, ClientError> {
    Wire::new(right.clone()).call_async(ABOUT, ()).await
}

impl<T: DeserializeOwned> Stream<T> {
    /// Takes the next item, as [`Stream::receive`] does, without a thread that
    /// waits.
    ///
    /// # Rights
    /// The rights in the item are this task's.
    ///
    /// # Errors
    /// See [`StreamError`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub async fn receive_async(&mut self) -> Result<Option<T>, StreamError> {
        if let Some(end) = self.ended() {
            return end;
        }
        let message = self.right().receive_async().await?;
        self.take(message)
    }
}

impl<T> Sink<T> {
    /// Ends the stream, as [`Sink::finish`] does, without a thread that waits.
    ///
    /// # Rights
    /// Consumes both rights of the sink.
    ///
    /// # Errors
    /// The sink comes back, and the stream has not ended.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the sink is dropped unfinished, which tells
    /// the client.
    pub async fn finish_async(self) -> Result<(), FinishError<T>> {
        let (items, end) = self.into_parts();
        let sent = end.send_async(finish_message()).await;
        sent.map_err(|error| FinishError {
            reason: error.reason,
            sink: Sink::from_parts(items, error.right),
        })
    }
}

impl<T: Serialize> Sink<T> {
    /// Sends the next item, as [`Sink::send`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`crate::typed::Sender::send`].
    ///
    /// # Errors
    /// On any error nothing was sent and the item comes back.
    ///
    /// # Blocking
    /// Never. It has no deadline: a client that reads no items is waited for.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was sent and the item is dropped.
    pub async fn send_async(&self, item: T) -> Result<(), TypedSendError<T>> {
        let (message, leaving) = Leaving::pack(item, pack_value)?;
        let sent = self.right().send_async(message).await;
        sent.map_err(|mut error| leaving.unsent(error.reason, &mut error.message))
    }
}
