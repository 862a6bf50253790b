//! What everything of one task shares.
//!
//! | file           | part                                                  |
//! |----------------|-------------------------------------------------------|
//! | this one       | identity, ports, the background thread, the census     |
//! | `meeting.rs`   | whom the task is linked with                           |
//! | `drain.rs`     | taking what peers have written                         |
//! | `giving.rs`    | rights on their way from one peer to another           |
//! | `unheard.rs`   | answers to claims that nobody may have heard           |
//! | `welcome.rs`   | rights that come with a link                           |
//! | `wait.rs`      | how its threads wait                                   |
//! | `future/`      | how its futures wait                                   |

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, RwLock, Weak};
use std::time::Instant;

use abi::right::Kind as RightKind;
use abi::{Slot, TaskId};
use rights::census::{Census, Holding, Row};
use rights::table::Table;

use crate::background::{Background, Job};
use crate::drain::{Drainer, Parking};
use crate::error::TaskError;
use crate::facet::FacetEnds;
use crate::future::{Patience, Pollers};
use crate::giving::{GiveTable, end_gives};
use crate::inbox::OpenInbox;
use crate::limits::Limits;
use crate::link::{Join, Link, Ways};
use crate::meeting::Meeting;
use crate::message::{Identity, Notification};
use crate::metrics::Counters;
use crate::moving::followers::FollowerTable;
use crate::port::{After, PortCore};
use crate::special::{Bequests, Children, KernelPort, NotifyPort};
use crate::unheard::Unheard;
use crate::wait::Sleepers;
use crate::wait::parking::{Mutex, lock};
use crate::welcome::Welcomes;

/// What everything of one task shares.
pub(crate) struct TaskCore {
    pub(crate) me: Weak<TaskCore>,
    pub(crate) id: TaskId,
    pub(crate) epoch: shm::Epoch,
    pub(crate) identity: Identity,
    pub(crate) may_spin: bool,
    pub(crate) start: Instant,
    pub(crate) next_id: AtomicU64,
    pub(crate) sleepers: Sleepers,
    pub(crate) patience: Mutex<Patience>,
    pub(crate) pollers: Pollers,
    /// Who drains. Held only while running.
    pub(crate) seat: Mutex<Drainer>,
    pub(crate) links: RwLock<Arc<Vec<Arc<Link>>>>,
    pub(crate) links_version: AtomicU64,
    pub(crate) meetings: Mutex<HashMap<TaskId, Meeting>>,
    /// All of them, for a census and for what is due.
    pub(crate) ports: Mutex<Table<Weak<PortCore>>>,
    pub(crate) gives: Mutex<GiveTable>,
    pub(crate) unheard: Unheard,
    pub(crate) welcomes: Mutex<Welcomes>,
    /// The default port, once one was opened.
    pub(crate) inbox: Mutex<Option<OpenInbox>>,
    /// Ports whose windows may have places to write off.
    pub(crate) windows: Mutex<Vec<Slot>>,
    /// How many facets there are, and which end at a time.
    pub(crate) facets: AtomicUsize,
    pub(crate) facet_ends: Mutex<FacetEnds>,
    /// Claims of rights nobody holds any more, for what dead owners had not read.
    pub(crate) salvaged: Mutex<Vec<Arc<Join>>>,
    pub(crate) has_salvaged: AtomicBool,
    /// Held while it is decided where what is sent again goes.
    pub(crate) ways: Mutex<Ways>,
    /// Rights that were out when ports came here.
    pub(crate) followers: Mutex<FollowerTable>,
    /// Ports that went, with messages whose rights could not be named yet.
    pub(crate) parked: Mutex<Parking>,
    pub(crate) has_parked: AtomicBool,
    /// Turns of draining so far.
    pub(crate) turns: AtomicU64,
    pub(crate) later: Mutex<Vec<After>>,
    pub(crate) has_later: AtomicBool,
    pub(crate) background: OnceLock<Background>,
    pub(crate) starting: Mutex<()>,
    pub(crate) parent: OnceLock<Option<TaskId>>,
    pub(crate) closed: AtomicBool,
    /// It closes, and what its peers write from now on is theirs still. Set under the
    /// seat.
    pub(crate) reads_no_more: AtomicBool,
    /// Bytes of our own senders' that wait in our own unbounded ports.
    pub(crate) own_queued: Arc<AtomicU64>,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) notify: NotifyPort,
    pub(crate) kernel: KernelPort,
    pub(crate) bequests: Bequests,
    pub(crate) children: Children,
}

/// The task was made while the kernel could not say which process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task was made when the system could not say which process this is")]
struct Nameless;

// By hand: links lead to tasks, and tasks to links.
impl fmt::Debug for TaskCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskCore").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Tasks of this process so far; each has its own number.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl TaskCore {
    /// A task of the process that its peers know by `process`.
    pub(crate) fn new(process: u64, limits: Limits) -> Arc<Self> {
        let limits = limits.within();
        let (pid, uid, gid) = shm::socket::own_credentials();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let id = TaskId { process, number };
        Arc::new_cyclic(|me| TaskCore {
            me: Weak::clone(me),
            id,
            epoch: shm::Epoch::current(),
            identity: Identity { task: id, pid, uid, gid },
            may_spin: shm::thread::cores() > 1,
            start: Instant::now(),
            next_id: AtomicU64::new(1),
            sleepers: Sleepers::default(),
            patience: Mutex::default(),
            pollers: Pollers::default(),
            seat: Mutex::default(),
            links: RwLock::default(),
            links_version: AtomicU64::new(0),
            meetings: Mutex::default(),
            ports: Mutex::new(Table::new(u32::MAX)),
            gives: Mutex::new(GiveTable::new(limits.gives)),
            unheard: Unheard::default(),
            welcomes: Mutex::default(),
            inbox: Mutex::default(),
            windows: Mutex::default(),
            facets: AtomicUsize::new(0),
            facet_ends: Mutex::default(),
            salvaged: Mutex::default(),
            has_salvaged: AtomicBool::new(false),
            ways: Mutex::default(),
            followers: Mutex::default(),
            parked: Mutex::default(),
            has_parked: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            later: Mutex::default(),
            has_later: AtomicBool::new(false),
            background: OnceLock::new(),
            starting: Mutex::default(),
            parent: OnceLock::new(),
            closed: AtomicBool::new(false),
            reads_no_more: AtomicBool::new(false),
            own_queued: Arc::default(),
            limits,
            counters: Counters::default(),
            notify: NotifyPort::default(),
            kernel: KernelPort::default(),
            bequests: Bequests::default(),
            children: Children::default(),
        })
    }

    /// Whether the task is this process's own: one load and a compare.
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        if self.epoch.is_current() { Ok(()) } else { Err(TaskError::Forked) }
    }

    /// Whether the task has ended, with all its links.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn own_identity(&self) -> Identity {
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

    /// Keeps a port in mind. Returns where.
    pub(crate) fn note_port(&self, port: &Weak<PortCore>) -> Option<Slot> {
        lock(&self.ports).insert(Weak::clone(port)).ok()
    }

    pub(crate) fn forget_port(&self, place: Option<Slot>) {
        let Some(place) = place else { return };
        // What is left of it is dropped without the lock.
        let forgotten = lock(&self.ports).remove(place);
        drop(forgotten);
    }

    fn port_at(&self, place: Slot) -> Option<Arc<PortCore>> {
        lock(&self.ports).get(place).ok()?.upgrade()
    }

    /// Somebody waits for a place in this port while others let theirs lie: they
    /// must be written off in time.
    pub(crate) fn watch_window(&self, port: Slot) {
        let mut windows = lock(&self.windows);
        if !windows.contains(&port) {
            windows.push(port);
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
        for place in watched {
            let due = self.port_at(place).and_then(|port| port.expire(self.now_ns()));
            if let Some(due) = due {
                keep.push(place);
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
            }
        }
        lock(&self.windows).extend(keep);
        self.read_late_claims();
        let (expired, due) = {
            let mut gives = lock(&self.gives);
            let _ = gives.rules.expire(self.now_ns());
            (gives.let_go(), gives.rules.next_expiry())
        };
        end_gives(self, expired, Notification::SendOnceDied);
        let rest = [self.expire_facets(), self.expire_followers()];
        [next, due].into_iter().chain(rest).flatten().min()
    }

    pub(crate) fn start_background(&self) -> Result<&Background, std::io::Error> {
        if let Some(background) = self.background.get() {
            return Ok(background);
        }
        let starting = lock(&self.starting);
        if self.background.get().is_none() {
            let core = self.arc().ok_or(std::io::ErrorKind::NotConnected)?;
            // Made when the kernel could not say who we are: its peers would know
            // it by another name.
            if shm::socket::sure_process()? != self.id.process {
                return Err(std::io::Error::other(Nameless));
            }
            let background = Background::start(&core)?;
            let _ = self.background.set(background);
        }
        drop(starting);
        self.background.get().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// Where this task listens for introductions.
    pub(crate) fn address(&self) -> abi::right::Address {
        self.background.get().map_or_else(Default::default, |background| background.address)
    }

    pub(crate) fn background(&self) -> Option<&Background> {
        self.background.get()
    }

    pub(crate) fn job(&self, job: Job) {
        if let Some(background) = self.background.get() {
            background.give(job);
        }
    }

    pub(crate) fn poke(&self) {
        if let Some(background) = self.background.get() {
            background.poke();
        }
    }

    pub(crate) fn bury_soon(&self, number: u32) {
        self.job(Job::Bury(number));
    }

    pub(crate) fn census(&self) -> Census {
        let mut rows = Vec::new();
        let row = |holding, port, peer, count| Row { holding, port, peer, count };
        let ports: Vec<_> =
            lock(&self.ports).iter().filter_map(|(_, port)| port.upgrade()).collect();
        for port in ports {
            let (senders, once) = port.counts();
            rows.push(row(Holding::Receive, port.id, None, 1));
            rows.push(row(Holding::OwnSend, port.id, None, senders));
            rows.push(row(Holding::OwnSendOnce, port.id, None, once));
            rows.push(row(Holding::Refused, port.id, None, port.refused()));
        }
        for link in self.links().iter() {
            let peer = Some(link.peer_task());
            for (port, kind, ended, count) in link.export_rows() {
                let holding = match kind {
                    RightKind::Send if ended => Holding::Dead,
                    RightKind::Send => Holding::ExportedSend,
                    RightKind::SendOnce => Holding::ExportedSendOnce,
                };
                rows.push(row(holding, port, peer, count));
            }
            for (slot, dead, count) in link.import_rows() {
                let holding = if dead { Holding::Dead } else { Holding::ImportedSend };
                rows.push(row(holding, slot, peer, count));
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
