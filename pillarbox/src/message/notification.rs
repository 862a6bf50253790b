//! News that the library tells, as a message.

use super::Message;

/// What became of something we asked to be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notification {
    /// The port of a send right of ours is gone.
    DeadName,
    /// Nobody can send to a port of ours any more.
    NoSenders,
    /// A send-once right was dropped unused.
    SendOnceDropped,
    /// The task that held a send-once right died before it used it.
    SendOnceDied,
    /// The message that carried a send-once right as its reply right was refused:
    /// the right it was sent on was revoked, its terms had ended, or they did
    /// not permit it.
    Refused,
    /// The caller asks that its request come to an end, or waits no longer.
    Withdrawn,
    /// Nobody waits for the answer any more.
    Unwanted,
    /// A task we were linked with is gone.
    PeerGone,
    /// The last right of ours to a port of another task was let go, and with it
    /// the request to be told of the port's end, or of room in it.
    LetGo,
    /// A port that we asked about has room for a message.
    SendPossible,
    /// A message that was left with a full port has been taken from its queue.
    MessageAccepted,
    /// A receive right was let go, and is in this message: its port lives on.
    PortDestroyed,
}

impl Notification {
    pub(crate) const fn id(self) -> i32 {
        match self {
            Notification::DeadName => 1,
            Notification::NoSenders => 2,
            Notification::SendOnceDropped => 3,
            Notification::SendOnceDied => 4,
            Notification::Refused => 5,
            Notification::Withdrawn => 6,
            Notification::Unwanted => 7,
            Notification::PeerGone => 8,
            Notification::LetGo => 9,
            Notification::SendPossible => 10,
            Notification::MessageAccepted => 11,
            Notification::PortDestroyed => 12,
        }
    }

    pub(crate) const fn from_id(id: i32) -> Option<Self> {
        match id {
            1 => Some(Notification::DeadName),
            2 => Some(Notification::NoSenders),
            3 => Some(Notification::SendOnceDropped),
            4 => Some(Notification::SendOnceDied),
            5 => Some(Notification::Refused),
            6 => Some(Notification::Withdrawn),
            7 => Some(Notification::Unwanted),
            8 => Some(Notification::PeerGone),
            9 => Some(Notification::LetGo),
            10 => Some(Notification::SendPossible),
            11 => Some(Notification::MessageAccepted),
            12 => Some(Notification::PortDestroyed),
            _ => None,
        }
    }
}

impl Message {
    pub(crate) fn notification_of(what: Notification) -> Self {
        let mut message = Message::new(Vec::new()).with_id(what.id());
        message.notification = Some(what);
        message
    }

    /// Whether it is a notification the library made itself, and not one that
    /// another task says it is.
    pub(crate) const fn is_own_notification(&self) -> bool {
        self.notification.is_some() && self.sender.is_none()
    }
}
