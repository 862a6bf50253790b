//! A port whose messages are shared out among readers.
//!
//! Each message goes to one reader, or to all that are there, as a call: its answer
//! is the acknowledgement, and a broken promise gives the message back. A reader is a
//! send right of ours, and may be anybody's port.

use std::collections::{BTreeMap, BTreeSet};

use rights::sharing::{Bounds, Share, Sharing};
use rights::window::Capacity;

use crate::fault::Fault;
use crate::send::Sent;
use crate::task::{Mail, Outgoing, Right, RightNumber, TaskNumber};
use crate::world::World;

/// Readers of one mailbox.
const READERS: usize = 3;

/// A shared mailbox.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) port: u32,
    /// Each reader gets each message.
    for_all: bool,
    rule: Sharing,
    /// What was taken from the port and nobody has acknowledged.
    pub(crate) items: BTreeMap<u64, Mail>,
    pub(crate) readers: BTreeMap<u64, RightNumber>,
    /// Readers whose port is gone: what they say of what they had is waited for.
    dying: BTreeSet<u64>,
    /// What is out: the hand-out and its reader, by the call.
    outs: BTreeMap<u64, (u64, u64)>,
    /// Known to the world: the message of each hand-out.
    handed: BTreeMap<u64, u64>,
}

/// Whose mailbox, which message of it, and for which reader: zero where it is for
/// whichever.
pub(crate) type Handout = (TaskNumber, u64, u64);

impl Shared {
    /// Whether a reader has something.
    fn has_out(&self, reader: u64) -> bool {
        self.outs.values().any(|(_, holder)| *holder == reader)
    }
}

impl World {
    /// A shared mailbox does something, or one is made.
    pub(crate) fn share(&mut self, me: TaskNumber) {
        if self.tasks[me].shared.is_none() {
            return self.share_some_port(me);
        }
        match self.chance.below(12) {
            0..4 => self.some_reader(me),
            4 => self.some_reader_leaves(me),
            _ => {}
        }
        self.take_for_readers(me);
        self.hand_out(me);
    }

    fn share_some_port(&mut self, me: TaskNumber) {
        let Some(port) = self.some_own_port(me) else { return };
        let rendezvous =
            self.port(me, port).is_some_and(|it| it.options.capacity == Capacity::Rendezvous);
        if rendezvous || self.tasks[me].set.ready.iter().any(|member| member == port) {
            return;
        }
        let share = match self.chance.below(4) {
            0 => Share::RoundRobin,
            1 => Share::LeastLoaded,
            2 => Share::ByKey,
            _ => Share::All,
        };
        let rule = Sharing::new(share, Bounds { waiting: 4, keys: 2, behind: 2 });
        self.tasks[me].shared = Some(Shared {
            port,
            for_all: share == Share::All,
            rule,
            items: BTreeMap::new(),
            readers: BTreeMap::new(),
            dying: BTreeSet::new(),
            outs: BTreeMap::new(),
            handed: BTreeMap::new(),
        });
    }

    fn some_reader(&mut self, me: TaskNumber) {
        let Some(shared) = &self.tasks[me].shared else { return };
        if shared.readers.len() >= READERS {
            return;
        }
        let port = shared.port;
        let task = &self.tasks[me];
        let sends = |right: &&RightNumber| match task.rights.get(right) {
            Some(Right::PeerSend(..)) => true,
            Some(Right::OwnSend(lead)) => lead.port != port,
            _ => false,
        };
        let all: Vec<RightNumber> = task.space.iter().filter(sends).copied().collect();
        let credit = 1 + self.chance.below(3) as usize;
        if let Some(&right) = self.chance.pick(&all)
            && let Some(copy) = self.copy(me, right)
            && let Some(shared) = &mut self.tasks[me].shared
        {
            let reader = shared.rule.join(credit);
            shared.readers.insert(reader, copy);
        }
    }

    /// A reader that has nothing goes.
    fn some_reader_leaves(&mut self, me: TaskNumber) {
        let Some(shared) = &self.tasks[me].shared else { return };
        let idle = shared.readers.keys().filter(|&&reader| !shared.has_out(reader));
        let idle: Vec<u64> = idle.copied().collect();
        if let Some(&reader) = self.chance.pick(&idle) {
            self.reader_gone(me, reader);
        }
    }

    fn take_for_readers(&mut self, me: TaskNumber) {
        while let Some(shared) = &self.tasks[me].shared
            && shared.rule.wants()
        {
            let port = shared.port;
            let Some(mail) = self.take(me, port) else { return };
            let Some(mail) = self.has_come(me, port, mail) else { continue };
            if mail.number == 0 {
                self.tasks[me].space.extend(mail.rights);
                continue;
            }
            if let Some(shared) = &mut self.tasks[me].shared {
                let item = shared.rule.accept(mail.number % 3);
                shared.items.insert(item, mail);
            }
            while let Some(late) = self.tasks[me].shared.as_ref().and_then(|it| it.rule.laggard()) {
                self.reader_gone(me, late);
            }
        }
    }

    /// Hands out what can be handed out now.
    fn hand_out(&mut self, me: TaskNumber) {
        let twice = self.is(Fault::SharedTwice);
        for _ in 0..2 * READERS {
            let Some(shared) = &mut self.tasks[me].shared else { return };
            let Some(out) = shared.rule.hand_out() else { break };
            let over = shared.readers.get(&out.reader).copied();
            let dying = shared.dying.contains(&out.reader);
            let sent = match over.filter(|_| !dying) {
                Some(over) => {
                    let to = if shared.for_all { out.reader } else { 0 };
                    self.hand_to(me, over, (me, out.item, to))
                }
                None => Err(Sent::Dead),
            };
            if !self.tasks[me].alive {
                return;
            }
            let Some(shared) = &mut self.tasks[me].shared else { return };
            match sent {
                Ok(promise) => {
                    self.figures.handed += 1;
                    shared.outs.insert(promise, (out.number, out.reader));
                    shared.handed.insert(out.number, out.item);
                    if twice {
                        let _ = shared.rule.give_back(out.number, out.reader, true);
                    }
                }
                Err(sent) => {
                    let _ = shared.rule.give_back(out.number, out.reader, false);
                    if sent == Sent::Dead {
                        shared.dying.insert(out.reader);
                    }
                    break;
                }
            }
        }
        self.bury_readers(me);
    }

    /// Sends one message to its reader, as a call. Which, if it was sent.
    fn hand_to(
        &mut self,
        me: TaskNumber,
        over: RightNumber,
        handout: Handout,
    ) -> Result<u64, Sent> {
        let reply = self.make_call(me);
        let promise = match self.tasks[me].rights.get(&reply) {
            Some(Right::OwnOnce(lead)) => lead.promise,
            _ => 0,
        };
        if self.acknowledged.contains(&handout) {
            let what = format!("task {me} hands out again what a reader acknowledged");
            self.violated("I4", what);
        }
        let deadline_ns = self.now_ns;
        let (rights, left, id) = (Vec::new(), None, 0);
        let out = Outgoing { over, rights, reply: Some(reply), left, id, deadline_ns };
        match self.try_send(me, &out) {
            // It ended in the midst of it: a port of our own may have dropped it.
            Sent::Done if !self.tasks[me].calls.contains_key(&promise) => Err(Sent::NoRoom),
            Sent::Done => {
                self.handouts.insert(promise, handout);
                Ok(promise)
            }
            sent => {
                self.let_go(me, reply);
                Err(sent)
            }
        }
    }

    /// Readers whose ports are gone leave when nothing is out to them any more: an
    /// answer may be on its way.
    fn bury_readers(&mut self, me: TaskNumber) {
        let early = self.is(Fault::SharedBuriedEarly);
        let Some(shared) = &mut self.tasks[me].shared else { return };
        let over = shared.dying.iter().filter(|&&reader| early || !shared.has_out(reader));
        let over: Vec<u64> = over.copied().collect();
        for reader in over {
            self.reader_gone(me, reader);
        }
    }

    /// What a reader has goes back, and what nobody needs then ends.
    fn reader_gone(&mut self, me: TaskNumber, reader: u64) {
        let Some(shared) = &mut self.tasks[me].shared else { return };
        shared.dying.remove(&reader);
        shared.outs.retain(|_, (_, holder)| *holder != reader);
        let over = shared.rule.leave(reader);
        let over: Vec<Mail> = over.iter().filter_map(|item| shared.items.remove(item)).collect();
        let right = shared.readers.remove(&reader);
        self.tasks[me].space.extend(over.into_iter().flat_map(|mail| mail.rights));
        if let Some(right) = right {
            self.let_go(me, right);
        }
    }

    /// What became of a hand-out, if the call was one.
    pub(crate) fn handed_back(&mut self, me: TaskNumber, promise: u64, answered: bool) {
        let forgotten = self.is(Fault::SharedForgotten);
        let Some(shared) = &mut self.tasks[me].shared else { return };
        let Some((number, reader)) = shared.outs.remove(&promise) else { return };
        if !answered {
            if !forgotten {
                self.figures.back += 1;
                let _ = shared.rule.give_back(number, reader, true);
            }
            return;
        }
        if let Some((item, true)) = shared.rule.finish(number, reader)
            && let Some(mail) = shared.items.remove(&item)
        {
            self.tasks[me].space.extend(mail.rights);
        }
    }

    /// A call that hands something out is not withdrawn.
    pub(crate) fn is_handout(&self, promise: u64) -> bool {
        self.handouts.contains_key(&promise)
    }

    /// An answer was accepted on its way: where nobody lies, it acknowledges.
    pub(crate) fn acknowledges(&mut self, promise: u64) {
        if let Some(&handout) = self.handouts.get(&promise)
            && !self.liars
        {
            self.acknowledged.insert(handout);
        }
    }

    /// The mailbox is shared no more.
    pub(crate) fn unshare(&mut self, me: TaskNumber) {
        let Some(shared) = self.tasks[me].shared.take() else { return };
        for right in shared.readers.into_values() {
            self.let_go(me, right);
        }
        for mail in shared.items.into_values() {
            self.let_go_all(me, mail.rights);
        }
    }

    /// What the rule says is out is out, in one call each.
    pub(crate) fn sharing_agrees(&self, me: TaskNumber) -> Result<(), String> {
        let task = &self.tasks[me];
        let Some(shared) = &task.shared else { return Ok(()) };
        let out: BTreeSet<u64> = shared.outs.values().map(|(number, _)| *number).collect();
        let held = shared.handed.keys().filter(|&&number| shared.rule.holder(number).is_some());
        if !held.copied().eq(out.iter().copied()) {
            return Err(format!("what task {me} has handed out is not with its readers"));
        }
        if shared.rule.held() != shared.items.len() {
            return Err(format!("task {me} keeps {} messages to share", shared.items.len()));
        }
        let to = |reader: u64| if shared.for_all { reader } else { 0 };
        let items = shared.outs.values().filter_map(|(number, reader)| {
            shared.handed.get(number).map(|item| (*item, to(*reader)))
        });
        let mut items: Vec<(u64, u64)> = items.collect();
        items.sort_unstable();
        if items.windows(2).any(|two| two.first() == two.last()) {
            return Err(format!("task {me} has handed a message to two readers"));
        }
        let open = shared.outs.keys().all(|promise| task.calls.contains_key(promise));
        if open { Ok(()) } else { Err(format!("a hand-out of task {me} has no call")) }
    }
}
