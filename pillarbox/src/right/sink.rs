//! What a right of our own task leads to.

use std::sync::Arc;

use rights::reply::{Gone, ReplyState};

use crate::call::ReplyCell;
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::facet::Facet;
use crate::link::Link;
use crate::message::Message;
use crate::port::{After, PortCore};

/// What a right of our own task leads to.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Port(Arc<PortCore>),
    Facet(Arc<Facet>),
    Reply(Arc<ReplyCell>),
}

impl Sink {
    pub(crate) fn id(&self) -> u64 {
        match self {
            Sink::Port(port) => port.id,
            Sink::Facet(facet) => facet.id,
            Sink::Reply(cell) => cell.id,
        }
    }

    pub(crate) fn task(&self) -> &Arc<TaskCore> {
        match self {
            Sink::Port(port) => &port.task,
            Sink::Facet(facet) => &facet.port.task,
            Sink::Reply(cell) => &cell.task,
        }
    }

    /// The port whose queue it leads to, if it leads to one.
    pub(crate) fn port(&self) -> Option<&Arc<PortCore>> {
        match self {
            Sink::Port(port) => Some(port),
            Sink::Facet(facet) => Some(&facet.port),
            Sink::Reply(_) => None,
        }
    }

    /// Whether it is a facet that has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Sink::Facet(facet) if facet.has_ended())
    }

    /// The peer of `link` holds no send right to it any more.
    pub(crate) fn left(&self, link: &Link, after: &mut After) {
        if let Some(port) = self.port() {
            port.left(link, self.id(), after);
        }
    }

    /// Whether anybody is there to take a message.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Sink::Port(port) => port.is_alive_anywhere(),
            Sink::Facet(facet) => facet.port.is_alive() && !facet.has_ended(),
            Sink::Reply(cell) => !cell.state().is_gone(),
        }
    }

    /// The one message, or the one notification, of a send-once right.
    pub(crate) fn arrive_once(&self, message: Message, after: &mut After) {
        match self {
            Sink::Port(port) => port.arrive_once(message, after),
            Sink::Facet(facet) => facet.port.arrive_once(message, after),
            Sink::Reply(cell) => cell.arrive(message, after),
        }
    }

    /// As [`Sink::arrive_once`], but what nobody waits for comes back.
    pub(crate) fn offer_once(&self, message: Message, after: &mut After) -> Result<(), Message> {
        match self {
            Sink::Reply(cell) => cell.offer(message, after),
            Sink::Port(_) | Sink::Facet(_) => {
                self.arrive_once(message, after);
                Ok(())
            }
        }
    }

    /// Why a message was not taken.
    pub(crate) fn refusal(&self) -> SendFailure {
        match self {
            Sink::Reply(cell) => match cell.state() {
                ReplyState::Gone(why) if why != Gone::Died => SendFailure::Withdrawn(why),
                _ => SendFailure::Dead,
            },
            Sink::Port(_) | Sink::Facet(_) => SendFailure::Dead,
        }
    }
}
