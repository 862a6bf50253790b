//! Each port has one receive right, in one task or in one message (I3), and its
//! senders are told of no earlier than they are gone.

use std::collections::BTreeMap;

use abi::Ticket;
use abi::frame::{Attached, Kind};
use abi::right::RightRef;
use rights::moving::Arrival;

use crate::moving::{Adopted, Gone};
use crate::task::{Right, Task, TaskNumber};
use crate::world::{Violation, World};

fn broken(what: String) -> Violation {
    Violation { invariant: "I3", what }
}

impl World {
    pub(super) fn ports_are_somewhere(&self) -> Result<(), Violation> {
        let mut places: BTreeMap<u32, u32> = BTreeMap::new();
        for (me, task) in self.tasks.iter().enumerate() {
            if task.alive && task.honest() {
                self.ports_of(me, task, &mut places)?;
            }
        }
        for (&(from, to), out) in &self.memory {
            let honest = self.tasks[from].honest() && self.tasks[to].honest();
            if honest && self.tasks[to].alive && self.tasks[to].has_link(from) {
                for frame in out.lane.frames() {
                    self.on_the_way(from, frame, &mut places);
                }
            }
        }
        for (&(from, _), bag) in &self.bags {
            if self.tasks[from].honest() && self.tasks[bag.to].alive {
                for frame in bag.lane.frames() {
                    self.on_the_way(from, frame, &mut places);
                }
            }
        }
        for (first, home) in &self.homes {
            let is = places.get(first).copied().unwrap_or(0);
            let task = self.tasks.get(*home);
            if is != 1 && task.is_some_and(|task| task.alive && task.honest()) {
                return Err(broken(format!("port {first} of task {home} has {is} receive rights")));
            }
        }
        Ok(())
    }

    fn ports_of(
        &self,
        me: TaskNumber,
        task: &Task,
        places: &mut BTreeMap<u32, u32>,
    ) -> Result<(), Violation> {
        for right in task.rights.values() {
            if let Right::Receive(port) = right {
                if !task.ports.get(port).is_some_and(|state| state.alive) {
                    return Err(broken(format!("task {me} can receive from port {port}")));
                }
                *places.entry(self.first_name(*port)).or_default() += 1;
            }
        }
        for (&port, state) in &task.ports {
            let inside = state.queue.iter().flat_map(|mail| &mail.rights);
            for right in inside {
                if let Some(&Right::Receive(inner)) = task.rights.get(right)
                    && self.holds(me, inner, port)
                {
                    return Err(broken(format!("port {port} of task {me} lies in its own queue")));
                }
            }
            if let Some(gone) = &state.gone {
                self.who_follows(me, port, gone)?;
            }
        }
        Ok(())
    }

    /// A receive right in a message.
    fn on_the_way(
        &self,
        from: TaskNumber,
        frame: &crate::lane::Frame,
        places: &mut BTreeMap<u32, u32>,
    ) {
        if frame.header.kind != Kind::Message {
            return;
        }
        let attached = Attached::decode(frame.header.flags, frame.parts().0).unwrap_or_default();
        for right in &attached.rights {
            if let RightRef::Receive(ticket) = right
                && let Some(bag) = self.bags.get(&(from, *ticket))
            {
                *places.entry(bag.first).or_default() += 1;
            }
        }
    }

    /// The rights that an old owner says are out are those the new one waits for,
    /// or hears of in the bag.
    fn who_follows(&self, me: TaskNumber, port: u32, gone: &Gone) -> Result<(), Violation> {
        let Some(bag) = self.bags.get(&(me, gone.ticket)) else {
            return Ok(());
        };
        let new = &self.tasks[gone.to];
        if !new.alive || !new.honest() || gone.leaving.arrival() != Arrival::Bag {
            return Ok(());
        }
        let Some(adopted) = new.adopted.get(&(me, gone.ticket)) else {
            return Ok(());
        };
        let mut known: Vec<Ticket> = adopted.out.keys().copied().collect();
        for frame in bag.lane.frames() {
            let ticket = Ticket(frame.header.tag);
            match frame.header.kind {
                Kind::Out => known.push(ticket),
                Kind::Ended => known.retain(|known| *known != ticket),
                _ => {}
            }
        }
        known.sort_unstable();
        let mut should: Vec<Ticket> = gone.out.values().copied().collect();
        should.extend((!gone.quiet).then_some(gone.own));
        should.sort_unstable();
        if adopted.complete_since.is_none() && known != should {
            return Err(broken(format!(
                "task {} waits for {known:?} at port {port} of task {me}, out are {should:?}",
                gone.to
            )));
        }
        self.counts_agree(gone, adopted)
    }

    fn counts_agree(&self, gone: &Gone, adopted: &Adopted) -> Result<(), Violation> {
        let (is, should) = (adopted.followers.len(), adopted.out.len());
        if is == should {
            return Ok(());
        }
        Err(broken(format!("task {} knows {is} followers and lists {should}", gone.to)))
    }

    /// Whoever is told that nobody can send is told the truth.
    pub(crate) fn no_sender_is_left(&mut self, me: TaskNumber, port: u32) {
        let first = self.first_name(port);
        let mut left = None;
        for (holder, task) in self.tasks.iter().enumerate() {
            if !task.alive || !task.honest() {
                continue;
            }
            let mut rights = task.rights.values();
            let leads = |right: &Right| match *right {
                Right::OwnSend(lead) => task.counts(lead) && self.first_name(lead.port) == first,
                Right::PeerSend(owner, slot) => {
                    let there = &self.tasks[owner];
                    let whole = there.alive && there.honest() && task.has_link(owner);
                    let link = there.links.get(&holder).filter(|link| whole && !link.ended);
                    let export = link.and_then(|link| link.exports.get(slot).ok());
                    export.is_some_and(|export| {
                        there.counts(export.port) && self.first_name(export.port.port) == first
                    })
                }
                _ => false,
            };
            if rights.any(leads) {
                left = Some(holder);
            }
        }
        if let Some(holder) = left {
            let what = format!("port {port} of task {me} has no senders, and task {holder} is one");
            self.violated("I3", what);
        }
    }
}
