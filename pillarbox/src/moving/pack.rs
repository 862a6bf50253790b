//! What the old owner does before a move.
//!
//! The queue goes into the bag message by message, each right in it named for the
//! new owner. Then, under the port's lock, the rights that are out are listed,
//! their slots marked, and the message that moves the port published: that store
//! is the move. Nobody is waited for.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use abi::bag::{Origin, OutRight, Place};
use abi::right::Kind as RightKind;
use abi::{Slot, Ticket};

use super::bag::{Bag, OpenBag};
use super::gone::Gone;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::{Join, Link, Load};
use crate::message::Message;
use crate::port::{After, General, PortCore, PortState, Unloaded};
use crate::wait::parking::lock;

/// What a bag takes beside what is known when it is made. One that is full before
/// the move is made larger; after it, it goes on in another memory.
const SLACK: usize = 32 * 1024;

/// How soon it is tried again to send the descriptors of what goes with a port.
const SOON: Duration = Duration::from_millis(2);

/// A receive right that is being sent.
#[derive(Debug)]
pub(crate) struct Pack {
    port: Arc<PortCore>,
    pub(crate) ticket: Ticket,
    bag: Option<Bag>,
    open: Option<OpenBag>,
    /// What the new owner will map the bag by, until it is taken.
    fd: Option<OwnedFd>,
    /// What is in the bag, to be undone.
    kept: Vec<(Unloaded, Load)>,
    /// The rights of the requests that go with the port.
    armed: Option<(Message, Load)>,
    /// The rights that are out, as listed last.
    listed: Vec<(u32, u64, Ticket)>,
    own: Ticket,
    /// Ports in its queue, which go with it; until they are taken.
    inner: Vec<Pack>,
    /// It lies in the bag of another, and its own has been sent.
    inside: bool,
}

/// A port that is about to go: nothing arrives at it.
pub(crate) type Ready<'a> = General<'a>;

impl Pack {
    /// Begins to move a port over `link`.
    pub(crate) fn begin(
        link: &Arc<Link>,
        port: &Arc<PortCore>,
        deadline: Deadline,
    ) -> Result<Pack, SendFailure> {
        if !Arc::ptr_eq(&link.task, &port.task) {
            return Err(SendFailure::Dead);
        }
        port.wait_until_settled(deadline)?;
        port.wait_for_nothing_again();
        port.may_move()?;
        // What is spilled does not move: it is read before, or the port stays.
        port.stop_spilling()?;
        Pack::begin_settled(link, port).inspect_err(|_| port.spill_again())
    }

    fn begin_settled(link: &Arc<Link>, port: &Arc<PortCore>) -> Result<Pack, SendFailure> {
        let open = OpenBag::open(link)?;
        let bytes = port.bytes_to_move(link.task.links().as_slice()) + SLACK;
        let (mut bag, fd) = Bag::create(bytes)
            .ok_or(SendFailure::TooLong { bytes: bytes as u64 })?
            .map_err(|error| SendFailure::System(error.kind()))?;
        let armed = Pack::arm(link, port, &mut bag)?;
        let ticket = || Ticket(link.task.next_id());
        let (main, own) = (ticket(), ticket());
        let pack = Pack {
            port: Arc::clone(port),
            ticket: main,
            bag: Some(bag),
            open: Some(open),
            fd: Some(fd),
            kept: Vec::new(),
            armed,
            listed: Vec::new(),
            own,
            inner: Vec::new(),
            inside: false,
        };
        Ok(pack)
    }

    /// The port's first passport, with the rights of the requests that go with it.
    fn arm(
        link: &Arc<Link>,
        port: &Arc<PortCore>,
        bag: &mut Bag,
    ) -> Result<Option<(Message, Load)>, SendFailure> {
        let (mut passport, turns, mut requests) = lock(port.state()).packed();
        passport.birth = port.birth();
        if requests.rights().is_empty() {
            bag.passport(&passport, turns, None);
            return Ok(None);
        }
        match link.load(&mut requests, Deadline::Now) {
            Ok(mut load) => {
                bag.passport(&passport, turns, Some(&mut load));
                Ok(Some((requests, load)))
            }
            Err(reason) => {
                let mut after = After::default();
                lock(port.state()).rearm(requests, &mut after);
                after.run();
                Err(reason)
            }
        }
    }

    /// Puts what is in the queue into the bag, and locks the port when there is no
    /// more.
    pub(crate) fn ready(
        &mut self,
        link: &Arc<Link>,
        deadline: Deadline,
    ) -> Result<(), SendFailure> {
        loop {
            let unloaded = lock(self.port.state()).unload();
            if unloaded.is_empty() {
                return Ok(());
            }
            let port = Arc::clone(&self.port);
            let back = |next, rest| {
                let back = std::iter::once(next).chain(rest).collect();
                lock(port.state()).reload_front(back);
            };
            let mut rest = unloaded.into_iter();
            while let Some(mut next) = rest.next() {
                let place = if next.is_beyond() { Place::Beyond } else { Place::Counted };
                let origin = Origin { ticket: 0, place, pulses: next.pulses() };
                let named;
                let jumped = |(next, rest)| back(next, rest);
                ((next, rest), named) = shm::jump::held((next, rest), jumped, |(next, _)| {
                    self.name(link, &origin, next.message_mut(), deadline)
                });
                match named {
                    Ok(load) => self.kept.push((next, load)),
                    Err(reason) => {
                        back(next, rest);
                        return Err(reason);
                    }
                }
            }
        }
    }

    /// Names the rights of one message and puts it into the bag.
    fn name(
        &mut self,
        link: &Arc<Link>,
        origin: &Origin,
        message: &mut Message,
        deadline: Deadline,
    ) -> Result<Load, SendFailure> {
        let mut load = link.load(message, deadline)?;
        loop {
            let Some(bag) = &mut self.bag else { return Err(SendFailure::Dead) };
            let reason = match link.write_into(bag, origin, message, &mut load) {
                Ok(()) => {
                    let inner = load.packs.drain(..);
                    self.inner.extend(inner.map(|pack| Pack { inside: true, ..pack }));
                    return Ok(load);
                }
                Err(SendFailure::TooLong { .. }) => match self.enlarge() {
                    Ok(()) => continue,
                    Err(reason) => reason,
                },
                Err(SendFailure::Full) if !deadline.has_passed() => {
                    // For descriptors, which have room when others are read. Nobody
                    // says when.
                    let soon = Deadline::At(deadline.instant_or(Instant::now() + SOON));
                    let jumped = |load| link.undo(load);
                    (load, _) = shm::jump::held(load, jumped, |_| {
                        link.task.wait(soon, Some(link), |_| None::<()>)
                    });
                    continue;
                }
                Err(reason) => reason,
            };
            link.undo(load);
            return Err(reason);
        }
    }

    /// The bag is full, and nobody has mapped it yet: a larger one takes its place.
    fn enlarge(&mut self) -> Result<(), SendFailure> {
        let Some(bag) = &mut self.bag else { return Err(SendFailure::Dead) };
        let bytes = u64::from(abi::limits::LANE_BYTES_MAX);
        if self.inside {
            // What it is mapped by has been sent.
            return Err(SendFailure::TooLong { bytes });
        }
        let (larger, fd) = bag
            .larger()
            .ok_or(SendFailure::TooLong { bytes })?
            .map_err(|error| SendFailure::System(error.kind()))?;
        self.bag = Some(larger);
        self.fd = Some(fd);
        Ok(())
    }

    /// What the new owner is to map the bag by, if that is another now.
    pub(crate) const fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fd.take()
    }

    /// The ports in its queue that go with it, theirs, and so on.
    pub(crate) fn take_inner(&mut self) -> Vec<Pack> {
        std::mem::take(&mut self.inner)
    }

    /// Whether its bag lies in that of another.
    pub(crate) const fn is_inside(&self) -> bool {
        self.inside
    }

    /// Locks the port, if nothing has come since it was made ready.
    pub(crate) fn hold<'a>(port: &'a PortCore) -> Option<Ready<'a>> {
        let state = lock(port.state());
        state.is_unloaded().then_some(state)
    }

    /// Our slots that the bag names.
    pub(crate) fn exported(&self) -> impl Iterator<Item = Slot> {
        let loads =
            self.kept.iter().map(|(_, load)| load).chain(self.armed.iter().map(|(_, load)| load));
        loads.flat_map(Load::exported)
    }

    pub(crate) fn port(&self) -> Arc<PortCore> {
        Arc::clone(&self.port)
    }

    /// Lists the rights that are out and shows the bag to whoever will map it.
    ///
    /// # Errors
    /// [`SendFailure::TooLong`] where no bag is large enough, and what the system
    /// refuses.
    pub(crate) fn list(
        &mut self,
        link: &Arc<Link>,
        state: &mut PortState,
    ) -> Result<(), SendFailure> {
        while !self.list_all(link, state) {
            self.enlarge()?;
        }
        Ok(())
    }

    fn list_all(&mut self, link: &Arc<Link>, state: &mut PortState) -> bool {
        let Some(bag) = &mut self.bag else { return false };
        let (mut passport, turns) = state.passport();
        passport.birth = self.port.birth();
        let mut fits = bag.passport(&passport, turns, None);
        self.listed.clear();
        let holder = OutRight { holder: link.task.id, address: link.task.address(), have: 0 };
        fits &= bag.out(self.own, &holder);
        for (number, via, board, have) in state.out() {
            let Some(peer) = board.upgrade() else { continue };
            let ticket = Ticket(link.task.next_id());
            let holder = OutRight { holder: peer.peer_task(), address: peer.address(), have };
            fits &= bag.out(ticket, &holder);
            self.listed.push((number, via, ticket));
        }
        bag.publish();
        fits
    }

    /// Marks the slots of the rights that are out.
    pub(crate) fn mark(&self, link: &Arc<Link>, state: &PortState) {
        for (number, via, ticket) in &self.listed {
            let Some((peer, slot)) = state.board_of(*number, *via) else { continue };
            let (owner, address) = (link.peer_task(), link.address());
            let moved = abi::board::Moved { ticket: *ticket, owner, address };
            peer.mark_moved(slot, &moved);
        }
    }

    /// Takes the marks back. Who has seen one is told to look again.
    pub(crate) fn unmark(&self, state: &PortState, after: &mut After) {
        for (number, via, _) in &self.listed {
            let Some((peer, slot)) = state.board_of(*number, *via) else { continue };
            peer.unmark_moved(slot);
            after.look(peer, slot);
        }
    }

    /// The move is published.
    pub(crate) fn commit(&mut self, link: &Arc<Link>, state: &mut PortState, after: &mut After) {
        let Some(bag) = self.bag.take() else { return };
        let owner = (link.peer_task(), link.address());
        let own = Join::own_of_moved(&link.task, RightKind::Send, owner, self.own);
        let gone = Arc::new(Gone {
            link: Arc::clone(link),
            ticket: self.ticket,
            bag: bag.into(),
            open: self.open.take(),
            out: self
                .listed
                .iter()
                .map(|(number, via, ticket)| ((*number, *via), *ticket))
                .collect::<std::collections::HashMap<_, _>>()
                .into(),
            charges: Default::default(),
            own: Some(Arc::clone(&own)).into(),
            own_ticket: self.own,
            own_ended: Default::default(),
            relays: Default::default(),
            parked: Default::default(),
        });
        own.speak_to(&gone);
        state.go(after, &own);
        if state.has_promises() {
            gone.begin_to_relay();
        }
        self.port.set_gone(gone);
        self.port.forget_here();
        link.note_went(&self.port);
        if link.is_dead() {
            // It may have been buried before we noted what went to it.
            after.owner_died(&self.port);
        }
        link.bagged_shown(self.kept.iter().filter(|(_, load)| load.count() > 0).count());
        if state.has_no_senders() {
            self.port.let_go_of_own(after);
        } else {
            after.join(own);
        }
        for (number, via, _) in &self.listed {
            if let Some((peer, slot)) = state.board_of(*number, *via) {
                // Whoever is to follow may have all threads busy, and others wait.
                after.ring(Arc::clone(&peer));
                after.look(peer, slot);
            }
        }
    }

    /// What is in the bag is the new owner's.
    pub(crate) fn unload(self, link: &Arc<Link>) {
        let kept = self.kept.into_iter().map(|(unloaded, load)| (unloaded.into_message(), load));
        for (message, load) in kept.chain(self.armed) {
            link.unload(load, message);
        }
    }

    /// The move was not published: everything is as it was.
    pub(crate) fn undo(self, link: &Arc<Link>) {
        let mut back = Vec::new();
        for pack in self.inner {
            pack.undo(link);
        }
        for (unloaded, load) in self.kept {
            link.void_bag_packet(&load);
            link.undo(load);
            back.push(unloaded);
        }
        // Once they are armed again any thread may use their rights.
        let requests = self.armed.map(|(requests, load)| {
            link.undo(load);
            requests
        });
        let mut after = After::default();
        let mut state = lock(self.port.state());
        state.reload_front(back);
        if let Some(requests) = requests {
            state.rearm(requests, &mut after);
        }
        drop(state);
        after.run();
        self.port.spill_again();
    }
}

/// The end of a port's life here: where it went.
pub(crate) type GoneCell = OnceLock<Arc<Gone>>;
