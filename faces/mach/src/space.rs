//! What the names of a task stand for, and what happens to them.
//!
//! Rights, queues and news are the library's; here is only which name means which
//! right, how many references it has, and who asked to be told of its end. Whether a
//! port has ended is the library's word, asked for whenever a name is looked at: so
//! no name turns dead behind anybody's back.
//!
//! Nothing here waits. What is to be said to others is kept, and sent by whoever lets
//! the lock of the space go.

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pillarbox::bootstrap::Bootstrap;
use pillarbox::{
    Armed, Capacity, Message, PortSet, ReceiveRight, ReplyState, Right, SendOnceRight, SendRight,
    Task,
};

use crate::codes::{disposition, notify};
use crate::letter;
use crate::names::{ByNumber, DEAD, NULL, Name, Names, add_urefs};
use crate::semaphore::Semaphore;

/// Places of a new port.
pub(crate) const QLIMIT: u32 = 5;

/// Where threads of the task receive: from one port, or from a set.
#[derive(Debug)]
pub(crate) struct Mouth {
    pub(crate) set: PortSet,
    /// Threads that wait, and hear of events meanwhile where somebody asked to be told of
    /// anything. Changed under the lock of the space.
    pub(crate) listening: std::sync::atomic::AtomicUsize,
    /// The library's number of the port where it tells us what to look at.
    events: u64,
}

impl Mouth {
    fn new(task: &Task, events: u64) -> Arc<Self> {
        Arc::new(Mouth { set: task.port_set(), listening: 0.into(), events })
    }

    /// Whether a message came to where the library tells us.
    pub(crate) const fn is_event(&self, port: u64) -> bool {
        self.events == port
    }
}

/// A receive right under a name.
#[derive(Debug)]
pub(crate) struct Receive {
    pub(crate) right: ReceiveRight,
    /// Where it is received from alone, once somebody did.
    mouth: Option<Arc<Mouth>>,
    /// The sets it is a member of.
    pub(crate) sets: BTreeSet<Name>,
    /// The library's number of the message that has number `seqno_from` here.
    base: Option<u64>,
    seqno_from: u32,
    next: u32,
    pub(crate) context: u64,
    pub(crate) guarded: bool,
    pub(crate) strict: bool,
    pub(crate) immovable: bool,
}

impl Receive {
    fn new(right: ReceiveRight, base: Option<u64>) -> Self {
        Receive {
            right,
            mouth: None,
            sets: BTreeSet::new(),
            base,
            seqno_from: 0,
            next: 0,
            context: 0,
            guarded: false,
            strict: false,
            immovable: false,
        }
    }

    /// The number here of what the library numbered `sequence`.
    pub(crate) fn seqno(&mut self, sequence: u64) -> u32 {
        let base = *self.base.get_or_insert(sequence);
        let seqno = self.seqno_from.wrapping_add(sequence.wrapping_sub(base) as u32);
        self.next = seqno.wrapping_add(1);
        seqno
    }

    /// The number of the next message.
    pub(crate) const fn next_seqno(&self) -> u32 {
        self.next
    }

    /// The next message has this number.
    pub(crate) fn set_seqno(&mut self, seqno: u32) {
        let taken = self.base.map(|base| base + u64::from(self.next.wrapping_sub(self.seqno_from)));
        self.base = taken;
        self.seqno_from = seqno;
        self.next = seqno;
    }
}

/// Rights to one port under its one name.
#[derive(Debug, Default)]
pub(crate) struct PortRights {
    pub(crate) receive: Option<Receive>,
    pub(crate) send: Option<Arc<SendRight>>,
    pub(crate) urefs: u32,
    /// The library's number of the port, where it is known here by it.
    id: Option<u64>,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Held {
    Port(PortRights),
    Once(SendOnceRight),
    Set(Arc<Mouth>, BTreeSet<Name>),
    Dead(u32),
}

/// Somebody who is to be told of what happens to a name.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) to: SendOnceRight,
    /// Of room rather than of an end.
    pub(crate) room: bool,
    /// Waits for room now.
    pub(crate) armed: bool,
    news: Option<Armed>,
    number: u32,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) held: Held,
    pub(crate) request: Option<Request>,
}

/// A right that was taken out of the space, or what stands for none.
#[derive(Debug)]
pub(crate) enum Taken {
    Right(Right),
    Null,
    Dead,
}

/// Why a right was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The name stands for nothing.
    Name,
    /// It stands for no such right.
    Right,
    /// That is nothing a right can become.
    Disposition,
}

/// Where a task is told of what it has left with others.
#[derive(Debug)]
pub(crate) enum ToldAt {
    /// At a port that is made for it.
    Own,
    /// At a port that it has named.
    Port(SendRight),
    /// Nowhere.
    Nowhere,
}

/// A right that news goes on.
#[derive(Debug)]
pub(crate) enum To {
    Once(SendOnceRight),
    Port(SendRight),
}

/// The space of one task.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) task: Task,
    /// The name of the task itself.
    own: Name,
    /// Others that have its right are answered.
    answers: bool,
    names: Names<Entry>,
    by_port: ByNumber<u64, Name>,
    /// Where the library tells what names are to be looked at.
    events: ReceiveRight,
    /// Where threads wait who would hear of events, if anybody had asked for any.
    waiting: Vec<Arc<Mouth>>,
    outbox: Vec<(To, Message)>,
    number: u32,
    /// Send-once names that somebody asked about.
    asked: BTreeSet<Name>,
    /// Receive rights of the ports that stand for the machine and its parts.
    kept: Vec<ReceiveRight>,
    pub(crate) host: Name,
    pub(crate) registered: Vec<SendRight>,
    /// Semaphores, by the numbers of their ports.
    pub(crate) semaphores: ByNumber<u64, Semaphore>,
    pub(crate) server: Option<Bootstrap>,
    /// Ports of services of this task that nobody has checked in for.
    pub(crate) created: BTreeMap<String, ReceiveRight>,
    /// Names that were checked in, and the port that may take each back.
    pub(crate) signed: BTreeMap<String, Name>,
    /// The port that a task is told at of messages that it has left with others, where it
    /// has named no other.
    pub(crate) notify: Name,
    pub(crate) told_at: ToldAt,
    /// Those messages, by the numbers of our requests: where each went.
    left: BTreeMap<u32, Name>,
    /// Which clock a name stands for.
    pub(crate) clocks: BTreeMap<Name, i32>,
    /// What was set as the bootstrap port, where that is not the server's.
    pub(crate) bootstrap: Option<SendRight>,
}

impl Space {
    /// The space of a new task. The names of the task itself and of its bootstrap
    /// port are given.
    pub(crate) fn new(task: Task, seed: u64, task_self: Name, bootstrap: Name) -> Self {
        let mut space = Space {
            events: task.port(Capacity::Unbounded),
            task,
            own: task_self,
            answers: false,
            names: Names::drawn(seed),
            by_port: ByNumber::default(),
            outbox: Vec::new(),
            waiting: Vec::new(),
            number: 0,
            asked: BTreeSet::new(),
            kept: Vec::new(),
            host: NULL,
            registered: Vec::new(),
            semaphores: ByNumber::default(),
            server: None,
            created: BTreeMap::new(),
            signed: BTreeMap::new(),
            notify: NULL,
            told_at: ToldAt::Own,
            left: BTreeMap::new(),
            clocks: BTreeMap::new(),
            bootstrap: None,
        };
        match space.task.kernel() {
            Ok(right) => space.put_send(task_self, right),
            Err(_) => space.stand_in(task_self),
        }
        space.stand_in(bootstrap);
        space
    }

    /// A name for a port of ours that nobody reads.
    pub(crate) fn stand_in(&mut self, name: Name) {
        let port = self.task.port(Capacity::Bounded(1));
        if let Ok(right) = port.make_send() {
            self.put_send(name, right);
        }
        self.kept.push(port);
    }

    /// A new name of such a port.
    pub(crate) fn new_stand_in(&mut self) -> Name {
        let Some(name) = self.names.draw() else { return NULL };
        self.stand_in(name);
        name
    }

    /// A send right under a name that is free.
    pub(crate) fn put_send(&mut self, name: Name, right: SendRight) {
        let id = right.port_id();
        if let Some(id) = id {
            self.by_port.insert(id, name);
        }
        let send = Some(Arc::new(right));
        let held = Held::Port(PortRights { send, urefs: 1, id, receive: None });
        self.names.put(name, Entry { held, request: None });
    }

    // ---- looking ---------------------------------------------------------

    /// What a name stands for now.
    pub(crate) fn look(&mut self, name: Name) -> Option<&mut Entry> {
        self.settle(name);
        self.names.get_mut(name)
    }

    /// The receive right of a name.
    pub(crate) fn receive(&mut self, name: Name) -> Result<&mut Receive, NotTaken> {
        match &mut self.names.get_mut(name).ok_or(NotTaken::Name)?.held {
            Held::Port(PortRights { receive: Some(receive), .. }) => Ok(receive),
            _ => Err(NotTaken::Right),
        }
    }

    /// The names of the space, in order.
    pub(crate) fn sorted(&mut self) -> Vec<Name> {
        let names = self.names.sorted();
        for name in &names {
            self.settle(*name);
        }
        names
    }

    pub(crate) fn is_free(&self, name: Name) -> bool {
        self.names.get(name).is_none()
    }

    /// The name of a port of our own.
    pub(crate) fn name_of(&self, port: u64) -> Option<Name> {
        self.by_port.get(&port).copied()
    }

    /// Sees whether the port behind a name has ended.
    fn settle(&mut self, name: Name) {
        let Some(entry) = self.names.get_mut(name) else { return };
        let (urefs, id) = match &entry.held {
            Held::Port(PortRights { receive: None, send: Some(send), urefs, id })
                if send.is_dead() =>
            {
                (*urefs, *id)
            }
            Held::Once(right) if matches!(right.state(), ReplyState::Gone(_)) => (1, None),
            _ => return,
        };
        let request = entry.request.take();
        let urefs = if request.is_some() { add_urefs(urefs, 1).unwrap_or(urefs) } else { urefs };
        entry.held = Held::Dead(urefs);
        if let Some(id) = id {
            self.by_port.remove(&id);
        }
        if let Some(request) = request {
            self.tell(request, notify::DEAD_NAME, name);
        }
    }

    fn tell(&mut self, request: Request, id: i32, name: Name) {
        self.asked.remove(&name);
        if let Some(news) = &request.news {
            let _ = news.cancel();
        }
        self.outbox.push((To::Once(request.to), letter::notification(id, Some(name))));
    }

    /// What is to be sent once the lock is let go.
    pub(crate) fn take_outbox(&mut self) -> Vec<(To, Message)> {
        std::mem::take(&mut self.outbox)
    }

    // ---- names come ------------------------------------------------------

    /// Makes a port, a set or a dead name under `name`, or under a new one.
    pub(crate) fn put_new(&mut self, name: Option<Name>, held: Held) -> Option<Name> {
        let name = match name {
            Some(name) => name,
            None => self.names.draw()?,
        };
        if let Held::Port(PortRights { receive: Some(receive), .. }) = &held {
            self.by_port.insert(receive.right.id(), name);
        }
        self.names.put(name, Entry { held, request: None });
        Some(name)
    }

    pub(crate) fn new_port(&self) -> Held {
        Self::port_of(self.task.port(Capacity::Bounded(QLIMIT)))
    }

    /// A port that was just made.
    pub(crate) fn port_of(right: ReceiveRight) -> Held {
        let id = Some(right.id());
        let receive = Some(Receive::new(right, Some(1)));
        Held::Port(PortRights { receive, id, ..PortRights::default() })
    }

    pub(crate) fn new_mouth(&self) -> Arc<Mouth> {
        Mouth::new(&self.task, self.events.id())
    }

    /// Where messages of `name` are received.
    pub(crate) fn mouth(&mut self, name: Name) -> Option<Arc<Mouth>> {
        let (task, events) = (&self.task, self.events.id());
        match &mut self.names.get_mut(name)?.held {
            Held::Set(mouth, _) => Some(Arc::clone(mouth)),
            Held::Port(PortRights { receive: Some(receive), .. }) => {
                if receive.mouth.is_none() {
                    let fresh = Mouth::new(task, events);
                    let _ = fresh.set.add(&receive.right).ok()?;
                    receive.mouth = Some(fresh);
                }
                receive.mouth.clone()
            }
            _ => None,
        }
    }

    /// The name that a port has here already.
    pub(crate) fn known(&self, right: &SendRight) -> Option<Name> {
        if let Some(id) = right.port_id() {
            return self.by_port.get(&id).copied();
        }
        self.names.iter().find_map(|(name, entry)| match &entry.held {
            Held::Port(PortRights { send: Some(send), id: None, .. }) => {
                send.same_port(right).then_some(name)
            }
            _ => None,
        })
    }

    /// The send rights to ports that are known by no number here: those of other tasks.
    pub(crate) fn unnumbered(&self) -> Vec<Arc<SendRight>> {
        let all = self.names.iter().filter_map(|(_, entry)| match &entry.held {
            Held::Port(PortRights { send: Some(send), id: None, .. }) => Some(Arc::clone(send)),
            _ => None,
        });
        all.collect()
    }

    /// A send right comes.
    pub(crate) fn give_send(&mut self, right: SendRight) -> Name {
        if right.is_dead() {
            return DEAD;
        }
        if let Some(name) = self.known(&right)
            && let Some(Entry { held: Held::Port(port), .. }) = self.names.get_mut(name)
        {
            port.urefs = add_urefs(port.urefs, 1).unwrap_or(port.urefs);
            if port.send.is_none() {
                port.send = Some(Arc::new(right));
                self.watch_anew(name);
            }
            return name;
        }
        let Some(name) = self.names.draw() else { return NULL };
        self.put_send(name, right);
        name
    }

    /// A send-once right comes.
    pub(crate) fn give_once(&mut self, right: SendOnceRight, name: Option<Name>) -> Name {
        if matches!(right.state(), ReplyState::Gone(_)) {
            return DEAD;
        }
        self.put_new(name, Held::Once(right)).unwrap_or(NULL)
    }

    /// A receive right comes.
    pub(crate) fn give_receive(&mut self, right: ReceiveRight, name: Option<Name>) -> Name {
        let id = right.id();
        // A right to it that we had when it was elsewhere is known by no number yet.
        let known = self.by_port.get(&id).copied().or_else(|| {
            self.names.iter().find_map(|(name, entry)| match &entry.held {
                Held::Port(PortRights { send: Some(send), id: None, .. }) => {
                    (send.port_id() == Some(id)).then_some(name)
                }
                _ => None,
            })
        });
        let receive = Receive::new(right, None);
        if let Some(name) = known
            && let Some(Entry { held: Held::Port(port), .. }) = self.names.get_mut(name)
        {
            port.receive = Some(receive);
            port.id = Some(id);
            self.by_port.insert(id, name);
            return name;
        }
        let (receive, id) = (Some(receive), Some(id));
        let held = Held::Port(PortRights { receive, id, ..PortRights::default() });
        self.put_new(name, held).unwrap_or(NULL)
    }

    /// Any right comes.
    pub(crate) fn give(&mut self, right: Right) -> (Name, u8) {
        match right {
            Right::Send(right) => (self.give_send(right), disposition::MOVE_SEND),
            Right::SendOnce(right) => (self.give_once(right, None), disposition::MOVE_SEND_ONCE),
            Right::Receive(right) => (self.give_receive(right, None), disposition::MOVE_RECEIVE),
            _ => (NULL, 0),
        }
    }

    // ---- names go --------------------------------------------------------

    /// Frees a name. Who asked about it is told.
    pub(crate) fn free(&mut self, name: Name) -> Option<Entry> {
        let mut entry = self.names.free(name)?;
        if let Held::Port(PortRights { id: Some(id), .. }) = &entry.held
            && self.by_port.get(id) == Some(&name)
        {
            self.by_port.remove(id);
        }
        if let Held::Set(mouth, members) = &entry.held {
            mouth.set.close();
            for member in members.clone() {
                if let Ok(receive) = self.receive(member) {
                    receive.sets.remove(&name);
                }
            }
        }
        if let Some(request) = entry.request.take() {
            self.tell(request, notify::PORT_DELETED, name);
        }
        Some(entry)
    }

    /// Takes the receive right from under a name, which is free then if nothing else
    /// is there. Who waits for a message is told.
    pub(crate) fn detach_receive(&mut self, name: Name) -> Option<Receive> {
        let Held::Port(port) = &mut self.names.get_mut(name)?.held else { return None };
        let receive = port.receive.take()?;
        let is_empty = port.send.is_none();
        if let Some(mouth) = &receive.mouth {
            let _ = mouth.set.remove((&receive.right).into());
            mouth.set.close();
        }
        for set in &receive.sets {
            if let Some(Entry { held: Held::Set(mouth, members), .. }) = self.names.get_mut(*set) {
                members.remove(&name);
                let _ = mouth.set.remove((&receive.right).into());
            }
        }
        if is_empty {
            self.free(name);
        }
        Some(receive)
    }

    /// Ends a receive right: the port with it, unless somebody is to have it.
    pub(crate) fn end_receive(&mut self, name: Name) {
        if let Some(receive) = self.detach_receive(name) {
            receive.right.set_make_sends(0);
            drop(receive);
            self.settle(name);
            // The library tells of send rights. Who asked about a send-once right of
            // ours is told here.
            for asked in self.asked.clone() {
                self.settle(asked);
            }
        }
    }

    /// Takes one reference of a send right. The right itself where it was the last.
    fn take_send(&mut self, name: Name, references: u32) -> Option<Arc<SendRight>> {
        let Held::Port(port) = &mut self.names.get_mut(name)?.held else { return None };
        let delta = i32::try_from(references).ok()?.checked_neg()?;
        port.urefs = add_urefs(port.urefs, delta)?;
        if port.urefs > 0 {
            return port.send.clone();
        }
        let right = port.send.take();
        if port.receive.is_none() {
            self.free(name);
        }
        right
    }

    /// Takes references of a send right or a dead name away. False where there are
    /// not so many.
    pub(crate) fn change_urefs(&mut self, name: Name, delta: i32) -> bool {
        let Some(entry) = self.names.get_mut(name) else { return false };
        match &mut entry.held {
            Held::Port(port) => {
                let Some(urefs) = add_urefs(port.urefs, delta) else { return false };
                if urefs == 0 && port.send.is_some() {
                    let all = port.urefs;
                    drop(self.take_send(name, all));
                } else {
                    port.urefs = urefs;
                }
            }
            Held::Dead(urefs) => {
                let Some(left) = add_urefs(*urefs, delta) else { return false };
                *urefs = left;
                if left == 0 {
                    self.free(name);
                }
            }
            Held::Once(_) | Held::Set(..) => return false,
        }
        true
    }

    /// Where what is sent to `name` with this disposition goes, with nothing taken.
    pub(crate) fn copied(&mut self, name: Name) -> Option<Arc<SendRight>> {
        match &self.look(name)?.held {
            Held::Port(port) => port.send.clone(),
            _ => None,
        }
    }

    /// Whether `take` would.
    pub(crate) fn may_take(&mut self, name: Name, how: u8) -> Result<(), NotTaken> {
        let held = &self.look(name).ok_or(NotTaken::Name)?.held;
        let may = match (how, held) {
            (disposition::MOVE_RECEIVE, Held::Port(port)) => {
                port.receive.as_ref().is_some_and(|receive| !receive.immovable)
            }
            (disposition::MAKE_SEND | disposition::MAKE_SEND_ONCE, Held::Port(port)) => {
                port.receive.is_some()
            }
            (disposition::MOVE_SEND | disposition::COPY_SEND, Held::Port(port)) => {
                port.send.is_some()
            }
            (disposition::MOVE_SEND_ONCE, Held::Once(_)) => true,
            (
                disposition::MOVE_SEND | disposition::COPY_SEND | disposition::MOVE_SEND_ONCE,
                Held::Dead(_),
            ) => true,
            (disposition::MOVE_RECEIVE..=disposition::MAKE_SEND_ONCE, _) => false,
            _ => return Err(NotTaken::Disposition),
        };
        if may { Ok(()) } else { Err(NotTaken::Right) }
    }

    /// Takes a right out of the space, or copies or makes one.
    pub(crate) fn take(&mut self, name: Name, how: u8) -> Result<Taken, NotTaken> {
        if name == NULL {
            return Ok(Taken::Null);
        }
        if name == DEAD {
            return Ok(Taken::Dead);
        }
        self.may_take(name, how)?;
        if name == self.own && !self.answers {
            self.answers = true;
            crate::orders::begin_to_answer(self);
        }
        if let Some(Entry { held: Held::Dead(_), .. }) = self.names.get_mut(name) {
            if how != disposition::COPY_SEND {
                let _ = self.change_urefs(name, -1);
            }
            return Ok(Taken::Dead);
        }
        let right = match how {
            disposition::MOVE_RECEIVE => {
                let receive = self.detach_receive(name).ok_or(NotTaken::Right)?;
                receive.right.set_make_sends(0);
                Right::Receive(receive.right)
            }
            disposition::MOVE_SEND => {
                let right = self.take_send(name, 1).ok_or(NotTaken::Right)?;
                Right::Send(Arc::try_unwrap(right).unwrap_or_else(|shared| (*shared).clone()))
            }
            disposition::COPY_SEND => {
                let right = self.copied(name).ok_or(NotTaken::Right)?;
                Right::Send((*right).clone())
            }
            disposition::MAKE_SEND => {
                let made = self.receive(name)?.right.make_send();
                Right::Send(made.map_err(|_| NotTaken::Right)?)
            }
            disposition::MAKE_SEND_ONCE => {
                let made = self.receive(name)?.right.make_send_once();
                Right::SendOnce(made.map_err(|_| NotTaken::Right)?)
            }
            _ => match self.free(name).map(|entry| entry.held) {
                Some(Held::Once(right)) => Right::SendOnce(right),
                _ => return Err(NotTaken::Right),
            },
        };
        Ok(Taken::Right(right))
    }
}
