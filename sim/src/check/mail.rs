//! Each accepted message is in one place (I4), and nothing is larger than its
//! limit (I8).

use std::collections::BTreeMap;

use abi::bag::Origin;
use abi::frame::Kind;
use abi::limits;
use rights::window::Capacity;

use crate::moving::number_of;
use crate::spill::SPILLS;
use crate::spilled::{Late, QUEUED};
use crate::task::{PortState, Task, TaskNumber};
use crate::world::{Violation, World};

/// Where a message is.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    /// In a lane, a queue or a bag, or with a task that passes it on.
    certain: u32,
    /// Its sender has it still, and sends it again where it is needed.
    spare: bool,
    /// Who had it is dead, as is who could send it again.
    lost: bool,
}

impl Places {
    /// It is in memory between two tasks. Where both are dead nobody has it any more.
    fn between(&mut self, reader: &Task, writer: &Task) {
        self.kept(reader.alive || writer.alive);
    }

    /// Somebody keeps it, in memory that dies with its task.
    fn kept(&mut self, alive: bool) {
        if alive {
            self.certain += 1;
        } else {
            self.lost = true;
        }
    }
}

fn over(what: String) -> Violation {
    Violation { invariant: "I8", what }
}

impl World {
    pub(super) fn find_mail(&mut self) -> Result<(), Violation> {
        let places = self.places_of_mail()?;
        let mut lost = Vec::new();
        for (&number, fact) in &self.mail {
            let places = places.get(&number).copied().unwrap_or_default();
            let here = places.certain == 1 || places.certain == 0 && places.spare;
            if here || !self.tasks[fact.to].alive {
                continue;
            }
            if places.certain == 0 && (places.lost || self.given_up.contains(&number)) {
                lost.push(number);
                continue;
            }
            return Err(Violation {
                invariant: "I4",
                what: format!(
                    "message {number} from task {} to task {} is in {} places",
                    fact.from, fact.to, places.certain
                ),
            });
        }
        for number in lost {
            self.mail.remove(&number);
        }
        Ok(())
    }

    fn places_of_mail(&self) -> Result<BTreeMap<u64, Places>, Violation> {
        let mut seen: BTreeMap<u64, Places> = BTreeMap::new();
        for (&(from, to), out) in &self.memory {
            let (writer, reader) = (&self.tasks[from], &self.tasks[to]);
            let mourned = writer.links.get(&to).is_none_or(|link| link.ended);
            if !writer.honest() || !reader.has_link(from) || writer.alive && mourned {
                continue;
            }
            for frame in out.lane.frames().iter().filter(|it| it.header.kind == Kind::Message) {
                seen.entry(number_of(frame)).or_default().between(reader, writer);
            }
            for spilled in out.spills.untaken() {
                seen.entry(number_of(&spilled.frame)).or_default().between(reader, writer);
            }
            if !reader.alive && writer.alive {
                // Read, but the writer has it still.
                let spilled = out.spills.taken().map(|spilled| number_of(&spilled.frame));
                for number in out.lane.numbers().chain(spilled) {
                    seen.entry(number).or_default().spare = true;
                }
            }
        }
        for bag in self.bags.values() {
            for frame in bag.lane.frames().iter().filter(|it| it.header.kind == Kind::Message) {
                let body = frame.parts().1.get(Origin::BYTES..);
                let number = body.and_then(|body| body.first_chunk());
                let number = number.map_or(0, |bytes| u64::from_le_bytes(*bytes));
                if Origin::decode(frame.parts().1).is_ok_and(|origin| origin.pulses > 0) {
                    continue;
                }
                seen.entry(number).or_default().kept(self.tasks[bag.to].alive);
            }
        }
        for (me, task) in self.tasks.iter().enumerate() {
            if task.alive && task.honest() {
                self.limits_of(me, task)?;
            }
            for state in task.ports.values() {
                for mail in state.queue.iter() {
                    seen.entry(mail.number).or_default().certain += 1;
                }
                for forwarded in state.gone.iter().flat_map(|gone| &gone.parked) {
                    seen.entry(forwarded.mail.number).or_default().kept(task.alive);
                }
            }
            for unread in task.follows.values().flat_map(|follow| &follow.unread) {
                let places = seen.entry(unread.number).or_default();
                (places.spare, places.lost) = (places.spare || task.alive, !task.alive);
            }
            for held in task.links.values().flat_map(|link| &link.held) {
                if let Late::Message(_, _, mail) = &held.what {
                    seen.entry(mail.number).or_default().kept(task.alive);
                }
            }
            let links = task.links.values().flat_map(|link| &link.again);
            for again in links.chain(task.follows.values().flat_map(|follow| &follow.behind)) {
                seen.entry(again.unread.number).or_default().kept(task.alive);
            }
        }
        Ok(seen)
    }

    fn limits_of(&self, me: TaskNumber, task: &Task) -> Result<(), Violation> {
        for (port, state) in &task.ports {
            let counted = self.dropped.get(&self.first_name(*port)).copied().unwrap_or(0);
            if state.alive && state.queue.dropped() != counted {
                let what = format!(
                    "port {port} of task {me} says it dropped {}, and it dropped {counted}",
                    state.queue.dropped()
                );
                return Err(Violation { invariant: "I4", what });
            }
            let held = state.alive.then(|| held(state)).flatten();
            if let Some((held, places)) = held
                && held > places
            {
                return Err(over(format!(
                    "port {port} of task {me} holds and promises {held} of {places}"
                )));
            }
        }
        for (&peer, link) in &task.links {
            let mut waiting = self.waiting_of(me, peer);
            let all = waiting.len();
            waiting.sort_unstable();
            waiting.dedup();
            if all - waiting.len() >= QUEUED && !link.ended {
                return Err(over(format!("task {me} has taken {all} spilled by task {peer}")));
            }
            let spilled = self.memory.get(&(me, peer)).map_or(0, |out| out.spills.len());
            if spilled > SPILLS {
                return Err(over(format!("task {me} has spilled {spilled} for task {peer}")));
            }
            let slots = (link.exports.len() + link.imports.len()) as u64;
            let questions = 2 * u64::from(limits::QUESTIONS);
            // One look, one release, one ask and one return for each slot; one
            // take-back for each give and each owner; questions and answers.
            // One look into each bag.
            let gives = task.tickets + self.tasks.len() as u64;
            let said = link.control.len() as u64;
            if said > 4 * slots + gives + questions + link_ended(task) {
                return Err(over(format!("task {me} keeps {said} frames for task {peer}")));
            }
            if link.claims_open.len() > limits::QUESTIONS as usize {
                return Err(over(format!("task {me} asks task {peer} too much")));
            }
        }
        if task.parked.len() > task.links.len() * limits::QUESTIONS as usize {
            return Err(over(format!("task {me} keeps {} claims", task.parked.len())));
        }
        Ok(())
    }
}

/// Send-once rights we let go: each says so once.
fn link_ended(task: &Task) -> u64 {
    task.names
}

/// Messages and promised places of a port, and how many there may be. What
/// waits beside the queue is in neither.
fn held(state: &PortState) -> Option<(u64, u64)> {
    let window = &state.queue.window;
    let behind = state.queue.behind() as u64;
    let charged = state.charged.len() as u64 - window.beside() - behind;
    // A receiver may have left a rendezvous with the answer on a send-once right: what had
    // come for it, and the place kept for what stands behind, is the next one's.
    let places = match window.capacity() {
        Capacity::Bounded(places) => u64::from(places),
        Capacity::Rendezvous => window.places().max(window.queued() + behind),
        Capacity::Unbounded => return None,
    };
    Some((charged + window.promised(), places))
}
