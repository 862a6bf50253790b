//! What the new owner of a port does.
//!
//! The bag is read when the message that moves the port is, and whenever the old
//! owner says that it holds something new; and once more, to its end, when the old
//! owner is dead. Who claims a right is answered in `claims.rs`.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use abi::bag::{Origin, OutRight, Passport, Place, armed, counted};
use abi::frame::{Attached, EVERY_TICKET, Header, Kind};
use abi::right::RightRef;
use abi::{Offence, TaskId, Ticket, limits};
use rights::moving::{Claimed, Followers};
use shm::{LaneReader, PeerPage};

use crate::link::{From, Inn, Join, Link, Turn};
use crate::message::{Message, Right};
use crate::port::{PortCore, ReceiveRight};
use crate::right::{SendOnceRight, SendRight};
use crate::wait::Waiter;
use crate::wait::parking::{Mutex, lock};

/// A port that came from another task.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) port: Arc<PortCore>,
    pub(super) giver: TaskId,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    reader: LaneReader,
    /// The move was read: what comes now came after it.
    here: bool,
    /// The old owner has said its last word.
    closed: bool,
    pub(super) followers: Followers<Ticket>,
    pub(super) out: BTreeMap<Ticket, OutRight>,
    /// And how many messages each sent to the old owner.
    pub(super) waiting: HashMap<Ticket, (Claimer, u64)>,
    /// The last passport before the move, and the turns taken.
    passport: (Passport, u64),
    /// Promises that come through the bag.
    promises: u64,
    /// When the bag was read to its end.
    pub(super) complete_since: Option<u64>,
    /// Who waits until nobody is out.
    pub(super) settling: Vec<Arc<Waiter>>,
}

impl State {
    /// Nothing of the old owner's will matter any more. Its last word alone does not
    /// say so: it may have said before it that somebody is out, or owes something.
    fn is_over(&self) -> bool {
        self.closed && self.followers.is_empty() && self.promises == 0
    }
}

/// Who waits for the answer to its claim.
#[derive(Debug)]
pub(super) enum Claimer {
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
        let mut reader = match PeerPage::open_bag(fd) {
            Ok((_page, reader)) => reader,
            Err(shm::OpenError::Offence(offence)) => return Err(offence),
            // We have no room to map it: the port ends here.
            Err(shm::OpenError::System(_)) => return Ok(ReceiveRight::ended(&self.task).into()),
        };
        let Some(header) = next_in(&mut reader)? else { return Err(Offence::BagMalformed) };
        if header.kind != Kind::Port {
            return Err(Offence::BagMalformed);
        }
        let (attached, body) = frame(&mut reader, &header)?;
        let (passport, turns) = (Passport::decode(&body)?, counted(header.tag)?);
        reader.finish(&header);
        let port = PortCore::adopted(&self.task, &passport, turns);
        // Whoever has joined a port that its bag turns out to belie sees it end.
        let right = ReceiveRight::new(Arc::clone(&port));
        let filled = self.fill_port(ticket, &port, attached, reader, (passport, turns), inn, turn);
        match filled {
            Ok(()) => Ok(right.into()),
            Err(offence) => {
                turn.end_ports(vec![right]);
                Err(offence)
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what one frame and its bag have brought")]
    fn fill_port(
        self: &Arc<Self>,
        ticket: Ticket,
        port: &Arc<PortCore>,
        attached: Attached,
        reader: LaneReader,
        passport: (Passport, u64),
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let requests = self.requests(passport.0.armed, attached.rights, turn)?;
        let filled = self.read_on(ticket, port, reader, passport, inn, turn);
        // Before anybody else knows the port: who has it may move it on, or ask anew.
        port.arm(requests, &mut turn.after);
        filled
    }

    /// The rest of a bag, as far as it is written.
    fn read_on(
        self: &Arc<Self>,
        ticket: Ticket,
        port: &Arc<PortCore>,
        reader: LaneReader,
        passport: (Passport, u64),
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let adopted = Arc::new(Adopted {
            port: Arc::clone(port),
            giver: self.peer_task(),
            state: Mutex::new(State {
                reader,
                here: false,
                closed: false,
                followers: Followers::default(),
                out: BTreeMap::new(),
                waiting: HashMap::new(),
                promises: passport.0.promises,
                passport,
                complete_since: None,
                settling: Vec::new(),
            }),
        });
        {
            let mut bags = self.bags();
            if bags.len() >= limits::GIVES || bags.contains_key(&ticket) {
                return Err(Offence::TicketReused);
            }
            bags.insert(ticket, Arc::clone(&adopted));
        }
        // A port may lie in the queue of a port, and so on.
        turn.bags_open += 1;
        let read = if turn.bags_open > limits::BAG_DEPTH {
            Err(Offence::BagOverfull)
        } else {
            adopted.read(self, inn, turn)
        };
        turn.bags_open -= 1;
        read?;
        let ((passport, turns), promises, over) = {
            let mut state = lock(&adopted.state);
            state.here = true;
            (state.passport, state.promises, state.is_over())
        };
        port.go_on_as(&passport, promises, turns);
        if over {
            self.bags().remove(&ticket);
        }
        Ok(())
    }

    /// The requests that came with a port, in the order of their bits.
    fn requests(
        self: &Arc<Self>,
        bits: u8,
        names: Vec<RightRef>,
        turn: &mut Turn,
    ) -> Result<Vec<(u8, SendOnceRight)>, Offence> {
        let mut bits =
            [armed::NO_SENDERS, armed::DESTROYED].into_iter().filter(|bit| bits & bit != 0);
        let mut requests = Vec::new();
        let mut next = |name, turn: &mut Turn| {
            let bit = bits.next().ok_or(Offence::BagMalformed)?;
            match self.take_in(name, &mut turn.joins)? {
                Right::SendOnce(to) => {
                    requests.push((bit, to));
                    Ok(())
                }
                Right::Send(_) | Right::Receive(_) => Err(Offence::RightKind),
            }
        };
        let read = names.into_iter().try_for_each(|name| next(name, turn));
        if read.is_ok() && bits.next().is_none() {
            return Ok(requests);
        }
        requests.into_iter().for_each(|(_, to)| turn.after.let_go(to));
        Err(read.err().unwrap_or(Offence::BagMalformed))
    }

    /// The old owner of a port has put something into its bag.
    pub(crate) fn look_into_bag(
        self: &Arc<Self>,
        ticket: Ticket,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let Some(adopted) = self.bags().get(&ticket).cloned() else { return Ok(()) };
        adopted.read(self, inn, turn)?;
        if lock(&adopted.state).is_over() {
            self.bags().remove(&ticket);
        }
        Ok(())
    }

    /// A bag was full, and goes on in another memory.
    pub(crate) fn bag_goes_on(
        self: &Arc<Self>,
        ticket: Ticket,
        fd: OwnedFd,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let more = match PeerPage::open_bag(fd) {
            Ok((_page, reader)) => reader,
            Err(shm::OpenError::Offence(offence)) => return Err(offence),
            Err(shm::OpenError::System(error)) => {
                // What it holds was accepted, and is said only once.
                self.broken(error.kind());
                return Ok(());
            }
        };
        let Some(adopted) = self.bags().get(&ticket).cloned() else { return Ok(()) };
        adopted.read(self, inn, turn)?;
        lock(&adopted.state).reader = more;
        self.look_into_bag(ticket, inn, turn)
    }

    /// The old owner is dead: its bags are read to their end, and those of the ports that
    /// come to light in them.
    pub(crate) fn complete_bags(self: &Arc<Self>, inn: &mut Inn, turn: &mut Turn) {
        loop {
            let some = std::mem::take(&mut *self.bags());
            if some.is_empty() {
                return;
            }
            for adopted in some.into_values() {
                let _ = adopted.read(self, inn, turn);
                adopted.complete(turn);
            }
        }
    }
}

/// The next frame of a bag, which is filled once and never lapped.
fn next_in(reader: &mut LaneReader) -> Result<Option<Header>, Offence> {
    let header = reader.next()?;
    let end = reader.position() + header.map_or(0, |header| u64::from(header.room()));
    if end > u64::from(reader.lane_bytes()) { Err(Offence::BagOverfull) } else { Ok(header) }
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
        while let Some(header) = next_in(&mut state.reader)? {
            let (attached, body) = frame(&mut state.reader, &header)?;
            state.reader.finish(&header);
            match header.kind {
                // Its last word before the move was the last.
                Kind::Port if state.here => return Err(Offence::BagMalformed),
                Kind::Port => {
                    let passport = Passport::decode(&body)?;
                    state.promises = passport.promises;
                    state.passport = (passport, counted(header.tag)?);
                    let listed = std::mem::take(&mut state.out);
                    news.begun.retain(|ticket| !listed.contains_key(ticket));
                    state.followers = Followers::default();
                }
                Kind::Out => {
                    let ticket = Ticket(header.tag);
                    let out = OutRight::decode(&body)?;
                    if state.out.len() >= limits::SLOTS as usize {
                        return Err(Offence::BagOverfull);
                    }
                    if state.out.insert(ticket, out).is_some() {
                        return Err(Offence::OutTwice);
                    }
                    state.followers.adopt(ticket, out.have);
                    news.begun.push(ticket);
                }
                Kind::Ended if header.tag == EVERY_TICKET => state.closed = true,
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
                    if origin.place == Place::Promised {
                        state.promises =
                            state.promises.checked_sub(1).ok_or(Offence::PromisesExceeded)?;
                    }
                    let mut message = link.unpack(inn, &header, attached, From::Bag, body, turn)?;
                    turn.end_ports(message.break_circles(&self.port));
                    self.port.adopt(message, &origin, &mut turn.after);
                    let ticket = Ticket(origin.ticket);
                    if let Some(claimed) = state.followers.bring(ticket) {
                        news.answers.push((ticket, claimed));
                    }
                }
                _ => return Err(Offence::BagMalformed),
            }
        }
        Ok(())
    }

    fn act(self: &Arc<Self>, news: News, turn: &mut Turn) {
        let task = &self.port.task;
        self.wait_for(&news.begun);
        for ticket in news.begun {
            self.port.add_sender();
            task.note_follower(self.giver, ticket, self);
        }
        for (ticket, claimed) in news.answers {
            self.answer(ticket, claimed, turn);
        }
        for ticket in news.ended {
            self.port.has_come(ticket, &mut turn.after);
            task.forget_follower(self.giver, ticket);
            turn.after.follower_gone(&self.port);
        }
        self.tell_settled(&mut turn.after);
    }

    /// Who could send at the old owner may have sent what is still on its way. Who was
    /// given its right after the move has not.
    fn wait_for(&self, begun: &[Ticket]) {
        let state = lock(&self.state);
        if state.here {
            return;
        }
        let holders = begun.iter().filter_map(|ticket| Some((*ticket, state.out.get(ticket)?)));
        holders.for_each(|(ticket, out)| self.port.wait_for(ticket, out.holder));
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
            self.settle(ticket, &mut turn.after);
        }
        self.tell_settled(&mut turn.after);
    }
}

/// Messages that came with a port are as its old owner tells them.
impl Message {
    /// Whether naming its rights for the peer of `link` waits for nobody.
    pub(crate) fn is_simple_for(&self, link: &Arc<Link>) -> bool {
        let send = |right: &SendRight| right.is_simple_for(link);
        let reply = self.reply.as_ref().is_none_or(|reply| reply.is_simple_for(link));
        let accepted = self.accepted().is_none_or(|right| right.is_simple_for(link));
        reply
            && accepted
            && self.rights.iter().all(|right| match right {
                Right::Send(right) => send(right),
                Right::SendOnce(right) => right.is_simple_for(link),
                Right::Receive(_) => false,
            })
    }
}
