//! A task: a party that holds rights. Normally one per process.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Instant;

use abi::frame::{Header, Kind, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, TaskId, Ticket};
use rights::census::{Census, Holding, Row};
use rights::give::{GiveName, Given, Gives};

use crate::background::{Background, Job};
use crate::deadline::Deadline;
use crate::error::{LinkError, TaskError};
use crate::greeting::{self, Welcome};
use crate::link::{Join, Joined, Link, Turn};
use crate::message::{Message, Notification, Right, Sender};
use crate::port::{After, Capacity, PortCore, ReceiveRight};
use crate::right::{SendRight, Sink};
use crate::wait::parking::{lock, try_lock};
use crate::wait::{Sleepers, Waiter, forget};

/// A give that waits for its claim: what keeps the right alive meanwhile.
#[derive(Debug)]
pub(crate) struct HeldGive {
    pub(crate) sink: Sink,
    /// Counts as a sender; `None` for a send-once right.
    pub(crate) right: Option<SendRight>,
}

#[derive(Debug, Default)]
struct GiveTable {
    rules: Gives<u64>,
    held: HashMap<GiveName, HeldGive>,
}

/// Whether there is a link with a task.
#[derive(Debug)]
enum Meeting {
    Linked(Arc<Link>),
    /// One is being opened, for these.
    Opening(Vec<Arc<Join>>),
}

/// Rights that came with a link.
#[derive(Debug, Default)]
struct Welcomes {
    came: HashMap<TaskId, HashMap<String, Right>>,
    waiters: Vec<Arc<Waiter>>,
}

/// What everything of one task shares.
#[derive(Debug)]
pub(crate) struct TaskCore {
    me: Weak<TaskCore>,
    pub(crate) id: TaskId,
    epoch: shm::Epoch,
    identity: Sender,
    pub(crate) may_spin: bool,
    start: Instant,
    next_id: AtomicU64,
    pub(crate) sleepers: Sleepers,
    /// Who drains. Held only while running.
    seat: Mutex<()>,
    links: RwLock<Arc<Vec<Arc<Link>>>>,
    meetings: Mutex<HashMap<TaskId, Meeting>>,
    ports: Mutex<HashMap<u64, Weak<PortCore>>>,
    gives: Mutex<GiveTable>,
    welcomes: Mutex<Welcomes>,
    /// Ports whose windows may have places to write off.
    windows: Mutex<Vec<u64>>,
    later: Mutex<Vec<After>>,
    has_later: AtomicBool,
    background: OnceLock<Background>,
    starting: Mutex<()>,
    parent: OnceLock<Option<TaskId>>,
    closed: AtomicBool,
}

/// Tasks of this process so far; each has its own number.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl TaskCore {
    fn new() -> Arc<Self> {
        let (pid, uid, gid) = shm::socket::own_credentials();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let id = TaskId { process: shm::socket::own_process(), number };
        Arc::new_cyclic(|me| TaskCore {
            me: Weak::clone(me),
            id,
            epoch: shm::Epoch::current(),
            identity: Sender { task: id, pid, uid, gid },
            may_spin: shm::thread::cores() > 1,
            start: Instant::now(),
            next_id: AtomicU64::new(1),
            sleepers: Sleepers::default(),
            seat: Mutex::default(),
            links: RwLock::default(),
            meetings: Mutex::default(),
            ports: Mutex::default(),
            gives: Mutex::default(),
            welcomes: Mutex::default(),
            windows: Mutex::default(),
            later: Mutex::default(),
            has_later: AtomicBool::new(false),
            background: OnceLock::new(),
            starting: Mutex::default(),
            parent: OnceLock::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Whether the task is this process's own: one load and a compare.
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        if self.epoch.is_current() { Ok(()) } else { Err(TaskError::Forked) }
    }

    pub(crate) fn own_identity(&self) -> Sender {
        self.identity
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn arc(&self) -> Option<Arc<TaskCore>> {
        self.me.upgrade()
    }

    // ---- ports ---------------------------------------------------------------

    pub(crate) fn note_port(&self, id: u64, port: Weak<PortCore>) {
        lock(&self.ports).insert(id, port);
    }

    pub(crate) fn forget_port(&self, id: u64) {
        lock(&self.ports).remove(&id);
    }

    pub(crate) fn port_by_id(&self, id: u64) -> Option<Arc<PortCore>> {
        lock(&self.ports).get(&id)?.upgrade()
    }

    /// Somebody waits for a place in this port: unused ones must be written off
    /// in time.
    pub(crate) fn watch_window(&self, port: &PortCore) {
        let mut windows = lock(&self.windows);
        if !windows.contains(&port.id) {
            windows.push(port.id);
            drop(windows);
            self.poke();
        }
    }

    /// Writes off what is due in the watched windows. Returns when to look
    /// again.
    pub(crate) fn expire(&self) -> Option<u64> {
        let watched = std::mem::take(&mut *lock(&self.windows));
        let mut next: Option<u64> = None;
        let mut keep = Vec::new();
        for id in watched {
            let due = self.port_by_id(id).and_then(|port| port.expire(self.now_ns()));
            if let Some(due) = due {
                keep.push(id);
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
            }
        }
        lock(&self.windows).extend(keep);
        let (expired, due) = {
            let mut gives = lock(&self.gives);
            let _ = gives.rules.expire(self.now_ns());
            (gives.let_go(), gives.rules.next_expiry())
        };
        end_gives(expired, Notification::SendOnceDied);
        match (next, due) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        }
    }

    // ---- gives -----------------------------------------------------------------

    pub(crate) fn note_give(
        &self,
        name: GiveName,
        given: Given<u64>,
        held: HeldGive,
    ) -> Result<(), Offence> {
        let mut gives = lock(&self.gives);
        let noted = gives.rules.give(name, given);
        match noted {
            Ok(()) => {
                gives.held.insert(name, held);
                Ok(())
            }
            Err(offence) => {
                drop(gives);
                drop(held);
                Err(offence)
            }
        }
    }

    pub(crate) fn take_give(&self, name: GiveName) -> Option<(Given<u64>, HeldGive)> {
        let mut gives = lock(&self.gives);
        let given = gives.rules.take(name)?;
        Some((given, gives.held.remove(&name)?))
    }

    /// A giver calls back what it gave to a task that has died.
    pub(crate) fn call_back_gives(&self, to: TaskId, giver: TaskId) -> Vec<HeldGive> {
        let mut gives = lock(&self.gives);
        let _ = gives.rules.come_back(to, Some(giver));
        gives.let_go()
    }

    /// Answers the claims that came in this turn.
    fn answer_claims(&self, turn: &mut Turn) {
        while let Some((link, giver, ticket)) = turn.claims.pop() {
            let name = GiveName { giver, to: link.peer_task(), ticket };
            let mut found = self.take_give(name);
            if found.is_none()
                && let Some(giver) = self.link_with(giver)
            {
                // Whoever saw the message can see the give: drain, then know.
                giver.drain_all(turn);
                found = self.take_give(name);
            }
            let no_slot = Slot { index: 0, generation: 0 };
            let refused = Header { tag: ticket.0, ..Header::new(Kind::Refused, no_slot) };
            let answered = match found {
                None => link.say_answer(refused, &giver.encode()),
                Some((given, held)) => {
                    let once = given.kind == RightKind::SendOnce;
                    let slot = if once {
                        link.export_once(&held.sink)
                    } else {
                        link.export_send(&held.sink)
                    };
                    let answer = match slot {
                        Ok(slot) => Header {
                            tag: ticket.0,
                            flags: if once { flag::ONCE } else { 0 },
                            ..Header::new(Kind::Joined, slot)
                        },
                        Err(_) => {
                            if once {
                                let told = Message::notification_of(Notification::SendOnceDied);
                                held.sink.arrive_once(told, &mut turn.after);
                            }
                            refused
                        }
                    };
                    turn.held.push(held);
                    link.say_answer(answer, &giver.encode())
                }
            };
            if let Err(offence) = answered {
                link.fault(offence);
            }
        }
    }

    /// Whether a stranger's ticket is good, before anything of his is mapped.
    pub(crate) fn knows_give(&self, giver: TaskId, to: TaskId, ticket: Ticket) -> bool {
        let name = GiveName { giver, to, ticket };
        if lock(&self.gives).held.contains_key(&name) {
            return true;
        }
        if let Some(giver) = self.link_with(giver) {
            let seat = lock(&self.seat);
            let mut turn = Turn::default();
            giver.drain_all(&mut turn);
            self.answer_claims(&mut turn);
            drop(seat);
            self.finish_turn(turn);
        }
        lock(&self.gives).held.contains_key(&name)
    }

    // ---- links -----------------------------------------------------------------

    pub(crate) fn links(&self) -> Arc<Vec<Arc<Link>>> {
        Arc::clone(&self.links.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn link_with(&self, peer: TaskId) -> Option<Arc<Link>> {
        match lock(&self.meetings).get(&peer)? {
            Meeting::Linked(link) => Some(Arc::clone(link)),
            Meeting::Opening(_) => None,
        }
    }

    /// Whether a connection that `peer` opened to us may become the link.
    ///
    /// Two tasks never have two links: if both connect at once, the one opened
    /// by the lower task id stays.
    pub(crate) fn may_accept(&self, peer: TaskId) -> bool {
        match lock(&self.meetings).get(&peer) {
            None => true,
            Some(Meeting::Linked(_)) => false,
            Some(Meeting::Opening(_)) => peer < self.id,
        }
    }

    /// Puts a new link in its place and returns the claims that waited for it.
    /// `Err` where there is one already.
    pub(crate) fn add_link(&self, link: &Arc<Link>) -> Result<Vec<Arc<Join>>, ()> {
        let mut meetings = lock(&self.meetings);
        if matches!(meetings.get(&link.peer_task()), Some(Meeting::Linked(_))) {
            return Err(());
        }
        let before = meetings.insert(link.peer_task(), Meeting::Linked(Arc::clone(link)));
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let mut list = Vec::clone(&links);
        list.push(Arc::clone(link));
        *links = Arc::new(list);
        Ok(match before {
            Some(Meeting::Opening(joins)) => joins,
            Some(Meeting::Linked(_)) | None => Vec::new(),
        })
    }

    fn remove_link(&self, link: &Arc<Link>) -> bool {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        if !links.iter().any(|other| Arc::ptr_eq(other, link)) {
            return false;
        }
        *links =
            Arc::new(links.iter().filter(|other| !Arc::ptr_eq(other, link)).cloned().collect());
        true
    }

    /// The link could not be opened: what waited for it is dead.
    pub(crate) fn meeting_failed(&self, peer: TaskId, after: &mut After) {
        let joins = {
            let mut meetings = lock(&self.meetings);
            match meetings.get(&peer) {
                Some(Meeting::Opening(_)) => match meetings.remove(&peer) {
                    Some(Meeting::Opening(joins)) => joins,
                    _ => Vec::new(),
                },
                _ => Vec::new(),
            }
        };
        for join in joins {
            join.settle(Joined::Dead, after);
        }
    }

    /// Claims a right that another task gave us.
    fn start_join(&self, join: Arc<Join>, after: &mut After) {
        let link = {
            let mut meetings = lock(&self.meetings);
            match meetings.get_mut(&join.owner) {
                Some(Meeting::Linked(link)) => Some(Arc::clone(link)),
                Some(Meeting::Opening(joins)) => {
                    joins.push(Arc::clone(&join));
                    return;
                }
                None if join.owner == self.id => None,
                None => {
                    meetings.insert(join.owner, Meeting::Opening(vec![Arc::clone(&join)]));
                    drop(meetings);
                    if self.start_background().is_err() {
                        self.meeting_failed(join.owner, after);
                        return;
                    }
                    self.job(Job::Introduce(join));
                    return;
                }
            }
        };
        match link {
            Some(link) => link.claim(join, after),
            // Our own right would have come home by name, not by ticket.
            None => join.settle(Joined::Dead, after),
        }
    }

    /// Ends a link: reads what the peer still sent, then acts on its death.
    pub(crate) fn bury(&self, link: &Arc<Link>) {
        let seat = lock(&self.seat);
        let mut turn = Turn::default();
        // ECONNRESET is not the end: read on to the end of file; then one last
        // look at the head.
        let _ = link.read_socket(&mut turn);
        link.drain_all(&mut turn);
        self.answer_claims(&mut turn);
        if !self.remove_link(link) {
            drop(seat);
            self.finish_turn(turn);
            return;
        }
        let peer = link.peer_task();
        let end = link.end().unwrap_or(crate::link::End::Died);
        link.bury(end, &mut turn.after);
        let (ended, meeting) = {
            let mut gives = lock(&self.gives);
            let _ = gives.rules.task_died(peer, self.now_ns());
            let ended = gives.let_go();
            let mut meetings = lock(&self.meetings);
            let ours =
                matches!(meetings.get(&peer), Some(Meeting::Linked(one)) if Arc::ptr_eq(one, link));
            (ended, if ours { meetings.remove(&peer) } else { None })
        };
        drop(seat);
        drop(meeting);
        link.socket().shutdown();
        self.finish_turn(turn);
        end_gives(ended, Notification::SendOnceDied);
    }

    /// Takes what lies in the lanes, unless another thread is at it. Returns
    /// whether there was anything.
    pub(crate) fn drain(&self) -> bool {
        let late = self.run_late();
        let links = self.links();
        if !links.iter().any(|link| link.has_frames()) {
            return late;
        }
        let Some(seat) = try_lock(&self.seat) else { return late };
        let (any, turn) = self.turn(&links);
        drop(seat);
        self.finish_turn(turn);
        any || late
    }

    /// As [`TaskCore::drain`], but waits for its turn: for the background
    /// thread, after a bell.
    pub(crate) fn drain_after_bell(&self, rung: &[Arc<Link>]) {
        let links = self.links();
        let seat = lock(&self.seat);
        let mut bells = Turn::default();
        for link in rung {
            let _ = link.read_socket(&mut bells);
        }
        let (_, turn) = self.turn(&links);
        drop(seat);
        bells.finish();
        self.finish_turn(turn);
        self.wake_sentinel();
    }

    fn turn(&self, links: &[Arc<Link>]) -> (bool, Turn) {
        let mut turn = Turn::default();
        let mut any = false;
        for link in links {
            if link.has_frames() {
                any |= link.drain(&mut turn);
            }
        }
        self.answer_claims(&mut turn);
        (any, turn)
    }

    fn finish_turn(&self, mut turn: Turn) {
        let joins = std::mem::take(&mut turn.joins);
        for join in joins {
            let mut after = After::default();
            self.start_join(join, &mut after);
            after.run();
        }
        turn.finish();
    }

    /// Something found under a lock that must be done without one.
    pub(crate) fn run_later(&self, after: After) {
        lock(&self.later).push(after);
        self.has_later.store(true, Ordering::Release);
    }

    fn run_late(&self) -> bool {
        if !self.has_later.swap(false, Ordering::Acquire) {
            return false;
        }
        let late = std::mem::take(&mut *lock(&self.later));
        for after in late {
            after.run();
        }
        true
    }

    // ---- the background thread ---------------------------------------------------

    pub(crate) fn start_background(&self) -> Result<&Background, std::io::Error> {
        if let Some(background) = self.background.get() {
            return Ok(background);
        }
        let starting = lock(&self.starting);
        if self.background.get().is_none() {
            let core = self.arc().ok_or(std::io::ErrorKind::NotConnected)?;
            let background = Background::start(&core)?;
            let _ = self.background.set(background);
        }
        drop(starting);
        self.background.get().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    pub(crate) fn background(&self) -> Option<&Background> {
        self.background.get()
    }

    pub(crate) fn job(&self, job: Job) {
        if let Some(background) = self.background.get() {
            background.give(job);
        }
    }

    fn poke(&self) {
        if let Some(background) = self.background.get() {
            background.poke();
        }
    }

    pub(crate) fn bury_soon(&self, number: u32) {
        self.job(Job::Bury(number));
    }

    // ---- rights that came with a link -------------------------------------------------

    /// The first message on a link: named rights.
    pub(crate) fn welcomed(&self, message: Message, after: &mut After) -> Result<(), Offence> {
        let Some(sender) = message.sender else { return Err(Offence::NeverExported) };
        let named = match greeting::decode_names(message.body()) {
            Ok(names) if names.len() == message.rights.len() => names,
            Ok(_) => {
                after.drop_later(message);
                return Err(Offence::FrameTruncated);
            }
            Err(offence) => {
                after.drop_later(message);
                return Err(offence);
            }
        };
        let mut message = message;
        let rights = named.into_iter().zip(message.take_rights());
        let mut welcomes = lock(&self.welcomes);
        let place = welcomes.came.entry(sender.task).or_default();
        for (name, right) in rights {
            if place.contains_key(&name) || place.len() >= abi::limits::MESSAGE_RIGHTS {
                after.drop_later(Message::new(Vec::new()).with_right(right));
            } else {
                place.insert(name, right);
            }
        }
        for waiter in welcomes.waiters.drain(..) {
            after.wake(waiter);
        }
        after.drop_later(message);
        Ok(())
    }

    /// Waits for the rights that come with the link to `peer`.
    fn wait_welcome<T>(
        &self,
        peer: TaskId,
        deadline: Deadline,
        mut choose: impl FnMut(&mut HashMap<TaskId, HashMap<String, Right>>) -> Option<T>,
    ) -> Option<T> {
        let found = self.wait(deadline, None, |waiter| {
            let mut welcomes = lock(&self.welcomes);
            forget(&mut welcomes.waiters, waiter);
            if let Some(found) = choose(&mut welcomes.came) {
                return Some(Some(found));
            }
            if self.link_with(peer).is_none_or(|link| link.is_dead()) {
                return Some(None);
            }
            welcomes.waiters.push(Arc::clone(waiter));
            None
        });
        forget(&mut lock(&self.welcomes).waiters, &Waiter::mine());
        found.flatten()
    }

    fn census(&self) -> Census {
        let mut rows = Vec::new();
        let row = |holding, port, peer, count| Row { holding, port, peer, count };
        let ports: Vec<_> = lock(&self.ports).values().filter_map(Weak::upgrade).collect();
        for port in ports {
            let (senders, once) = port.counts();
            rows.push(row(Holding::Receive, port.id, None, 1));
            rows.push(row(Holding::OwnSend, port.id, None, senders));
            rows.push(row(Holding::OwnSendOnce, port.id, None, once));
        }
        for link in self.links().iter() {
            let peer = Some(link.peer_task());
            for (port, kind, count) in link.export_rows() {
                let holding = match kind {
                    RightKind::Send => Holding::ExportedSend,
                    RightKind::SendOnce => Holding::ExportedSendOnce,
                };
                rows.push(row(holding, port, peer, count));
            }
            for (slot, count) in link.import_rows() {
                rows.push(row(Holding::ImportedSend, slot, peer, count));
            }
            rows.push(row(Holding::ImportedSendOnce, 0, peer, link.once_held()));
            rows.push(row(Holding::Joining, 0, peer, link.open_claims() as u64));
        }
        for (name, given) in lock(&self.gives).rules.iter() {
            rows.push(row(Holding::Given, given.port, Some(name.to), 1));
        }
        rows.into_iter().collect()
    }
}

impl GiveTable {
    /// Takes out what the rules have ended.
    fn let_go(&mut self) -> Vec<HeldGive> {
        if self.held.len() == self.rules.len() {
            return Vec::new();
        }
        let open: HashSet<GiveName> = self.rules.iter().map(|(name, _)| name).collect();
        self.held.extract_if(|name, _| !open.contains(name)).map(|(_, held)| held).collect()
    }
}

/// Gives that nobody will claim: a promise of a reply is broken aloud.
pub(crate) fn end_gives(ended: Vec<HeldGive>, what: Notification) {
    for held in ended {
        if held.right.is_none() {
            let mut after = After::default();
            held.sink.arrive_once(Message::notification_of(what), &mut after);
            after.run();
        }
    }
}

/// A task: a party that holds rights.
///
/// Normally there is one per process, [`Task::current`]. Its threads share its
/// rights. It has at most one background thread, which is started with the
/// first link to another task, blocks all signals, and only does what no other
/// thread is there to do.
#[derive(Clone, Debug)]
pub struct Task {
    pub(crate) core: Arc<TaskCore>,
}

/// One task for each fork between the first process and this one.
static TASKS: [OnceLock<Task>; 64] = [const { OnceLock::new() }; 64];
static DEPTH: AtomicUsize = AtomicUsize::new(0);

impl Task {
    /// The task of this process, made at the first call.
    ///
    /// A process that was started with [`crate::Spawn`] is linked with its
    /// parent from then on. In a forked child the call begins a new task with an
    /// empty space.
    ///
    /// # Errors
    /// [`TaskError::System`] where the link with the parent cannot be made,
    /// [`TaskError::Forked`] after 64 forks one inside the other.
    pub fn current() -> Result<Task, TaskError> {
        loop {
            let depth = DEPTH.load(Ordering::Relaxed);
            let place = TASKS.get(depth).ok_or(TaskError::Forked)?;
            let task = place.get_or_init(|| {
                if shm::fork::is_forked() {
                    let _ = shm::fork::renew();
                }
                Task { core: TaskCore::new() }
            });
            if task.core.check().is_ok() {
                task.adopt_parent()?;
                return Ok(task.clone());
            }
            // Ours is the parent's: this process was forked since.
            let _ = DEPTH.compare_exchange(depth, depth + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Another task in this process, with a space of its own: what two such
    /// tasks do with each other is what two processes do.
    ///
    /// It lasts until [`Task::close`].
    pub fn new() -> Task {
        Task { core: TaskCore::new() }
    }

    /// Ends the task: its links hang up, its peers see it die. Rights that are
    /// left over lead nowhere.
    pub fn close(&self) {
        if self.core.check().is_ok() && !self.core.closed.swap(true, Ordering::Relaxed) {
            self.core.job(Job::Close);
        }
    }

    /// Links a child with the parent that spawned it.
    fn adopt_parent(&self) -> Result<(), TaskError> {
        if self.core.parent.get().is_some() {
            return Ok(());
        }
        let parent = match shm::spawn::inherited() {
            None => None,
            Some(socket) => {
                match greeting::greet_parent(&self.core, socket) {
                    Ok(parent) => Some(parent),
                    // Without its parent the child still is a task.
                    Err(LinkError::System(error)) => return Err(TaskError::System(error)),
                    Err(_) => None,
                }
            }
        };
        let _ = self.core.parent.set(parent);
        Ok(())
    }

    /// Makes a port and returns its receive right. A port that has never left
    /// its task is a plain queue in memory: no descriptor, no system call.
    pub fn port(&self, capacity: Capacity) -> ReceiveRight {
        ReceiveRight::new(PortCore::new(&self.core, capacity))
    }

    /// What names this task.
    pub fn id(&self) -> TaskId {
        self.core.id
    }

    /// This task as the receivers of its messages see it.
    pub fn identity(&self) -> Sender {
        self.core.identity
    }

    /// The rights of this task by kind, port and peer.
    ///
    /// Each count is true at the moment it is read; the whole is true where
    /// nothing moves meanwhile.
    pub fn census(&self) -> Census {
        self.core.census()
    }

    /// The tasks this one is linked with.
    pub fn peers(&self) -> Vec<Sender> {
        self.core.links().iter().map(|link| link.peer()).collect()
    }

    /// Takes a right that the parent gave this task at its start.
    ///
    /// `None` where the parent gave none of that name, where it was taken
    /// already, where the parent is gone, or where it said nothing before the
    /// deadline.
    ///
    /// # Blocking
    /// Waits until the parent's rights have come, at most until `deadline`.
    pub fn inherited(&self, name: &str, deadline: Deadline) -> Option<Right> {
        self.core.check().ok()?;
        let parent = (*self.core.parent.get()?)?;
        let take = |came: &mut HashMap<TaskId, HashMap<String, Right>>| {
            came.get_mut(&parent).map(|rights| rights.remove(name))
        };
        self.core.wait_welcome(parent, deadline, take).flatten()
    }

    /// A copy of the bootstrap right the parent gave.
    pub(crate) fn inherited_bootstrap(&self, deadline: Deadline) -> Option<SendRight> {
        let parent = (*self.core.parent.get()?)?;
        let copy = |came: &mut HashMap<TaskId, HashMap<String, Right>>| {
            let right = came.get(&parent)?.get(crate::bootstrap::BOOTSTRAP);
            Some(match right {
                Some(Right::Send(right)) => Some(right.clone()),
                Some(Right::SendOnce(_)) | None => None,
            })
        };
        self.core.wait_welcome(parent, deadline, copy).flatten()
    }

    /// The names of the rights the parent gave, those taken left out.
    ///
    /// # Blocking
    /// As [`Task::inherited`].
    pub fn inherited_names(&self, deadline: Deadline) -> Vec<String> {
        let Some(Some(parent)) = self.core.parent.get().copied() else { return Vec::new() };
        let names = |came: &mut HashMap<TaskId, HashMap<String, Right>>| {
            came.get(&parent).map(|rights| rights.keys().cloned().collect())
        };
        let mut names: Vec<String> =
            self.core.wait_welcome(parent, deadline, names).unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// Listens at `path`: whoever may connect there is given `offer`.
    ///
    /// The file is removed when the [`crate::Listening`] is dropped.
    ///
    /// # Errors
    /// [`LinkError::InUse`] where something lies at `path`,
    /// [`LinkError::System`].
    pub fn listen(
        &self,
        path: impl AsRef<Path>,
        offer: Vec<(String, SendRight)>,
    ) -> Result<crate::Listening, LinkError> {
        self.core.check().map_err(|_| LinkError::Forked)?;
        crate::listen::listen(&self.core, path.as_ref(), offer)
    }

    /// Connects to the task that listens at `path` and takes what it offers.
    ///
    /// # Errors
    /// See [`LinkError`].
    ///
    /// # Blocking
    /// Waits for the other side until `deadline`.
    pub fn connect(
        &self,
        path: impl AsRef<Path>,
        deadline: Deadline,
    ) -> Result<HashMap<String, Right>, LinkError> {
        self.core.check().map_err(|_| LinkError::Forked)?;
        let peer = greeting::connect(&self.core, path.as_ref(), deadline)?;
        self.core
            .wait_welcome(peer, deadline, |came| came.remove(&peer))
            .ok_or(if deadline.has_passed() { LinkError::Deadline } else { LinkError::Died })
    }

    pub(crate) fn offer(&self, welcome: Welcome) -> Result<(), std::io::Error> {
        self.core.start_background()?;
        self.core.job(Job::Greet(welcome.into_greeting()));
        Ok(())
    }
}

impl Default for Task {
    fn default() -> Self {
        Task::new()
    }
}
