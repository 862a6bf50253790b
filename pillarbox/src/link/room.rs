//! Hearing once that a port of the peer's has room.
//!
//! The right to be told on stays with us: the peer only says, once for each
//! question, that there is room. So a request can be taken back or replaced at
//! any time, and its right ends in one word whatever crosses on the wire.

use std::sync::Arc;

use abi::frame::{Header, Kind};
use abi::{Offence, Slot};

use super::{Entry, Imported, Join, Link};
use crate::message::Notification;
use crate::port::After;
use crate::right::SendOnceRight;
use crate::wait::parking::{Mutex, lock};

/// What was asked about room in one port.
#[derive(Debug, Default)]
pub(super) struct Room {
    state: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Who is to be told, and the number of that request.
    to: Option<(u64, SendOnceRight)>,
    /// The request for which the question was put that is open.
    open: Option<u64>,
    requests: u64,
    dead: bool,
}

impl Entry {
    /// Tells `to` when there is room. Returns the right of an earlier request.
    #[must_use = "what was replaced speaks when it is dropped"]
    pub(crate) fn watch_room(&self, to: SendOnceRight) -> Option<SendOnceRight> {
        let mut after = After::default();
        let (before, new) = {
            let mut asked = lock(&self.room.state);
            if asked.dead {
                after.fire(to, Notification::DeadName);
                (None, false)
            } else {
                asked.requests += 1;
                let request = asked.requests;
                let before = asked.to.replace((request, to));
                let new = asked.open.is_none();
                asked.open.get_or_insert(request);
                (before.map(|(_, to)| to), new)
            }
        };
        if new {
            self.put_question();
        }
        self.look(&mut after);
        after.run();
        // No thread of ours waits for the peer, whose own may all be busy.
        self.link.task.be_patient(&self.link);
        before
    }

    /// Nobody wants to be told any more. Returns who did.
    pub(crate) fn forget_room(&self) -> Option<SendOnceRight> {
        lock(&self.room.state).to.take().map(|(_, to)| to)
    }

    /// The peer says that there is room.
    pub(super) fn take_room(&self, after: &mut After) {
        let again = {
            let mut asked = lock(&self.room.state);
            let open = asked.open.take();
            match asked.to.take() {
                Some((request, to)) if open == Some(request) => {
                    after.fire(to, Notification::SendPossible);
                    false
                }
                // It is the answer to an earlier request. There was room then.
                Some((request, to)) => {
                    asked.open = Some(request);
                    asked.to = Some((request, to));
                    true
                }
                None => false,
            }
        };
        if again {
            self.put_question();
        }
    }

    /// Asks the owner, unless the last of our rights has gone home meanwhile: who was
    /// told of room may have no share in the slot. Without the lock of the question:
    /// who holds that of the lane may come for it.
    fn put_question(&self) {
        let imports = lock(&self.link.imports);
        let held = imports.get(&self.slot.index).and_then(Imported::held);
        if held.is_some_and(|held| std::ptr::eq(Arc::as_ptr(held), self)) {
            let _ = self.say(Header::new(Kind::Watch, self.slot));
        }
    }

    /// The port has gone to another task: the question goes after it.
    pub(super) fn room_moved(&self, join: &Arc<Join>, after: &mut After) {
        let to = {
            let mut asked = lock(&self.room.state);
            asked.open = None;
            asked.to.take()
        };
        if let Some((_, to)) = to {
            after.watch_room(Arc::clone(join), to);
        }
    }

    /// The port is gone.
    pub(super) fn end_room(&self, after: &mut After) {
        let mut asked = lock(&self.room.state);
        asked.dead = true;
        if let Some((_, to)) = asked.to.take() {
            after.fire(to, Notification::DeadName);
        }
    }
}

impl Link {
    /// The port of `slot` has no place for one who asked and would not wait.
    pub(crate) fn say_full(&self, slot: Slot, question: u64) -> Result<(), Offence> {
        self.say_answer(Header { id: 1, tag: question, ..Header::new(Kind::Look, slot) }, &[])
    }

    /// The port of `slot` has room.
    pub(crate) fn say_room(&self, slot: Slot) {
        self.say(Header::new(Kind::Room, slot), &[]);
    }

    /// The message left with the port of `slot` has been taken.
    pub(crate) fn say_taken(&self, slot: Slot) {
        self.say(Header::new(Kind::Taken, slot), &[]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::right::{SendRight, Settled};
    use crate::{Capacity, Deadline, Message, Task};

    fn long() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    /// What `near` gets of these rights of `far`'s, over one link.
    fn given(far: &Task, near: &Task, rights: [SendRight; 2]) -> [SendRight; 2] {
        let file = format!("pillarbox-room-{}.sock", std::process::id());
        let door = std::env::temp_dir().join(file);
        let [one, two] = rights;
        let offers = vec![("one".to_owned(), one), ("two".to_owned(), two)];
        let _listening = far.listen(&door, offers).unwrap();
        let mut offered = near.connect(&door, long()).unwrap();
        ["one", "two"].map(|name| offered.remove(name).unwrap().into_send().unwrap())
    }

    /// (1) A thread reads that there is room: the answer to a request that was replaced.
    /// (2) Another drops the last right. (1) It goes on, and asks once more.
    #[test]
    fn nothing_is_asked_over_a_right_that_has_gone_home() {
        let (owner, asker) = (Task::new(), Task::new());
        let (full, open) = (owner.port(Capacity::Bounded(1)), owner.port(Capacity::Bounded(1)));
        let rights = [full.make_send().unwrap(), open.make_send().unwrap()];
        let [right, other] = given(&owner, &asker, rights);
        let entry = match right.resolve().settled() {
            Settled::Import(entry) => Arc::clone(entry),
            _ => panic!("it leads to the owner"),
        };
        drop(right);
        entry.put_question();
        // Nobody was blamed: the link is there.
        other.send(Message::new("behind it"), long()).unwrap();
        assert_eq!(open.receive(long()).unwrap().body(), b"behind it");
        assert!(!entry.link.is_dead());
    }
}
