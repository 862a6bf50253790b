//! Each accepted message is in one place (I4), and nothing is larger than its
//! limit (I8).

use std::collections::BTreeMap;

use abi::frame::Kind;
use abi::limits;
use rights::window::Capacity;

use crate::task::{PortState, Task, TaskNumber};
use crate::world::{Violation, World};

fn over(what: String) -> Violation {
    Violation { invariant: "I8", what }
}

impl World {
    pub(super) fn find_mail(&self) -> Result<(), Violation> {
        let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
        for (&(from, to), out) in &self.memory {
            if !self.tasks[from].honest() || !self.tasks[to].has_link(from) {
                continue;
            }
            for frame in out.lane.frames() {
                if frame.header.kind == Kind::Message
                    && let Some(number) = frame.parts().1.first_chunk()
                {
                    *seen.entry(u64::from_le_bytes(*number)).or_default() += 1;
                }
            }
        }
        for (me, task) in self.tasks.iter().enumerate() {
            if task.alive && task.honest() {
                self.limits_of(me, task)?;
            }
            for state in task.ports.values() {
                for mail in state.queue.iter() {
                    *seen.entry(mail.number).or_default() += 1;
                }
            }
        }
        for (number, fact) in &self.mail {
            let places = seen.get(number).copied().unwrap_or(0);
            if places != 1 && self.tasks[fact.to].alive {
                return Err(Violation {
                    invariant: "I4",
                    what: format!(
                        "message {number} from task {} to task {} is in {places} places",
                        fact.from, fact.to
                    ),
                });
            }
        }
        Ok(())
    }

    fn limits_of(&self, me: TaskNumber, task: &Task) -> Result<(), Violation> {
        for (port, state) in &task.ports {
            let held = state.alive.then(|| held(state)).flatten();
            if let Some((held, places)) = held
                && held > places
            {
                return Err(over(format!(
                    "port {port} of task {me} holds and promises {held} of {places}"
                )));
            }
        }
        for (peer, link) in &task.links {
            let slots = (link.exports.len() + link.imports.len()) as u64;
            let questions = 2 * u64::from(limits::QUESTIONS);
            // One look, one release, one ask and one return for each slot; one
            // take-back for each give and each owner; questions and answers.
            let gives = task.tickets + self.tasks.len() as u64;
            let said = link.control.len() as u64;
            if said > 4 * slots + gives + questions + link_ended(task) {
                return Err(over(format!("task {me} keeps {said} frames for task {peer}")));
            }
            if link.claims_open > limits::QUESTIONS {
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
    let charged = state.charged.len() as u64 - window.beside();
    // A receiver may have left a rendezvous with the answer on a send-once right:
    // what had come for it is the next one's.
    let places = match window.capacity() {
        Capacity::Bounded(places) => u64::from(places),
        Capacity::Rendezvous => window.places().max(window.queued()),
        Capacity::Unbounded => return None,
    };
    Some((charged + window.promised(), places))
}
