//! A right of any kind, as messages carry it.

use std::sync::Arc;

use crate::core::TaskCore;
use crate::port::ReceiveRight;
use crate::right::{SendOnceRight, SendRight};

/// A right in a message or in a space.
#[derive(Debug)]
#[non_exhaustive]
pub enum Right {
    /// A send right.
    Send(SendRight),
    /// A send-once right.
    SendOnce(SendOnceRight),
    /// A receive right: the port goes with the message.
    Receive(ReceiveRight),
}

impl Right {
    /// The task that holds it; `None` for one that leads nowhere.
    pub(crate) fn task(&self) -> Option<&Arc<TaskCore>> {
        match self {
            Right::Send(right) => Some(right.task()),
            Right::SendOnce(right) => right.task(),
            Right::Receive(right) => Some(&right.core().task),
        }
    }

    /// The send right, or the right back.
    ///
    /// # Rights
    /// Moves it.
    ///
    /// # Errors
    /// The right itself, where it is another kind.
    pub fn into_send(self) -> Result<SendRight, Right> {
        match self {
            Right::Send(right) => Ok(right),
            other => Err(other),
        }
    }

    /// The send-once right, or the right back.
    ///
    /// # Rights
    /// Moves it.
    ///
    /// # Errors
    /// The right itself, where it is another kind.
    pub fn into_send_once(self) -> Result<SendOnceRight, Right> {
        match self {
            Right::SendOnce(right) => Ok(right),
            other => Err(other),
        }
    }

    /// The receive right, or the right back.
    ///
    /// # Rights
    /// Moves it.
    ///
    /// # Errors
    /// The right itself, where it is another kind.
    pub fn into_receive(self) -> Result<ReceiveRight, Right> {
        match self {
            Right::Receive(right) => Ok(right),
            other => Err(other),
        }
    }
}

impl From<ReceiveRight> for Right {
    fn from(right: ReceiveRight) -> Self {
        Right::Receive(right)
    }
}

impl From<SendRight> for Right {
    fn from(right: SendRight) -> Self {
        Right::Send(right)
    }
}

impl From<SendOnceRight> for Right {
    fn from(right: SendOnceRight) -> Self {
        Right::SendOnce(right)
    }
}
