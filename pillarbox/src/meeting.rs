//! Whom this task is linked with, and whom it is about to be.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use abi::{TaskId, limits};

use crate::background::Job;
use crate::core::TaskCore;
use crate::link::{Join, Link};
use crate::port::After;
use crate::wait::parking::lock;

/// Whether there is a link with a task.
#[derive(Debug)]
pub(crate) enum Meeting {
    Linked(Arc<Link>),
    /// One is being opened, for these.
    Opening(Vec<Arc<Join>>),
}

impl TaskCore {
    pub(crate) fn links(&self) -> Arc<Vec<Arc<Link>>> {
        Arc::clone(&self.links.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Under the lock they are changed under.
    fn links_changed(&self) {
        self.links_version.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn link_with(&self, peer: TaskId) -> Option<Arc<Link>> {
        match lock(&self.meetings).get(&peer)? {
            Meeting::Linked(link) => Some(Arc::clone(link)),
            Meeting::Opening(_) => None,
        }
    }

    /// Whether a connection that `peer` opened to us may become the link.
    ///
    /// Two tasks never have two links: if both connect at once, the one opened
    /// by the lower task id stays.
    pub(crate) fn may_accept(&self, peer: TaskId) -> bool {
        match lock(&self.meetings).get(&peer) {
            None => true,
            Some(Meeting::Linked(_)) => false,
            Some(Meeting::Opening(_)) => peer < self.id,
        }
    }

    /// Puts a new link in its place and returns the claims that waited for it.
    /// `Err` where there is one already.
    pub(crate) fn add_link(&self, link: &Arc<Link>) -> Result<Vec<Arc<Join>>, ()> {
        let mut meetings = lock(&self.meetings);
        if matches!(meetings.get(&link.peer_task()), Some(Meeting::Linked(_))) {
            return Err(());
        }
        let before = meetings.insert(link.peer_task(), Meeting::Linked(Arc::clone(link)));
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let mut list = Vec::clone(&links);
        list.push(Arc::clone(link));
        *links = Arc::new(list);
        self.links_changed();
        Ok(match before {
            Some(Meeting::Opening(joins)) => joins,
            Some(Meeting::Linked(_)) | None => Vec::new(),
        })
    }

    pub(crate) fn remove_link(&self, link: &Arc<Link>) -> bool {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        if !links.iter().any(|other| Arc::ptr_eq(other, link)) {
            return false;
        }
        *links =
            Arc::new(links.iter().filter(|other| !Arc::ptr_eq(other, link)).cloned().collect());
        self.links_changed();
        true
    }

    /// A claim that waits for a link with `owner`.
    pub(crate) fn waits_for(&self, owner: TaskId) -> Option<Arc<Join>> {
        match lock(&self.meetings).get(&owner)? {
            Meeting::Opening(joins) => joins.first().cloned(),
            Meeting::Linked(_) => None,
        }
    }

    /// The link could not be opened: what waited for it is dead.
    pub(crate) fn meeting_failed(&self, peer: TaskId, after: &mut After) {
        let joins = {
            let mut meetings = lock(&self.meetings);
            match meetings.get(&peer) {
                Some(Meeting::Opening(_)) => match meetings.remove(&peer) {
                    Some(Meeting::Opening(joins)) => joins,
                    _ => Vec::new(),
                },
                _ => Vec::new(),
            }
        };
        for join in joins {
            join.fail(false, after);
        }
    }

    /// Claims a right that another task gave us.
    pub(crate) fn start_join(&self, join: Arc<Join>, after: &mut After) {
        let link = {
            let mut meetings = lock(&self.meetings);
            match meetings.get_mut(&join.owner) {
                Some(Meeting::Linked(link)) => Some(Arc::clone(link)),
                Some(Meeting::Opening(joins)) if joins.len() < limits::GIVES => {
                    joins.push(Arc::clone(&join));
                    return;
                }
                Some(Meeting::Opening(_)) => None,
                None if join.owner == self.id => {
                    drop(meetings);
                    self.claim_here(&join, after);
                    return;
                }
                None => {
                    meetings.insert(join.owner, Meeting::Opening(vec![Arc::clone(&join)]));
                    drop(meetings);
                    if self.start_background().is_err() {
                        self.meeting_failed(join.owner, after);
                        return;
                    }
                    self.job(Job::Introduce(join));
                    return;
                }
            }
        };
        match link {
            Some(link) => link.claim(join, after),
            // Too many wait already; or it is our own right, which would have
            // come home by name and not by ticket.
            None => join.fail(false, after),
        }
    }
}
