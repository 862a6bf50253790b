//! The one background thread of a task.
//!
//! It sits in `epoll` on every link's socket and process: deaths, descriptors
//! and bells come to it, greetings run in it, and what is due at a time is done
//! by it. It starts with the first link and blocks all signals. It never polls:
//! when nothing happens it sleeps.

mod greet;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::hello::{Purpose, Refusal};
use abi::right::Address;
use abi::{TaskId, limits};
use shm::poll::{Epoll, EventFd, Events};
use shm::socket::{LinkSocket, Listener};

use self::greet::refuse;
use crate::claims::Claim;
use crate::core::TaskCore;
use crate::error::LinkError;
use crate::greeting::{self, Door, Greeting, Offered, Role};
use crate::limits::Limit;
use crate::link::{Join, Link};
use crate::port::{After, PortCore};
use crate::special::{Child, Starting, kernel};
use crate::wait::parking::lock;

/// What other threads ask of this one.
#[derive(Debug)]
pub(crate) enum Job {
    Greet(Box<Greeting>),
    /// Open a link with the owner of a right we were given.
    Introduce(Arc<Join>),
    Listen(u64, Listener, Arc<Offered>),
    Unlisten(u64),
    /// A claim of what a task gives that we may not be linked with yet.
    Claim(Box<Claim>),
    /// A link has ended.
    Bury(u32),
    /// The system refused a link something that must be tried again.
    Again(u32),
    /// A program is to be started.
    Start(Box<Starting>),
    /// Receive rights that somebody is to have may perhaps be sent now.
    Bequests,
    /// More was asked of the task than one turn answers.
    Serve(Arc<PortCore>),
    /// The task ends.
    Close,
}

/// The handle other threads have on it.
#[derive(Debug)]
pub(crate) struct Background {
    inbox: Arc<Inbox>,
    /// Where this task listens for introductions.
    pub(crate) address: Address,
}

#[derive(Debug)]
struct Inbox {
    jobs: Mutex<Vec<Job>>,
    bell: EventFd,
}

impl Background {
    pub(crate) fn start(core: &Arc<TaskCore>) -> std::io::Result<Background> {
        let epoll = Epoll::new()?;
        let inbox = Arc::new(Inbox { jobs: Mutex::default(), bell: EventFd::new()? });
        // Where no door may be had nobody can be introduced to us, and all else
        // works. One that cannot be had now may be had at the next try.
        let (door, address) = match Listener::bind_abstract() {
            Ok((listener, address)) => (Some(listener), address),
            Err(error) if is_forbidden(&error) => (None, Address::default()),
            Err(error) => return Err(error),
        };
        epoll.add(&inbox.bell, Token::Inbox.number())?;
        if let Some(door) = &door {
            epoll.add(door, Token::Door.number())?;
        }
        let mut worker = Worker {
            core: Arc::clone(core),
            epoll,
            inbox: Arc::clone(&inbox),
            door,
            listeners: HashMap::new(),
            greetings: BTreeMap::new(),
            knocks: Vec::new(),
            introducing: HashMap::new(),
            resting: Vec::new(),
            again: Vec::new(),
            links: HashMap::new(),
            children: HashMap::new(),
            unfinished: Vec::new(),
            next: 1,
        };
        let _ = shm::thread::spawn_quiet("pillarbox", move || worker.run())?;
        Ok(Background { inbox, address })
    }

    pub(crate) fn give(&self, job: Job) {
        lock(&self.inbox.jobs).push(job);
        self.inbox.bell.raise();
    }

    pub(crate) fn poke(&self) {
        self.inbox.bell.raise();
    }
}

/// Whether it is no use to try again: the system does not allow it at all.
fn is_forbidden(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported)
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Inbox,
    Door,
    Listener(u64),
    Greeting(u64),
    Socket(u64),
    Process(u64),
    /// A program that was started on request.
    Child(u64),
}

impl Token {
    const fn number(self) -> u64 {
        match self {
            Token::Inbox => 0,
            Token::Door => 1,
            Token::Listener(number) => number << 3 | 2,
            Token::Greeting(number) => number << 3 | 3,
            Token::Socket(number) => number << 3 | 4,
            Token::Process(number) => number << 3 | 5,
            Token::Child(number) => number << 3 | 6,
        }
    }

    const fn from_number(number: u64) -> Option<Token> {
        match number & 7 {
            0 => Some(Token::Inbox),
            1 => Some(Token::Door),
            2 => Some(Token::Listener(number >> 3)),
            3 => Some(Token::Greeting(number >> 3)),
            4 => Some(Token::Socket(number >> 3)),
            5 => Some(Token::Process(number >> 3)),
            6 => Some(Token::Child(number >> 3)),
            _ => None,
        }
    }
}

/// How long a welcome may wait for the owners of the rights in it.
const WELCOME: Duration = Duration::from_millis(100);

/// How long a door rests that could not be opened, and a link that was refused
/// something.
const REST: Duration = Duration::from_millis(20);

struct Worker {
    core: Arc<TaskCore>,
    epoll: Epoll,
    inbox: Arc<Inbox>,
    door: Option<Listener>,
    listeners: HashMap<u64, (Listener, Arc<Offered>)>,
    /// In the order they came.
    greetings: BTreeMap<u64, Greeting>,
    /// Introductions that found too many at the owner's door: when to try again,
    /// and until when.
    knocks: Vec<(Instant, Instant, Arc<Join>)>,
    /// Owners whom an introduction has failed with, and until when it is tried
    /// again.
    introducing: HashMap<TaskId, Instant>,
    /// Doors we look away from, and until when.
    resting: Vec<(Instant, Token)>,
    /// Links that the system refused something, and when to try again.
    again: Vec<(Instant, u32)>,
    links: HashMap<u64, Arc<Link>>,
    /// Programs that were started on request and have not ended.
    children: HashMap<u64, Arc<Child>>,
    /// Links with more frames than one turn takes.
    unfinished: Vec<Arc<Link>>,
    next: u64,
}

impl Worker {
    fn run(&mut self) {
        let mut events = Events::with_room(64);
        loop {
            let due = if self.unfinished.is_empty() { self.due() } else { Some(Instant::now()) };
            let waited = self.epoll.wait(&mut events, due);
            if self.core.check().is_err() {
                return;
            }
            if waited.is_err() {
                // Deaf, so everybody must hear of it: as if the task had ended.
                self.close();
                return;
            }
            let mut rung = std::mem::take(&mut self.unfinished);
            let mut ended = Vec::new();
            let tokens: Vec<_> = events
                .iter()
                .filter_map(|event| Some((Token::from_number(event.token)?, event.hangup)))
                .collect();
            for (token, hang_up) in tokens {
                match token {
                    Token::Inbox => self.inbox.bell.clear(),
                    Token::Door => self.accept_strangers(),
                    Token::Listener(number) => self.accept_callers(number),
                    Token::Greeting(number) => self.greet(number),
                    Token::Child(number) => self.reap(number),
                    Token::Socket(number) | Token::Process(number) => {
                        let Some(link) = self.links.get(&number) else { continue };
                        if hang_up || token == Token::Process(number) {
                            ended.push(Arc::clone(link));
                        } else {
                            rung.push(Arc::clone(link));
                        }
                    }
                }
            }
            if !rung.is_empty() {
                self.core.drain_after_bell(&rung);
                // Nobody rings again for what one turn has left.
                rung.retain(|link| link.has_frames());
                self.unfinished = rung;
            }
            for link in ended {
                self.bury(&link);
            }
            let jobs = std::mem::take(&mut *lock(&self.inbox.jobs));
            for job in jobs {
                if matches!(job, Job::Close) {
                    self.close();
                    return;
                }
                self.work(job);
            }
            self.knock_again();
            self.try_again();
            self.listen_again();
            self.give_up_late();
            self.core.drain_for_futures();
        }
    }

    /// When something must be done though nothing happens.
    fn due(&mut self) -> Option<Instant> {
        let greetings = self.greetings.values().filter_map(|greeting| greeting.due);
        let knocks = self.knocks.iter().map(|knock| knock.0);
        let resting = self.resting.iter().map(|resting| resting.0);
        let again = self.again.iter().map(|again| again.0);
        let greeting = greetings.chain(knocks).chain(resting).chain(again).min();
        let expiry = self
            .core
            .expire()
            .and_then(|ns| self.core.start().checked_add(Duration::from_nanos(ns)));
        let patience = self
            .core
            .lose_patience()
            .and_then(|ns| self.core.start().checked_add(Duration::from_nanos(ns)));
        [greeting, expiry, patience].into_iter().flatten().min()
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Greet(greeting) => {
                let _ = self.add_greeting(*greeting);
            }
            Job::Introduce(join) => {
                let until = Instant::now() + Duration::from_nanos(limits::HELLO_NS);
                self.introduce(join, until);
            }
            Job::Listen(number, listener, offer) => {
                // One that cannot be watched now rests, as one that cannot be
                // opened does.
                if self.epoll.add(&listener, Token::Listener(number).number()).is_err() {
                    self.rest(Token::Listener(number));
                }
                self.listeners.insert(number, (listener, offer));
            }
            Job::Unlisten(number) => {
                if let Some((listener, offer)) = self.listeners.remove(&number) {
                    let _ = self.epoll.remove(&listener);
                    drop(offer);
                }
            }
            Job::Claim(claim) => {
                self.link_answered();
                self.core.answer_late(*claim);
            }
            Job::Bury(number) => {
                if let Some(link) = self.links.get(&u64::from(number)).cloned() {
                    self.bury(&link);
                }
            }
            Job::Again(number) => {
                if !self.again.iter().any(|again| again.1 == number) {
                    self.again.push((Instant::now() + REST, number));
                }
            }
            Job::Start(starting) => {
                let started = self.core.start_now(*starting);
                started.into_iter().for_each(|child| self.watch_child(child));
            }
            Job::Bequests => {
                self.core.send_bequests();
                self.core.drain_after_bell(&[]);
                self.core.listen_for_bells();
            }
            Job::Serve(port) => kernel::go_on_serving(&port),
            Job::Close => {}
        }
    }

    /// Sees the end of a program. One that cannot be watched now is tried again.
    fn watch_child(&mut self, child: Arc<Child>) {
        let token = Token::Child(child.number());
        if self.epoll.add(child.pidfd(), token.number()).is_err() {
            self.rest(token);
        }
        self.children.insert(child.number(), child);
    }

    fn reap(&mut self, number: u64) {
        if let Some(child) = self.children.get(&number)
            && child.ended()
            && let Some(child) = self.children.remove(&number)
        {
            let _ = self.epoll.remove(child.pidfd());
        }
    }

    fn close(&mut self) {
        self.greetings.clear();
        self.children.clear();
        self.listeners.clear();
        let links: Vec<_> = self.links.values().cloned().collect();
        for link in links {
            link.socket().shutdown();
            self.bury(&link);
        }
        self.core.end_all_gives();
    }

    fn bury(&mut self, link: &Arc<Link>) {
        if self.links.remove(&u64::from(link.number)).is_none() {
            return;
        }
        let _ = self.epoll.remove(link.socket());
        if let Some(pidfd) = link.pidfd() {
            let _ = self.epoll.remove(pidfd);
        }
        self.core.bury(link);
        self.core.unpoll_link(link);
    }

    // ---- connections -------------------------------------------------------

    fn accept_strangers(&mut self) {
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

    fn accept_callers(&mut self, number: u64) {
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
    fn rest(&mut self, door: Token) {
        self.resting.push((Instant::now() + REST, door));
    }

    fn listen_again(&mut self) {
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

    fn try_again(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.again.extract_if(.., |again| again.0 <= now).collect();
        for (_, number) in due {
            if let Some(link) = self.links.get(&u64::from(number)) {
                link.try_again();
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
        // It has spoken already, most often.
        if let Some(number) = number {
            self.greet(number);
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

    fn add_greeting(&mut self, mut greeting: Greeting) -> Option<u64> {
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

    fn remove_greeting(&mut self, number: u64) -> Option<Greeting> {
        let greeting = self.greetings.remove(&number)?;
        let _ = self.epoll.remove(&greeting.socket);
        Some(greeting)
    }

    fn give_up_late(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self
            .greetings
            .iter()
            .filter(|(_, greeting)| greeting.due.is_some_and(|due| due <= now))
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            if let Some(greeting) = self.remove_greeting(number) {
                self.fail(greeting, LinkError::Deadline);
            }
        }
    }

    /// Opens a link with the owner of a right that was given to us.
    /// Where too many wait at its door already, tries again `until` then.
    fn introduce(&mut self, join: Arc<Join>, until: Instant) {
        let opening =
            |greeting: &Greeting| matches!(greeting.role, Role::Opener { expected: Some(_), .. });
        if self.greetings.values().filter(|greeting| opening(greeting)).count() >= limits::STRANGERS
        {
            // Somebody names owners that do not answer: he hurts his own gifts.
            self.meeting_failed(join.owner);
            return;
        }
        let purpose = Purpose::Claim { giver: join.giver, ticket: join.ticket };
        let opened =
            LinkSocket::connect(&join.address).map_err(LinkError::System).and_then(|socket| {
                let (own, writer) = greeting::open(&self.core, &socket, purpose)?;
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
    fn introduce_again(&mut self, owner: TaskId, error: &LinkError) {
        use std::io::ErrorKind::{ConnectionRefused, InvalidInput, PermissionDenied};
        let passing = match error {
            LinkError::Died | LinkError::Refused(Refusal::Busy | Refusal::Duplicate { .. }) => true,
            LinkError::System(error) => {
                !matches!(error.kind(), ConnectionRefused | InvalidInput | PermissionDenied)
            }
            _ => false,
        };
        let now = Instant::now();
        let until = self.introducing.get(&owner).copied();
        let until = until.unwrap_or_else(|| now + Duration::from_nanos(limits::HELLO_NS));
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

    fn knock_again(&mut self) {
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
    fn fail(&mut self, greeting: Greeting, error: LinkError) {
        if let Role::Opener { expected: Some(owner), .. } = greeting.role {
            self.introduce_again(owner, &error);
        }
        if let Some(outcome) = greeting.outcome {
            outcome.settle(Err(error));
        }
    }
}
