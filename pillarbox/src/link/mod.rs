//! Two tasks that talk: a socket for descriptors and death, two lanes, one each
//! way, and what each holds of the other's.
//!
//! | module    | holds                                                    |
//! |-----------|----------------------------------------------------------|
//! | [`out`]   | what we write: the lane, the protocol's own frames, bells|
//! | [`send`]  | messages on their way out                                |
//! | [`inn`]   | what we read: lane and socket, frame by frame            |
//! | [`take`]  | messages on their way in                                 |
//! | [`words`] | what the peer says about rights                          |
//! | [`carry`] | rights on their way into and out of messages             |
//! | [`exports`] | what we export to the peer: slots, and where each leads   |
//! | [`entry`] | one right of ours to a port of the peer's                |
//! | [`follow`]| a right of ours whose port has gone to another task      |
//! | [`again`] | what its dead owner had not read, on its way to the new one |
//! | [`early`] | what its new owner said before we knew why               |
//! | [`moving`]| what the writing side does for ports that move          |
//! | [`room`]  | hearing once that a port of the peer's has room          |
//! | [`join`]  | a right another task gave us, not yet confirmed          |
//! | [`chain`] | such a right given on                                    |
//! | [`call_back`] | what was given to the dead                            |
//! | [`pulse`] | pulses on their way                                      |
//! | [`spill`] | messages to unbounded ports that find no room, on their way out |
//! | [`spilled`] | and on their way in                                    |
//! | [`arena`] | memory that is lent, ours to the peer and the peer's to us |
//! | [`regions`] | regions on their way into and out of messages           |
//! | [`charge`] | what a queued message counts against its sender        |
//! | [`posting`] | a message a future sends, between two polls            |
//! | [`reply`] | what callers still want, and parts of answers            |
//!
//! Locks are taken in this order and none is held while waiting: `inn`, then
//! `imports` or `exports`, then a port, then `out`. No right and no message is
//! dropped under a lock: what falls away is collected and dropped after.

mod again;
mod arena;
mod backlog;
mod bagged;
mod call_back;
mod carry;
mod chain;
mod charge;
mod early;
mod entry;
mod exports;
mod follow;
mod hot;
mod inn;
mod join;
mod laden;
mod moving;
mod near;
mod out;
mod posting;
mod pulse;
mod regions;
mod reply;
mod room;
mod send;
mod spill;
mod spilled;
mod take;
mod turn;
mod words;

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::frame::{EVERY_TICKET, Header, Kind};
use abi::page::Sleep;
use abi::right::Address;
use abi::{Offence, Slot, TaskId, Ticket, limits};
use shm::socket::LinkSocket;
use shm::{LaneReader, LaneWriter, OwnPage, PeerPage};

pub(crate) use self::arena::OnLoan;
pub(crate) use self::carry::Load;
pub(crate) use self::charge::Charge;
use self::entry::Imported;
use self::entry::{Answer, Question};
pub(crate) use self::entry::{AskedStatus, Entry, Held, StatusCell};
pub(crate) use self::follow::Moved;
pub(crate) use self::inn::{From, Inn};
pub(crate) use self::join::{Join, Joined};
pub(crate) use self::posting::Posting;
pub(crate) use self::turn::Turn;

use self::again::AgainQueue;
pub(crate) use self::again::Ways;
use self::arena::Lending;
use self::early::Early;
use self::exports::Exported;
use self::join::Joins;
use self::out::Out;
use self::reply::Watches;
use self::spilled::SpillQueue;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::{Identity, Notification};
use crate::moving::adopt::Adopted;
use crate::peer::PeerCore;
use crate::port::{After, PortCore};
use crate::wait::parking::{Mutex, MutexGuard, lock};
use crate::wait::{Waiter, forget};

/// Why a link has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer's process is gone, or has closed the link.
    Died,
    /// The peer broke the protocol.
    Fault(Offence),
    /// Our own system refused what the link cannot do without.
    System(std::io::ErrorKind),
}

impl End {
    pub(crate) const fn as_send_failure(self) -> SendFailure {
        match self {
            End::Died => SendFailure::Dead,
            End::Fault(offence) => SendFailure::Fault(offence),
            End::System(kind) => SendFailure::System(kind),
        }
    }
}

/// What a link is announced as before any thread of its task has slept: the
/// background thread hears the bell.
pub(crate) const FIRST_SLEEP: Sleep = Sleep::Bell(0);

/// Sleeps a link stays active after its last frame.
const ACTIVE_SLEEPS: u32 = 16;

/// Who is at the other end.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) sender: Identity,
    pub(crate) address: Address,
    pub(crate) pidfd: Option<OwnedFd>,
}

/// What a greeting has brought together.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) own: Arc<OwnPage>,
    pub(crate) writer: LaneWriter,
    pub(crate) peer: Arc<PeerPage>,
    pub(crate) reader: LaneReader,
    pub(crate) socket: LinkSocket,
    pub(crate) who: Who,
}

/// The link with one peer.
pub(crate) struct Link {
    pub(crate) number: u32,
    pub(crate) task: Arc<TaskCore>,
    own: Arc<OwnPage>,
    peer: Arc<PeerPage>,
    who: Who,
    socket: LinkSocket,
    out: Mutex<Out>,
    inn: Mutex<Inn>,
    exports: Mutex<Exported>,
    /// How often a slot of ours may have come to lead elsewhere.
    exports_version: AtomicU64,
    imports: Mutex<HashMap<u32, Imported>>,
    joins: Mutex<Joins>,
    /// Rights of ours whose ports went from the peer to others.
    follows: Mutex<Vec<Weak<Join>>>,
    /// What their new owners said that we do not know of the peer yet.
    early: Mutex<Early>,
    /// Ports that went to the peer.
    went: Mutex<Vec<Weak<PortCore>>>,
    /// Ports that came from the peer.
    bags: Mutex<HashMap<Ticket, Arc<Adopted>>>,
    /// What dead owners had not read, to be sent here before anything else.
    again: Mutex<AgainQueue>,
    has_again: AtomicBool,
    status: Mutex<HashMap<u64, Arc<StatusCell>>>,
    /// Threads that wait for room, a place, or an answer on this link.
    waiters: Mutex<Vec<Arc<Waiter>>>,
    end: OnceLock<End>,
    /// Our reader's count, for a look without its lock.
    position: AtomicU64,
    /// The head it saw last: as long as that is ahead, the peer's own, which it writes
    /// with each message, need not be looked at.
    shown: AtomicU64,
    /// The number of the peer's sleep that was rung last.
    rung: AtomicU64,
    active: AtomicU32,
    announced: AtomicU64,
    /// A frame or a bell came since the last announcement.
    stale: AtomicBool,
    /// Bytes out of the peer's bags that wait in our queues.
    bag_bytes: AtomicU64,
    /// Bags of ours that the peer keeps, as far as we know.
    pub(crate) open_bags: AtomicUsize,
    /// Moves of the peer's ports that it took back, and that rights of ours remember.
    taken_back: AtomicUsize,
    arrived_bytes: AtomicU64,
    taken_bytes: AtomicU64,
    /// Bytes of messages that were received as they came, not yet given back.
    passed: AtomicU64,
    want_seen: AtomicU64,
    once_held: AtomicU64,
    spill_queue: SpillQueue,
    reply_watches: Mutex<Watches>,
    peer_core: Arc<PeerCore>,
    lending: Lending,
    /// Bells rung: beside the system calls they are.
    bells: AtomicU64,
    /// Owners of rights we gave the peer, who may hold them for it still.
    gave_for: Mutex<Vec<Weak<Link>>>,
    /// The dead from whom the peer calls back what it gave them.
    calling_back: Mutex<Vec<TaskId>>,
}

// By hand: what a link holds leads back to it.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("number", &self.number)
            .field("peer", &self.who.sender)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(task: &Arc<TaskCore>, number: u32, parts: Parts) -> Arc<Self> {
        let Parts { own, writer, peer, reader, socket, who } = parts;
        let sender = who.sender;
        Arc::new(Link {
            number,
            task: Arc::clone(task),
            own,
            peer,
            who,
            socket,
            out: Mutex::new(Out::new(writer)),
            inn: Mutex::new(Inn::new(reader)),
            exports: Mutex::default(),
            exports_version: AtomicU64::new(0),
            imports: Mutex::default(),
            joins: Mutex::default(),
            follows: Mutex::default(),
            early: Mutex::default(),
            bags: Mutex::default(),
            went: Mutex::default(),
            again: Mutex::default(),
            has_again: AtomicBool::new(false),
            status: Mutex::default(),
            waiters: Mutex::default(),
            end: OnceLock::new(),
            position: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            rung: AtomicU64::new(0),
            active: AtomicU32::new(ACTIVE_SLEEPS),
            announced: AtomicU64::new(FIRST_SLEEP.encode()),
            stale: AtomicBool::new(true),
            bag_bytes: AtomicU64::new(0),
            open_bags: AtomicUsize::new(0),
            taken_back: AtomicUsize::new(0),
            arrived_bytes: AtomicU64::new(0),
            taken_bytes: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            want_seen: AtomicU64::new(0),
            once_held: AtomicU64::new(0),
            spill_queue: SpillQueue::default(),
            reply_watches: Mutex::default(),
            peer_core: PeerCore::new(task, sender),
            lending: Lending::default(),
            bells: AtomicU64::new(0),
            gave_for: Mutex::default(),
            calling_back: Mutex::default(),
        })
    }

    // ---- who and whether -------------------------------------------------

    pub(crate) fn peer_task(&self) -> TaskId {
        self.who.sender.task
    }

    pub(crate) fn peer(&self) -> Identity {
        self.who.sender
    }

    pub(crate) fn peer_core(&self) -> &Arc<PeerCore> {
        &self.peer_core
    }

    pub(crate) fn pidfd(&self) -> Option<&OwnedFd> {
        self.who.pidfd.as_ref()
    }

    pub(crate) fn address(&self) -> Address {
        self.who.address
    }

    pub(crate) fn socket(&self) -> &LinkSocket {
        &self.socket
    }

    pub(crate) fn own_page(&self) -> &Arc<OwnPage> {
        &self.own
    }

    pub(crate) fn peer_page(&self) -> &PeerPage {
        &self.peer
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end.get().copied()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.end.get().is_some()
    }

    pub(crate) fn bags(&self) -> MutexGuard<'_, HashMap<Ticket, Arc<Adopted>>> {
        lock(&self.bags)
    }

    /// A port has gone to the peer.
    pub(crate) fn note_went(&self, port: &Arc<PortCore>) {
        let mut went = lock(&self.went);
        went.retain(|known| known.strong_count() > 0);
        went.push(Arc::downgrade(port));
    }

    fn went_ports(&self) -> Vec<Arc<PortCore>> {
        lock(&self.went).drain(..).filter_map(|port| port.upgrade()).collect()
    }

    /// Bytes the peer has written and we have not read.
    pub(crate) fn unread_bytes(&self) -> usize {
        let unread = self.peer.head().wrapping_sub(self.position());
        usize::try_from(unread).unwrap_or(0).min(limits::LANE_BYTES_MAX as usize)
    }

    // ---- the sentinel's part ------------------------------------------------

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    pub(crate) fn has_frames(&self) -> bool {
        let position = self.position();
        !self.is_dead()
            && (self.shown.load(Ordering::Relaxed) != position
                || self.peer.head() != position
                || self.spill_queue.has_news(self.peer.spilled()))
    }

    /// Whether the link had frames in one of the last sleeps.
    pub(crate) fn used_lately(&self) -> bool {
        let active = self.active.load(Ordering::Relaxed);
        self.active.store(active.saturating_sub(1), Ordering::Relaxed);
        active > 0 && !self.is_dead()
    }

    pub(crate) fn announce(&self, sleep: Sleep) {
        self.stale.store(false, Ordering::Relaxed);
        self.announced.store(sleep.encode(), Ordering::Relaxed);
        self.own.announce(sleep);
    }

    /// An idle link stays announced as it is: its number is still unrung.
    pub(crate) fn announce_bell(&self, number: u64) {
        let before = Sleep::decode(self.announced.load(Ordering::Relaxed));
        if self.stale.load(Ordering::Relaxed) || !matches!(before, Sleep::Bell(_)) {
            self.announce(Sleep::Bell(number));
        }
    }

    fn note_use(&self) {
        self.active.store(ACTIVE_SLEEPS, Ordering::Relaxed);
        self.stale.store(true, Ordering::Relaxed);
    }

    // ---- waiting on this link ------------------------------------------------

    pub(crate) fn add_waiter(&self, waiter: &Arc<Waiter>) {
        lock(&self.waiters).push(Arc::clone(waiter));
    }

    pub(crate) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        forget(&mut lock(&self.waiters), waiter);
    }

    /// Waits until `look` finds something. Who takes in at the peer wakes us.
    pub(crate) fn wait_at<R>(
        &self,
        deadline: Deadline,
        mut look: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let leave = |waiting| {
            if waiting {
                self.remove_waiter(&Waiter::mine());
            }
        };
        let (waiting, found) = shm::jump::held(false, leave, |waiting| {
            self.task.wait(deadline, Some(self), |waiter| {
                if !std::mem::replace(waiting, true) {
                    self.add_waiter(waiter);
                }
                look()
            })
        });
        leave(waiting);
        found
    }

    pub(crate) fn wake_waiters(&self, after: &mut After) {
        for waiter in lock(&self.waiters).iter() {
            after.wake(Arc::clone(waiter));
        }
    }

    // ---- bytes given back ------------------------------------------------------

    fn return_bytes(&self, bytes: u64) {
        let taken = self.taken_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let window = self.task.limits.link_queued_bytes;
        self.own.set_granted(taken.saturating_add(window));
        // Only a peer near the end of its window can be waiting for bytes.
        let waiting = self.arrived_bytes.load(Ordering::Relaxed).saturating_sub(taken) + bytes;
        if waiting >= window / 4 {
            self.tell_if_wanted();
        }
    }

    /// The writer raises `want`, fences, looks for room; we make room, fence,
    /// look for `want`.
    fn tell_if_wanted(&self) {
        shm::full_fence(); // pairs: lane.want
        let want = self.peer.want();
        if self.want_seen.swap(want, Ordering::Relaxed) != want {
            self.say_look(Slot { index: abi::frame::EVERY_SLOT, generation: 0 });
        }
    }

    // ---- send-once rights held ---------------------------------------------------

    pub(crate) fn hold_once(&self) {
        self.once_held.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn let_go_once(&self) {
        self.once_held.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn once_held(&self) -> u64 {
        self.once_held.load(Ordering::Relaxed)
    }

    /// Every slot of the peer's that we hold rights to.
    fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.imports).values().filter_map(Imported::held).cloned().collect()
    }

    // ---- the end ---------------------------------------------------------------------

    /// The peer broke the protocol: this link ends, nothing else does.
    pub(crate) fn fault(&self, offence: Offence) {
        if self.end.set(End::Fault(offence)).is_ok() {
            self.task.counters.offend(offence);
            self.socket.shutdown();
            self.task.bury_soon(self.number);
        }
    }

    /// Our own system refused what the link cannot do without: it ends, and nobody
    /// is blamed. An offence that is found because of it comes too late.
    pub(crate) fn broken(&self, kind: std::io::ErrorKind) {
        if self.end.set(End::System(kind)).is_ok() {
            self.task.counters.broken_links.fetch_add(1, Ordering::Relaxed);
            self.socket.shutdown();
            self.task.bury_soon(self.number);
        }
    }

    /// Does again what the system refused a while ago: what was not written is
    /// written, the bell is rung, and who waits for room looks.
    pub(crate) fn try_again(self: &Arc<Self>) {
        if self.is_dead() {
            return;
        }
        self.flush_backlog();
        self.ring_now();
        self.task.push_parked();
        let mut after = After::default();
        if self.has_again() {
            after.send_again(self);
        }
        self.wake_waiters(&mut after);
        after.run();
        self.task.look_at_bequests();
    }

    /// Ends everything that hangs on this link. Runs once, on the background
    /// thread, after the last frame of the peer's has been read.
    pub(crate) fn bury(self: &Arc<Self>, end: End, after: &mut After) {
        let _ = self.end.set(end);
        // Where it is we who close, what went to the peer lives on.
        if !self.task.closed.load(Ordering::Relaxed) {
            for port in self.went_ports() {
                port.new_owner_died(after);
            }
        }
        // Before what it held comes back: rights in what it never read do too.
        for join in self.salvage(after) {
            self.task.keep_until_settled(join);
        }
        self.end_early(after);
        if self.has_again() {
            // What was to be sent again here goes after its port, or is gone with it.
            after.send_again(self);
        }
        self.end_spills();
        let what_was_out = {
            let mut exports = lock(&self.exports);
            self.leads_elsewhere();
            exports.take_all()
        };
        for (kind, sink) in what_was_out {
            self.end_export(kind, sink, Notification::SendOnceDied, after);
        }
        let entries = self.entries();
        for entry in entries {
            if entry.has_moved() {
                entry.look(after);
            } else {
                entry.mark_dead(after);
            }
        }
        self.look_at_moved(after);
        lock(&self.joins).fail_all(after);
        self.see_replies(after);
        self.peer_core.gone(after);
        for (_, cell) in lock(&self.status).drain() {
            cell.fail(after);
        }
        // What was given to the dead and never claimed comes back. Where it is we who
        // close, the peer lives and claims it.
        let gave_for = std::mem::take(&mut *lock(&self.gave_for));
        if !self.task.closed.load(Ordering::Relaxed) {
            for owner in gave_for.iter().filter_map(Weak::upgrade) {
                let header = Header { tag: EVERY_TICKET, ..Header::new(Kind::TakeBack, NO_SLOT) };
                owner.say(header, &self.peer_task().encode());
            }
        }
        self.wake_waiters(after);
        self.task.look_at_bequests();
    }
}

/// For frames that are about no slot.
pub(crate) const NO_SLOT: Slot = Slot { index: 0, generation: 0 };
