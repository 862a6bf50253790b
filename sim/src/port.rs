//! Ports: their queues, their windows, and who is told what.

use std::collections::{BTreeMap, BTreeSet};

use abi::frame::{Kind, flag};
use rights::port::{Port, Taken};
use rights::senders::{NoSenders, Senders};
use rights::window::{Capacity, Raise};

use crate::control::about;
use crate::facet::PortFacets;
use crate::fault::Fault;
use crate::left::RoomOf;
use crate::task::{Holder, Lead, Mail, Options, PortState, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// Makes a port with one send right to it.
    pub(crate) fn make_port(
        &mut self,
        me: TaskNumber,
        options: Options,
        armed: bool,
    ) -> RightNumber {
        let port = self.number() as u32;
        let receive = self.tasks[me].keep(Right::Receive(port));
        self.tasks[me].space.insert(receive);
        let mut state = self.new_port(options, receive, u64::from(port));
        state.senders.add();
        self.tasks[me].ports.insert(port, state);
        self.homes.insert(port, me);
        if armed {
            let to = self.some_own_port(me).unwrap_or(port);
            let to = self.make_promise(me, to);
            self.arm(me, port, Some(to));
        }
        let right = self.tasks[me].keep(Right::OwnSend(Lead::to(port)));
        self.tasks[me].space.insert(right);
        right
    }

    /// An empty port without senders.
    pub(crate) fn new_port(&self, options: Options, receive: RightNumber, birth: u64) -> PortState {
        PortState {
            options,
            queue: Port::new(options.capacity)
                .overflowing(options.overflow)
                .with_pulses(options.pulses, options.merge_pulses),
            alive: true,
            birth,
            senders: Senders::default(),
            armed: None,
            receive,
            gone: None,
            came: BTreeMap::new(),
            charged: BTreeSet::new(),
            spills_nothing: false,
            look_at: None,
            facets: PortFacets::default(),
        }
    }

    /// This right is to hear of no senders.
    pub(crate) fn arm(&mut self, me: TaskNumber, port: u32, to: Option<RightNumber>) {
        let Some(to) = to else { return };
        let Some(state) = self.port(me, port) else {
            return self.let_go(me, to);
        };
        state.armed = Some(to);
        // Nobody is counted yet of those who are out.
        if state.senders.arm() == NoSenders::Fires {
            self.tell_no_senders(me, port);
        }
    }

    /// The port, while it lives.
    pub(crate) fn port(&mut self, me: TaskNumber, port: u32) -> Option<&mut PortState> {
        self.tasks[me].ports.get_mut(&port).filter(|state| state.alive)
    }

    /// Makes a send-once right to one of our ports.
    pub(crate) fn make_promise(&mut self, me: TaskNumber, port: u32) -> RightNumber {
        let promise = self.number();
        self.promises.insert(promise, 0);
        self.tasks[me].promises.insert(promise, port);
        self.tasks[me].keep(Right::OwnOnce(Lead { promise, ..Lead::to(port) }))
    }

    /// A promise ends, kept (with a message) or broken (without).
    pub(crate) fn promise_ends(&mut self, me: TaskNumber, lead: Lead, mail: Option<Mail>) {
        self.promise_ends_by(me, lead, None, mail);
    }

    /// The same, where it is known who sent what it ends in.
    pub(crate) fn promise_ends_by(
        &mut self,
        me: TaskNumber,
        lead: Lead,
        by: Option<TaskNumber>,
        mail: Option<Mail>,
    ) {
        self.tell(|_| {
            let what = mail.as_ref().map_or("broken".to_owned(), |it| it.number.to_string());
            format!("promise {} to port {} of {me}: {what}", lead.promise, lead.port)
        });
        if lead.is_call() {
            return self.answered(me, lead.promise, mail);
        }
        self.tasks[me].promises.remove(&lead.promise);
        let mail = mail.unwrap_or(Mail::plain(0, Vec::new()));
        let Some(mut mail) = self.forward(me, lead.port, (None, Some(lead.promise)), mail) else {
            return;
        };
        self.promise_counts(me, lead.promise);
        self.break_circles(me, lead.port, &mut mail);
        let by = by.map(|by| self.sender(by));
        match self.port(me, lead.port) {
            Some(state) => {
                match by {
                    Some(by) => state.queue.enter_beyond_of(by, mail),
                    None => state.queue.enter_beyond(mail),
                }
                self.note_ready(me, lead.port);
            }
            None => self.excuse(me, mail),
        }
    }

    /// A promise has ended: the world counts.
    pub(crate) fn promise_counts(&mut self, me: TaskNumber, promise: u64) {
        if let Some(ends) = self.promises.get_mut(&promise) {
            *ends += 1;
            if *ends > 1 {
                let what = format!("promise {promise} of task {me} ended {ends} times");
                self.violated("I7", what);
            }
        }
    }

    /// A message that has no port any more.
    pub(crate) fn excuse(&mut self, me: TaskNumber, mail: Mail) {
        self.mail.remove(&mail.number);
        for right in mail.rights {
            self.let_go(me, right);
        }
    }

    /// One send right to our port has ended, wherever it was. One whose facet
    /// has ended was counted off then.
    pub(crate) fn sender_gone(&mut self, me: TaskNumber, lead: Lead) {
        let Some(state) = self.port(me, lead.port) else {
            return;
        };
        if !state.facets.counts(lead.facet) {
            return;
        }
        self.count_off(me, lead.port);
    }

    pub(crate) fn count_off(&mut self, me: TaskNumber, port: u32) {
        let Some(state) = self.port(me, port) else {
            return;
        };
        if state.senders.remove() == NoSenders::Fires {
            self.tell_no_senders(me, port);
        }
    }

    /// Nobody can send any more, as we count: whoever asked is told.
    fn tell_no_senders(&mut self, me: TaskNumber, port: u32) {
        self.no_sender_is_left(me, port);
        if let Some(to) = self.port(me, port).and_then(|state| state.armed.take()) {
            self.notify(me, to);
        }
    }

    /// Uses up a send-once right for a notification.
    pub(crate) fn notify(&mut self, me: TaskNumber, to: RightNumber) {
        match self.tasks[me].rights.remove(&to) {
            Some(Right::OwnOnce(lead)) => self.promise_ends(me, lead, None),
            Some(Right::PeerOnce(peer, slot)) => {
                self.forget(me, peer, slot);
                let mut frame = about(Kind::Message, slot, 0);
                frame.header.flags = flag::NOTIFICATION;
                self.say(me, peer, frame);
            }
            Some(joining @ Right::Joining { .. }) => {
                // It is said when the owner has answered: as if it were dropped.
                self.tasks[me].rights.insert(to, joining);
                self.let_go(me, to);
            }
            Some(other) => {
                self.tasks[me].rights.insert(to, other);
                self.let_go(me, to);
            }
            None => self.violated("I3", format!("who hears of port {port} is gone", port = to)),
        }
    }

    /// Grants what can be granted, writes off what must be, and notes when to
    /// look again. To be called after all that frees a place or asks for one.
    pub(crate) fn serve(&mut self, me: TaskNumber, port: u32) {
        let now_ns = self.now_ns;
        let Some(state) = self.port(me, port) else {
            return;
        };
        let mut raises = Vec::new();
        state.queue.window.write_off(now_ns);
        state.queue.hand_out(now_ns, &mut raises);
        self.let_fall(me, port);
        self.note_ready(me, port);
        self.raise(me, raises);
        self.tell_room(me, port);
    }

    pub(crate) fn raise(&mut self, me: TaskNumber, raises: Vec<Raise<Holder>>) {
        for raise in raises {
            let (peer, slot) = raise.holder;
            self.outbound(me, peer).board.raise(slot, raise.grant);
            if raise.asked && !self.is(Fault::LookForgotten) {
                self.say(me, peer, about(Kind::Look, slot, 0));
            }
        }
    }

    /// Takes one message, or waits for one at a rendezvous.
    pub(crate) fn receive(&mut self, me: TaskNumber, port: u32) {
        let shared = self.tasks[me].shared.as_ref().map(|shared| shared.port);
        if shared == Some(port) {
            return self.share(me);
        }
        let turned = self.is(Fault::OrderTurned);
        let mut taken = Vec::new();
        for _ in 0..if turned { 2 } else { 1 } {
            taken.extend(self.take(me, port));
        }
        for mail in taken.into_iter().rev() {
            self.received(me, port, mail);
        }
    }

    /// Takes the first message out of a queue.
    pub(crate) fn take(&mut self, me: TaskNumber, port: u32) -> Option<Mail> {
        let now_ns = self.now_ns;
        let receive = self.port(me, port)?.receive;
        if !self.tasks[me].space.contains(&receive) {
            return None;
        }
        let state = self.port(me, port)?;
        let rendezvous = state.queue.window.capacity() == Capacity::Rendezvous;
        let mut raises = Vec::new();
        let taken = state.queue.take(now_ns, &mut raises);
        if rendezvous {
            state.queue.window.set_receivers(u64::from(taken.is_none()));
        }
        if let Some(taken) = &taken {
            state.charged.remove(&taken.message.number);
        }
        self.raise(me, raises);
        let mail = taken.map(|Taken { message, pulses, raise, .. }| {
            self.raise_pulses(me, raise);
            if let Some(pulse) = message.pulse {
                self.pulse_over(pulse, port, pulses);
            }
            message
        });
        self.serve(me, port);
        mail
    }

    fn received(&mut self, me: TaskNumber, port: u32, mail: Mail) {
        if let Some(mail) = self.has_come(me, port, mail) {
            self.tasks[me].space.extend(mail.rights);
        }
    }

    /// A message was taken out of a queue: whoever is to hear of that does, and it
    /// is looked at whether it may come now. `None` where it may not come at all.
    pub(crate) fn has_come(&mut self, me: TaskNumber, port: u32, mut mail: Mail) -> Option<Mail> {
        let number = mail.number;
        self.tell(|_| format!("message {number} is received from port {port} of {me}"));
        self.tell_accepted(me, port, &mut mail);
        if mail.number == 0 {
            return Some(mail);
        }
        let Some(fact) = self.mail.remove(&mail.number) else {
            let what = format!("message {} was received twice", mail.number);
            self.violated("I4", what);
            return None;
        };
        let from = fact.from;
        if self.detours.contains(&mail.number) {
            return Some(mail);
        }
        let first = self.first_name(port);
        let last = self.order.entry((from, first)).or_default();
        if *last > mail.number {
            let what = format!(
                "message {} of task {from} came after {last} at port {port} of task {me}",
                mail.number
            );
            self.violated("I5", what);
        } else {
            *last = mail.number;
        }
        Some(mail)
    }

    /// The receive right ends: the board says so, the queue's rights go.
    pub(crate) fn end_port(&mut self, me: TaskNumber, port: u32) {
        let Some(state) = self.port(me, port) else {
            return;
        };
        state.alive = false;
        state.look_at = None;
        state.charged.clear();
        let armed = state.armed.take();
        let receive = state.receive;
        let mails: Vec<Mail> = state.queue.drain().collect();
        self.leave_set(me, port);
        self.tasks[me].rights.remove(&receive);
        self.tasks[me].space.remove(&receive);
        let first = self.first_name(port);
        self.homes.remove(&first);
        let task = &mut self.tasks[me];
        let mut ended = Vec::new();
        for right in task.rights.values_mut() {
            match *right {
                Right::OwnSend(lead) if lead.port == port => {
                    *right = Right::Dead(abi::right::Kind::Send)
                }
                Right::OwnOnce(lead) if lead.port == port => {
                    ended.push(lead.promise);
                    *right = Right::Dead(abi::right::Kind::SendOnce);
                }
                _ => {}
            }
        }
        let given = task.gives.iter().map(|(_, given)| given.port);
        ended.extend(given.filter(|lead| lead.port == port).map(|lead| lead.promise));
        let mut told = Vec::new();
        for (&peer, link) in &task.links {
            for (slot, export) in link.exports.iter().filter(|(_, export)| export.port.port == port)
            {
                ended.push(export.port.promise);
                told.push((peer, slot));
            }
        }
        for (peer, slot) in told {
            self.outbound(me, peer).board.die(slot);
            self.say(me, peer, about(Kind::Look, slot, 0));
        }
        // Nobody is there to hear how these end.
        ended.extend(self.tasks[me].promises_to(port));
        for promise in ended {
            self.tasks[me].promises.remove(&promise);
            self.promises.remove(&promise);
        }
        for waiting in &mut self.tasks[me].waiting {
            waiting.asleep = false;
        }
        self.see_all_watched(me);
        self.room_ended(me, RoomOf::Own(port));
        for mail in mails {
            self.excuse(me, mail);
        }
        if let Some(armed) = armed {
            self.let_go(me, armed);
        }
    }

    /// A port of ours that lives, and that we can receive from.
    pub(crate) fn some_own_port(&mut self, me: TaskNumber) -> Option<u32> {
        let task = &self.tasks[me];
        let here = task.ports.iter().filter(|(_, state)| state.alive);
        let ports: Vec<u32> = here.map(|(&port, _)| port).collect();
        self.chance.pick(&ports).copied()
    }
}
