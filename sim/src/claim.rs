//! Gives and claims: how a right goes from one peer of its owner to another.
//!
//! A claim whose give is not there yet is *parked*: the giver's lane shows the
//! give, or it will never come. We note how far that lane is filled, go on
//! reading, and answer when it is read so far. We never read one lane in the
//! midst of reading another: two claims that wait for each other's lanes would
//! never end.

use abi::frame::{EVERY_TICKET, Header, Kind, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, TaskId, Ticket, limits};
use rights::give::{GiveName, Given};

use crate::control::NO_SLOT;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::task::{Lead, Parked, Right, RightNumber, TaskNumber};
use crate::world::World;

fn with_task(kind: Kind, slot: Slot, task: TaskId, ticket: u64) -> Frame {
    let header = Header { tag: ticket, ..Header::new(kind, slot) };
    Frame::new(header, task.encode().to_vec())
}

fn once(mut frame: Frame, kind: RightKind) -> Frame {
    if kind == RightKind::SendOnce {
        frame.header.flags |= flag::ONCE;
    }
    frame
}

pub(crate) fn give(slot: Slot, to: TaskId, ticket: Ticket, kind: RightKind) -> Frame {
    once(with_task(Kind::Give, slot, to, ticket.0), kind)
}

pub(crate) fn take_back(slot: Slot, to: TaskId, ticket: Ticket) -> Frame {
    with_task(Kind::TakeBack, slot, to, ticket.0)
}

/// A claim; of a right that follows its port with how much was `sent`.
pub(crate) fn claim_frame(giver: TaskId, ticket: Ticket, sent: Option<u64>) -> Frame {
    let header = Header { tag: ticket.0, ..Header::new(Kind::Claim, NO_SLOT) };
    let mut words = giver.encode().to_vec();
    words.extend(sent.into_iter().flat_map(u64::to_le_bytes));
    Frame::new(header, words)
}

/// The receiver of all these gives is dead, and the owner may not know it.
pub(crate) fn take_back_every(to: TaskId) -> Frame {
    with_task(Kind::TakeBack, NO_SLOT, to, EVERY_TICKET)
}

impl World {
    /// A peer gives its right to another task.
    pub(crate) fn given(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        to: TaskId,
        ticket: u64,
        kind: RightKind,
    ) -> Result<(), Offence> {
        if to == World::id(me) || to == World::id(peer) {
            return Err(Offence::WrongTask);
        }
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        let export = *link.exports.get(slot)?;
        if export.kind != kind {
            return Err(Offence::RightKind);
        }
        if export.given {
            // Robbed of it; its claim will be refused.
            return Ok(());
        }
        link.exports.give(slot)?;
        let name = GiveName { giver: World::id(peer), to, ticket: Ticket(ticket) };
        let given = Given { port: export.port, kind, slot };
        if let (RightKind::Send, Some(port)) = (kind, self.port(me, export.port.port))
            && port.facets.counts(export.port.facet)
        {
            port.senders.add();
        }
        match self.tasks[me].gives.give(name, given) {
            Ok(()) => {}
            // Too many wait, and that may be the doing of a receiver who does
            // not claim: the give is refused, its giver is not to blame.
            Err(Offence::GivesExceeded) => {
                self.not_to_come.insert((me, name));
                self.comes_back(me, name, given);
            }
            Err(offence) => {
                self.comes_back(me, name, given);
                return Err(offence);
            }
        }
        let unreachable = self.find(to).is_none_or(|to| {
            let links = &self.tasks[me].links;
            links.get(&to).is_some_and(|link| link.ended)
        });
        if unreachable && let Some(given) = self.tasks[me].gives.take(name) {
            self.not_to_come.insert((me, name));
            self.comes_back(me, name, given);
        }
        Ok(())
    }

    /// The giver takes one give back, or all to one task.
    pub(crate) fn taken_back(
        &mut self,
        me: TaskNumber,
        giver: TaskNumber,
        to: TaskId,
        ticket: Option<u64>,
    ) {
        // Whom we have a link with we mourn ourselves, when we have read what it
        // claimed and gave on.
        let linked = self.find(to).is_some_and(|to| self.tasks[me].has_link(to));
        if ticket.is_none() && linked && !self.is(Fault::CalledBackUnread) {
            return;
        }
        let giver = World::id(giver);
        if ticket.is_none() {
            self.tasks[me].claims.come_back(to, giver);
        }
        let gives = &mut self.tasks[me].gives;
        let back = match ticket {
            None => gives.come_back(to, Some(giver)),
            Some(ticket) => {
                let name = GiveName { giver, to, ticket: Ticket(ticket) };
                if self.tasks[me].claims.take_back(name) {
                    return;
                }
                let gives = &mut self.tasks[me].gives;
                gives.take(name).map(|given| (name, given)).into_iter().collect()
            }
        };
        for (name, given) in back {
            if ticket.is_some() || !linked {
                self.not_to_come.insert((me, name));
            }
            self.comes_back(me, name, given);
        }
    }

    /// A give nobody will claim: the right is its giver's again, while the
    /// giver has its slot, else it ends.
    pub(crate) fn comes_back(&mut self, me: TaskNumber, name: GiveName, given: Given<Lead>) {
        if given.kind == RightKind::Send {
            return self.sender_gone(me, given.port);
        }
        if !self.is(Fault::EndsTheGiversRight)
            && let Some(giver) = self.find(name.giver)
            && let Some(link) = self.tasks[me].link(giver)
            && link.exports.get(given.slot).is_ok_and(|export| export.given)
            && link.exports.take_back(given.slot).is_ok()
        {
            return;
        }
        self.promise_ends(me, given.port, None);
    }

    /// Asks the owner for a right that was given to us.
    pub(crate) fn claim(
        &mut self,
        me: TaskNumber,
        owner: TaskNumber,
        giver: TaskNumber,
        ticket: Ticket,
    ) {
        let Some(link) = self.tasks[me].link(owner) else {
            return;
        };
        // A right may be let go while it follows its port, and come anew: the answer
        // that is on its way is for both.
        if link.claims_open.contains(&(giver, ticket)) {
            return;
        }
        if link.claims_open.len() >= limits::QUESTIONS as usize {
            link.claims_waiting.push_back((giver, ticket));
            return;
        }
        link.claims_open.insert((giver, ticket));
        let sent = self.claims_with(me, (giver, ticket));
        let frame = claim_frame(World::id(giver), ticket, sent);
        self.say(me, owner, frame);
    }

    /// A peer claims what it says `giver` gave it.
    pub(crate) fn claimed(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        (giver, ticket): (TaskId, u64),
        sent: u64,
    ) -> Result<(), Offence> {
        let name = GiveName { giver, to: World::id(peer), ticket: Ticket(ticket) };
        self.tasks[me].claims.claimed(name)?;
        let open = self.tasks[me].parked.iter().filter(|parked| parked.from == peer).count();
        let unsent = self.tasks[me].link(peer).map_or(0, |link| {
            let answers = link
                .control
                .iter()
                .filter(|frame| matches!(frame.header.kind, Kind::Joined | Kind::Refused));
            answers.count()
        });
        if open + unsent >= limits::QUESTIONS as usize {
            return Err(Offence::QuestionsExceeded);
        }
        let Some(number) = self.find(giver) else {
            self.answer(me, peer, name, None);
            return Ok(());
        };
        let parked = Parked {
            from: peer,
            giver: number,
            ticket: Ticket(ticket),
            sent,
            shown: self.outbound(number, me).lane.head(),
        };
        self.tasks[me].parked.push(parked);
        self.answer_parked(me, number);
        Ok(())
    }

    /// Answers the claims that waited for what `giver`'s lane shows, and those that
    /// hang on them.
    pub(crate) fn answer_parked(&mut self, me: TaskNumber, giver: TaskNumber) {
        let mut givers = vec![giver];
        while let Some(giver) = givers.pop() {
            givers.extend(self.answer_claims_of(me, giver));
        }
    }

    /// Answers what can be answered of the claims of what `giver` gave. Returns whom.
    fn answer_claims_of(&mut self, me: TaskNumber, giver: TaskNumber) -> Vec<TaskNumber> {
        let mut answered = Vec::new();
        if self.tasks[me].parked.is_empty() {
            return answered;
        }
        if self.tasks[me].has_link(giver)
            && let Err(offence) = self.read_bags(me, giver)
        {
            self.offended(me, giver, offence);
            return answered;
        }
        let read = self.outbound(giver, me).lane.tail();
        let linked = self.tasks[me].has_link(giver);
        let blind = self.is(Fault::AnsweredBlindly);
        let hasty = self.is(Fault::RefusedTooEarly);
        for parked in std::mem::take(&mut self.tasks[me].parked) {
            let (giver_id, to) = (World::id(parked.giver), World::id(parked.from));
            let name = GiveName { giver: giver_id, to, ticket: parked.ticket };
            if parked.giver != giver {
                self.tasks[me].parked.push(parked);
                continue;
            }
            if let Some(given) = self.tasks[me].gives.take(name) {
                self.answer(me, parked.from, name, Some(given));
            } else if self.claim_follower(me, parked.from, (giver, parked.ticket), parked.sent) {
                // It is answered, or will be when the bag has brought enough; and is
                // not given on meanwhile.
                self.ends_onward(me, name);
            } else if self.hangs_on_another(me, name) {
                self.tasks[me].parked.push(parked);
                continue;
            } else if read >= parked.shown || !linked || hasty || blind {
                // Nobody is to blame: whether giver or claimer lies, we cannot
                // tell, and one of them is honest.
                self.answer(me, parked.from, name, None);
            } else {
                self.tasks[me].parked.push(parked);
                continue;
            }
            answered.push(parked.from);
        }
        answered
    }

    fn answer(
        &mut self,
        me: TaskNumber,
        to: TaskNumber,
        name: GiveName,
        given: Option<Given<Lead>>,
    ) {
        let (giver, ticket) = (name.giver, name.ticket.0);
        let refused = with_task(Kind::Refused, NO_SLOT, giver, ticket);
        let Some(given) = given else {
            self.is_refused(me, to, name);
            self.ends_onward(me, name);
            return self.say(me, to, refused);
        };
        let gone = self.gone(me, given.port.port).is_some();
        let alive = gone
            || given.port.is_call()
            || self
                .port(me, given.port.port)
                .is_some_and(|port| port.facets.counts(given.port.facet));
        let slot = alive.then(|| self.export(me, to, given.port, given.kind)).flatten();
        if let (Some(slot), Some(link)) = (slot, self.tasks[me].link(to)) {
            link.exports.published(slot);
        }
        let onward = match slot {
            Some(slot) => self.tasks[me].claims.answer(name, Some((given.kind, slot))),
            None => {
                self.not_to_come.insert((me, name));
                self.ends_onward(me, name);
                Vec::new()
            }
        };
        if given.kind == RightKind::Send {
            self.sender_gone(me, given.port);
        } else if slot.is_none() {
            self.promise_ends(me, given.port, None);
        }
        let frame = match slot {
            Some(slot) => {
                // While the peer must still hold it.
                if let Err(offence) = self.give_answered(me, to, slot, onward) {
                    return self.offended(me, to, offence);
                }
                once(with_task(Kind::Joined, slot, giver, ticket), given.kind)
            }
            None => refused,
        };
        self.say(me, to, frame);
    }

    /// The owner has answered our claim.
    pub(crate) fn joined(
        &mut self,
        me: TaskNumber,
        owner: TaskNumber,
        (giver, ticket): (TaskId, u64),
        right: Option<(RightKind, Slot, u64)>,
    ) -> Result<(), Offence> {
        let giver = self.find(giver).ok_or(Offence::AnswerUnasked)?;
        let key = (giver, Ticket(ticket));
        let link = self.tasks[me].link(owner).ok_or(Offence::AnswerUnasked)?;
        if !link.claims_open.remove(&key) {
            return Err(Offence::AnswerUnasked);
        }
        if let Some((giver, ticket)) = link.claims_waiting.pop_front() {
            self.claim(me, owner, giver, ticket);
        }
        let ours = |right: &Right| match *right {
            Right::Joining { giver: from, owner: of, ticket: named, .. } => {
                from == giver && of == owner && named.0 == ticket
            }
            _ => false,
        };
        let rights = self.tasks[me].rights.iter();
        let known: Vec<RightNumber> =
            rights.filter(|(_, right)| ours(right)).map(|(&number, _)| number).collect();
        if known.is_empty() {
            return self.joined_follow(me, owner, key, right);
        }
        let right = right.map(|(kind, slot, _)| (kind, slot));
        self.joined_rights(me, (owner, giver), &known, right)
    }

    fn joined_follow(
        &mut self,
        me: TaskNumber,
        owner: TaskNumber,
        key: (TaskNumber, Ticket),
        right: Option<(RightKind, Slot, u64)>,
    ) -> Result<(), Offence> {
        let Some((kind, slot, have)) = right else {
            self.follow_refused(me, key);
            return Ok(());
        };
        if kind != RightKind::Send {
            return Err(Offence::RightKind);
        }
        let right = self.learn(me, owner, kind, slot)?;
        self.follow_joined(me, key, right, have);
        Ok(())
    }

    /// A right of ours, and its copies, are what the owner says.
    fn joined_rights(
        &mut self,
        me: TaskNumber,
        (owner, giver): (TaskNumber, TaskNumber),
        numbers: &[RightNumber],
        right: Option<(RightKind, Slot)>,
    ) -> Result<(), Offence> {
        let first = numbers.first().and_then(|number| self.tasks[me].rights.get(number));
        let said = match first {
            Some(&Right::Joining { kind, .. }) => kind,
            _ => RightKind::Send,
        };
        if right.is_none() && self.is(Fault::RefusedBlamed) && giver != me {
            self.offended(me, giver, Offence::NeverExported);
        }
        let mut joined = Right::Dead(said);
        if let Some((kind, slot)) = right {
            joined = self.learn(me, owner, kind, slot)?;
            if kind != said {
                // The giver lied about what it gave: what came is let go.
                let other = self.tasks[me].keep(joined);
                self.let_go(me, other);
                joined = Right::Dead(said);
            }
        }
        if let Right::PeerSend(_, slot) = joined
            && let Some(link) = self.tasks[me].link(owner)
            && let Some(imported) = link.imports.get_mut(&slot.index)
        {
            imported.rights += numbers.len() as u64 - 1;
        }
        for &number in numbers {
            self.tasks[me].rights.insert(number, joined);
        }
        for &number in numbers {
            if let Some(word) = self.tasks[me].unwanted.remove(&number) {
                self.say_last_word(me, number, word);
            }
            self.see_watched(me, number);
        }
        self.own_joined(me);
        Ok(())
    }
}
