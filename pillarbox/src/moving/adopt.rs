//! What the new owner of a port does.
//!
//! The bag is read when the message that moves the port is, and whenever the old
//! owner says that it holds something new; and once more, to its end, when the old
//! owner is dead.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, Weak};

use abi::bag::{Origin, OutRight, Passport, armed};
use abi::frame::{Attached, Header, Kind};
use abi::right::RightRef;
use abi::{Offence, TaskId, Ticket, limits};
use rights::moving::{Claimed, Followers};
use shm::{LaneReader, PeerPage};

use crate::core::TaskCore;
use crate::link::{From, Inn, Join, Joined, Link, NO_SLOT, Turn};
use crate::message::{Message, Right};
use crate::port::{After, PortCore, ReceiveRight};
use crate::right::{SendRight, Sink};
use crate::wait::parking::lock;

/// A port that came from another task.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) port: Arc<PortCore>,
    giver: TaskId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    reader: LaneReader,
    followers: Followers<Ticket>,
    out: BTreeMap<Ticket, OutRight>,
    /// And how many messages each sent to the old owner.
    waiting: HashMap<Ticket, (Claimer, u64)>,
    /// Promises that come through the bag.
    promises: u64,
    /// When the bag was read to its end.
    complete_since: Option<u64>,
}

/// Who waits for the answer to its claim.
#[derive(Debug)]
enum Claimer {
    Peer(Weak<Link>),
    /// We ourselves: the port came to one of its importers.
    Here(Arc<Join>),
}

/// What follows from reading a bag, for whoever holds no lock.
#[derive(Debug, Default)]
struct News {
    answers: Vec<(Ticket, Claimed)>,
    begun: Vec<Ticket>,
    ended: Vec<Ticket>,
}

impl Link {
    /// Takes a port out of its bag.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        ticket: Ticket,
        fd: OwnedFd,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<Right, Offence> {
        let (_page, mut reader) = match PeerPage::open_bag(fd) {
            Ok(opened) => opened,
            Err(shm::OpenError::Offence(offence)) => return Err(offence),
            // We have no room to map it: the port ends here.
            Err(shm::OpenError::System(_)) => return Ok(ReceiveRight::ended(&self.task).into()),
        };
        let Some(header) = reader.next()? else { return Err(Offence::BodyMalformed) };
        if header.kind != Kind::Port {
            return Err(Offence::BodyMalformed);
        }
        let (attached, body) = frame(&mut reader, &header)?;
        let passport = Passport::decode(&body)?;
        reader.finish(&header);
        let port = PortCore::adopted(&self.task, &passport, header.tag);
        self.arm(&port, passport.armed, attached.rights, turn)?;
        let adopted = Arc::new(Adopted {
            port: Arc::clone(&port),
            giver: self.peer_task(),
            state: Mutex::new(State {
                reader,
                followers: Followers::default(),
                out: BTreeMap::new(),
                waiting: HashMap::new(),
                promises: passport.promises,
                complete_since: None,
            }),
        });
        let mut bags = self.bags();
        if bags.len() >= limits::GIVES || bags.contains_key(&ticket) {
            return Err(Offence::TicketReused);
        }
        bags.insert(ticket, Arc::clone(&adopted));
        drop(bags);
        adopted.read(self, inn, turn)?;
        port.set_promises(lock(&adopted.state).promises);
        Ok(ReceiveRight::new(port).into())
    }

    /// The requests that came with a port.
    fn arm(
        self: &Arc<Self>,
        port: &Arc<PortCore>,
        bits: u8,
        names: Vec<RightRef>,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let mut bits =
            [armed::NO_SENDERS, armed::DESTROYED].into_iter().filter(|bit| bits & bit != 0);
        for name in names {
            let bit = bits.next().ok_or(Offence::BodyMalformed)?;
            match self.take_in(name, &mut turn.joins)? {
                // Nobody else knows the port yet: there was no request before.
                Right::SendOnce(to) if bit == armed::DESTROYED => {
                    let before = lock(port.state()).bequeath_to(to);
                    before.into_iter().for_each(|right| turn.after.let_go(right));
                }
                Right::SendOnce(to) => turn.after.arm(port, to),
                Right::Send(_) | Right::Receive(_) => return Err(Offence::RightKind),
            }
        }
        if bits.next().is_some() { Err(Offence::BodyMalformed) } else { Ok(()) }
    }

    /// The old owner of a port has put something into its bag.
    pub(crate) fn look_into_bag(
        self: &Arc<Self>,
        ticket: Ticket,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let adopted = self.bags().get(&ticket).cloned();
        adopted.map_or(Ok(()), |adopted| adopted.read(self, inn, turn))
    }

    /// The old owner is dead: its bags are read to their end.
    pub(crate) fn complete_bags(self: &Arc<Self>, inn: &mut Inn, turn: &mut Turn) {
        let all: Vec<Arc<Adopted>> = std::mem::take(&mut *self.bags()).into_values().collect();
        for adopted in all {
            let _ = adopted.read(self, inn, turn);
            adopted.complete(turn);
        }
    }
}

/// A frame's words and body, copied once.
fn frame(reader: &mut LaneReader, header: &Header) -> Result<(Attached, Vec<u8>), Offence> {
    let (mut extra, mut body) = (Vec::new(), Vec::new());
    reader.extra(header, &mut extra);
    reader.body(header, &mut body);
    let attached = if extra.is_empty() {
        Attached::default()
    } else {
        Attached::decode(header.flags, &extra)?
    };
    Ok((attached, body))
}

impl Adopted {
    /// Reads what the bag shows.
    fn read(
        self: &Arc<Self>,
        link: &Arc<Link>,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let mut news = News::default();
        let result = self.read_frames(link, inn, turn, &mut news);
        self.act(news, turn);
        result
    }

    fn read_frames(
        self: &Arc<Self>,
        link: &Arc<Link>,
        inn: &mut Inn,
        turn: &mut Turn,
        news: &mut News,
    ) -> Result<(), Offence> {
        let mut state = lock(&self.state);
        while let Some(header) = state.reader.next()? {
            let (attached, body) = frame(&mut state.reader, &header)?;
            state.reader.finish(&header);
            match header.kind {
                Kind::Port => {
                    state.promises = Passport::decode(&body)?.promises;
                    news.ended.extend(std::mem::take(&mut state.out).into_keys());
                    state.followers = Followers::default();
                }
                Kind::Out => {
                    let ticket = Ticket(header.tag);
                    let out = OutRight::decode(&body)?;
                    if state.out.len() >= limits::SLOTS as usize {
                        return Err(Offence::GivesExceeded);
                    }
                    if state.out.insert(ticket, out).is_some() {
                        return Err(Offence::TicketReused);
                    }
                    state.followers.adopt(ticket, out.have);
                    news.begun.push(ticket);
                }
                Kind::Ended => {
                    let ticket = Ticket(header.tag);
                    if state.followers.end(ticket) {
                        state.out.remove(&ticket);
                        news.ended.push(ticket);
                        news.answers.push((ticket, Claimed::Unknown));
                    }
                }
                Kind::Message => {
                    let origin = Origin::decode(&body)?;
                    let body = body.get(Origin::BYTES..).unwrap_or_default();
                    if origin.place == abi::bag::Place::Promised {
                        state.promises =
                            state.promises.checked_sub(1).ok_or(Offence::WindowExceeded)?;
                    }
                    let message = link.unpack(inn, &header, attached, From::Bag, body, turn)?;
                    self.port.adopt(message, origin.place, origin.pulses, &mut turn.after);
                    let ticket = Ticket(origin.ticket);
                    if let Some(claimed) = state.followers.bring(ticket) {
                        news.answers.push((ticket, claimed));
                    }
                }
                _ => return Err(Offence::FrameKind),
            }
        }
        Ok(())
    }

    fn act(self: &Arc<Self>, news: News, turn: &mut Turn) {
        let task = &self.port.task;
        for ticket in news.begun {
            self.port.add_sender();
            task.note_follower(self.giver, ticket, self);
        }
        for (ticket, claimed) in news.answers {
            self.answer(ticket, claimed, turn);
        }
        for ticket in news.ended {
            task.forget_follower(self.giver, ticket);
            turn.after.follower_gone(&self.port);
        }
    }

    /// A peer claims a right to a port that came here, having sent so many
    /// messages to its old owner.
    pub(crate) fn claim(
        self: &Arc<Self>,
        link: &Arc<Link>,
        ticket: Ticket,
        sent: u64,
        turn: &mut Turn,
    ) -> bool {
        let claimed = {
            let mut state = lock(&self.state);
            if state.out.get(&ticket).is_none_or(|out| out.holder != link.peer_task()) {
                return false;
            }
            let claimed = state.followers.claim(ticket, sent);
            if claimed == Claimed::Wait {
                state.waiting.insert(ticket, (Claimer::Peer(Arc::downgrade(link)), sent));
                return true;
            }
            claimed
        };
        match claimed {
            Claimed::Join { have } => {
                self.join_peer(link, ticket, have, sent, turn);
                self.settle(ticket, turn);
                true
            }
            Claimed::Wait | Claimed::Unknown => false,
        }
    }

    /// We claim a right of our own to a port that came here. `None` where no such
    /// right is out.
    pub(crate) fn claim_here(
        self: &Arc<Self>,
        join: &Arc<Join>,
        sent: u64,
        after: &mut After,
    ) -> Option<()> {
        let claimed = {
            let mut state = lock(&self.state);
            let claimed = state.followers.claim(join.ticket, sent);
            if claimed == Claimed::Wait {
                state.waiting.insert(join.ticket, (Claimer::Here(Arc::clone(join)), sent));
            }
            claimed
        };
        match claimed {
            Claimed::Unknown => None,
            Claimed::Wait => Some(()),
            Claimed::Join { have } => {
                join.follow_joined(Joined::Own(SendRight::own(&self.port)), have, after);
                Some(())
            }
        }
    }

    fn answer(self: &Arc<Self>, ticket: Ticket, claimed: Claimed, turn: &mut Turn) {
        let claimer = lock(&self.state).waiting.remove(&ticket);
        let Claimed::Join { have } = claimed else {
            match claimer {
                Some((Claimer::Peer(link), _)) => {
                    if let Some(link) = link.upgrade() {
                        self.refuse(&link, ticket);
                    }
                }
                Some((Claimer::Here(join), _)) => join.fail(true, &mut turn.after),
                None => {}
            }
            return;
        };
        match claimer {
            Some((Claimer::Peer(link), sent)) => {
                if let Some(link) = link.upgrade().filter(|link| !link.is_dead()) {
                    self.join_peer(&link, ticket, have, sent, turn);
                }
            }
            Some((Claimer::Here(join), _)) => {
                let own = Joined::Own(SendRight::own(&self.port));
                join.follow_joined(own, have, &mut turn.after);
            }
            None => {}
        }
        self.settle(ticket, turn);
    }

    fn join_peer(&self, link: &Arc<Link>, ticket: Ticket, have: u64, sent: u64, turn: &mut Turn) {
        let sink = Sink::Port(Arc::clone(&self.port));
        let answer = match link.export_send(&sink) {
            Ok(slot) => {
                link.published(slot);
                if sent > have {
                    self.port.grant_again(link, sent - have);
                }
                let mut words = self.giver.encode().to_vec();
                words.extend_from_slice(&have.to_le_bytes());
                let header = Header { tag: ticket.0, ..Header::new(Kind::Joined, slot) };
                link.say_answer(header, &words)
            }
            Err(_) => {
                turn.sinks.push(sink);
                return self.refuse(link, ticket);
            }
        };
        turn.sinks.push(sink);
        if let Err(offence) = answer {
            link.fault(offence);
        }
    }

    fn refuse(&self, link: &Arc<Link>, ticket: Ticket) {
        let refused = Header { tag: ticket.0, ..Header::new(Kind::Refused, NO_SLOT) };
        if let Err(offence) = link.say_answer(refused, &self.giver.encode()) {
            link.fault(offence);
        }
    }

    /// A right whose old owner is dead is out no more once it is answered.
    fn settle(&self, ticket: Ticket, turn: &mut Turn) {
        let ended = {
            let mut state = lock(&self.state);
            let ended = !state.followers.iter().any(|out| out == ticket);
            ended && state.out.remove(&ticket).is_some()
        };
        if ended {
            self.port.task.forget_follower(self.giver, ticket);
            turn.after.follower_gone(&self.port);
        }
    }

    fn complete(self: &Arc<Self>, turn: &mut Turn) {
        let (answers, promises) = {
            let mut state = lock(&self.state);
            state.complete_since = Some(self.port.task.now_ns());
            (state.followers.complete(), std::mem::take(&mut state.promises))
        };
        for _ in 0..promises {
            turn.after.promise_died(&self.port);
        }
        for (ticket, claimed) in answers {
            self.answer(ticket, claimed, turn);
        }
        let settled: Vec<Ticket> = {
            let state = lock(&self.state);
            let left: Vec<Ticket> = state.followers.iter().collect();
            state.out.keys().filter(|ticket| !left.contains(ticket)).copied().collect()
        };
        for ticket in settled {
            self.settle(ticket, turn);
        }
    }

    /// Ends the rights of a dead owner's that nobody will come for: those of
    /// `holder`, who is dead, or of anybody after so long.
    fn end_left(&self, holder: Option<TaskId>, now_ns: u64, after: &mut After) {
        let ended: Vec<Ticket> = {
            let mut state = lock(&self.state);
            let Some(since) = state.complete_since else { return };
            let late = now_ns.saturating_sub(since) >= limits::ORPHAN_GIVE_NS;
            let mut ended = Vec::new();
            let State { out, followers, .. } = &mut *state;
            out.retain(|ticket, right| {
                let gone = holder.map_or(late, |holder| right.holder == holder);
                if gone {
                    let _ = followers.end(*ticket);
                    ended.push(*ticket);
                }
                !gone
            });
            ended
        };
        for ticket in ended {
            self.port.task.forget_follower(self.giver, ticket);
            after.follower_gone(&self.port);
        }
    }

    fn is_of(&self, port: u64) -> bool {
        self.port.id == port && !lock(&self.state).followers.is_empty()
    }
}

/// The rights that were out when ports came here, by who gave them out.
pub(crate) type FollowerTable = HashMap<(TaskId, Ticket), Arc<Adopted>>;

impl TaskCore {
    fn note_follower(&self, giver: TaskId, ticket: Ticket, adopted: &Arc<Adopted>) {
        lock(&self.followers).insert((giver, ticket), Arc::clone(adopted));
    }

    fn forget_follower(&self, giver: TaskId, ticket: Ticket) {
        let gone = lock(&self.followers).remove(&(giver, ticket));
        drop(gone);
        self.look_at_bequests();
    }

    pub(crate) fn follower(&self, giver: TaskId, ticket: Ticket) -> Option<Arc<Adopted>> {
        lock(&self.followers).get(&(giver, ticket)).cloned()
    }

    /// Whether rights to this port are still on their way from its old owner.
    pub(crate) fn has_followers(&self, port: u64) -> bool {
        let all: Vec<Arc<Adopted>> = lock(&self.followers).values().cloned().collect();
        all.iter().any(|adopted| adopted.is_of(port))
    }

    /// A task has died: what it had not claimed of dead owners' ends.
    pub(crate) fn end_followers_of(&self, holder: TaskId, after: &mut After) {
        let all: Vec<Arc<Adopted>> = lock(&self.followers).values().cloned().collect();
        for adopted in all {
            adopted.end_left(Some(holder), self.now_ns(), after);
        }
    }

    /// Ends what nobody came for. Returns when to look again.
    pub(crate) fn expire_followers(&self) -> Option<u64> {
        let all: Vec<Arc<Adopted>> = lock(&self.followers).values().cloned().collect();
        let mut after = After::default();
        let mut next: Option<u64> = None;
        for adopted in all {
            adopted.end_left(None, self.now_ns(), &mut after);
            let state = lock(&adopted.state);
            if let Some(since) = state.complete_since.filter(|_| !state.out.is_empty()) {
                let due = since.saturating_add(limits::ORPHAN_GIVE_NS);
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
            }
        }
        after.run();
        next
    }

    /// We hold a right to a port that came to us: it is our own now.
    pub(crate) fn claim_here(&self, join: &Arc<Join>, after: &mut After) {
        let sent = join.claims_with().unwrap_or(0);
        for last in [false, true] {
            if let Some(adopted) = self.follower(join.giver, join.ticket)
                && adopted.claim_here(join, sent, after).is_some()
            {
                return;
            }
            if !last && let Some(giver) = self.link_with(join.giver) {
                self.drain_link(&giver);
            }
        }
        join.fail(true, after);
    }
}

/// Messages that came with a port are as its old owner tells them.
impl Message {
    /// Whether naming its rights for the peer of `link` waits for nobody.
    pub(crate) fn is_simple_for(&self, link: &Arc<Link>) -> bool {
        let send = |right: &SendRight| right.is_simple_for(link);
        let reply = self.reply.as_ref().is_none_or(|reply| reply.is_simple_for(link));
        let accepted = self.accepted.as_ref().is_none_or(|right| right.is_simple_for(link));
        reply
            && accepted
            && self.rights.iter().all(|right| match right {
                Right::Send(right) => send(right),
                Right::SendOnce(right) => right.is_simple_for(link),
                Right::Receive(_) => false,
            })
    }
}
