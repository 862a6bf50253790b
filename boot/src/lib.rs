//! The bootstrap server: names for rights, and services that start when asked.
//!
//! A task like any other, written on the public library. It keeps names, hands
//! out send rights, starts programs at the first look-up, and is in no
//! message's way afterwards. A parent can be the server of its own children,
//! with no daemon and nothing in the file system.
//!
//! ```
//! use pillarbox::bootstrap::Bootstrap;
//! use pillarbox::{Capacity, Deadline, Message, Task};
//!
//! let task = Task::current()?;
//! let serving = boot::Server::new(&task)?.start()?;
//! let names = Bootstrap::new(serving.right().clone());
//!
//! let echo = task.port(Capacity::Bounded(8));
//! names.check_in("com.example.echo", &echo, Deadline::Never)?;
//! let post = names.look_up("com.example.echo", Deadline::Never)?;
//! post.send(Message::new("hello"), Deadline::Never)?;
//! assert_eq!(echo.receive(Deadline::Never)?.body(), b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type or module       | for                                             |
//! |----------------------|-------------------------------------------------|
//! | [`Server`]           | what it provides and where it is reached        |
//! | [`Serving`]          | a server on a thread of its own                 |
//! | [`Stopper`]          | ends a server from another thread               |
//! | [`Event`]            | what happens to services, for a log             |
//! | [`admin`]            | looking at declared services, and giving orders |
//! | [`audit`]            | what was granted and refused, to whom, by what  |
//! | [`cgroup`]           | what all processes of a service may use together |
//! | [`confine`]          | what is taken away from a service's process     |
//! | [`service`]          | services that are declared in files             |
//! | [`socket`]           | a safe place in the file system, for a daemon   |
//! | [`limits`]           | how much one caller may ask for                 |
//!
//! # Whose a name is
//! A name belongs to the task that checked in or registered; what counts is the
//! kernel's word about the sender, never what the message says. While that task
//! lives, nobody else gets the name. When the port behind a name is gone the
//! name is free, or can be started again. A name that a program provides on
//! demand may be taken by the very process the server started for it and by
//! nobody else but whom a rule of its file lets.
//!
//! Who may look a name up, or check in, the rules of its file say; what they do
//! not say is closed to every user but the server's own. A refusal says by which
//! rule, and stands in the [`audit`], as do grants.
//!
//! # What is absent
//! No request is waited for, no answer either: an answer for which the caller
//! has no room now is dropped, and the library tells the caller. So a caller
//! that is stopped, or floods, keeps nobody waiting but itself. No program is
//! started without a look-up, none is restarted by itself, unless its service
//! file says so. No clean-up is needed
//! after `kill -9`: the socket of a dead server is replaced by the next one.
//!
//! # Threads
//! The server runs in the thread that calls [`Server::serve`], or in the one of
//! [`Server::start`]. The first program it starts brings one thread more,
//! `pillarbox-reap`, which sleeps until a child has ended (in a successor also the first name
//! whose task is not linked with it yet); the first service that was declared in a file
//! another, `pillarbox-logs`, which keeps the last of what services say.
//! The end of a process that an earlier server had started brings one for at most five
//! seconds, which waits until somebody has reaped it; so does what a service has left in
//! its cgroup.
//!
//! # Another in its place
//! A server leaves its place to a successor that asks for it ([`Server::take_over`]): names,
//! programs, queues and each bootstrap right go on there.
//!
//! # What a service does when its server is gone
//! Nothing, if it likes: whoever holds a right to it goes on using it. One that wants to be
//! found again keeps a [`Presence`](pillarbox::bootstrap::Presence): it checks in at the
//! next server of the path, which stands in `$PILLARBOX_SOCKET`. A server
//! that ends in order kills the programs it started. One that is killed cannot;
//! a service that must not outlive it asks for that news with
//! [`SendRight::notify_dead`](pillarbox::SendRight::notify_dead) on its
//! bootstrap right, and ends.
#![forbid(unsafe_code)]

// The tests of steps act parts as those in `tests/` do, with the same family.
#[cfg(test)]
extern crate self as boot;

pub mod admin;
mod answers;
pub mod audit;
mod authority;
pub mod cgroup;
pub mod confine;
mod event;
mod expected;
mod keeper;
#[cfg(test)]
mod killed;
pub mod limits;
mod listener;
mod logs;
mod names;
mod orders;
mod program;
mod pulse;
mod queues;
mod reaper;
mod running;
mod seen;
mod server;
pub mod service;
mod serving;
pub mod socket;
mod step;
mod stopper;
mod subsets;
mod succession;
mod supervision;
mod versions;
mod waits;
mod watches;

pub use event::Event;
pub use server::{OnDemandError, Server};
pub use serving::Serving;
pub use stopper::{Ended, Stopper};
pub use succession::TakeOverError;
