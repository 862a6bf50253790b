//! Another task, as the one a connection is with.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::TaskId;

use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::message::{Identity, Message, Notification};
use crate::port::After;
use crate::right::{SendOnceRight, SendRight};
use crate::special::keep_watcher;
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// What is known of the task at the other end of a link, and outlives the link.
#[derive(Debug)]
pub(crate) struct PeerCore {
    pub(crate) sender: Identity,
    pub(crate) task: Arc<TaskCore>,
    child: AtomicBool,
    state: Mutex<PeerState>,
}

#[derive(Debug, Default)]
struct PeerState {
    gone: bool,
    watchers: Vec<SendOnceRight>,
    /// A right to its inbox.
    inbox: Option<SendRight>,
}

impl PeerCore {
    pub(crate) fn new(task: &Arc<TaskCore>, sender: Identity) -> Arc<Self> {
        Arc::new(PeerCore {
            sender,
            task: Arc::clone(task),
            child: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// The link has ended, and the last frame of the peer's has been read.
    pub(crate) fn gone(&self, after: &mut After) {
        let (told, inbox) = {
            let mut state = lock(&self.state);
            state.gone = true;
            (std::mem::take(&mut state.watchers), state.inbox.take())
        };
        if let Some(inbox) = inbox {
            after.drop_later(Message::new(Vec::new()).with_right(inbox));
        }
        for to in told {
            after.fire(to, Notification::PeerGone);
        }
    }

    /// We spawned it.
    pub(crate) fn note_child(&self) {
        self.child.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_child(&self) -> bool {
        self.child.load(Ordering::Relaxed)
    }

    /// The right to its inbox, where we have asked for one.
    pub(crate) fn inbox(&self) -> Option<SendRight> {
        lock(&self.state).inbox.clone()
    }

    /// Keeps the right to its inbox, for as long as the connection lasts.
    pub(crate) fn keep_inbox(&self, right: SendRight) {
        let before = {
            let mut state = lock(&self.state);
            if state.gone { Some(right) } else { state.inbox.replace(right) }
        };
        drop(before);
    }

    fn watch(&self, to: SendOnceRight) {
        let mut gone = Vec::new();
        let late = {
            let mut state = lock(&self.state);
            if state.gone {
                Some(to)
            } else {
                gone = keep_watcher(&mut state.watchers, to);
                None
            }
        };
        drop(gone);
        if let Some(to) = late {
            to.notify(Notification::PeerGone);
        }
    }
}

/// Another task, as the one at the other end of a connection.
///
/// It is an address, not a right: nothing can be done to the task with it but to
/// know it again and to hear of its end. It outlives the request it came with,
/// the reply, and the connection.
#[derive(Clone, Debug)]
pub struct Peer {
    core: Arc<PeerCore>,
}

impl Peer {
    pub(crate) fn task_core(&self) -> &Arc<TaskCore> {
        &self.core.task
    }

    /// Who it is: the kernel's word, as of the handshake.
    pub fn identity(&self) -> Identity {
        self.core.sender
    }

    pub(crate) fn task(&self) -> TaskId {
        self.core.sender.task
    }

    /// Whether the connection has ended: the task is gone, or it broke the
    /// protocol.
    pub fn is_gone(&self) -> bool {
        self.core.task.check().is_err() || lock(&self.core.state).gone
    }

    /// Tells `to`, with [`Notification::PeerGone`], when the connection has
    /// ended: after everything the task had sent to this one. At once where it
    /// has ended already. Each request is told, exactly once.
    ///
    /// # Rights
    /// Consumes `to`.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn notify_gone(&self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.core.task.check().map_err(|_| SendFailure::Forked)?;
        self.core.watch(to);
        Ok(())
    }
}

/// The same connection.
impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for Peer {}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.core.sender.task.hash(state);
    }
}

impl Message {
    /// The task that sent it, as somebody to know again after the reply. `None`
    /// for a message of this task's own, and for one not received.
    pub fn peer(&self) -> Option<Peer> {
        self.via.as_ref().map(|core| Peer { core: Arc::clone(core) })
    }
}

impl Task {
    /// The peer that a task is, while this one is linked with it: to hear of its
    /// end with [`Peer::notify_gone`], or to send to it with [`Task::send_to`].
    pub fn peer(&self, task: TaskId) -> Option<Peer> {
        self.core.check().ok()?;
        let link = self.core.link_with(task)?;
        Some(Peer { core: Arc::clone(link.peer_core()) })
    }

    /// The tasks this one is linked with.
    pub fn peers(&self) -> Vec<Peer> {
        let links = self.core.links();
        links.iter().map(|link| Peer { core: Arc::clone(link.peer_core()) }).collect()
    }
}
