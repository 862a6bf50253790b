//! A server that runs: in the thread that asked for it, or in one of its own.

use std::thread::JoinHandle;

use pillarbox::SendRight;

use crate::keeper::Keeper;
use crate::server::Server;
use crate::stopper::{Ended, Stopper};

impl Server {
    /// Serves in this thread.
    ///
    /// At the end the children that were started are killed and reaped, and
    /// every socket file is removed.
    ///
    /// # Blocking
    /// Until somebody asks it to stop, or it has been idle long enough.
    pub fn serve(self) -> Ended {
        Keeper::new(self).run()
    }

    /// Serves in a thread of its own, which is named `pillarbox-boot`.
    ///
    /// # Errors
    /// What the system says where there is no thread to be had.
    pub fn start(self) -> std::io::Result<Serving> {
        let (right, stopper) = (self.right().clone(), self.stopper());
        let thread = std::thread::Builder::new()
            .name("pillarbox-boot".to_owned())
            .spawn(move || self.serve())?;
        Ok(Serving { right, stopper, thread: Some(thread) })
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
    /// A bootstrap right, to be given to a child under the name
    /// [`BOOTSTRAP`](pillarbox::bootstrap::BOOTSTRAP).
    ///
    /// # Rights
    /// Borrows it; a clone is to be given.
    pub const fn right(&self) -> &SendRight {
        &self.right
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
