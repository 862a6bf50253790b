//! A value whose message is on its way out: it is kept until it is known whether
//! the message was sent, and comes back whole where it was not.

use super::carry::Outgoing;
use super::error::{EncodeError, TypedCallError, TypedSendError};
use crate::error::{CallError, SendFailure};
use crate::message::Message;

/// A value that was made a message.
pub(crate) struct Leaving<T> {
    value: T,
    outgoing: Outgoing,
}

impl<T> Leaving<T> {
    /// Makes `value` a message, as `pack` does. From here on its carries are empty.
    pub(crate) fn pack(
        value: T,
        pack: impl FnOnce(&T) -> Result<(Message, Outgoing), EncodeError>,
    ) -> Result<(Message, Self), TypedSendError<T>> {
        match pack(&value) {
            Ok((message, outgoing)) => Ok((message, Leaving { value, outgoing })),
            Err(error) => Err(TypedSendError { reason: error.into(), value }),
        }
    }

    /// Its message was not sent, and is here.
    pub(crate) fn unsent(self, reason: SendFailure, message: &mut Message) -> TypedSendError<T> {
        self.outgoing.come_back(message);
        TypedSendError { reason: reason.into(), value: self.value }
    }

    /// It was a request, and there is no answer.
    pub(super) fn unanswered(self, error: CallError) -> TypedCallError<T> {
        let Leaving { value, outgoing } = self;
        TypedCallError::of_call(error, value, |message| outgoing.come_back(message))
    }
}
