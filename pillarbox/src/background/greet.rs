//! Greetings: from a first packet to a link, or to a refusal.

use std::sync::Arc;

use abi::hello::{Purpose, Refusal};
use abi::{Offence, TaskId};
use shm::socket::{LinkSocket, SendPacketError};

use super::{Token, WELCOME, Worker};
use crate::deadline::Deadline;
use crate::error::LinkError;
use crate::greeting::{self, Door, First, Greeting, Offer, Outcome, Role};
use crate::limits::Limit;
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
            Ok(First::Lost(error)) => {
                let _ = refuse(&greeting.socket, Refusal::Busy);
                self.fail(greeting, LinkError::System(error));
            }
            Ok(First::Refused(refusal, process)) => self.refused(greeting, refusal, process),
            Err(offence) => {
                self.core.counters.offend(offence);
                let refusal = match offence {
                    Offence::VersionUnknown { .. } => Refusal::Version(abi::hello::VERSION),
                    _ => Refusal::Malformed,
                };
                let _ = refuse(&greeting.socket, refusal);
                self.fail(greeting, LinkError::Fault(offence));
            }
            Ok(First::Hello(hello, memory, who)) => {
                let peer = TaskId { process: who.process, number: hello.number };
                let Greeting { socket, role, due, outcome, unsaid, uid } = greeting;
                match role {
                    Role::Opener { own, writer, expected, offer } => {
                        if expected.is_some_and(|expected| expected != peer) {
                            let role = Role::Opener { own, writer, expected, offer };
                            let greeting = Greeting { socket, role, due, outcome, unsaid, uid };
                            self.fail(greeting, LinkError::Fault(Offence::WrongTask));
                            return;
                        }
                        let parts = greeting::join_halves(socket, own, writer, &hello, memory, who);
                        match parts {
                            Ok(parts) => self.link(parts, offer, outcome),
                            Err((_, error)) => {
                                let error = link_error(error);
                                if let Some(owner) = expected {
                                    self.introduce_again(owner, &error);
                                }
                                if let Some(outcome) = outcome {
                                    outcome.settle(Err(error));
                                }
                            }
                        }
                    }
                    Role::Acceptor(door) => match self.may_enter(&door, &hello.purpose, peer) {
                        Ok(()) => {
                            let answered = self.answer(socket, &hello, memory, who);
                            match answered {
                                Ok(parts) => self.link(parts, offer_of(&door), outcome),
                                Err(error) => {
                                    if let Some(outcome) = outcome {
                                        outcome.settle(Err(link_error(error)));
                                    }
                                }
                            }
                        }
                        Err(refusal) => {
                            // A caller we are linked with already gets its
                            // rights on the link there is, if it hears of it.
                            let told = refuse(&socket, refusal);
                            if told
                                && matches!(refusal, Refusal::Duplicate { .. })
                                && let (Some(offer), Some(link)) =
                                    (offer_of(&door), self.core.link_with(peer))
                            {
                                self.welcome(&link, offer);
                            }
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
    pub(super) fn link_answered(&mut self) {
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
        if self.links.len() >= self.core.limits.links {
            self.core.counters.refuse(Limit::Links);
            return Err(Refusal::Busy);
        }
        if self.core.may_accept(peer) { Ok(()) } else { Err(self.duplicate()) }
    }

    fn duplicate(&self) -> Refusal {
        Refusal::Duplicate { number: self.core.id.number }
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

        // What our system refuses is not the other side's doing: it may come again.
        let busy = |socket: &LinkSocket, error| {
            let _ = refuse(socket, Refusal::Busy);
            shm::OpenError::System(error)
        };
        let (own, writer, answer, ours) =
            greeting::own_side(&self.core, hello.purpose).map_err(|error| busy(&socket, error))?;
        let parts = greeting::join_halves(socket, own, writer, hello, memory, who).map_err(
            |(socket, error)| match error {
                shm::OpenError::System(error) => busy(&socket, error),
                offence @ shm::OpenError::Offence(_) => offence,
            },
        )?;
        match parts.socket.send(&answer.encode(), &[ours.as_fd()]) {
            Ok(()) => Ok(parts),
            Err(SendPacketError::Gone) => {
                Err(shm::OpenError::System(std::io::ErrorKind::BrokenPipe.into()))
            }
            Err(SendPacketError::System(error)) => Err(shm::OpenError::System(error)),
            Err(refused) => Err(shm::OpenError::System(std::io::Error::other(refused))),
        }
    }

    fn refused(&mut self, greeting: Greeting, refusal: Refusal, process: u64) {
        let Greeting { role, outcome, .. } = greeting;
        let expected = match role {
            Role::Opener { expected, .. } => expected,
            Role::Acceptor(_) => None,
        };
        if let Refusal::Duplicate { number } = refusal {
            // The other side's connection stays; ours was not needed. What
            // waits for the link gets it when that one is answered.
            if let Some(outcome) = outcome {
                self.link_answered();
                let peer = TaskId { process, number };
                let linked = self.core.link_with(peer).map(|_| peer);
                outcome.settle(linked.ok_or(LinkError::Refused(refusal)));
            }
            if let Some(owner) = expected {
                // It may die before it has answered, or lie: then nobody else
                // would end the wait.
                self.link_answered();
                self.introduce_again(owner, &LinkError::Refused(refusal));
            }
            return;
        }
        if let Some(owner) = expected {
            self.introduce_again(owner, &LinkError::Refused(refusal));
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
        if offer.as_ref().is_some_and(Offer::is_to_child) {
            link.peer_core().note_child();
        }
        let Ok(joins) = self.core.add_link(&link) else {
            // There is one already: this one was never used.
            link.socket().shutdown();
            if let Some(outcome) = outcome {
                outcome.settle(Err(LinkError::Refused(self.duplicate())));
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
        self.core.poll_link(&link);
        self.introducing.remove(&peer);
        if let Err(error) = watched {
            // Nobody would hear of its death.
            link.broken(error.kind());
            let mut after = After::default();
            for join in joins {
                link.claim(join, &mut after);
            }
            after.run();
            self.bury(&link);
            if let Some(outcome) = outcome {
                outcome.settle(Err(LinkError::System(error)));
            }
            return;
        }
        if let Some(offer) = offer {
            self.welcome(&link, offer);
        }
        let mut after = After::default();
        let claims = !joins.is_empty();
        for join in joins {
            link.claim(join, &mut after);
        }
        after.run();
        if claims {
            // Who waits for the answer began before there was a link to ring, and
            // the owner's threads may all be busy.
            link.ring_awake();
        }
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

fn link_error(error: shm::OpenError) -> LinkError {
    match error {
        shm::OpenError::Offence(offence) => LinkError::Fault(offence),
        // It hung up before it had our answer, as one that never spoke.
        shm::OpenError::System(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            LinkError::Died
        }
        shm::OpenError::System(error) => LinkError::System(error),
    }
}

/// Whether it could be told: it may have gone already.
pub(super) fn refuse(socket: &LinkSocket, refusal: Refusal) -> bool {
    socket.send(&refusal.encode(), &[]).is_ok()
}
