//! The end of a run: no more surprises, and everything must end as promised.

use abi::limits;

use crate::task::{Right, RightNumber, TaskNumber};
use crate::world::World;

/// Rounds after which a world that is left alone has come to rest.
const ROUNDS: u32 = 40;
/// Rounds after which the gives of the dead have waited long enough.
const PATIENT: u32 = 10;

impl World {
    /// Liars are killed, everybody else reads, receives and learns of every
    /// death; then lets go of all it has.
    pub(crate) fn wind_down(&mut self) {
        self.calm = true;
        for me in 0..self.tasks.len() {
            self.tasks[me].paused_until = 0;
            if !self.tasks[me].honest() {
                self.kill(me);
            }
        }
        self.rest(false);
        if self.violation.is_none() {
            self.nobody_waits();
        }
        self.rest(true);
        if self.violation.is_none() {
            self.nothing_is_left();
        }
    }

    fn rest(&mut self, let_go: bool) {
        for round in 0..ROUNDS {
            self.now_ns +=
                if round == PATIENT { limits::ORPHAN_GIVE_NS } else { limits::GRANT_IDLE_NS };
            for me in 0..self.tasks.len() {
                if self.tasks[me].alive {
                    self.settle(me, let_go);
                }
                self.check();
                if self.violation.is_some() {
                    return;
                }
            }
        }
    }

    fn settle(&mut self, me: TaskNumber, let_go: bool) {
        // Its readers may never acknowledge anything.
        self.unshare(me);
        let peers: Vec<TaskNumber> = self.tasks[me].links.keys().copied().collect();
        for peer in peers {
            if self.hung_up(peer, me) {
                self.notice(me, peer);
            } else {
                self.drain(me, peer, u64::MAX);
            }
        }
        let ports: Vec<u32> = self.tasks[me].ports.keys().copied().collect();
        for port in ports {
            // One more than there are: a rendezvous needs one who waits.
            let waiting = self.port(me, port).map_or(0, |state| state.queue.len());
            for _ in 0..=waiting {
                self.receive(me, port);
            }
        }
        // Who waits to send a receive right receives nothing meanwhile.
        let (now_ns, task) = (self.now_ns, &mut self.tasks[me]);
        let rights = &task.rights;
        let receives = |it: &u64| matches!(rights.get(it), Some(Right::Receive(_)));
        for waiting in &mut task.waiting {
            if waiting.out.rights.iter().any(receives) {
                waiting.out.deadline_ns = now_ns;
            }
        }
        self.look_round(me);
        if let_go {
            let task = &self.tasks[me];
            let idle: Vec<RightNumber> = task
                .space
                .iter()
                .copied()
                .filter(|&right| !task.is_busy(right) && !task.is_receive(right))
                .collect();
            for right in idle {
                self.tasks[me].space.remove(&right);
                self.let_go(me, right);
            }
        }
    }

    /// I6: whoever waits has been served, refused, or told of a death.
    fn nobody_waits(&mut self) {
        for me in 0..self.tasks.len() {
            if self.tasks[me].alive {
                self.everybody_was_told(me);
                self.nobody_asks(me);
            }
            if self.tasks[me].alive
                && let Some(waiting) = self.tasks[me].waiting.first()
            {
                let over = self.tasks[me].rights.get(&waiting.out.over);
                let what = format!("task {me} waits for ever to send over {over:?}");
                self.violated("I6", what);
            }
        }
    }

    fn nothing_is_left(&mut self) {
        self.no_pulse_is_left();
        let lost: Vec<u64> = self
            .mail
            .iter()
            .filter(|(_, fact)| self.tasks[fact.to].alive)
            .map(|(&number, _)| number)
            .collect();
        if let Some(number) = lost.first() {
            self.violated("I4", format!("message {number} never came"));
        }
        for me in 0..self.tasks.len() {
            let task = &self.tasks[me];
            if !task.alive {
                continue;
            }
            let mut left = Vec::new();
            if !task.promises.is_empty() {
                left.push(("I7", format!("{} promises", task.promises.len())));
            }
            let rights = task.rights.iter().filter(|(right, _)| !task.is_receive(**right));
            let rights: Vec<_> = rights.collect();
            if !rights.is_empty() {
                left.push(("I3", format!("rights {rights:?}")));
            }
            if !task.follows.is_empty() {
                left.push(("I6", format!("ports to follow: {:?}", task.follows)));
            }
            if let Some(adopted) = task.adopted.values().find(|it| !it.followers.is_empty()) {
                left.push(("I3", format!("rights that never followed: {adopted:?}")));
            }
            let here = |port| task.ports.get(port).is_some_and(|state| state.alive);
            if let Some((promise, _)) = task.relayed.iter().find(|(_, port)| here(port)) {
                left.push(("I7", format!("promise {promise}, which another was to pass on")));
            }
            if !task.gives.is_empty() {
                left.push(("I3", format!("{} gives", task.gives.len())));
            }
            if !task.parked.is_empty() {
                left.push(("I6", format!("{} claims", task.parked.len())));
            }
            for (peer, link) in &task.links {
                if !link.exports.is_empty() {
                    left.push(("I3", format!("exports to task {peer}")));
                }
                if !link.held.is_empty() || !link.behind.is_empty() {
                    left.push(("I6", format!("what waits for spilled messages, with task {peer}")));
                }
                if !link.spilled.is_empty() && !link.ended {
                    left.push(("I6", format!("messages spilled for task {peer}")));
                }
                if !link.control.is_empty() {
                    left.push(("I6", format!("frames for task {peer}")));
                }
            }
            for (port, state) in &task.ports {
                if state.alive && (state.senders.count() > 0 || state.armed.is_some()) {
                    left.push(("I3", format!("senders of port {port}")));
                }
                if state.gone.is_some() {
                    left.push(("I3", format!("port {port}, which went away")));
                }
            }
            for (invariant, what) in left {
                self.violated(invariant, format!("at the end task {me} is left with {what}"));
            }
        }
    }
}
