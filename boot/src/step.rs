//! The steps of a server: all that it does which anybody else could notice.
//!
//! What it changes between two of them is memory of its own, which dies with it. So a
//! server that is killed before each of its steps was killed wherever it makes a
//! difference. The unit tests do that (`killed.rs`), and break a rule on purpose to see
//! that it is found out; in every other build nothing of this is left.

macro_rules! named {
    ($(#[$about:meta])* $name:ident: $($(#[$doc:meta])+ $one:ident,)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name { $($(#[$doc])+ $one,)+ }

        #[cfg(test)]
        impl $name {
            /// Every one.
            pub(crate) const ALL: &[$name] = &[$($name::$one,)+];
        }
    };
}

named! {
    /// What is about to be done.
    Step:
    /// To wait for the next message: all that the last has asked for is done.
    Wait,
    /// To act on a message, which is gone from its sender's lane.
    Take,
    /// To answer somebody.
    Answer,
    /// To ask for the news that a port is gone.
    Arm,
    /// To start a program.
    Start,
    /// To have its end watched: it runs.
    Watch,
    /// To tell a program to end, or to kill it.
    End,
    /// To reap one that has ended.
    Reap,
    /// To look after a queue: to take from its port, or to hand out.
    Turn,
    /// To let go of a restricted right that nobody holds.
    Forget,
    /// To have the queues rest, or go on, because another is to take the place.
    Rest,
    /// To send one part of what it knows to a successor.
    Part,
    /// To shut a door.
    Shut,
    /// To take a port out of use that goes to the successor.
    Pack,
    /// To send what can be in one place only.
    Move,
    /// To wait for the successor's word: all is its own.
    Moved,
    /// To tell who waits to ask the successor.
    Leave,
    /// To be as before, since it was not handed on.
    TakeBack,
    /// As a successor, to ask for the place.
    Ask,
    /// As a successor, to take the next part from the inbox.
    Inbox,
    /// As a successor, to open a door.
    Open,
    /// As a successor, to make one part its own.
    TakeIn,
    /// As a successor, to say that it serves.
    Word,
    /// To remove the file of its socket.
    Close,
}

named! {
    /// What holds in a server that is sound.
    Rule:
    /// Who waits for a program that has ended is told.
    WaitersAreTold,
    /// A name that somebody has is refused to others.
    OneHolder,
    /// A program that runs is not started.
    OneChild,
    /// What lies in a queue goes to the successor.
    QueuesGoAlong,
    /// Names go to the successor.
    NamesGoAlong,
    /// What is decided is kept for the audit.
    DecisionsAreKept,
}

/// The step is taken now.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn before(_: Step) {}

/// Whether the rule holds: it does.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn holds(_: Rule) -> bool {
    true
}

#[cfg(test)]
pub(crate) use crate::killed::plan::{before, holds};
