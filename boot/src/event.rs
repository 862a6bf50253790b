//! What a server has to say of its services, to whoever keeps a log.

use std::fmt;

/// Something that happened to a service. As text it is a sentence for a log.
///
/// # Examples
/// ```
/// let event = boot::Event::Started { service: "upper", pid: 812 };
/// assert_eq!(event.to_string(), "upper was started as process 812");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Its program was started.
    Started {
        /// What it is called.
        service: &'a str,
        /// Its process.
        pid: i32,
    },
    /// Its program was not started.
    NotStarted {
        /// What it is called.
        service: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// It runs without all that the `[cgroup]` of its file says.
    Unbounded {
        /// What it is called.
        service: &'a str,
        /// What is not in force, and why.
        reason: &'a str,
    },
    /// Its process has ended.
    Ended {
        /// What it is called.
        service: &'a str,
        /// How, and before what.
        reason: &'a str,
        /// It had checked in, so whoever waited for it was served.
        was_ready: bool,
    },
    /// It was handed on by the server before this one without its process, which runs on
    /// if it has not ended: nobody looks after it.
    Lost {
        /// What it is called.
        service: &'a str,
    },
    /// A door of the server is shut: a hand-over has taken it down, and it could not be
    /// opened again. Who connects there waits in vain.
    Shut {
        /// What the system says.
        reason: &'a str,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started { service, pid } => {
                write!(out, "{service} was started as process {pid}")
            }
            Event::NotStarted { service, reason } => {
                write!(out, "{service} could not be started: {reason}")
            }
            Event::Unbounded { service, reason } => {
                write!(out, "{service} is not bounded as its file says: {reason}")
            }
            Event::Ended { service, reason, .. } => write!(out, "{service}: {reason}"),
            Event::Lost { service } => {
                write!(out, "{service} was handed on without its process")
            }
            Event::Shut { reason } => write!(out, "nobody can connect any more: {reason}"),
        }
    }
}

/// Who is told.
pub(crate) struct Listener(pub(crate) Box<dyn FnMut(&Event<'_>) + Send>);

impl fmt::Debug for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Listener")
    }
}
