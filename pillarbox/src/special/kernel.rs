//! The kernel port: what a task can be asked to tell of itself, or to do.
//!
//! A send right to it is as good as the task itself, so nobody has one who was
//! not given it, and it may be narrowed by ids ([`ids`]) before it is given. The
//! library answers, in whatever thread takes the request in; [`Request`] and
//! [`Reply`] are the bodies, in postcard's format, and the id of the message is
//! that of the request, or it is none.
//!
//! | file         | part                                      |
//! |--------------|-------------------------------------------|
//! | this one     | what is asked and answered                |
//! | `serve.rs`   | who answers, and what                     |
//! | `starting.rs`| programs that were started, at their task |
//! | `client.rs`  | asking                                    |
//! | `counts.rs`  | what is counted, for who watches          |
//! | `program.rs` | having a program started                  |

mod asking;
mod client;
mod counts;
mod program;
mod serve;
mod starting;

use rights::census::Row;
use serde::{Deserialize, Serialize};

pub use self::client::Kernel;
pub use self::counts::{Counts, Latencies, PortCounts};
pub use self::program::{Program, StartError, Started};
pub(crate) use self::serve::{KernelPort, go_on_serving, serve};
pub(crate) use self::starting::{Child, Children, Starting};
use crate::error::SendFailure;
use crate::message::{self, Message, Notification};
use crate::port::{Capacity, Order, Overflow, PortOptions};

/// The ids of the requests, for [`Terms::ids`](crate::Terms::ids). None is ever
/// used again for something else.
pub mod ids {
    /// Who the task is.
    pub const IDENTITY: i32 = 1;
    /// The limits it keeps.
    pub const LIMITS: i32 = 2;
    /// The rights it has.
    pub const CENSUS: i32 = 3;
    /// The tasks it is linked with.
    pub const PEERS: i32 = 4;
    /// End the task.
    pub const END: i32 = 5;
    /// What it has counted.
    pub const METRICS: i32 = 6;
    /// Make a port.
    pub const MAKE_PORT: i32 = 7;
    /// Make memory.
    pub const MAKE_REGION: i32 = 8;
    /// Start a program.
    pub const START: i32 = 9;
    /// Tell how a program ended, when it has.
    pub const WAIT: i32 = 10;
    /// What it and its ports have counted.
    pub const COUNTS: i32 = 11;

    /// From here on the program answers, and not the library: see
    /// [`Task::answer_requests`](crate::Task::answer_requests).
    pub const PROGRAM: i32 = 0x1_0000;

    /// Those that tell of a task and change nothing: what
    /// [`Task::looking`](crate::Task::looking) permits.
    pub const LOOKING: [i32; 6] = [IDENTITY, LIMITS, CENSUS, PEERS, METRICS, COUNTS];
}

/// What a task can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// Who are you?
    Identity,
    /// Which limits do you keep?
    Limits,
    /// Which rights do you have? At most [`KERNEL_ROWS`](crate::limits::KERNEL_ROWS) lines, after so
    /// many.
    Census {
        /// How many lines are known.
        after: u64,
    },
    /// Which tasks are you linked with? At most [`KERNEL_ROWS`](crate::limits::KERNEL_ROWS), after so
    /// many.
    Peers {
        /// How many are known.
        after: u64,
    },
    /// The task shall end, as by [`Task::close`](crate::Task::close).
    End,
    /// What have you counted?
    Metrics,
    /// Make a port. Its receive right comes with the answer, and belongs to the
    /// task no more.
    MakePort(Shape),
    /// Make memory of so many bytes. Its descriptor comes with the answer.
    MakeRegion {
        /// Its size.
        bytes: u64,
    },
    /// Start a program with the rights of the message.
    Start(Start),
    /// How did the program end? Answered when it has. Only for the port that
    /// stands for one.
    Wait,
    /// What have you and your ports counted? Of at most
    /// [`KERNEL_ROWS`](crate::limits::KERNEL_ROWS) ports, after so many. And where do the
    /// rights in the message lead?
    Counts {
        /// How many ports are known.
        after: u64,
    },
}

impl Request {
    /// The id of the message it comes in.
    pub const fn id(&self) -> i32 {
        match self {
            Request::Identity => ids::IDENTITY,
            Request::Limits => ids::LIMITS,
            Request::Census { .. } => ids::CENSUS,
            Request::Peers { .. } => ids::PEERS,
            Request::End => ids::END,
            Request::Metrics => ids::METRICS,
            Request::MakePort(_) => ids::MAKE_PORT,
            Request::MakeRegion { .. } => ids::MAKE_REGION,
            Request::Start(_) => ids::START,
            Request::Wait => ids::WAIT,
            Request::Counts { .. } => ids::COUNTS,
        }
    }

    /// The message it goes in: for who asks without waiting, with
    /// [`SendRight::start_call_to`](crate::SendRight::start_call_to) and its kind.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::{Answer, Request};
    /// use pillarbox::{Deadline, Task};
    /// let task = Task::new();
    /// let notify = task.notify()?;
    /// let ask = Request::Identity.message();
    /// let _ = task.kernel()?.start_call_to(ask, &notify, 7, Deadline::Never)?;
    /// let news = notify.receive(Deadline::Never)?;
    /// assert_eq!(news.completion(), Some(7));
    /// assert!(matches!(Answer::of(&news)?, Answer::Identity(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn message(&self) -> Message {
        // A value of ours always encodes.
        Message::new(postcard::to_stdvec(self).unwrap_or_default()).with_id(self.id())
    }
}

/// What a port is to be, as [`PortOptions`] say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Messages it holds; zero for a rendezvous, none for no limit.
    pub places: Option<u32>,
    /// Whether it is read in the order of priorities.
    pub by_priority: bool,
    /// What it does with one message too many: 0 refuse it, 1 drop the oldest, 2
    /// drop it.
    pub overflow: u8,
    /// Pulses each holder may have in it.
    pub pulses: u32,
    /// Whether equal pulses become one.
    pub merge_pulses: bool,
}

impl From<&PortOptions> for Shape {
    fn from(options: &PortOptions) -> Self {
        Shape {
            places: match options.capacity {
                Capacity::Rendezvous => Some(0),
                Capacity::Bounded(places) => Some(places),
                Capacity::Unbounded => None,
            },
            by_priority: options.order == Order::Priority,
            overflow: match options.overflow {
                Overflow::DropOldest => 1,
                Overflow::DropNewest => 2,
                _ => 0,
            },
            pulses: options.pulses,
            merge_pulses: options.merge_pulses,
        }
    }
}

impl Shape {
    /// The options it stands for, if there are such.
    fn options(&self) -> Option<PortOptions> {
        let capacity = self.places.map_or(Capacity::Unbounded, Capacity::Bounded);
        let order = if self.by_priority { Order::Priority } else { Order::Fifo };
        let overflow = match self.overflow {
            0 => Overflow::Refuse,
            1 => Overflow::DropOldest,
            2 => Overflow::DropNewest,
            _ => return None,
        };
        let options = PortOptions::new(capacity).order(order).overflow(overflow);
        Some(options.pulses(self.pulses).merge_pulses(self.merge_pulses))
    }
}

/// A program to be started, as a request says it: see [`Program`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its path.
    pub program: Vec<u8>,
    /// Its arguments, its own name not among them.
    pub arguments: Vec<Vec<u8>>,
    /// The whole of its environment.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where it begins; where the task is, if nothing is said.
    pub directory: Option<Vec<u8>>,
    /// The names of its rights, in the order of those in the message.
    pub names: Vec<String>,
    /// Which of its standard input, output and error come with the message, as
    /// descriptors in this order. The others lead nowhere.
    pub streams: [bool; 3],
}

/// What a task answers, or why it does not.
pub type Reply = Result<Answer, Refused>;

/// What a task answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// Who it is.
    Identity(Identity),
    /// Names and values.
    Limits(Vec<(String, u64)>),
    /// Some lines of its census, and whether there are more.
    Census(Vec<Line>, bool),
    /// Some of its peers, and whether there are more.
    Peers(Vec<Identity>, bool),
    /// It ends.
    Ends,
    /// Names and counts.
    Metrics(Vec<(String, u64)>),
    /// The port was made: its receive right is in the message.
    Port,
    /// The memory was made: its descriptor is in the message.
    Region,
    /// The program was started: a right to the port that stands for it is in the
    /// message. The number of its task is not known, and said to be zero.
    Started(Identity),
    /// The program has ended.
    Exited(Exit),
    /// What it and some of its ports have counted.
    Counts(Counts),
}

impl Answer {
    /// What an answer says that came without waiting: [`Request::message`].
    ///
    /// # Errors
    /// [`KernelError::Refused`], [`KernelError::NotPermitted`],
    /// [`KernelError::Died`], and [`KernelError::BadAnswer`] for a message that is
    /// no answer.
    pub fn of(message: &Message) -> Result<Answer, KernelError> {
        match message.notification() {
            Some(Notification::Refused) => return Err(KernelError::NotPermitted),
            Some(_) => return Err(KernelError::Died),
            None => {}
        }
        let reply = postcard::from_bytes::<Reply>(message.body());
        Ok(reply.map_err(|_| KernelError::BadAnswer)??)
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The status it gave itself.
    pub code: Option<i32>,
    /// The signal that ended it. Where neither is known somebody else in the
    /// starting process has waited for it.
    pub signal: Option<i32>,
}

/// Who a task is, as it sees itself or a peer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its process, as links know it.
    pub process: u64,
    /// Which task of its process.
    pub number: u64,
    /// Its process, in the pid namespace of who answers.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl From<message::Identity> for Identity {
    fn from(known: message::Identity) -> Self {
        let message::Identity { task, pid, uid, gid } = known;
        Identity { process: task.process, number: task.number, pid, uid, gid }
    }
}

/// A line of a census: see [`Row`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is held, by [its name](crate::Holding::name).
    pub holding: String,
    /// Which port.
    pub port: u64,
    /// The peer it concerns: its process and its number there.
    pub peer: Option<(u64, u64)>,
    /// How many.
    pub count: u64,
}

impl From<&Row> for Line {
    fn from(row: &Row) -> Self {
        Line {
            holding: row.holding.name().to_owned(),
            port: row.port,
            peer: row.peer.map(|peer| (peer.process, peer.number)),
            count: row.count,
        }
    }
}

/// Why a task did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The message was not a request, or not the one its id says.
    #[error("the task did not understand the request")]
    BadRequest,
    /// What is to be made is larger than the task makes, or the request longer
    /// than it reads.
    #[error("the task makes nothing as large as that")]
    TooLarge,
    /// As many programs were started, or wait for the end of one, as may be.
    #[error("the task has started as many programs as it may")]
    TooMany,
    /// The names of the rights are no names, or name one twice.
    #[error("the rights cannot be given under their names")]
    Names,
    /// A descriptor of the request was lost on the way.
    #[error("a descriptor of the request was lost on the way")]
    DescriptorLost,
    /// The task's system refused.
    #[error("the task's system refused: {}", std::io::Error::from_raw_os_error(*.errno))]
    System {
        /// The number of the error.
        errno: i32,
    },
}

/// Why a task was not reached or did not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The right does not permit this request, or was revoked.
    #[error("the right does not permit the request")]
    NotPermitted,
    /// It refused, and why.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It did not answer before the deadline.
    #[error("the task did not answer before the deadline")]
    Deadline,
    /// It is gone, or had no room for its answer in our link.
    #[error("the task is gone, or could not answer")]
    Died,
    /// It gave no answer that we understand.
    #[error("the task gave an answer that makes no sense")]
    BadAnswer,
    /// The request could not be sent.
    #[error("the task could not be asked: {0}")]
    Unsent(SendFailure),
}
