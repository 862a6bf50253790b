//! Channels: ports that are read in the order of priorities.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pillarbox::{
    Capacity, Deadline, Message, Order, PortOptions, ReceiveError, ReceiveRight, SendRight,
    heed_signals, hold_in_wait,
};

use crate::boost::Servers;
use crate::codes::{
    EAGAIN, EINTR, EINVAL, ESRCH, ETIMEDOUT, Errno, PRIORITY_MOST, chf, pulse_code,
};
use crate::held::Held;
use crate::letter::PulseId;
use crate::space::Space;
use crate::{names, with};

/// How many pulses of one process may wait at a channel.
const PULSES: u32 = 8192;

/// A channel of ours.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) chid: i32,
    pub(crate) flags: u32,
    pub(crate) port: ReceiveRight,
    own: SendRight,
    ended: AtomicBool,
    /// How many receive here now.
    receivers: AtomicUsize,
    /// Threads that serve somebody.
    pub(crate) servers: Servers,
}

impl Channel {
    /// The priority of news that are nobody's.
    pub(crate) const NEWS_PRIORITY: u16 = 10;

    /// Sends a pulse of the system's. It needs no place that others could use up.
    pub(crate) fn tell(&self, id: PulseId, value: u64, priority: u16) {
        let pulse = Message::new(Vec::new()).with_id(id.id()).with_tag(value);
        let _ = self.own.send(pulse.with_priority(priority), Deadline::Now);
    }

    /// Tells that a client would leave its request.
    pub(crate) fn tell_unblock(&self, held: &Held) {
        let id = PulseId::new(pulse_code::UNBLOCK, held.scoid);
        self.tell(id, held.rcvid as u64, held.info().priority);
    }

    /// Tells that a paused request can go on, with what the server has named it.
    pub(crate) fn tell_restart(&self, held: &Held, cookie: u32) {
        let id = PulseId::new(pulse_code::RESTART, held.scoid);
        self.tell(id, u64::from(cookie), held.info().priority);
    }

    /// Takes the next message that is wanted. A channel that ends ends the wait.
    ///
    /// # Errors
    /// `ESRCH` where the channel has ended, `ETIMEDOUT`, `EINTR`.
    pub(crate) fn take(&self, pulses_only: bool, deadline: Deadline) -> Result<Message, Errno> {
        // Counted before it is looked whether the channel has ended, and who ends it looks
        // in the other order: one of the two sees the other.
        self.receivers.fetch_add(1, Ordering::SeqCst); // pairs: channel.ended
        let leave = |()| {
            self.receivers.fetch_sub(1, Ordering::SeqCst); // pairs: channel.ended
        };
        let ((), taken) = hold_in_wait((), leave, |()| match self.ended.load(Ordering::SeqCst) {
            true => Err(ESRCH), // pairs: channel.ended
            false if pulses_only => {
                let is_pulse = |message: &Message| message.reply_right().is_none();
                heed_signals(|| self.port.receive_where(is_pulse, deadline))
                    .map_err(|error| as_errno(error, deadline))
            }
            false => heed_signals(|| self.port.receive(deadline))
                .map_err(|error| as_errno(error, deadline)),
        });
        leave(());
        if self.ended.load(Ordering::SeqCst) { Err(ESRCH) } else { taken } // pairs: channel.ended
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst) // pairs: channel.ended
    }

    /// Nobody receives here any more: who does is woken.
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst); // pairs: channel.ended
        for _ in 0..self.receivers.load(Ordering::SeqCst) {
            // pairs: channel.ended
            self.tell(PulseId::ENDS, 0, pillarbox::limits::PRIORITY_MAX);
        }
    }
}

fn as_errno(error: ReceiveError, deadline: Deadline) -> Errno {
    match error {
        ReceiveError::Deadline if deadline.has_passed() => ETIMEDOUT,
        ReceiveError::Deadline => EINTR,
        _ => ESRCH,
    }
}

/// Makes a channel, and has others find it.
///
/// # Errors
/// `EINVAL` for flags that there are none of; `EPERM` and `EAGAIN` where it would be found
/// by nobody, and is not private.
pub(crate) fn create(flags: u32) -> Result<i32, Errno> {
    if flags & !chf::ALL != 0 {
        return Err(EINVAL);
    }
    let options = PortOptions::new(Capacity::Unbounded).order(Order::Priority).pulses(PULSES);
    let chid = with(|space| -> Result<i32, Errno> {
        let port = space.task.port(options);
        let own = port.make_send().map_err(|_| EAGAIN)?;
        let chid = Space::free_number(&space.channels, 1)?;
        let (ended, receivers) = (AtomicBool::new(false), AtomicUsize::new(0));
        let servers = Servers::default();
        let channel = Channel { chid, flags, port, own, ended, receivers, servers };
        space.channels.insert(chid, Arc::new(channel));
        Ok(chid)
    })?;
    // What is private is found as well, for others to be told that it is.
    let published = names::publish(chid);
    if let (Err(error), false) = (published, flags & chf::PRIVATE != 0) {
        let _ = destroy(chid);
        return Err(error);
    }
    if flags & chf::COID_DISCONNECT != 0 {
        with(Space::tell_dead_connections);
    }
    Ok(chid)
}

/// Ends a channel: who receives there and who waits for a reply from there is told.
pub(crate) fn destroy(chid: i32) -> Result<(), Errno> {
    let (channel, unheld, names) = with(|space| {
        let channel = space.channels.remove(&chid).ok_or(EINVAL)?;
        let clients = space.clients.values().filter(|client| client.chid == chid);
        let clients: Vec<_> = clients.map(|client| client.scoid).collect();
        let unheld: Vec<_> =
            clients.into_iter().flat_map(|scoid| space.forget_client(scoid)).collect();
        let mut names = Vec::new();
        space.names.retain(|name, of| {
            let stays = *of != chid;
            if !stays {
                names.push(name.clone());
            }
            stays
        });
        channel.end();
        Ok((channel, unheld, names))
    })?;
    names::unpublish(chid, &names);
    drop(unheld);
    drop(channel);
    with(Space::tell_dead_connections);
    Ok(())
}

/// A thread of ours ends: channels it received on may want to know.
pub(crate) fn thread_ends(number: u16, channels: &BTreeSet<i32>) {
    if channels.is_empty() {
        return;
    }
    with(|space| {
        for channel in channels.iter().filter_map(|chid| space.channel(*chid)) {
            if channel.flags & chf::THREAD_DEATH != 0 {
                let id = PulseId::new(pulse_code::THREADDEATH, 0);
                channel.tell(id, u64::from(number), Channel::NEWS_PRIORITY.min(PRIORITY_MOST));
            }
        }
    });
}
