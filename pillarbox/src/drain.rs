//! Taking what peers have written, and what a death leaves to be done.
//!
//! One thread at a time drains, under `seat`, which is held only while running:
//! never asleep and never in user code. What was found to wake, to tell or to
//! drop is done after.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::background::Job;
use crate::core::TaskCore;
use crate::giving::end_gives;
use crate::link::{Join, Link, Turn};
use crate::meeting::Meeting;
use crate::message::Notification;
use crate::moving::gone::Gone;
use crate::port::After;
use crate::wait::parking::{lock, try_lock};

/// Ports that went away and for which something waits.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    waiting: Vec<Arc<Gone>>,
    /// They are counted among the futures that wait.
    counted: bool,
}

/// What who drains knows: the links, as they were when it last asked. They lie under
/// the lock of the seat, so that taking one message need not touch another.
#[derive(Debug, Default)]
pub(crate) struct Drainer {
    version: u64,
    links: Arc<Vec<Arc<Link>>>,
    /// Behind the link that something was taken from last.
    next: usize,
}

impl Drainer {
    /// The links there are now.
    #[inline]
    pub(crate) fn links(&mut self, task: &TaskCore) -> &[Arc<Link>] {
        // Before the list: what changes between is asked for again.
        let version = task.links_version.load(Ordering::Acquire);
        if self.version != version {
            self.links = task.links();
            self.version = version;
        }
        &self.links
    }

    /// A link with frames, in turn: one that always has some keeps none from others.
    pub(crate) fn next_with_frames(&mut self) -> Option<&Arc<Link>> {
        let (before, behind) = self.links.split_at(self.next.min(self.links.len()));
        let at = match behind.iter().position(|link| link.has_frames()) {
            Some(at) => before.len() + at,
            None => before.iter().position(|link| link.has_frames())?,
        };
        self.next = at + 1;
        let link = self.links.get(at)?;
        link.peer_page().prefetch_frame(link.position());
        Some(link)
    }
}

impl TaskCore {
    /// Ends a link: reads what the peer still sent, then acts on its death.
    pub(crate) fn bury(&self, link: &Arc<Link>) {
        let mut seat = lock(&self.seat);
        let mut turn = Turn::default();
        // ECONNRESET is not the end: read on to the end of file; then one last
        // look at the head.
        if !self.reads_no_more.load(Ordering::Relaxed) {
            link.read_out_socket(&mut turn);
            link.drain_all(&mut turn);
            link.finish_spills(&mut turn);
            link.complete_all_bags(&mut turn);
            self.answer_claims(&mut turn);
        }
        if !self.remove_link(link) {
            drop(seat);
            self.finish_turn(turn);
            return;
        }
        // It ends when its last user lets it go, and that is not the seat.
        let _ = seat.links(self);
        let peer = link.peer_task();
        let end = link.end().unwrap_or(crate::link::End::Died);
        self.counters.link_ended(link.traffic());
        link.bury(end, &mut turn.after);
        let (ended, meeting) = {
            let mut gives = lock(&self.gives);
            let _ = gives.rules.task_died(peer, self.now_ns());
            gives.claims.task_died(peer);
            let ended = gives.let_go();
            let mut meetings = lock(&self.meetings);
            let ours =
                matches!(meetings.get(&peer), Some(Meeting::Linked(one)) if Arc::ptr_eq(one, link));
            (ended, if ours { meetings.remove(&peer) } else { None })
        };
        self.end_followers_of(peer, &mut turn.after);
        self.wake_unwelcomed(&mut turn.after);
        drop(seat);
        drop(meeting);
        link.socket().shutdown();
        self.finish_turn(turn);
        end_gives(self, ended, Notification::SendOnceDied);
    }

    /// From now on nothing is read that peers have written. Who reads now has done with it
    /// when this returns.
    pub(crate) fn read_no_more(&self) {
        let _seat = lock(&self.seat);
        self.reads_no_more.store(true, Ordering::Relaxed);
    }

    /// Whether there ever was a link.
    pub(crate) fn has_been_linked(&self) -> bool {
        // Relaxed: a link that is made just now is looked at with the next turn.
        self.links_version.load(Ordering::Relaxed) > 0
    }

    /// Whether there is more to do here than to take messages.
    pub(crate) fn has_business(&self) -> bool {
        self.has_later.load(Ordering::Relaxed)
            || self.has_parked.load(Ordering::Relaxed)
            || self.has_salvaged.load(Ordering::Relaxed)
    }

    /// Takes what lies in the lanes, unless another thread is at it. Returns
    /// whether there was anything.
    pub(crate) fn drain(&self) -> bool {
        let any = self.drain_in_wait();
        self.ring_unheard();
        any
    }

    /// The same by who looks at what is unheard before it sleeps or leaves.
    pub(crate) fn drain_in_wait(&self) -> bool {
        let late = self.run_late();
        let links = self.links();
        if !links.iter().any(|link| link.has_frames()) {
            return late;
        }
        let Some(seat) = try_lock(&self.seat) else { return late };
        let (any, turn) = self.turn(&links);
        drop(seat);
        self.end_turn(turn);
        if any {
            self.tell_pollers();
        }
        any || late
    }

    /// As [`TaskCore::drain`], but waits for its turn: for the background
    /// thread, after a bell.
    pub(crate) fn drain_after_bell(&self, rung: &[Arc<Link>]) {
        if self.take_in(rung) {
            self.tell_pollers();
        }
    }

    /// The same, by who polls for the task and need not be told.
    pub(crate) fn take_in(&self, rung: &[Arc<Link>]) -> bool {
        let links = self.links();
        let seat = lock(&self.seat);
        let mut bells = Turn::default();
        for link in rung {
            link.read_socket(&mut bells);
            link.settle_passed();
        }
        let (any, turn) = self.turn(&links);
        drop(seat);
        bells.finish(self);
        self.finish_turn(turn);
        self.wake_sentinel();
        any
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

    pub(crate) fn finish_turn(&self, turn: Turn) {
        self.end_turn(turn);
        self.ring_unheard();
    }

    fn end_turn(&self, mut turn: Turn) {
        let heard = turn.heard;
        let joins = std::mem::take(&mut turn.joins);
        for join in joins {
            let mut after = After::default();
            self.start_join(join, &mut after);
            after.run();
        }
        turn.finish(self);
        if heard {
            self.wake_sentinel();
        }
        // Before the look at what is parked: who parks says so, and looks at this.
        self.turns.fetch_add(1, Ordering::SeqCst); // pairs: drain.parked
        self.push_parked();
    }

    /// How many turns there were. What could not be done before a turn may be
    /// possible after it.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst) // pairs: drain.parked
    }

    /// Something found under a lock that must be done without one.
    pub(crate) fn run_later(&self, after: After) {
        lock(&self.later).push(after);
        self.has_later.store(true, Ordering::Release);
    }

    /// Reads what one peer has written, whoever drains.
    pub(crate) fn drain_link(&self, link: &Arc<Link>) {
        let seat = lock(&self.seat);
        let mut turn = Turn::default();
        link.drain_all(&mut turn);
        self.answer_claims(&mut turn);
        drop(seat);
        self.finish_turn(turn);
    }

    /// A port that has gone keeps messages that could not be put into its bag: they
    /// are tried again after the next turn. Who parks looks whether there was one
    /// meanwhile.
    pub(crate) fn park(&self, gone: &Arc<Gone>) {
        let mut parked = lock(&self.parked);
        if !parked.waiting.iter().any(|known| Arc::ptr_eq(known, gone)) {
            parked.waiting.push(Arc::clone(gone));
            self.has_parked.store(true, Ordering::SeqCst); // pairs: drain.parked
        }
        // They wait as a future does: for whoever drains.
        if !std::mem::replace(&mut parked.counted, true) {
            self.sleepers.futures.fetch_add(1, Ordering::Relaxed);
            self.job(Job::Bequests);
        }
    }

    pub(crate) fn push_parked(&self) {
        if self.has_salvaged.load(Ordering::Relaxed) {
            self.forget_salvaged();
        }
        if !self.has_parked.load(Ordering::SeqCst) {
            return; // pairs: drain.parked
        }
        let waiting = {
            let mut parked = lock(&self.parked);
            self.has_parked.store(false, Ordering::SeqCst);
            std::mem::take(&mut parked.waiting)
        };
        if waiting.is_empty() {
            return;
        }
        for gone in waiting {
            gone.push_parked();
        }
        let mut parked = lock(&self.parked);
        if parked.waiting.is_empty() && std::mem::take(&mut parked.counted) {
            self.sleepers.futures.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What a dead owner had not read goes before what is sent on this link now.
    pub(crate) fn send_again_later(&self, link: &Arc<Link>) {
        let mut after = After::default();
        after.send_again(link);
        self.run_later(after);
    }

    /// Keeps a claim that nobody holds until it is settled.
    pub(crate) fn keep_until_settled(&self, join: Arc<Join>) {
        lock(&self.salvaged).push(join);
        self.has_salvaged.store(true, Ordering::Relaxed);
        self.forget_salvaged();
    }

    /// What is settled is kept no more.
    pub(crate) fn forget_salvaged(&self) {
        let settled: Vec<_> = {
            let mut salvaged = lock(&self.salvaged);
            let settled = salvaged.extract_if(.., |join| join.result().is_some()).collect();
            self.has_salvaged.store(!salvaged.is_empty(), Ordering::Relaxed);
            settled
        };
        drop(settled);
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
}
