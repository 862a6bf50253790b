//! Doors: who comes to one, and what becomes of doors where nothing can be let in.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::hello::Refusal;
use abi::limits;
use shm::socket::LinkSocket;

use super::greet::refuse;
use super::{REST, Token, Worker};
use crate::greeting::{Door, Greeting, Role};
use crate::limits::Limit;

impl Worker {
    pub(super) fn accept_strangers(&mut self) {
        // A bounded number: whoever knocks as fast as we accept must not keep us
        // from bells and deaths.
        for _ in 0..limits::STRANGERS {
            let Some(door) = &self.door else { return };
            match door.accept() {
                Ok(Some(socket)) => self.add_stranger(socket, Door::Introduction),
                Ok(None) => return,
                Err(_) => {
                    let _ = self.epoll.remove(door);
                    self.rest(Token::Door);
                    return;
                }
            }
        }
    }

    pub(super) fn accept_callers(&mut self, number: u64) {
        for _ in 0..limits::STRANGERS {
            let Some((listener, offer)) = self.listeners.get(&number) else { return };
            let door = Door::Path(Arc::clone(offer));
            match listener.accept() {
                Ok(Some(socket)) => self.add_stranger(socket, door),
                Ok(None) => return,
                Err(_) => {
                    let _ = self.epoll.remove(listener);
                    self.rest(Token::Listener(number));
                    return;
                }
            }
        }
    }

    /// A door that cannot be opened, most often for want of a descriptor, stays
    /// readable: we look away for a while instead of turning in place.
    pub(super) fn rest(&mut self, door: Token) {
        self.resting.push((Instant::now() + REST, door));
    }

    pub(super) fn listen_again(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.resting.extract_if(.., |resting| resting.0 <= now).collect();
        for (_, token) in due {
            let listener = match token {
                Token::Door => self.door.as_ref().map(AsFd::as_fd),
                Token::Listener(number) => self.listeners.get(&number).map(|(one, _)| one.as_fd()),
                Token::Child(number) => {
                    self.children.get(&number).map(|child| child.pidfd().as_fd())
                }
                _ => None,
            };
            if listener.is_some_and(|one| self.epoll.add(one, token.number()).is_err()) {
                self.rest(token);
            }
        }
    }

    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.again.extract_if(.., |again| again.0 <= now).collect();
        for (_, number) in due {
            if let Some(link) = self.links.get(&u64::from(number)) {
                link.try_again();
            }
        }
    }

    /// Looks after a while whether a link still lends memory.
    pub(super) fn watch_arena(&mut self, number: u32) {
        let idle = Duration::from_nanos(limits::ARENA_IDLE_NS);
        self.arenas.push((Instant::now() + idle, number));
    }

    /// Gives up what links lend no more.
    pub(super) fn rest_arenas(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.arenas.extract_if(.., |arena| arena.0 <= now).collect();
        for (_, number) in due {
            if self.links.get(&u64::from(number)).is_some_and(|link| link.rest_arena()) {
                self.watch_arena(number);
            }
        }
    }

    fn add_stranger(&mut self, socket: LinkSocket, door: Door) {
        let uid = socket.opened_by();
        // The one that has been silent longest makes room: a flood of silent
        // connections keeps nobody out who speaks at once, and another user's
        // flood displaces nobody but that user's own.
        if let Some(number) = self.stranger_to_displace(uid)
            && let Some(greeting) = self.remove_greeting(number)
        {
            self.core.counters.refuse(Limit::Strangers);
            let _ = refuse(&greeting.socket, Refusal::Busy);
        }
        let due = Instant::now() + Duration::from_nanos(limits::HELLO_NS);
        let number = self.add_greeting(Greeting {
            socket,
            role: Role::Acceptor(door),
            due: Some(due),
            outcome: None,
            unsaid: None,
            uid,
        });
        // It has spoken already, most often, or is about to: where we share a processor,
        // its connection has woken us in the midst of that.
        if let Some(number) = number {
            self.greet(number);
            if self.greetings.contains_key(&number) {
                std::thread::yield_now();
                self.greet(number);
            }
        }
    }

    /// Who must go for one more stranger of `uid`: its own oldest, where it has as
    /// many as a user may; the oldest of whoever has most, where all together do.
    fn stranger_to_displace(&self, uid: Option<u32>) -> Option<u64> {
        let mut of_user: HashMap<Option<u32>, (usize, u64)> = HashMap::new();
        let mut all = 0;
        for (number, greeting) in &self.greetings {
            if matches!(greeting.role, Role::Acceptor(Door::Introduction | Door::Path(_))) {
                all += 1;
                of_user.entry(greeting.uid).or_insert((0, *number)).0 += 1;
            }
        }
        let (own, oldest) = of_user.get(&uid).copied().unwrap_or_default();
        if own >= self.core.limits.strangers {
            return Some(oldest);
        }
        let most = of_user.values().max_by_key(|(count, _)| *count);
        most.filter(|_| all >= limits::STRANGERS_ALL).map(|(_, oldest)| *oldest)
    }
}
