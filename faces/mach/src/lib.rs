//! Mach ports for C programs on Linux.
//!
//! A C library, `libpillarbox_mach`, with the headers that programs written for Mach
//! include. Such a program is compiled with
//!
//! ```text
//! cc program.c $(pkg-config --cflags --libs pillarbox-mach)
//! ```
//!
//! and its ports, rights and messages are those of this task. `FIDELITY.md` beside
//! this crate says of every call whether it does the same here.
//!
//! A program in Rust uses the library itself, whose rights are values and no numbers; a
//! [`Message`] is what it needs to talk with programs in C.
//!
//! | module    | for                                                        |
//! |-----------|------------------------------------------------------------|
//! | `names`   | numbers that stand for rights: pure                        |
//! | `space`   | what each stands for, and who is told of its end           |
//! | `port`    | what the calls `mach_port_…` do                            |
//! | `letter`  | a message as the library carries it                        |
//! | `message` | the same for programs in Rust                              |
//! | `send`, `receive`, `trailer`, `destroy` | the halves of `mach_msg`     |
//! | `peek`    | a look at a message that stays                             |
//! | `classic` | the calls of the oldest systems, said in those of today     |
//! | `semaphore` | what the calls `semaphore_…` do                          |
//! | `orders`  | the same of another task's names                           |
//! | `boot`    | names for rights                                           |
//! | `codes`   | the numbers that programs see                              |
//! | `edge`    | where C calls in, and the only unsafe code                 |
//!
//! No queue, no wait and no count of senders is here: those are the library's. What
//! is ours is which number means which right.

mod boot;
mod classic;
mod codes;
mod destroy;
mod edge;
mod letter;
mod message;
mod names;
mod orders;
mod peek;
mod port;
mod receive;
mod semaphore;
mod send;
mod space;
mod trailer;

pub use crate::message::{Carried, Descriptor, Message};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pillarbox::{Deadline, Task};

use crate::space::{Space, To};

/// One space for each fork between the first process and this one.
static SPACES: [OnceLock<Mutex<Space>>; 64] = [const { OnceLock::new() }; 64];
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// This process was forked: the space of its parent is not its own.
fn forked() {
    let _ = DEPTH.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |depth| {
        (depth + 1 < SPACES.len()).then_some(depth + 1)
    });
}

/// Does something in the space of this task, and says afterwards what is to be said.
fn with<R>(act: impl FnOnce(&mut Space) -> R) -> R {
    let place = &SPACES[DEPTH.load(Ordering::Relaxed)];
    let space = place.get_or_init(|| {
        let (task_self, bootstrap) = edge::own_names();
        // A task that may not be shared with others still serves this process.
        let task = Task::current().unwrap_or_default();
        Mutex::new(Space::new(task, edge::random(), task_self, bootstrap))
    });
    let mut space = space.lock().unwrap_or_else(PoisonError::into_inner);
    space.heed_all();
    let done = act(&mut space);
    let outbox = space.take_outbox();
    drop(space);
    for (to, message) in outbox {
        // Who does not read what it asked for keeps nobody waiting for long.
        let soon = Deadline::after(Duration::from_millis(50));
        match to {
            To::Once(to) => drop(to.send(message, soon)),
            To::Port(to) => drop(to.send(message, soon)),
        }
    }
    done
}
