//! What has become of a request: from a message, or its failure, to what the caller is told.

use super::{Answer, BootstrapError, Refused, Request, Service, ServiceState};
use crate::error::{CallError, SendFailure};
use crate::message::{Message, Right};
use crate::right::SendRight;

/// An answer, and the rights in it.
pub(super) type Answered = (Answer, Vec<Right>);

/// How often a server may say that it was replaced meanwhile.
const ASKED_AGAIN: u32 = 64;

/// Whether to ask again, because the server was replaced while it was asked.
pub(super) fn again(answered: &Result<Answered, BootstrapError>, asked: &mut u32) -> bool {
    *asked += 1;
    let replaced =
        matches!(answered, Err(BootstrapError::Refused { reason: Refused::Replaced, .. }));
    replaced && *asked < ASKED_AGAIN
}

/// A request as a message.
pub(super) fn question(request: &Request) -> Result<Message, BootstrapError> {
    let body = postcard::to_stdvec(request).map_err(|_| BootstrapError::BadAnswer)?;
    Ok(Message::new(body))
}

/// What has become of a request about `name`.
pub(super) fn read(
    name: &str,
    answered: Result<Message, CallError>,
) -> Result<Answered, BootstrapError> {
    let mut answer = answered.map_err(|error| match error {
        CallError::Unsent(error) if error.reason == SendFailure::Dead => BootstrapError::Died,
        CallError::Unsent(error) => BootstrapError::Unsent(error.reason),
        CallError::Deadline | CallError::Withdrawn => BootstrapError::Deadline,
        CallError::Dropped | CallError::Died => BootstrapError::Died,
        CallError::Refused => BootstrapError::Unsent(SendFailure::Revoked),
        CallError::Forked => BootstrapError::Unsent(SendFailure::Forked),
    })?;
    let rights = answer.take_rights();
    match postcard::from_bytes(answer.body()) {
        Ok(Answer::Refused(reason)) => {
            Err(BootstrapError::Refused { name: name.to_owned(), reason })
        }
        Ok(answer) => Ok((answer, rights)),
        Err(_) => Err(BootstrapError::BadAnswer),
    }
}

/// It was done.
pub(super) fn done((answer, _): Answered) -> Result<(), BootstrapError> {
    match answer {
        Answer::Done => Ok(()),
        _ => Err(BootstrapError::BadAnswer),
    }
}

/// The right that was looked up.
pub(super) fn found((answer, mut rights): Answered) -> Result<SendRight, BootstrapError> {
    match (answer, rights.pop().map(Right::into_send)) {
        (Answer::Right, Some(Ok(right))) if rights.is_empty() => Ok(right),
        _ => Err(BootstrapError::BadAnswer),
    }
}

/// A list that comes in pages.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) all: Vec<(Service, Option<SendRight>)>,
    after: Option<String>,
}

impl Listing {
    pub(super) fn next(&self) -> Request {
        Request::List { after: self.after.clone() }
    }

    /// Takes a page. Returns whether there is another.
    pub(super) fn goes_on(&mut self, (answer, rights): Answered) -> Result<bool, BootstrapError> {
        let Answer::Names { names, more } = answer else {
            return Err(BootstrapError::BadAnswer);
        };
        let last = names.last().map(|service| service.name.clone());
        let mut rights = rights.into_iter();
        for service in names {
            let right = match service.state {
                ServiceState::Running => rights.next().and_then(|right| right.into_send().ok()),
                ServiceState::Starting | ServiceState::OnDemand => None,
            };
            self.all.push((service, right));
        }
        // Names come in order: one that does not go on is no answer.
        let more = more && last.is_some() && last > self.after;
        self.after = last;
        Ok(more)
    }
}
