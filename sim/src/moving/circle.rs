//! A receive right inside its own queue, which nobody could ever receive from.

use abi::right::Kind;

use crate::fault::Fault;
use crate::spilled::Late;
use crate::task::{Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// The ports whose receive rights lie in the queue of `port`, or in what is held for
    /// it behind spilled messages.
    fn ports_inside(&self, me: TaskNumber, port: u32) -> Vec<u32> {
        let task = &self.tasks[me];
        let queued = task.ports.get(&port).into_iter().flat_map(|state| state.queue.iter());
        let held = task.links.values().flat_map(|link| &link.held);
        let held = held.filter_map(|held| match &held.what {
            Late::Message(_, _, mail) if held.port == port => Some(mail),
            Late::Message(..) | Late::Word(_) => None,
        });
        let mails = queued.chain(held);
        let inside = |right: &RightNumber| match task.rights.get(right) {
            Some(&Right::Receive(inner)) => Some(inner),
            _ => None,
        };
        mails.flat_map(|mail| mail.rights.iter().filter_map(inside)).collect()
    }

    /// Whether both are the same port: now, or before it went and came again.
    fn same_port(&self, me: TaskNumber, one: u32, other: u32) -> bool {
        let ports = &self.tasks[me].ports;
        one == other
            || match (ports.get(&one), ports.get(&other)) {
                (Some(one), Some(other)) => {
                    (one.gone.is_some() || other.gone.is_some()) && one.birth == other.birth
                }
                _ => false,
            }
    }

    /// Whether `sought` is `port`, or lies in its queue, or in that of a port that
    /// does.
    pub(crate) fn holds(&self, me: TaskNumber, port: u32, sought: u32) -> bool {
        let mut seen = vec![port];
        let mut next = 0;
        while let Some(&port) = seen.get(next) {
            if self.same_port(me, port, sought) {
                return true;
            }
            next += 1;
            for inner in self.ports_inside(me, port) {
                if !seen.contains(&inner) {
                    seen.push(inner);
                }
            }
        }
        false
    }

    /// Whether a message of our own would close a circle: then the port is in it,
    /// and ends.
    pub(crate) fn close_circle(&mut self, me: TaskNumber, port: u32, mail: &Mail) -> bool {
        let mut closed = false;
        for &right in &mail.rights {
            if let Some(&Right::Receive(inner)) = self.tasks[me].rights.get(&right)
                && self.holds(me, inner, port)
                && !self.is(Fault::CircleKept)
            {
                self.figures.circles += 1;
                self.let_go(me, right);
                closed = true;
            }
        }
        closed
    }

    /// Ends every port that would lie in its own queue, once this message is in
    /// that of `port`.
    pub(crate) fn break_circles(&mut self, me: TaskNumber, port: u32, mail: &mut Mail) {
        if self.is(Fault::CircleKept) {
            return;
        }
        for at in 0..mail.rights.len() {
            let right = mail.rights[at];
            if let Some(&Right::Receive(inner)) = self.tasks[me].rights.get(&right)
                && self.holds(me, inner, port)
            {
                self.figures.circles += 1;
                mail.rights[at] = self.tasks[me].keep(Right::Dead(Kind::Send));
                self.let_go(me, right);
            }
        }
    }
}
