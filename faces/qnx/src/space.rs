//! What this process has: its channels, its connections, and its clients.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pillarbox::bootstrap::Bootstrap;
use pillarbox::{Identity, Peer, SendRight, Task, TaskId};

use crate::channel::Channel;
use crate::clerk::Clerk;
use crate::client::Client;
use crate::codes::{EAGAIN, Errno};
use crate::connection::Connection;
use crate::event::{Registry, Timers};
use crate::held::Held;

/// The most connections of one process, and the most clients of one.
const MOST: i32 = 0xffff;

/// The number of the first request that is held.
const FIRST_RCVID: i32 = 0x1_0001;

/// The highest number of one: it fits into an `int`.
const LAST_RCVID: i32 = 0x3fff_ffff;

/// All of a process, under one lock.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) task: Task,
    pub(crate) channels: BTreeMap<i32, Arc<Channel>>,
    pub(crate) connections: BTreeMap<i32, Arc<Connection>>,
    /// Clients of our channels, by the low half of the server's number for each.
    pub(crate) clients: BTreeMap<u16, Client>,
    /// The threads of clients, by the number that stands for each.
    pub(crate) held: HashMap<i32, Arc<Held>>,
    /// Names that we attached, and the channel behind each.
    pub(crate) names: BTreeMap<String, i32>,
    pub(crate) clerk: Option<Clerk>,
    /// Other processes whose end the clerk hears of.
    pub(crate) watched: HashMap<TaskId, Peer>,
    /// The bootstrap server, once it was found.
    pub(crate) bootstrap: Option<Bootstrap>,
    pub(crate) registered: Registry,
    pub(crate) timers: Timers,
    /// A thread raises servers that are busy.
    pub(crate) has_watch: bool,
    next_rcvid: i32,
}

impl Space {
    pub(crate) fn new(task: Task) -> Self {
        Space {
            task,
            channels: BTreeMap::new(),
            connections: BTreeMap::new(),
            clients: BTreeMap::new(),
            held: HashMap::new(),
            names: BTreeMap::new(),
            clerk: None,
            watched: HashMap::new(),
            bootstrap: None,
            registered: Registry::default(),
            timers: Timers::default(),
            has_watch: false,
            next_rcvid: FIRST_RCVID,
        }
    }

    /// Who we are.
    pub(crate) fn identity(&self) -> Identity {
        self.task.identity()
    }

    /// Whether a task is our own.
    pub(crate) fn is_own(&self, task: TaskId) -> bool {
        self.task.identity().task == task
    }

    /// A channel of ours.
    pub(crate) fn channel(&self, chid: i32) -> Option<Arc<Channel>> {
        self.channels.get(&chid).map(Arc::clone)
    }

    /// A connection of ours.
    pub(crate) fn connection(&self, coid: i32) -> Option<Arc<Connection>> {
        self.connections.get(&coid).map(Arc::clone)
    }

    /// The client that a message says it is from, if that is whose it is.
    pub(crate) fn client_of(&mut self, scoid: u16, sender: TaskId) -> Option<&mut Client> {
        self.clients.get_mut(&scoid).filter(|client| client.who.task == sender)
    }

    /// The first free number from `first` on.
    pub(crate) fn free_number<T>(taken: &BTreeMap<i32, T>, first: i32) -> Result<i32, Errno> {
        let mut free = first;
        for number in taken.range(first..).map(|(number, _)| *number) {
            if number != free {
                break;
            }
            free = free.checked_add(1).ok_or(EAGAIN)?;
        }
        if free.saturating_sub(first) > MOST { Err(EAGAIN) } else { Ok(free) }
    }

    /// The first free number for a client.
    pub(crate) fn free_scoid(&self) -> Result<u16, Errno> {
        (1..=u16::MAX).find(|number| !self.clients.contains_key(number)).ok_or(EAGAIN)
    }

    /// A number for a thread of a client, which no other had for long.
    pub(crate) fn new_rcvid(&mut self) -> i32 {
        loop {
            let number = self.next_rcvid;
            self.next_rcvid = if number == LAST_RCVID { FIRST_RCVID } else { number + 1 };
            if !self.held.contains_key(&number) {
                return number;
            }
        }
    }

    /// A right to our own clerk, where there is one.
    pub(crate) fn clerk_right(&self) -> Option<SendRight> {
        self.clerk.as_ref().and_then(Clerk::right)
    }
}
