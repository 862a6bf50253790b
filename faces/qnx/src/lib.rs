//! QNX message passing for C programs on Linux.
//!
//! A C library, `libpillarbox_qnx`, with the headers that programs written for QNX
//! Neutrino include. Such a program is compiled with
//!
//! ```text
//! cc program.c $(pkg-config --cflags --libs pillarbox-qnx)
//! ```
//!
//! and its channels and connections are those of this task. `FIDELITY.md` beside this
//! crate says of every call whether it does the same here.
//!
//! | module       | for                                                     |
//! |--------------|---------------------------------------------------------|
//! | `channel`    | channels: ports that are read in the order of priorities |
//! | `connection` | connections to them, and what `MsgSend` does            |
//! | `client`     | a client of a channel, as its server sees it            |
//! | `held`       | a request from its receipt to its reply                 |
//! | `serve`      | what `MsgReceive`, `MsgReply` and their kin do          |
//! | `letter`     | a request, a reply and a pulse as the library carries them |
//! | `clerk`      | what other processes ask of this one, and who answers   |
//! | `names`      | names for channels                                      |
//! | `event`      | events, and timers that send them                       |
//! | `boost`      | busy servers run with the priority of who waits         |
//! | `thread`     | what is each thread's own                               |
//! | `space`      | all that a process has                                  |
//! | `codes`      | the numbers that programs see                           |
//! | `edge`       | where C calls in, and the only unsafe code              |
//!
//! No queue, no wait, no copy between processes and no news of a death is here: those
//! are the library's. What is ours is which number means which right. On QNX the kernel
//! answers for a process whose threads are busy; here one thread of each process that
//! has to do with others does, the *clerk*. It sleeps until it is asked. And where the
//! kernel schedules a server's thread by priority, one thread more sees to it that the
//! server runs for who waits: the *watch*.

mod boost;
mod channel;
mod clerk;
mod client;
mod codes;
mod connection;
mod edge;
mod event;
mod held;
mod letter;
mod names;
mod serve;
mod space;
mod thread;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pillarbox::Task;

use crate::space::Space;

/// The most bytes of one message.
const MESSAGE_BYTES: usize = 1 << 30;

/// How long another process may take that answers without its program's doing.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to meet another process: it may have to be scheduled a few times,
/// on a machine with much else to do. One that is gone is not waited for.
const MEETING: Duration = Duration::from_secs(60);

/// The most forks one inside the other, and one.
const FORKS: usize = 64;

/// One space for each fork between the first process and this one.
static SPACES: [OnceLock<Mutex<Space>>; FORKS] = [const { OnceLock::new() }; FORKS];
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// This process was forked: nothing of its parent's is its own.
fn forked() {
    let _ = DEPTH.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |depth| {
        (depth + 1 < SPACES.len()).then_some(depth + 1)
    });
    thread::forked();
}

/// How many forks lie between the first process and this one.
fn depth() -> usize {
    DEPTH.load(Ordering::Relaxed)
}

/// Does something with what this process has. Nothing that waits, or calls in here
/// again, may be done there.
fn with<R>(act: impl FnOnce(&mut Space) -> R) -> R {
    let place = &SPACES[depth()];
    let space = place.get_or_init(|| {
        edge::watch_forks();
        // A task that may not be shared with others still serves this process.
        Mutex::new(Space::new(Task::current().unwrap_or_default()))
    });
    act(&mut space.lock().unwrap_or_else(PoisonError::into_inner))
}
