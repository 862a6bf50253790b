//! What the new owner of a port does: it reads the bag.

use abi::bag::{Origin, OutRight, Passport, Place};
use abi::frame::{Attached, Kind};
use abi::{Offence, Ticket, limits};
use rights::moving::{Claimed, Followers};
use rights::port::Overflow;
use rights::window::Capacity;

use super::{Adopted, UNNAMED};
use crate::drain::accepted_of;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::pulse::{NOBODY, Pulse};
use crate::task::{Mail, Options, Right, TaskNumber};
use crate::world::World;

/// What follows from reading a bag.
#[derive(Debug, Default)]
struct News {
    answers: Vec<(Ticket, Claimed)>,
    begun: u32,
    ended: Vec<Ticket>,
}

impl World {
    /// Takes a port out of its bag.
    pub(crate) fn adopt(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        ticket: Ticket,
    ) -> Result<Right, Offence> {
        let Some(bag) = self.bags.get_mut(&(peer, ticket)).filter(|bag| bag.to == me) else {
            return Ok(Right::Dead(abi::right::Kind::Send));
        };
        if self.tasks[me].adopted.contains_key(&(peer, ticket)) {
            return Err(Offence::TicketReused);
        }
        let first = bag.first;
        let frame = bag.lane.take()?.ok_or(Offence::BagMalformed)?;
        bag.lane.announce();
        if frame.header.kind != Kind::Port {
            return Err(Offence::BagMalformed);
        }
        let (words, body) = frame.parts();
        let attached = Attached::decode(frame.header.flags, words)?;
        let passport = Passport::decode(body)?;
        let mut armed = self.accept(me, peer, &attached)?;
        let capacity = match passport.capacity {
            0 => Capacity::Rendezvous,
            u64::MAX => Capacity::Unbounded,
            places => Capacity::Bounded(u32::try_from(places).unwrap_or(u32::MAX)),
        };
        let port = self.number() as u32;
        let to = armed.pop();
        self.let_go_all(me, armed);
        let receive = self.tasks[me].keep(Right::Receive(port));
        let overflow = match passport.overflow {
            1 => Overflow::DropOldest,
            2 => Overflow::DropNewest,
            _ => Overflow::Refuse,
        };
        let (pulses, merge_pulses) = (passport.pulses, passport.merge_pulses);
        let options = Options { capacity, overflow, pulses, merge_pulses };
        let state = self.new_port(options, receive, passport.birth);
        self.tasks[me].ports.insert(port, state);
        if let Some(bag) = self.bags.get(&(peer, ticket)) {
            let promises = bag.relayed.iter().chain(&bag.promised);
            let named = promises.filter(|promise| **promise != UNNAMED);
            self.tasks[me].relayed.extend(named.map(|&promise| (promise, port)));
        }
        self.first_names.insert(port, first);
        self.homes.insert(first, me);
        self.go_on_as(me, (port, peer), &passport, frame.header.tag);
        if let Some(state) = self.port(me, port) {
            state.senders.go_on_from(passport.made);
        }
        let adopted = Adopted {
            port,
            followers: Followers::default(),
            out: Default::default(),
            waiting: Default::default(),
            promises: passport.promises,
            here: false,
            complete_since: None,
        };
        self.tasks[me].adopted.insert((peer, ticket), adopted);
        let read = self.read_bag(me, peer, ticket);
        if let Some(adopted) = self.tasks[me].adopted.get_mut(&(peer, ticket)) {
            adopted.here = true;
        }
        match read {
            Ok(()) => {
                self.wait_for_all(me, (peer, ticket), port);
                self.arm(me, port, to);
                Ok(Right::Receive(port))
            }
            Err(offence) => {
                self.let_go_all(me, to.into_iter().collect());
                self.let_go(me, receive);
                Err(offence)
            }
        }
    }

    /// What those send here who had rights at the old owner waits until they have come.
    fn wait_for_all(&mut self, me: TaskNumber, key: (TaskNumber, Ticket), port: u32) {
        let adopted = self.tasks[me].adopted.get(&key);
        let out: Vec<_> = adopted.into_iter().flat_map(|adopted| &adopted.out).collect();
        let out: Vec<_> = out.into_iter().map(|(&ticket, &of)| (ticket, World::id(of))).collect();
        if let Some(state) = self.port(me, port) {
            out.into_iter().for_each(|(ticket, of)| state.queue.wait_for(ticket, of));
        }
    }

    /// Reads what all bags of `giver` show.
    pub(crate) fn read_bags(&mut self, me: TaskNumber, giver: TaskNumber) -> Result<(), Offence> {
        let tickets: Vec<Ticket> = self.tasks[me]
            .adopted
            .range((giver, Ticket(0))..=(giver, Ticket(u64::MAX)))
            .filter(|(_, adopted)| adopted.complete_since.is_none())
            .map(|((_, ticket), _)| *ticket)
            .collect();
        tickets.into_iter().try_for_each(|ticket| self.read_bag(me, giver, ticket))
    }

    /// Reads what a bag shows.
    pub(crate) fn read_bag(
        &mut self,
        me: TaskNumber,
        giver: TaskNumber,
        ticket: Ticket,
    ) -> Result<(), Offence> {
        let key = (giver, ticket);
        let open = |adopted: &Adopted| adopted.complete_since.is_none();
        if !self.tasks[me].adopted.get(&key).is_some_and(open) {
            return Ok(());
        }
        let mut news = News::default();
        let result = loop {
            let Some(bag) = self.bags.get_mut(&key) else { break Ok(()) };
            let frame = match bag.lane.take() {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(offence) => break Err(offence),
            };
            bag.lane.announce();
            if let Err(offence) = self.read_frame(me, key, &frame, &mut news) {
                break Err(offence);
            }
        };
        self.act_on(me, key, news);
        result
    }

    fn read_frame(
        &mut self,
        me: TaskNumber,
        key: (TaskNumber, Ticket),
        frame: &Frame,
        news: &mut News,
    ) -> Result<(), Offence> {
        let (words, body) = frame.parts();
        let named = Ticket(frame.header.tag);
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else { return Ok(()) };
        match frame.header.kind {
            // Its last word before the move was the last.
            Kind::Port if adopted.here => return Err(Offence::BagMalformed),
            Kind::Port => {
                let passport = Passport::decode(body)?;
                adopted.promises = passport.promises;
                let port = adopted.port;
                news.ended.extend(std::mem::take(&mut adopted.out).into_keys());
                adopted.followers = Followers::default();
                // What the last one before the move said.
                self.go_on_as(me, (port, key.0), &passport, frame.header.tag);
            }
            Kind::Out => {
                let out = OutRight::decode(body)?;
                if adopted.out.len() >= limits::SLOTS as usize {
                    return Err(Offence::GivesExceeded);
                }
                let nobody = usize::MAX;
                let holder = self.find(out.holder).unwrap_or(nobody);
                let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else { return Ok(()) };
                if adopted.out.insert(named, holder).is_some() {
                    return Err(Offence::TicketReused);
                }
                adopted.followers.adopt(named, out.have);
                news.begun += 1;
            }
            Kind::Ended => {
                if adopted.followers.end(named) {
                    adopted.out.remove(&named);
                    news.ended.push(named);
                    news.answers.push((named, Claimed::Unknown));
                }
            }
            Kind::Message => self.message_in_bag(me, key, frame, (words, body), news)?,
            _ => return Err(Offence::FrameKind),
        }
        Ok(())
    }

    fn message_in_bag(
        &mut self,
        me: TaskNumber,
        key: (TaskNumber, Ticket),
        frame: &Frame,
        (words, body): (&[u8], &[u8]),
        news: &mut News,
    ) -> Result<(), Offence> {
        let giver = key.0;
        let origin = Origin::decode(body)?;
        let number = body.get(Origin::BYTES..).and_then(|body| body.first_chunk());
        let number = number.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else { return Ok(()) };
        let port = adopted.port;
        if origin.place == Place::Promised {
            adopted.promises = adopted.promises.checked_sub(1).ok_or(Offence::PromisesExceeded)?;
        }
        let attached = Attached::decode(frame.header.flags, words)?;
        let rights = self.accept(me, giver, &attached)?;
        let honest = self.tasks[giver].honest();
        if origin.pulses > 0 && origin.place == Place::Counted {
            self.let_go_all(me, rights);
            self.pulses_in_bag(me, port, Pulse::of_word(number), origin);
            return Ok(());
        }
        let number = if honest { number } else { self.liars_number(giver, port) };
        let left = accepted_of(&attached, &rights);
        let mail = Mail { left, ..Mail::plain(number, rights) };
        if origin.place == Place::Promised {
            let bag = self.bags.get_mut(&key);
            let promise = bag.and_then(|bag| bag.promised.pop_front());
            self.relayed(me, port, promise, mail);
        } else {
            self.adopt_mail(me, port, mail, origin.place);
        }
        let brought =
            if self.is(Fault::BroughtUncounted) { Ticket(0) } else { Ticket(origin.ticket) };
        if let Some(adopted) = self.tasks[me].adopted.get_mut(&key)
            && let Some(claimed) = adopted.followers.bring(brought)
        {
            news.answers.push((brought, claimed));
        }
        Ok(())
    }

    /// What a port counted at its old owner is counted on.
    fn go_on_as(
        &mut self,
        me: TaskNumber,
        (port, giver): (u32, TaskNumber),
        passport: &Passport,
        turns: u64,
    ) {
        let dropped = if self.is(Fault::DroppedForgotten) { 0 } else { passport.dropped };
        if !self.tasks[giver].honest() {
            // Its word is all there is.
            let first = self.first_name(port);
            self.dropped.insert(first, dropped);
        }
        if let Some(state) = self.port(me, port) {
            state.queue.go_on_from(turns, dropped);
        }
    }

    /// Pulses that stood in the queue, or came to the old owner.
    fn pulses_in_bag(&mut self, me: TaskNumber, port: u32, pulse: Pulse, origin: Origin) {
        let mail = Mail { pulse: Some(pulse), ..Mail::plain(0, Vec::new()) };
        let Some(mail) = self.forward(me, port, (None, None), mail) else { return };
        if let Some(state) = self.port(me, port) {
            state.queue.adopt_pulses(NOBODY, mail, origin.pulses);
            self.serve(me, port);
        }
    }

    /// What ends a promise that another task passed on to us: here, or where the
    /// port has gone since.
    fn relayed(&mut self, me: TaskNumber, port: u32, promise: Option<u64>, mail: Mail) {
        if let Some(promise) = promise {
            self.tasks[me].relayed.remove(&(promise, port));
        }
        self.detours.insert(mail.number);
        let Some(mail) = self.forward(me, port, (None, promise.or(Some(UNNAMED))), mail) else {
            return;
        };
        // Where the port ended, nobody hears; where it went on and its next owner died,
        // whoever has it now was told.
        let known = promise.filter(|promise| *promise != UNNAMED);
        if let Some(promise) = known.filter(|_| self.port(me, port).is_some()) {
            self.promise_counts(me, promise);
        }
        self.adopt_mail(me, port, mail, Place::Promised);
    }

    /// A message that came with the port, or through its old owner, or is our own
    /// and comes again.
    pub(crate) fn adopt_mail(&mut self, me: TaskNumber, port: u32, mut mail: Mail, place: Place) {
        self.break_circles(me, port, &mut mail);
        let number = mail.number;
        self.tell(|_| format!("message {number} is adopted by port {port} of {me}, {place:?}"));
        let Some(state) = self.port(me, port) else {
            return self.excuse(me, mail);
        };
        match place {
            Place::Counted => {
                state.charged.insert(number);
                state.queue.adopt(mail);
            }
            Place::Beyond | Place::Promised => state.queue.enter_beyond(mail),
        }
        self.serve(me, port);
    }

    fn act_on(&mut self, me: TaskNumber, key: (TaskNumber, Ticket), news: News) {
        let Some(port) = self.tasks[me].adopted.get(&key).map(|adopted| adopted.port) else {
            return;
        };
        if let Some(state) = self.port(me, port) {
            (0..news.begun).for_each(|_| state.senders.add());
        }
        for (ticket, claimed) in news.answers {
            self.answer_follower(me, key, ticket, claimed);
        }
        for _ in news.ended {
            self.count_off(me, port);
        }
    }

    /// The old owner is dead: its bags are read to their end.
    pub(crate) fn complete_bags(&mut self, me: TaskNumber, giver: TaskNumber) {
        let _ = self.read_bags(me, giver);
        let keys: Vec<(TaskNumber, Ticket)> = self.tasks[me]
            .adopted
            .range((giver, Ticket(0))..=(giver, Ticket(u64::MAX)))
            .filter(|(_, adopted)| adopted.complete_since.is_none())
            .map(|(&key, _)| key)
            .collect();
        for key in keys {
            self.complete_bag(me, key);
        }
    }

    fn complete_bag(&mut self, me: TaskNumber, key: (TaskNumber, Ticket)) {
        let now_ns = self.now_ns;
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else { return };
        adopted.complete_since = Some(now_ns);
        let (port, answers) = (adopted.port, adopted.followers.complete());
        let promises = std::mem::take(&mut adopted.promises);
        let left = self
            .bags
            .get_mut(&key)
            .map(|bag| (std::mem::take(&mut bag.relayed), std::mem::take(&mut bag.unnamed)));
        let (left, unnamed) = left.unwrap_or_default();
        let honest = self.tasks[key.0].honest();
        if honest && left.len() as u64 + unnamed != promises && self.tasks[me].alive {
            let what = format!(
                "task {me} counts {promises} promises through a bag, and there are {left:?} \
                 and {unnamed} of liars"
            );
            self.violated("I7", what);
        }
        let mut left = left.into_iter();
        let promises = if self.is(Fault::RelayedUnbroken) { 0 } else { promises };
        for _ in 0..promises {
            self.relayed(me, port, left.next(), Mail::plain(0, Vec::new()));
        }
        for (ticket, claimed) in answers {
            self.answer_follower(me, key, ticket, claimed);
        }
        let Some(adopted) = self.tasks[me].adopted.get(&key) else { return };
        let left: Vec<Ticket> = adopted.followers.iter().collect();
        let settled: Vec<Ticket> =
            adopted.out.keys().filter(|ticket| !left.contains(ticket)).copied().collect();
        for ticket in settled {
            self.settle_follower(me, key, ticket);
        }
    }
}
