//! A giver calls back what it gave to a task that has died.
//!
//! Whom we are linked with we bury ourselves, when we have read what it claimed and gave
//! on: then nothing is called back. The dead may have used its link with us before our
//! end of it was made, and its giver may know of its death before we know of the link.
//! So the thread that makes the links looks first, as it does for claims.

use std::sync::Arc;

use abi::{TaskId, limits};

use super::Link;
use crate::background::Job;
use crate::giving::HeldGive;
use crate::wait::parking::lock;

impl Link {
    /// The peer calls back what it gave to `to`, which is dead. Returns what is called
    /// back at once: that of one who names more of the dead than could hold its gives.
    pub(super) fn call_back_later(self: &Arc<Self>, to: TaskId) -> Vec<HeldGive> {
        {
            let mut dead = lock(&self.calling_back);
            if dead.len() < limits::GIVES {
                dead.push(to);
                if dead.len() == 1 {
                    self.task.job(Job::CallBack(Arc::clone(self)));
                }
                return Vec::new();
            }
        }
        self.call_back_from(to)
    }

    /// Every link there is has been made: what was given to the dead is called back.
    pub(crate) fn call_back_now(&self) -> Vec<HeldGive> {
        let dead = std::mem::take(&mut *lock(&self.calling_back));
        dead.into_iter().flat_map(|to| self.call_back_from(to)).collect()
    }

    fn call_back_from(&self, to: TaskId) -> Vec<HeldGive> {
        match self.task.link_with(to) {
            Some(_) => Vec::new(),
            None => self.task.call_back_gives(to, self.peer_task()),
        }
    }
}
