//! Greetings: from a first packet to a link, or to a refusal.

use std::sync::Arc;

use abi::hello::{Purpose, Refusal};
use abi::{Offence, TaskId, limits};
use shm::socket::LinkSocket;

use super::{Token, WELCOME, Worker};
use crate::deadline::Deadline;
use crate::error::LinkError;
use crate::greeting::{self, Door, First, Greeting, Offer, Outcome, Role};
use crate::link::{Link, Parts};
use crate::message::Right;
use crate::port::After;

impl Worker {
    pub(super) fn greet(&mut self, number: u64) {
        let Some(greeting) = self.greetings.get(&number) else { return };
        let first = greeting::first(&greeting.socket);
        if matches!(first, Ok(First::Nothing)) {
            return;
        }
        let Some(greeting) = self.remove_greeting(number) else { return };
        match first {
            Ok(First::Nothing) => {}
            Ok(First::Gone) => self.fail(greeting, LinkError::Died),
            Ok(First::Refused(refusal, process)) => self.refused(greeting, refusal, process),
            Err(offence) => {
                let refusal = match offence {
                    Offence::VersionUnknown { .. } => Refusal::Version(abi::hello::VERSION),
                    _ => Refusal::Malformed,
                };
                refuse(&greeting.socket, refusal);
                self.fail(greeting, LinkError::Fault(offence));
            }
            Ok(First::Hello(hello, memory, who)) => {
                let peer = TaskId { process: who.process, number: hello.number };
                let Greeting { socket, role, due, outcome } = greeting;
                match role {
                    Role::Opener { own, writer, expected, offer } => {
                        if expected.is_some_and(|expected| expected != peer) {
                            let role = Role::Opener { own, writer, expected, offer };
                            let greeting = Greeting { socket, role, due, outcome };
                            self.fail(greeting, LinkError::Fault(Offence::WrongTask));
                            return;
                        }
                        let parts = greeting::join_halves(socket, own, writer, &hello, memory, who);
                        match parts {
                            Ok(parts) => self.link(parts, offer, outcome),
                            Err(error) => {
                                if let Some(owner) = expected {
                                    self.meeting_failed(owner);
                                }
                                settle_opening(outcome, error);
                            }
                        }
                    }
                    Role::Acceptor(door) => match self.may_enter(&door, &hello.purpose, peer) {
                        Ok(()) => {
                            let answered = self.answer(socket, &hello, memory, who);
                            match answered {
                                Ok(parts) => self.link(parts, offer_of(&door), outcome),
                                Err(error) => settle_opening(outcome, error),
                            }
                        }
                        Err(refusal) => {
                            // A caller we are linked with already gets its
                            // rights on the link there is.
                            if refusal == Refusal::Duplicate
                                && let (Some(offer), Some(link)) =
                                    (offer_of(&door), self.core.link_with(peer))
                            {
                                self.welcome(&link, offer);
                            }
                            refuse(&socket, refusal);
                            if let Some(outcome) = outcome {
                                outcome.settle(Err(LinkError::Refused(refusal)));
                            }
                        }
                    },
                }
            }
        }
    }

    /// Makes the links whose answers lie in their sockets already. Who answers us
    /// and then connects, as a child may to its parent's door, is to find that
    /// link, whichever socket we happen to look at first.
    fn link_answered(&mut self) {
        let openers: Vec<u64> = self
            .greetings
            .iter()
            .filter(|(_, greeting)| matches!(greeting.role, Role::Opener { .. }))
            .map(|(number, _)| *number)
            .collect();
        for number in openers {
            self.greet(number);
        }
    }

    /// Whether who came through `door` has business here.
    fn may_enter(&mut self, door: &Door, purpose: &Purpose, peer: TaskId) -> Result<(), Refusal> {
        self.link_answered();
        match (door, purpose) {
            (Door::Parent, Purpose::Child) | (Door::Path(_), Purpose::Named) => {}
            (Door::Introduction, Purpose::Claim { giver, ticket }) => {
                if !self.core.knows_give(*giver, peer, *ticket) {
                    return Err(Refusal::Ticket);
                }
            }
            _ => return Err(Refusal::NotAllowed),
        }
        if self.links.len() >= limits::LINKS {
            return Err(Refusal::Busy);
        }
        if self.core.may_accept(peer) { Ok(()) } else { Err(Refusal::Duplicate) }
    }

    /// Answers a hello with our own.
    fn answer(
        &self,
        socket: LinkSocket,
        hello: &abi::hello::Hello,
        memory: std::os::fd::OwnedFd,
        who: shm::socket::Credentials,
    ) -> Result<Parts, shm::OpenError> {
        use std::os::fd::AsFd;

        let (own, writer, answer, ours) =
            greeting::own_side(&self.core, hello.purpose).map_err(shm::OpenError::System)?;
        let parts = greeting::join_halves(socket, own, writer, hello, memory, who)?;
        match parts.socket.send(&answer.encode(), &[ours.as_fd()]) {
            Ok(()) => Ok(parts),
            Err(_) => Err(shm::OpenError::System(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn refused(&mut self, greeting: Greeting, refusal: Refusal, process: u64) {
        let Greeting { role, outcome, .. } = greeting;
        let expected = match role {
            Role::Opener { expected, .. } => expected,
            Role::Acceptor(_) => None,
        };
        if refusal == Refusal::Duplicate {
            // The other side's connection stays; ours was not needed. What
            // waits for the link gets it when that one is answered.
            if let Some(outcome) = outcome {
                self.link_answered();
                let linked = self.links.values().find(|link| link.peer_task().process == process);
                outcome
                    .settle(linked.map(|link| link.peer_task()).ok_or(LinkError::Refused(refusal)));
            }
            return;
        }
        if let Some(owner) = expected {
            self.meeting_failed(owner);
        }
        if let Some(outcome) = outcome {
            outcome.settle(Err(LinkError::Refused(refusal)));
        }
    }

    /// Two halves are a link now.
    fn link(&mut self, parts: Parts, offer: Option<Offer>, outcome: Option<Arc<Outcome>>) {
        let number = self.next;
        self.next += 1;
        let Ok(short) = u32::try_from(number) else { return };
        let peer = parts.who.sender.task;
        let link = Link::new(&self.core, short, parts);
        let Ok(joins) = self.core.add_link(&link) else {
            // There is one already: this one was never used.
            link.socket().shutdown();
            if let Some(outcome) = outcome {
                outcome.settle(Err(LinkError::Refused(Refusal::Duplicate)));
            }
            return;
        };
        let watched =
            self.epoll.add(link.socket(), Token::Socket(number).number()).and_then(|()| match link
                .pidfd()
            {
                Some(pidfd) => self.epoll.add(pidfd, Token::Process(number).number()),
                None => Ok(()),
            });
        self.links.insert(number, Arc::clone(&link));
        if watched.is_err() {
            // Nobody would hear of its death.
            link.socket().shutdown();
            self.bury(&link);
        }
        if let Some(offer) = offer {
            self.welcome(&link, offer);
        }
        let mut after = After::default();
        for join in joins {
            link.claim(join, &mut after);
        }
        after.run();
        if let Some(outcome) = outcome {
            outcome.settle(Ok(peer));
        }
        // What came before we listened rang no bell we heard.
        self.core.drain_after_bell(&[link]);
    }

    fn welcome(&self, link: &Arc<Link>, offer: Offer) {
        if let Err((_, message)) = link.send_welcome(offer.into_message(), Deadline::after(WELCOME))
        {
            // Without its rights the peer has no use for the link.
            drop(message);
            link.socket().shutdown();
        }
    }
}

fn offer_of(door: &Door) -> Option<Offer> {
    let Door::Path(offered) = door else { return None };
    let (names, rights) =
        offered.iter().map(|(name, right)| (name.clone(), Right::Send(right.clone()))).unzip();
    Some(Offer { names, rights, to_caller: true })
}

fn settle_opening(outcome: Option<Arc<Outcome>>, error: shm::OpenError) {
    let Some(outcome) = outcome else { return };
    outcome.settle(Err(match error {
        shm::OpenError::Offence(offence) => LinkError::Fault(offence),
        shm::OpenError::System(error) => LinkError::System(error),
    }));
}

pub(super) fn refuse(socket: &LinkSocket, refusal: Refusal) {
    // It may have gone already.
    let _ = socket.send(&refusal.encode(), &[]);
}
