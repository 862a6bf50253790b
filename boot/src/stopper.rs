//! What ends a server from another thread, and why one has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pillarbox::SendOnceRight;

/// Why a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It was asked to: by its [`Stopper`], or by a task of its own user.
    Stopped,
    /// Nobody was linked with it for as long as was said.
    Idle,
    /// It belongs to the process this one was forked from.
    Forked,
    /// Another has taken its place, and goes on with all it had: see
    /// [`Server::take_over`](crate::Server::take_over).
    Replaced {
        /// The process of that one.
        pid: i32,
    },
    /// Another has taken its place, and died before it had said that it serves. The
    /// programs that were started run on, as after the death of a server.
    SuccessorDied,
}

#[derive(Debug)]
struct Asked {
    stop: AtomicBool,
    /// Its drop makes the server look.
    bell: Mutex<Option<SendOnceRight>>,
}

/// Ends a server from another thread. A clone ends the same server.
#[derive(Clone, Debug)]
pub struct Stopper {
    asked: Arc<Asked>,
}

impl Stopper {
    pub(crate) fn new(bell: SendOnceRight) -> Self {
        let asked = Asked { stop: AtomicBool::new(false), bell: Mutex::new(Some(bell)) };
        Stopper { asked: Arc::new(asked) }
    }

    /// Asks the server to end. Does not wait until it has.
    pub fn stop(&self) {
        self.asked.stop.store(true, Ordering::Release); // pairs: boot.stop
        let bell = self.asked.bell.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(bell);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.stop.load(Ordering::Acquire) // pairs: boot.stop
    }
}
