//! A server that runs, and what ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use pillarbox::{SendOnceRight, SendRight};

use crate::server::Server;

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

/// A server that runs in a thread of its own. Dropping this ends it, and waits
/// until it has ended: its children are killed and reaped by then.
#[derive(Debug)]
pub struct Serving {
    right: SendRight,
    stopper: Stopper,
    thread: Option<JoinHandle<Ended>>,
}

impl Serving {
    pub(crate) fn start(server: Server) -> std::io::Result<Serving> {
        let (right, stopper) = (server.right(), server.stopper());
        let thread = std::thread::Builder::new()
            .name("pillarbox-boot".to_owned())
            .spawn(move || server.serve())?;
        Ok(Serving { right, stopper, thread: Some(thread) })
    }

    /// A bootstrap right, to be given to a child under the name
    /// [`BOOTSTRAP`](pillarbox::bootstrap::BOOTSTRAP).
    pub fn right(&self) -> SendRight {
        self.right.clone()
    }

    /// What ends the server from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Ends the server.
    ///
    /// # Blocking
    /// Until it has ended and its children are reaped.
    pub fn stop(self) -> Ended {
        self.stopper.stop();
        self.wait()
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Blocking
    /// Until somebody asks it to stop, or it has been idle long enough.
    pub fn wait(mut self) -> Ended {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            // A bug of ours, which the thread has reported already.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ended::Stopped,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
