//! What is on its way to a reader or a caller.
//!
//! Nobody waits for a reader that has no room: what it was handed stays here, and
//! counts as handed out. It is bounded by the credit of the reader, and ends with
//! it. A mailbox that is served by a thread and one that is run as a future go the
//! same way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use abi::limits;

use super::ABOUT;
use crate::call::Completion;
use crate::error::{SendError, SendFailure};
use crate::future::{SendOnceFuture, Sending, Starting};
use crate::message::Message;
use crate::port::PortCore;
use crate::right::{SendOnceRight, SendRight};

/// Why a message was not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The reader takes nothing.
    Reader,
    /// The system has something to spare later.
    Later,
}

impl Unsent {
    fn of(reason: SendFailure) -> Self {
        match reason {
            SendFailure::DescriptorsInFlight
            | SendFailure::NotJoined(_)
            | SendFailure::System(_) => Unsent::Later,
            _ => Unsent::Reader,
        }
    }
}

/// One hand-out: what the next message is, then that message.
#[derive(Debug)]
pub(super) struct Out {
    /// The number of the hand-out, and what was handed out.
    pub(super) number: u64,
    pub(super) item: u64,
    about: Option<Box<Sending>>,
    /// The copy, while it is not being sent.
    copy: Option<Message>,
    /// Where the answer of a request goes.
    answers: Option<Arc<PortCore>>,
    sending: Option<On>,
}

/// How the copy is sent.
#[derive(Debug)]
enum On {
    Message(Box<Sending>),
    Call(Box<Starting>),
}

impl Out {
    pub(super) fn new(
        (number, item): (u64, u64),
        about: Vec<u8>,
        copy: Message,
        answers: Option<Arc<PortCore>>,
    ) -> Self {
        let about = Some(Box::new(Sending::new(Message::new(about).with_id(ABOUT))));
        Out { number, item, about, copy: Some(copy), answers, sending: None }
    }

    /// Goes on sending. What is to be tried later is here to be tried again.
    pub(super) fn poll(
        &mut self,
        right: &SendRight,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        if let Some(about) = &mut self.about {
            if let Err(error) = ready!(about.poll(right, cx)) {
                let why = Unsent::of(error.reason);
                self.about = Some(Box::new(Sending::new(*error.message)));
                return Poll::Ready(Err(why));
            }
            self.about = None;
        }
        if let Some(copy) = self.copy.take() {
            self.sending = Some(match &self.answers {
                None => On::Message(Box::new(Sending::new(copy))),
                Some(port) => {
                    let to = Completion { port: Arc::clone(port), number: self.number };
                    On::Call(Box::new(Starting::new(copy, Some(to))))
                }
            });
        }
        let sent: Result<(), SendError> = match &mut self.sending {
            Some(On::Message(sending)) => ready!(sending.poll(right, cx)),
            Some(On::Call(starting)) => ready!(starting.poll(right, cx)).map(|_| ()),
            None => Ok(()),
        };
        self.sending = None;
        Poll::Ready(sent.map_err(|error| {
            self.copy = Some(*error.message);
            Unsent::of(error.reason)
        }))
    }

    /// The copy, which was not sent.
    pub(super) fn into_copy(mut self) -> Option<Message> {
        match self.sending.take() {
            None => self.copy.take(),
            Some(On::Message(sending)) => sending.into_message(),
            Some(On::Call(starting)) => starting.into_message(),
        }
    }
}

/// Answers on their way to callers. Of one that does not read its lane they are
/// kept up to a limit; then the oldest is dropped, which its caller is told.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<SendOnceFuture>);

impl Answers {
    pub(super) fn add(&mut self, to: SendOnceRight, answer: Message) {
        self.0.push_back(to.send_async(answer));
        if self.0.len() > limits::SHARED_BEHIND {
            drop(self.0.pop_front());
        }
    }

    /// Whether all are sent.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes on sending. Who has withdrawn, or is gone, hears nothing.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        self.0.retain_mut(|answer| Pin::new(answer).poll(cx).is_pending());
    }
}
