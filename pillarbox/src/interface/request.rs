//! The server's side: a message in, a method, an answer out.

use std::time::Duration;

use abi::TaskId;
use serde::Serialize;

use super::answer::{Malformed, Said, Unknown, Wrong};
use super::{DESCRIBE, DispatchError, MALFORMED, Protocol, UNKNOWN_METHOD, WRONG_INTERFACE};
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::message::{Identity, Message, Notification};
use crate::port::ReceiveRight;
use crate::right::SendOnceRight;
use crate::typed::TypedReceiveError;
use crate::typed::growing::{Broken, List, pack_value, unpack_list};

/// How long an answer of [`serve`] may wait for room in the client's lane. A
/// client that does not read keeps the server no longer than this.
const ROOM: Duration = Duration::from_millis(100);

/// A request whose method is known and whose arguments are not read yet.
///
/// Dropped, with its handler's panic say, it tells the client that there will
/// be no answer.
#[derive(Debug)]
pub struct Request {
    method: i32,
    client_version: u32,
    message: Message,
    sender: Option<Identity>,
    reply: Option<SendOnceRight>,
    deadline: Deadline,
}

impl Request {
    /// Takes a message for a server of `protocol`. `None` where it was a question
    /// that the library has answered.
    pub fn open(
        mut message: Message,
        own_tag: u64,
        protocol: &Protocol,
        deadline: Deadline,
    ) -> Result<Option<Self>, DispatchError> {
        let sender = message.sender();
        if let (Some(what), None) = (message.notification(), sender) {
            return Err(DispatchError::Notification(what));
        }
        if let Some(pulse) = message.pulse() {
            return Err(DispatchError::Pulse(pulse));
        }
        let reply = message.take_reply();
        let method = message.id();
        let tag = message.tag();
        let client_version = tag as u32;
        let request = Request { method, client_version, message, sender, reply, deadline };
        if method == DESCRIBE {
            return request.answer(protocol).map(|()| None);
        }
        if tag >> 32 != own_tag >> 32 {
            // An answer that finds no room changes nothing about the blame.
            let _ = request.say(WRONG_INTERFACE, &Wrong {});
            return Err(DispatchError::WrongInterface { sender });
        }
        Ok(Some(request))
    }

    /// The id of the method.
    pub const fn method(&self) -> i32 {
        self.method
    }

    /// Reads the arguments of a method that is answered.
    pub fn read<A>(
        self,
        read: impl FnOnce(&mut List<'_>) -> Result<A, Broken>,
    ) -> Result<(A, Self), DispatchError> {
        let (method, sender) = (self.method, self.sender);
        if self.reply.is_none() {
            return Err(DispatchError::NoReply { method, sender });
        }
        self.read_one_way(read)
    }

    /// Reads the arguments of a method that is not answered.
    pub fn read_one_way<A>(
        mut self,
        read: impl FnOnce(&mut List<'_>) -> Result<A, Broken>,
    ) -> Result<(A, Self), DispatchError> {
        let (method, sender) = (self.method, self.sender);
        let (argument, error) = match unpack_list(&mut self.message, read) {
            Ok(arguments) => return Ok((arguments, self)),
            Err(found) => found,
        };
        let offence = match error {
            TypedReceiveError::BodyLost => return Err(DispatchError::BodyLost),
            TypedReceiveError::Fault { offence, .. } => Some(offence),
            TypedReceiveError::Unreadable
            | TypedReceiveError::Notification(_)
            | TypedReceiveError::Pulse(_)
            | TypedReceiveError::Receive(_) => None,
        };
        let _ = self.say(MALFORMED, &Malformed { argument, offence: offence.map(Said::new) });
        Err(DispatchError::Malformed { method, argument, offence, sender })
    }

    /// Answers with what the method returned.
    pub fn answer(self, value: &impl Serialize) -> Result<(), DispatchError> {
        let method = self.method;
        self.say(method, value)
    }

    /// Makes the answer with what the method returned, and sends it not yet.
    pub fn prepare(self, value: &impl Serialize) -> Result<Option<Prepared>, DispatchError> {
        let (method, sender) = (self.method, self.sender);
        let Some(reply) = self.reply else {
            return Err(DispatchError::NoReply { method, sender });
        };
        let (message, _) = pack_value(value)?;
        Ok(Some(Prepared { reply, message: message.with_id(method), sender }))
    }

    /// As [`Request::end`], with an answer that is not sent yet.
    pub fn prepare_end(self) -> Result<Option<Prepared>, DispatchError> {
        if self.reply.is_some() { self.prepare(&()) } else { Ok(None) }
    }

    /// Ends a request that is not answered. Who waits for an answer nevertheless
    /// is told that the method was run.
    pub fn end(self) -> Result<(), DispatchError> {
        if self.reply.is_some() { self.answer(&()) } else { Ok(()) }
    }

    /// There is no such method.
    pub fn unknown(self, protocol: &Protocol) -> DispatchError {
        let Request { method, client_version, sender, .. } = self;
        let server_version = protocol.version;
        let _ = self.say(UNKNOWN_METHOD, &Unknown { server_version });
        DispatchError::UnknownMethod { method, client_version, server_version, sender }
    }

    fn say(self, id: i32, value: &impl Serialize) -> Result<(), DispatchError> {
        let (method, sender) = (self.method, self.sender);
        let Some(reply) = self.reply else {
            return Err(DispatchError::NoReply { method, sender });
        };
        let (message, _) = pack_value(value)?;
        reply.send(message.with_id(id), self.deadline).map_err(|error| error.reason.into())
    }
}

/// An answer, and where it goes.
#[derive(Debug)]
pub struct Prepared {
    pub(super) reply: SendOnceRight,
    pub(super) message: Message,
    sender: Option<Identity>,
}

impl Prepared {
    /// Who asked.
    pub(super) fn client(&self) -> Option<TaskId> {
        self.sender.map(|sender| sender.task)
    }
}

/// Serves what comes to `inbox`, until `deadline` or a notification.
pub fn serve(
    inbox: &ReceiveRight,
    deadline: Deadline,
    mut dispatch: impl FnMut(Message, Deadline) -> Result<(), DispatchError>,
) -> Result<Notification, ReceiveError> {
    loop {
        let message = inbox.receive(deadline)?;
        // Whatever else is wrong, whoever sent it has been told.
        if let Err(DispatchError::Notification(what)) = dispatch(message, Deadline::after(ROOM)) {
            return Ok(what);
        }
    }
}
