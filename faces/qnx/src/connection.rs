//! Connections to channels, and what is sent over them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pillarbox::{
    CallError, Deadline, Message, PendingCall, PulseError, SendFailure, SendRight, Withdraw,
    Withdrawer, heed_signals, hold_in_wait,
};

use crate::channel::Channel;
use crate::clerk::{self, Request};
use crate::client::{Attached, Attaching};
use crate::codes::{
    EAGAIN, EBADF, EINTR, EINVAL, EPERM, ESRCH, ETIMEDOUT, Errno, PRIORITY_MOST, SCOID,
    SIDE_CHANNEL, chf, cof, pulse_code, timeout_in,
};
use crate::edge::Reserved;
use crate::held::{Over, Where};
use crate::letter::{From, Outcome, PulseId};
use crate::space::Space;
use crate::thread::{self, Timeout};
use crate::{MEETING, PATIENCE, names, with};

/// Who is at the other end.
#[derive(Debug)]
pub(crate) enum Server {
    /// This process.
    Own(Weak<Channel>),
    /// Another, by its clerk.
    Other(SendRight),
}

/// A connection of ours.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) coid: i32,
    pub(crate) pid: i32,
    pub(crate) chid: i32,
    /// The server's number for us.
    pub(crate) scoid: u16,
    /// The server is told when we would leave, and decides.
    unblocks: bool,
    right: SendRight,
    server: Server,
    flags: AtomicU32,
    /// A descriptor whose number this is.
    reserved: Option<Reserved>,
    told: AtomicBool,
    asked: Mutex<Asked>,
}

/// What is asked over a connection and not answered.
#[derive(Debug, Default)]
struct Asked {
    /// The connection was let go.
    ended: bool,
    calls: Vec<(From, Withdrawer)>,
}

/// A request that is not answered. Dropped when it is, or a handler has jumped out of it.
struct UnderWay<'a> {
    connection: &'a Connection,
    request: u32,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut asked = self.connection.asked();
        if let Some(at) = asked.calls.iter().position(|(from, _)| from.request == self.request) {
            asked.calls.swap_remove(at);
        }
    }
}

/// What a call ended in, if it was not an error of ours.
type Reply = Result<Message, Errno>;

impl Connection {
    pub(crate) fn flags(&self) -> u32 {
        let dead = if self.is_dead() { cof::DEAD } else { 0 };
        self.flags.load(Ordering::Relaxed) | dead
    }

    /// Changes flags that may be changed. Returns what they were.
    pub(crate) fn set_flags(&self, mask: u32, bits: u32) -> u32 {
        let before = self.flags();
        let mask = mask & !(cof::DEAD | cof::NOSHARE);
        let change = |flags: u32| Some(flags & !mask | bits & mask);
        let _ = self.flags.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        if let Some(reserved) = &self.reserved {
            reserved.close_on_exec(self.flags() & cof::CLOEXEC != 0);
        }
        before
    }

    pub(crate) fn is_dead(&self) -> bool {
        match &self.server {
            Server::Own(channel) => channel.upgrade().is_none_or(|channel| channel.has_ended()),
            Server::Other(_) => self.right.is_dead(),
        }
    }

    /// Sends and waits for the reply.
    pub(crate) fn send(&self, body: Vec<u8>, room: usize, timeout: Option<Timeout>) -> Reply {
        if self.is_dead() {
            return Err(EBADF);
        }
        let (scoid, thread) = (self.scoid, thread::number());
        let from = From { scoid, thread, request: thread::next_request() };
        let request = Message::new(body)
            .with_id(self.coid)
            .with_priority(thread::priority())
            .with_tag(from.tag())
            .with_reply_room(room.min(crate::MESSAGE_BYTES) as u64);
        let sending = Timeout::within(timeout, timeout_in::SEND);
        let replying = Timeout::within(timeout, timeout_in::REPLY);
        let (sends, replies) = (sending.is_some(), replying.is_some());
        let deadline = sending.or(replying).unwrap_or(Deadline::Never);
        // Until the lane has room for it, too, the server has not received it.
        let until = sending.unwrap_or(Deadline::Never);
        let sent = heed_signals(|| self.right.start_call(request, until));
        let call = sent.map_err(|error| match error.reason {
            SendFailure::Full if until.has_passed() => ETIMEDOUT,
            SendFailure::Full => EINTR,
            reason => unsent(reason),
        })?;
        let over = Over { send: sends, reply: replies, error: ETIMEDOUT.0 };
        let under_way = self.enlist(&call, from);
        let ((_, under_way), answer) = hold_in_wait((call, under_way), drop, |(call, _)| {
            self.wait(call, from, deadline, over)
        });
        drop(under_way);
        answer
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever lets this connection go knows of a request.
    fn enlist(&self, call: &PendingCall, from: From) -> UnderWay<'_> {
        let ended = {
            let mut asked = self.asked();
            asked.calls.push((from, call.withdrawer()));
            asked.ended
        };
        if ended {
            // It was let go between our look at it and now.
            self.let_go_of(from, &call.withdrawer());
        }
        UnderWay { connection: self, request: from.request }
    }

    /// The connection is let go: what was not received fails now, and of the rest the
    /// server hears that its client would leave.
    fn end(&self) {
        let calls = {
            let mut asked = self.asked();
            asked.ended = true;
            asked.calls.clone()
        };
        for (from, call) in calls {
            self.let_go_of(from, &call);
        }
    }

    fn let_go_of(&self, from: From, call: &Withdrawer) {
        let over = Over { send: true, reply: true, error: EBADF.0 };
        let how = match self.would_leave(from, over) {
            Ok(Where::Received | Where::Tell) if self.unblocks => Withdraw::Ask,
            _ => Withdraw::Done,
        };
        call.withdraw(how);
    }

    /// Waits for the reply as long as the caller wants to, or must.
    fn wait(&self, call: &mut PendingCall, from: From, deadline: Deadline, over: Over) -> Reply {
        let (mut deadline, mut timed) = (deadline, over);
        loop {
            match heed_signals(|| call.wait(deadline)) {
                Err(CallError::Deadline) => {}
                other => return other.map_err(|error| self.as_errno(&error)),
            }
            // A signal is a reason to leave in every state.
            let over = match deadline.has_passed() {
                true => timed,
                false => Over { send: true, reply: true, error: EINTR.0 },
            };
            let stays = match self.would_leave(from, over) {
                Ok(Where::Queued) => !over.send,
                // Without a say in it the server is left, if the caller may go.
                Ok(Where::Received | Where::Tell) => self.unblocks || !over.reply,
                // Who does not answer is not waited for.
                Err(_) => false,
            };
            if !stays && call.withdraw(Withdraw::Done) {
                return Err(Errno(over.error));
            }
            if over.reply && self.unblocks {
                // From now on it is the server's to say.
                call.withdraw(Withdraw::Ask);
                let answer = call.wait(Deadline::Never).map_err(|error| self.as_errno(&error))?;
                return match Outcome::of(&answer) {
                    // It leaves it to us why we would have left.
                    Outcome::Error(-1) => Err(Errno(over.error)),
                    _ => Ok(answer),
                };
            }
            // That time is over for good; a signal may still come.
            (deadline, timed) = (Deadline::Never, Over { send: false, reply: false, ..over });
        }
    }

    /// Tells the server that we would leave. It says how far it is.
    fn would_leave(&self, from: From, over: Over) -> Result<Where, Errno> {
        match &self.server {
            Server::Own(_) => with(|space| {
                let own = space.identity().task;
                space.withdraw(from, own, over)
            }),
            Server::Other(clerk) => clerk::withdraw(clerk, from, over),
        }
    }

    fn as_errno(&self, error: &CallError) -> Errno {
        match error {
            CallError::Unsent(error) => unsent(error.reason),
            CallError::Deadline => ETIMEDOUT,
            // Another thread has let the connection go.
            CallError::Withdrawn => EBADF,
            // The server, or its channel, ended while we waited.
            _ => ESRCH,
        }
    }

    /// Sends a pulse. Never waits.
    pub(crate) fn pulse(&self, priority: i32, code: i32, value: u64) -> Result<(), Errno> {
        let priority = match priority {
            -1 => thread::priority(),
            0 => 1,
            given => u16::try_from(given).map_err(|_| EINVAL)?,
        };
        if priority > PRIORITY_MOST {
            return Err(EINVAL);
        }
        if self.is_dead() {
            return Err(EBADF);
        }
        let id = PulseId::new(code as i8, self.scoid);
        self.right.pulse(id.id(), value, priority).map_err(|error| match error {
            PulseError::NoRoom | PulseError::System(_) | PulseError::NotJoined(_) => EAGAIN,
            _ => EBADF,
        })
    }

    /// Whether its channel is this process's.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self.server, Server::Own(_))
    }

    /// Whether a task is who serves here.
    pub(crate) fn is_served_by(&self, task: pillarbox::TaskId) -> bool {
        self.right.owner() == Some(task)
    }

    fn let_go(&self) {
        match &self.server {
            Server::Own(_) => {
                let unheld = with(|space| {
                    let own = space.identity().task;
                    space.detach(self.scoid, own)
                });
                drop(unheld);
            }
            Server::Other(clerk) => clerk::tell(clerk, &Request::Detach { scoid: self.scoid }),
        }
    }
}

fn unsent(reason: SendFailure) -> Errno {
    match reason {
        SendFailure::Dead | SendFailure::Revoked | SendFailure::Forked => EBADF,
        SendFailure::TooLong { .. } => crate::codes::EOVERFLOW,
        SendFailure::Fault(_) => ESRCH,
        _ => EAGAIN,
    }
}

impl Space {
    /// Keeps a connection under the first free number.
    fn keep(&mut self, mut made: Connection, index: u32) -> Result<i32, Errno> {
        let coid = if index & SIDE_CHANNEL as u32 != 0 {
            // The first of them is the system's.
            Space::free_number(&self.connections, SIDE_CHANNEL + 1)?
        } else {
            let close = made.flags() & cof::CLOEXEC != 0;
            let reserved = Reserved::from(index as i32, close).ok_or(EAGAIN)?;
            let number = reserved.number();
            made.reserved = Some(reserved);
            number
        };
        made.coid = coid;
        // A number that came back from a `close` behind our back is a new one.
        self.connections.insert(coid, Arc::new(made));
        Ok(coid)
    }

    /// Tells of connections that have lost their channel, where somebody wants to know.
    pub(crate) fn tell_dead_connections(&mut self) {
        let wants = |channel: &&Arc<Channel>| channel.flags & chf::COID_DISCONNECT != 0;
        let Some(channel) = self.channels.values().find(wants) else { return };
        for connection in self.connections.values() {
            if connection.is_dead() && !connection.told.swap(true, Ordering::Relaxed) {
                let id = PulseId::new(pulse_code::COIDDEATH, 0);
                channel.tell(id, connection.coid as u64, Channel::NEWS_PRIORITY);
            }
        }
    }
}

/// Connects with a channel: of this process for 0, or of another.
pub(crate) fn attach(node: u32, pid: i32, chid: i32, index: u32, flags: u32) -> Result<i32, Errno> {
    if flags & !cof::ALL != 0 || pid < 0 || index & 0x8000_0000 != 0 {
        return Err(EINVAL);
    }
    if node != 0 {
        return Err(Errno(libc::EHOSTUNREACH));
    }
    let own = with(|space| space.identity().pid);
    if pid == 0 || pid == own {
        return attach_own(chid, index, flags);
    }
    attach_other(pid, &Request::Attach { chid, flags, name: String::new() }, index, flags)
}

fn attach_own(chid: i32, index: u32, flags: u32) -> Result<i32, Errno> {
    let (coid, unheld) = with(|space| -> Result<_, Errno> {
        let who = space.identity();
        let channel = space.channel(chid).ok_or(ESRCH)?;
        let attached = space.attach(chid, Attaching { who, flags, clerk: None, peer: None })?;
        let server = Server::Own(Arc::downgrade(&channel));
        let scoid = attached.scoid;
        match space.keep(Connection::new(attached, who.pid, server, flags), index) {
            Ok(coid) => Ok((Ok(coid), Vec::new())),
            Err(error) => Ok((Err(error), space.detach(scoid, who.task))),
        }
    })?;
    drop(unheld);
    coid
}

/// Connects with a channel of another process, which its name leads to.
pub(crate) fn attach_named(request: &Request, clerk: SendRight, flags: u32) -> Result<i32, Errno> {
    connect(clerk, request, SIDE_CHANNEL as u32, flags)
}

fn attach_other(pid: i32, request: &Request, index: u32, flags: u32) -> Result<i32, Errno> {
    let Request::Attach { chid, .. } = request else { return Err(EINVAL) };
    connect(names::find(pid, *chid)?, request, index, flags)
}

fn connect(clerk: SendRight, request: &Request, index: u32, flags: u32) -> Result<i32, Errno> {
    let (clerk, attached) = hold_in_wait(clerk, drop, |clerk| clerk::attach(clerk, request));
    let attached = attached?;
    let pid = names::pid_of(&attached.right)?;
    // A channel is its own process's to let others into.
    if attached.right.owner() != clerk.owner() {
        return Err(ESRCH);
    }
    let scoid = attached.scoid;
    let watched = attached.right.clone();
    let made = Connection::new(attached, pid, Server::Other(clerk.clone()), flags);
    match with(|space| space.keep(made, index)) {
        Ok(coid) => {
            clerk::watch_end(&watched);
            Ok(coid)
        }
        Err(error) => {
            clerk::tell(&clerk, &Request::Detach { scoid });
            Err(error)
        }
    }
}

impl Connection {
    fn new(attached: Attached, pid: i32, server: Server, flags: u32) -> Self {
        Connection {
            coid: 0,
            pid,
            chid: attached.chid,
            scoid: attached.scoid,
            unblocks: attached.channel_flags & chf::UNBLOCK != 0,
            right: attached.right,
            server,
            flags: AtomicU32::new(flags & !cof::DEAD),
            reserved: None,
            told: AtomicBool::new(false),
            asked: Mutex::default(),
        }
    }
}

/// Lets a connection go, or a client's number.
pub(crate) fn detach(coid: i32) -> Result<(), Errno> {
    if coid == SIDE_CHANNEL {
        return Err(EPERM);
    }
    let connection = with(|space| space.connections.remove(&coid));
    if let Some(connection) = connection {
        connection.end();
        connection.let_go();
        return Ok(());
    }
    if coid & SCOID == 0 || coid & SIDE_CHANNEL != 0 {
        return Err(EINVAL);
    }
    let unheld = with(|space| space.detach_client(coid))?;
    drop(unheld);
    Ok(())
}

/// Sends over a connection and waits for the reply.
pub(crate) fn send(coid: i32, body: Vec<u8>, room: usize) -> Reply {
    let timeout = thread::take_timeout();
    let connection = with(|space| space.connection(coid)).ok_or(EBADF)?;
    let (connection, answer) =
        hold_in_wait(connection, drop, |connection| connection.send(body, room, timeout));
    let answer = answer?;
    match Outcome::of(&answer) {
        Outcome::Status(_) => Ok(answer),
        Outcome::Error(-1) if connection.asked().ended => Err(EBADF),
        // Nobody asked to leave, and the server says so all the same.
        Outcome::Error(-1) => Err(EINTR),
        Outcome::Error(error) => Err(Errno(error)),
    }
}

/// Until when another process is waited for that has to be there first.
pub(crate) fn long() -> Deadline {
    Deadline::after(MEETING)
}

/// How long an answer of a clerk's may take.
pub(crate) fn patience() -> Deadline {
    Deadline::after(PATIENCE)
}
