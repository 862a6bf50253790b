//! Greetings that are on: those we begin ourselves, and those that take too long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::hello::{Purpose, Refusal};
use abi::{TaskId, limits};
use shm::socket::LinkSocket;

use super::{REST, Token, Worker};
use crate::error::LinkError;
use crate::greeting::{self, Greeting, Role};
use crate::link::Join;
use crate::port::After;

impl Worker {
    pub(super) fn add_greeting(&mut self, mut greeting: Greeting) -> Option<u64> {
        let number = self.next;
        self.next += 1;
        let watched = self.epoll.add(&greeting.socket, Token::Greeting(number).number());
        let unsaid = greeting.unsaid.take();
        let said = watched.map_err(LinkError::System).and_then(|()| match unsaid {
            Some((hello, memory)) => greeting::say_hello(&greeting.socket, &hello, &memory),
            None => Ok(()),
        });
        match said {
            Ok(()) => {
                self.greetings.insert(number, greeting);
                Some(number)
            }
            Err(error) => {
                let _ = self.epoll.remove(&greeting.socket);
                self.fail(greeting, error);
                None
            }
        }
    }

    pub(super) fn remove_greeting(&mut self, number: u64) -> Option<Greeting> {
        let greeting = self.greetings.remove(&number)?;
        let _ = self.epoll.remove(&greeting.socket);
        Some(greeting)
    }

    pub(super) fn give_up_late(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self
            .greetings
            .iter()
            .filter(|(_, greeting)| greeting.due.is_some_and(|due| due <= now))
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            // We may have been stopped, and the answer be there.
            self.greet(number);
            if let Some(greeting) = self.remove_greeting(number) {
                self.fail(greeting, LinkError::Deadline);
            }
        }
    }

    /// Opens a link with the owner of a right that was given to us.
    /// Where too many wait at its door already, tries again `until` then.
    pub(super) fn introduce(&mut self, join: Arc<Join>, until: Instant) {
        let opening =
            |greeting: &Greeting| matches!(greeting.role, Role::Opener { expected: Some(_), .. });
        if self.greetings.values().filter(|greeting| opening(greeting)).count() >= limits::STRANGERS
        {
            // Somebody names owners that do not answer. They have their turns, and the
            // others have theirs.
            let now = Instant::now();
            if now < until && self.knocks.len() < limits::GIVES {
                self.knocks.push((now + REST, until, join));
                return;
            }
            self.meeting_failed(join.owner);
            return;
        }
        let purpose = Purpose::Claim { giver: join.giver, ticket: join.ticket };
        // Our memory first: it takes longer than all the rest, and the owner, whom the
        // connection wakes, would find nothing said and sleep again.
        let own = greeting::own_side(&self.core, purpose).map_err(LinkError::System);
        let opened = own.and_then(|(own, writer, hello, memory)| {
            let socket = LinkSocket::connect(&join.address).map_err(LinkError::System)?;
            greeting::say_hello(&socket, &hello, &memory)?;
            Ok((socket, own, writer))
        });
        match opened {
            Ok((socket, own, writer)) => {
                let due = Instant::now() + Duration::from_nanos(limits::HELLO_NS);
                let role = Role::Opener { own, writer, expected: Some(join.owner), offer: None };
                let due = Some(due);
                let greeting =
                    Greeting { socket, role, due, outcome: None, unsaid: None, uid: None };
                let _ = self.add_greeting(greeting);
            }
            Err(LinkError::System(error))
                if error.kind() == std::io::ErrorKind::WouldBlock && Instant::now() < until =>
            {
                self.knocks.push((Instant::now() + greeting::KNOCK, until, join));
            }
            Err(error) => self.introduce_again(join.owner, &error),
        }
    }

    /// An introduction failed. What the system refused, ours or the owner's, it
    /// may grant a while later: the right is not given up before.
    pub(super) fn introduce_again(&mut self, owner: TaskId, error: &LinkError) {
        use std::io::ErrorKind::{ConnectionRefused, InvalidInput, PermissionDenied};
        let passing = match error {
            // It may be stopped: that is no death. Another has its turn meanwhile.
            LinkError::Deadline
            | LinkError::Died
            | LinkError::Refused(Refusal::Busy | Refusal::Duplicate { .. }) => true,
            LinkError::System(error) => {
                !matches!(error.kind(), ConnectionRefused | InvalidInput | PermissionDenied)
            }
            _ => false,
        };
        let now = Instant::now();
        let until = self.introducing.get(&owner).copied();
        let until = until.unwrap_or_else(|| now + Duration::from_nanos(limits::INTRODUCTION_NS));
        match self.core.waits_for(owner) {
            Some(join) if passing && now < until => {
                self.introducing.insert(owner, until);
                self.knocks.push((now + REST, until, join));
            }
            _ => {
                self.introducing.remove(&owner);
                self.meeting_failed(owner);
            }
        }
    }

    pub(super) fn knock_again(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.knocks.extract_if(.., |knock| knock.0 <= now).collect();
        for (_, until, join) in due {
            self.introduce(join, until);
        }
    }

    fn meeting_failed(&self, owner: TaskId) {
        let mut after = After::default();
        self.core.meeting_failed(owner, &mut after);
        after.run();
    }

    /// A greeting came to nothing.
    pub(super) fn fail(&mut self, greeting: Greeting, error: LinkError) {
        if let Role::Opener { expected: Some(owner), .. } = greeting.role {
            self.introduce_again(owner, &error);
        }
        if let Some(outcome) = greeting.outcome {
            outcome.settle(Err(error));
        }
    }
}
