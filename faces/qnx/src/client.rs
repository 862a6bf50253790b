//! A client of a channel, as its server sees it: one process, or one connection of it
//! that is not shared.

use std::collections::HashMap;
use std::sync::Arc;

use pillarbox::{Identity, Message, Peer, SendRight, TaskId};

use crate::channel::Channel;
use crate::codes::{EAGAIN, EINVAL, EPERM, ESRCH, Errno, chf, cof, pulse_code};
use crate::held::{Held, Over, Where};
use crate::letter::PulseId;
use crate::space::Space;

/// The most threads of one client that have sent anything.
const THREADS: usize = 4096;

/// The most connections of one process to channels of ours that are not shared.
const UNSHARED: usize = 1024;

/// A client of a channel.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) scoid: u16,
    pub(crate) chid: i32,
    pub(crate) who: Identity,
    /// All connections of its process that do not say otherwise.
    shared: bool,
    /// How many connections those are. At none it is gone.
    attached: u32,
    /// The server was told that it is gone.
    told: bool,
    /// Who is asked to do something in its process.
    pub(crate) clerk: Option<SendRight>,
    /// To know its end.
    peer: Option<Peer>,
    threads: HashMap<u16, Arc<Held>>,
}

/// What who attaches is told, and given.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) scoid: u16,
    pub(crate) chid: i32,
    pub(crate) channel_flags: u32,
    pub(crate) right: SendRight,
}

/// Who attaches.
#[derive(Debug)]
pub(crate) struct Attaching {
    pub(crate) who: Identity,
    pub(crate) flags: u32,
    pub(crate) clerk: Option<SendRight>,
    pub(crate) peer: Option<Peer>,
}

impl Client {
    pub(crate) const fn is_gone(&self) -> bool {
        self.attached == 0
    }

    /// The thread of the client's that has this number.
    pub(crate) fn thread(
        &mut self,
        number: u16,
        new: impl FnOnce() -> i32,
    ) -> Result<&Arc<Held>, Errno> {
        if !self.threads.contains_key(&number) && self.threads.len() >= THREADS {
            return Err(EAGAIN);
        }
        let (scoid, chid) = (self.scoid, self.chid);
        let made = || Arc::new(Held::new(new(), scoid, chid));
        Ok(self.threads.entry(number).or_insert_with(made))
    }
}

impl Space {
    /// The thread of a client that a message is from, if it is from whom it says.
    pub(crate) fn held_of(
        &mut self,
        scoid: u16,
        sender: TaskId,
        thread: u16,
    ) -> Result<Arc<Held>, Errno> {
        let known = self.client_of(scoid, sender).ok_or(ESRCH)?.threads.get(&thread).cloned();
        if let Some(held) = known {
            return Ok(held);
        }
        let rcvid = self.new_rcvid();
        let client = self.client_of(scoid, sender).ok_or(ESRCH)?;
        let held = Arc::clone(client.thread(thread, || rcvid)?);
        self.held.insert(rcvid, Arc::clone(&held));
        Ok(held)
    }

    /// One more connection to a channel of ours.
    pub(crate) fn attach(&mut self, chid: i32, attaching: Attaching) -> Result<Attached, Errno> {
        let Attaching { who, flags, clerk, peer } = attaching;
        let channel = self.channel(chid).ok_or(ESRCH)?;
        if channel.flags & chf::PRIVATE != 0 && !self.is_own(who.task) {
            return Err(EPERM);
        }
        let right = channel.port.make_send().map_err(|_| EAGAIN)?;
        let shared = flags & cof::NOSHARE == 0;
        let same = |client: &&mut Client| {
            client.who.task == who.task && client.chid == chid && client.attached > 0
        };
        let mut others = self.clients.values_mut().filter(same);
        let scoid = if shared && let Some(client) = others.find(|client| client.shared) {
            client.attached = client.attached.checked_add(1).ok_or(EAGAIN)?;
            client.scoid
        } else {
            if self.clients.values_mut().filter(same).count() >= UNSHARED {
                return Err(EAGAIN);
            }
            let scoid = self.free_scoid()?;
            let threads = HashMap::new();
            let (attached, told) = (1, false);
            let client = Client { scoid, chid, who, shared, attached, told, clerk, peer, threads };
            self.clients.insert(scoid, client);
            scoid
        };
        Ok(Attached { scoid, chid, channel_flags: channel.flags, right })
    }

    /// One connection less. Returns what is to be dropped without the lock.
    pub(crate) fn detach(&mut self, scoid: u16, who: TaskId) -> Vec<Message> {
        let Some(client) = self.client_of(scoid, who) else { return Vec::new() };
        if client.attached == 0 {
            return Vec::new();
        }
        client.attached -= 1;
        if client.attached > 0 { Vec::new() } else { self.client_goes(scoid) }
    }

    /// Processes that are gone: all their connections are.
    pub(crate) fn bury_clients(&mut self) -> Vec<Message> {
        self.watched.retain(|_, peer| !peer.is_gone());
        let is_gone = |client: &&mut Client| {
            client.attached > 0 && client.peer.as_ref().is_some_and(Peer::is_gone)
        };
        let mut gone = Vec::new();
        for client in self.clients.values_mut().filter(is_gone) {
            client.attached = 0;
            client.clerk = None;
            gone.push(client.scoid);
        }
        gone.into_iter().flat_map(|scoid| self.client_goes(scoid)).collect()
    }

    /// A client has no connection any more. First its server hears that what it asked is
    /// wanted no more, and that it is gone when that was answered.
    fn client_goes(&mut self, scoid: u16) -> Vec<Message> {
        let Some(client) = self.clients.get(&scoid) else { return Vec::new() };
        let Some(channel) = self.channel(client.chid) else { return self.forget_client(scoid) };
        let unblocks = channel.flags & chf::UNBLOCK != 0;
        for held in client.threads.values() {
            if held.client_goes(unblocks) {
                channel.tell_unblock(held);
            }
        }
        self.settle(scoid)
    }

    /// Tells the server that a client is gone, if it is and has not been told.
    pub(crate) fn settle(&mut self, scoid: u16) -> Vec<Message> {
        let Some(client) = self.clients.get_mut(&scoid) else { return Vec::new() };
        if client.attached > 0 || client.told {
            return Vec::new();
        }
        let Some(channel) = self.channels.get(&client.chid).map(Arc::clone) else {
            return self.forget_client(scoid);
        };
        let unblocks = channel.flags & chf::UNBLOCK != 0;
        if unblocks && client.threads.values().any(|held| held.waits()) {
            return Vec::new();
        }
        client.told = true;
        if channel.flags & chf::DISCONNECT == 0 {
            return self.forget_client(scoid);
        }
        channel.tell(PulseId::new(pulse_code::DISCONNECT, scoid), 0, Channel::NEWS_PRIORITY);
        Vec::new()
    }

    /// A client's number is free again, and those of its threads. What it waits for is
    /// returned, to be dropped.
    pub(crate) fn forget_client(&mut self, scoid: u16) -> Vec<Message> {
        let Some(client) = self.clients.remove(&scoid) else { return Vec::new() };
        let forget = |held: Arc<Held>| {
            self.held.remove(&held.rcvid);
            held.forget()
        };
        client.threads.into_values().filter_map(forget).collect()
    }

    /// A server lets a client's number go.
    pub(crate) fn detach_client(&mut self, scoid: i32) -> Result<Vec<Message>, Errno> {
        let scoid = u16::try_from(scoid & 0xffff).map_err(|_| EINVAL)?;
        if !self.clients.contains_key(&scoid) {
            return Err(EINVAL);
        }
        Ok(self.forget_client(scoid))
    }

    /// A client would leave a request. Returns how far the server is with it.
    pub(crate) fn withdraw(
        &mut self,
        from: crate::letter::From,
        who: TaskId,
        over: Over,
    ) -> Result<Where, Errno> {
        let held = self.held_of(from.scoid, who, from.thread)?;
        let channel = self.channel(held.chid).ok_or(ESRCH)?;
        let unblocks = channel.flags & chf::UNBLOCK != 0;
        let found = held.withdraw(from.request, over, unblocks);
        if found == Where::Tell {
            channel.tell_unblock(&held);
        }
        Ok(found)
    }
}
