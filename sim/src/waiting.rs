//! Messages that wait for a place or for room, and what ends their waiting.

use abi::Slot;
use abi::frame::Kind;

use crate::control::about;
use crate::send::Sent;
use crate::task::{Outgoing, Right, TaskNumber, Waiting};
use crate::world::World;

impl World {
    /// Sends now, or waits until the deadline.
    pub(crate) fn submit(&mut self, me: TaskNumber, out: Outgoing) {
        let waiting = Waiting { out, asleep: false };
        if let Some(waiting) = self.attempt(me, waiting) {
            self.tasks[me].waiting.push(waiting);
        }
        self.count_own(me);
    }

    /// One attempt. What must go on waiting comes back.
    fn attempt(&mut self, me: TaskNumber, mut waiting: Waiting) -> Option<Waiting> {
        let over_due = waiting.out.deadline_ns <= self.now_ns;
        if !waiting.asleep {
            match self.try_send(me, &waiting.out) {
                Sent::Done => {
                    self.not_left(me, &waiting.out);
                    return None;
                }
                Sent::Dead | Sent::Failed => {
                    self.give_back(me, &waiting.out);
                    return None;
                }
                Sent::NoRoom => {}
                Sent::NoPlace if over_due => {}
                Sent::NoPlace => waiting.asleep = self.ask(me, &waiting.out),
            }
        }
        if over_due {
            self.give_up(me, &waiting.out);
            return None;
        }
        Some(waiting)
    }

    /// Asks for a place and sleeps until told; says whether it does.
    fn ask(&mut self, me: TaskNumber, out: &Outgoing) -> bool {
        let Some((peer, slot)) = self.over(me, out) else {
            // Our own port: we see for ourselves.
            return false;
        };
        let Some(link) = self.tasks[me].link(peer) else {
            return false;
        };
        if let Some(imported) = link.imports.get_mut(&slot.index)
            && !std::mem::replace(&mut imported.asked, true)
        {
            self.say(me, peer, about(Kind::Ask, slot, 0));
        }
        true
    }

    fn over(&self, me: TaskNumber, out: &Outgoing) -> Option<(TaskNumber, Slot)> {
        match self.tasks[me].rights.get(&out.over) {
            Some(&Right::PeerSend(peer, slot)) => Some((peer, slot)),
            _ => None,
        }
    }

    /// The deadline has come: unused places go back, the message too.
    fn give_up(&mut self, me: TaskNumber, out: &Outgoing) {
        if let Some((peer, slot)) = self.over(me, out) {
            let others = self.tasks[me]
                .waiting
                .iter()
                .any(|waiting| self.over(me, &waiting.out) == Some((peer, slot)));
            let (_, grant) = self.look(peer, me, slot);
            if !others
                && let Some(link) = self.tasks[me].link(peer)
                && let Some(imported) = link.imports.get_mut(&slot.index)
                && std::mem::take(&mut imported.asked)
            {
                imported.import.look(grant);
                let mut frame = about(Kind::Return, slot, imported.import.hand_back());
                frame.header.id = 1;
                self.say(me, peer, frame);
            }
        }
        self.give_back(me, out);
    }

    /// Nothing was sent: every right is the caller's again. The reply right
    /// was made for this message and ends with it.
    fn give_back(&mut self, me: TaskNumber, out: &Outgoing) {
        let task = &mut self.tasks[me];
        // A port that would have lain in its own queue has ended.
        task.space.extend(out.rights.iter().filter(|right| task.rights.contains_key(right)));
        if task.rights.contains_key(&out.over) {
            task.space.insert(out.over);
        }
        if let Some(reply) = out.reply {
            self.let_go(me, reply);
        }
        self.not_left(me, out);
    }

    /// It was sent, or not even left: the right on which that is told comes back.
    fn not_left(&mut self, me: TaskNumber, out: &Outgoing) {
        if let Some(left) = out.left
            && self.tasks[me].alive
            && !self.tasks[me].ports.values().any(|state| state.holds_right(left))
            && self.tasks[me].rights.contains_key(&left)
        {
            self.let_go(me, left);
        }
    }

    /// Everybody who waits looks again.
    pub(crate) fn retry(&mut self, me: TaskNumber) {
        let mut left = self.tasks[me].waiting.len();
        let mut at = 0;
        while left > 0 && self.tasks[me].alive {
            left -= 1;
            let Some(waiting) = self.tasks[me].waiting.get(at).cloned() else {
                break;
            };
            self.tasks[me].waiting.remove(at);
            if let Some(waiting) = self.attempt(me, waiting) {
                self.tasks[me].waiting.insert(at, waiting);
                at += 1;
            }
        }
        self.count_own(me);
    }

    /// Tells each window how many of our own senders wait for it.
    fn count_own(&mut self, me: TaskNumber) {
        let task = &self.tasks[me];
        let mut own = Vec::new();
        for (&port, state) in &task.ports {
            if state.alive {
                let waiting = task.waiting.iter().filter(|waiting| {
                    matches!(task.rights.get(&waiting.out.over),
                        Some(Right::OwnSend(lead)) if lead.port == port)
                });
                own.push((port, waiting.count() as u64));
            }
        }
        for (port, waiting) in own {
            if let Some(state) = self.port(me, port) {
                state.queue.window.set_own_waiting(waiting);
            }
            if waiting > 0 {
                self.serve(me, port);
            }
        }
    }
}
