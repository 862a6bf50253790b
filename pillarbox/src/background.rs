//! The one background thread of a task.
//!
//! It sits in `epoll` on every link's socket and process: deaths, descriptors
//! and bells come to it, greetings run in it, and what is due at a time is done
//! by it. It starts with the first link and blocks all signals. It never polls:
//! when nothing happens it sleeps.

mod doors;
mod greet;
mod meet;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::right::Address;
use abi::{TaskId, limits};
use shm::poll::{Epoll, EventFd, Events};
use shm::socket::Listener;

use crate::claims::Claim;
use crate::core::TaskCore;
use crate::giving::end_gives;
use crate::greeting::{Greeting, Offered, Role};
use crate::link::{Join, Link};
use crate::message::Notification;
use crate::port::PortCore;
use crate::special::{Child, Starting, kernel};
use crate::wait::parking::{Mutex, lock};

/// What other threads ask of this one.
#[derive(Debug)]
pub(crate) enum Job {
    Greet(Box<Greeting>),
    /// Open a link with the owner of a right we were given.
    Introduce(Arc<Join>),
    Listen(u64, Listener, Arc<Offered>),
    Unlisten(u64),
    /// Stop listening, and give the socket to who asked.
    HandOn(u64, std::sync::mpsc::Sender<Listener>),
    /// A claim of what a task gives that we may not be linked with yet.
    Claim(Box<Claim>),
    /// What a peer gave to the dead, to be called back.
    CallBack(Arc<Link>),
    /// A link has ended.
    Bury(u32),
    /// The system refused a link something that must be tried again.
    Again(u32),
    /// A link has begun to lend memory: to see when it does so no more.
    WatchArena(u32),
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
            arenas: Vec::new(),
            links: HashMap::new(),
            children: HashMap::new(),
            unfinished: Vec::new(),
            jobs: VecDeque::new(),
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
    /// Links that lend memory, and when to see whether they still do.
    arenas: Vec<(Instant, u32)>,
    links: HashMap<u64, Arc<Link>>,
    /// Programs that were started on request and have not ended.
    children: HashMap<u64, Arc<Child>>,
    /// Links with more frames than one turn takes.
    unfinished: Vec<Arc<Link>>,
    /// What is to be done before we sleep.
    jobs: VecDeque<Job>,
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
            self.jobs.extend(std::mem::take(&mut *lock(&self.inbox.jobs)));
            // One by one: a burial looks for claims behind it.
            while let Some(job) = self.jobs.pop_front() {
                if matches!(job, Job::Close) {
                    self.close();
                    return;
                }
                self.work(job);
            }
            self.knock_again();
            self.try_again();
            self.rest_arenas();
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
        let arenas = self.arenas.iter().map(|arena| arena.0);
        let greeting = greetings.chain(knocks).chain(resting).chain(again).chain(arenas).min();
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
                let spoken = matches!(greeting.role, Role::Acceptor(_));
                // A parent has said its hello before its child was there.
                if let Some(number) = self.add_greeting(*greeting)
                    && spoken
                {
                    self.greet(number);
                }
            }
            Job::Introduce(join) => {
                let until = Instant::now() + Duration::from_nanos(limits::INTRODUCTION_NS);
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
            Job::HandOn(number, gets) => {
                if let Some((listener, _offer)) = self.listeners.remove(&number) {
                    let _ = self.epoll.remove(&listener);
                    // It waits for that.
                    let _ = gets.send(listener);
                }
            }
            Job::Claim(claim) => {
                self.link_answered();
                self.core.answer_late(*claim);
            }
            Job::CallBack(giver) => {
                self.link_answered();
                end_gives(&self.core, giver.call_back_now(), Notification::SendOnceDied);
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
            Job::WatchArena(number) => self.watch_arena(number),
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

    /// Answers the claims that were handed to us, and does what was to be done before.
    fn answer_claims(&mut self) {
        self.jobs.extend(std::mem::take(&mut *lock(&self.inbox.jobs)));
        let Some(last) = self.jobs.iter().rposition(|job| matches!(job, Job::Claim(_))) else {
            return;
        };
        let behind = self.jobs.split_off(last + 1);
        for job in std::mem::replace(&mut self.jobs, behind) {
            match job {
                // In their turn.
                Job::Bury(_) | Job::Close => self.jobs.push_front(job),
                job => self.work(job),
            }
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
        // What has come for ports that went is passed on before anybody is told that we
        // are gone: a new owner looks into what we left it once more then, and never
        // again. What comes later is not read, so that its sender has it still.
        for link in &links {
            self.core.drain_link(link);
        }
        self.answer_claims();
        self.core.read_no_more();
        for link in links {
            link.socket().shutdown();
            self.bury(&link);
        }
        self.core.end_all_gives();
    }

    fn bury(&mut self, link: &Arc<Link>) {
        if !self.links.contains_key(&u64::from(link.number)) {
            return;
        }
        // What it claimed is answered while it counts, and with that what it gave on.
        self.core.drain_link(link);
        self.answer_claims();
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
}
