//! What waits behind messages that are still on their way from another owner.
//!
//! A port came from another task. Who had a right to it there may have sent messages
//! that the old owner has not passed on yet, and may have another right by now, made
//! here since: what it sends on that would come first. So until it has *come*, which is
//! when all it had sent there is here, what it sends stands behind: it is accepted, and
//! nobody receives it. Its place is kept for it, so that no more are accepted than the
//! port holds; where an accepted message stands in line and finds no place, it gets that
//! one, and what stood behind stands in line when its turn comes.
//!
//! What comes with the port or through its old owner waits for nobody.
//!
//! An old owner that is alive and never passes on what it has would hold all this up for
//! ever. So there is an end: [`Port::look_behind`] lets in what has stood behind for a
//! patience, and its sender is waited for no more. What the old owner passes on later
//! comes after it; nothing is lost. The patience is counted in three looks: however
//! much time passes between two of them, in which we ourselves may have been stopped, it
//! counts as one.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use abi::{Offence, TaskId, Ticket};

use super::{Place, Port, Queued};
use crate::queue::Labelled;
use crate::window::Arrival;

/// Looks that make a patience.
const LOOKS: u32 = 3;

/// How long somebody's messages have stood behind.
#[derive(Clone, Copy, Debug, Default)]
struct Patience {
    /// When the next look counts. `None` before the first.
    due_ns: Option<u64>,
    looks: u32,
}

impl Patience {
    /// Looks once more. Whether it is at its end.
    fn look(&mut self, now_ns: u64, patience_ns: u64) -> bool {
        match self.due_ns {
            Some(due_ns) if now_ns < due_ns => return false,
            Some(_) => self.looks += 1,
            None => {}
        }
        self.due_ns = Some(now_ns.saturating_add(patience_ns / u64::from(LOOKS)));
        self.looks >= LOOKS
    }
}

/// Who has not come, and what stands behind what it sent.
#[derive(Clone, Debug)]
pub(super) struct Behind<M, K> {
    /// The rights that were out, and whose they were.
    awaited: BTreeMap<Ticket, TaskId>,
    held: VecDeque<Held<M, K>>,
    /// Of whom something stands behind, and since when.
    since: BTreeMap<TaskId, Patience>,
}

#[derive(Clone, Debug)]
struct Held<M, K> {
    of: TaskId,
    queued: Queued<M, K>,
    /// A place of the window is kept for it.
    kept: bool,
}

impl<M, K> Default for Behind<M, K> {
    fn default() -> Self {
        Behind { awaited: BTreeMap::new(), held: VecDeque::new(), since: BTreeMap::new() }
    }
}

impl<M, K> Behind<M, K> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &M> {
        self.held.iter().map(|held| &held.queued.message)
    }

    pub(super) fn drain(self) -> impl Iterator<Item = M> {
        self.held.into_iter().map(|held| held.queued.message)
    }
}

impl<M: Labelled, K: Copy + Eq + Hash> Port<M, K> {
    /// A right of `who` was out when the port came: until [`Port::has_come`] what it
    /// sends here waits.
    pub fn wait_for(&mut self, right: Ticket, who: TaskId) {
        self.behind.get_or_insert_default().awaited.insert(right, who);
    }

    /// Whether messages of `who` may still be on their way from another owner.
    pub fn waits_for(&self, who: TaskId) -> bool {
        let awaited = |behind: &Behind<M, K>| behind.awaited.values().any(|other| *other == who);
        self.behind.as_deref().is_some_and(awaited)
    }

    /// All that was sent on this right elsewhere is here, or nothing more will come.
    /// What stood behind that alone enters. What is free is to be handed out then.
    pub fn has_come(&mut self, right: Ticket) {
        let Some(behind) = &mut self.behind else { return };
        let Some(who) = behind.awaited.remove(&right) else { return };
        if behind.awaited.values().any(|other| *other == who) {
            return;
        }
        self.go_before(who);
    }

    /// What stands behind for a patience goes on, whoever has not come. Returns whether
    /// there was any: what is free is to be handed out then.
    #[must_use = "what was let in must be told to whoever waits for it"]
    pub fn look_behind(&mut self, now_ns: u64, patience_ns: u64) -> bool {
        let Some(behind) = &mut self.behind else { return false };
        let late = |(who, patience): (&TaskId, &mut Patience)| {
            patience.look(now_ns, patience_ns).then_some(*who)
        };
        let late: Vec<TaskId> = behind.since.iter_mut().filter_map(late).collect();
        behind.awaited.retain(|_, who| !late.contains(who));
        let any = !late.is_empty();
        for who in late {
            self.go_before(who);
        }
        any
    }

    /// When to look at what stands behind. Zero where it was not looked at yet.
    #[must_use = "somebody must look again at that time"]
    pub fn next_look_behind(&self) -> Option<u64> {
        let behind = self.behind.as_deref()?;
        behind.since.values().map(|patience| patience.due_ns.unwrap_or(0)).min()
    }

    /// What `who` has sent stands behind nothing any more.
    fn go_before(&mut self, who: TaskId) {
        let Some(behind) = &mut self.behind else { return };
        behind.since.remove(&who);
        let (mine, others) = behind.held.drain(..).partition(|held| held.of == who);
        behind.held = others;
        if behind.awaited.is_empty() {
            self.behind = None;
        }
        let mine: VecDeque<Held<M, K>> = mine;
        for Held { queued, kept, .. } in mine {
            self.goes_on(queued, kept);
        }
    }

    /// How many of the messages behind need a place of the window.
    pub fn behind(&self) -> usize {
        let held = self.behind.iter().flat_map(|behind| &behind.held);
        held.filter(|held| !held.queued.place.is_free()).count()
    }

    /// As [`Port::arrive`], for a message of `who`.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`], with the message.
    pub fn arrive_of(
        &mut self,
        who: TaskId,
        holder: K,
        message: M,
    ) -> Result<Arrival, (Offence, M)> {
        if !self.waits_for(who) {
            return self.arrive(holder, message);
        }
        match self.window.keep_place(holder) {
            Ok(kept) => {
                self.stand_behind(who, Queued { message, place: Place::Holder(holder) }, kept)
            }
            Err(offence) => return Err((offence, message)),
        }
        Ok(Arrival::Beside)
    }

    /// As [`Port::enter`], for our own task, which is `who`.
    ///
    /// # Errors
    /// The message, where there is no room.
    pub fn enter_of(&mut self, who: TaskId, message: M) -> Result<(), M> {
        if !self.waits_for(who) {
            return self.enter(message);
        }
        let Some(kept) = self.window.keep_own_place() else { return Err(message) };
        self.stand_behind(who, Queued { message, place: Place::Own }, kept);
        Ok(())
    }

    /// As [`Port::leave`], for a message of `who`.
    ///
    /// # Errors
    /// The message, where the last one it left has not been taken.
    pub fn leave_of(&mut self, who: TaskId, holder: K, message: M) -> Result<(), M> {
        if !self.waits_for(who) {
            return self.leave(holder, message);
        }
        let number = match self.left_first(holder) {
            Some(number) => number,
            None => return Err(message),
        };
        self.stand_behind(who, Queued { message, place: Place::Left(holder, number) }, false);
        Ok(())
    }

    /// As [`Port::enter_beyond`], for a message of `who`.
    pub fn enter_beyond_of(&mut self, who: TaskId, message: M) {
        if !self.waits_for(who) {
            return self.enter_beyond(message);
        }
        self.stand_behind(who, Queued { message, place: Place::Beyond }, false);
    }

    pub(super) fn stand_behind(&mut self, of: TaskId, queued: Queued<M, K>, kept: bool) {
        let behind = self.behind.get_or_insert_default();
        behind.since.entry(of).or_default();
        behind.held.push_back(Held { of, queued, kept });
    }

    /// A place that is kept for what stands behind goes to who stands in line. False
    /// where there is none.
    pub(super) fn give_up_place(&mut self) -> bool {
        let held = self.behind.iter_mut().flat_map(|behind| &mut behind.held);
        let Some(held) = held.into_iter().rfind(|held| held.kept) else { return false };
        held.kept = false;
        self.window.give_up_place();
        true
    }

    /// What stood behind has nothing before it any more.
    fn goes_on(&mut self, queued: Queued<M, K>, kept: bool) {
        let label = queued.message.label();
        match queued.place {
            Place::Holder(_) | Place::Own => {
                if self.window.let_in(kept) {
                    self.push_placed(queued);
                } else {
                    return self.stand_in_line(queued);
                }
            }
            Place::Left(..) => return self.push_left(queued),
            Place::Beyond | Place::Pulse(..) => self.push_or_stand(queued),
        }
        self.let_in.push(label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Capacity, Raise};

    /// Who sent it, and which of its messages it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Sent(u64, u32);

    impl Labelled for Sent {}

    type Queue = Port<Sent, u64>;

    const OUT: Ticket = Ticket(1);

    const fn task(number: u64) -> TaskId {
        TaskId { process: number, number: 0 }
    }

    fn taken(port: &mut Queue) -> Option<Sent> {
        let mut raises: Vec<Raise<u64>> = Vec::new();
        port.hand_out(0, &mut raises);
        port.take(0, &mut raises).map(|taken| taken.message)
    }

    /// A port that came, to which task 7 had a right.
    fn came(capacity: Capacity) -> Queue {
        let mut port = Queue::new(capacity);
        port.wait_for(OUT, task(7));
        let _ = port.window.join(7);
        let _ = port.window.join(8);
        port
    }

    #[test]
    fn what_its_sender_sent_to_the_old_owner_comes_first() {
        let mut port = came(Capacity::Bounded(16));
        assert_eq!(port.arrive_of(task(7), 7, Sent(7, 2)), Ok(Arrival::Beside));
        assert_eq!(port.enter_of(task(7), Sent(7, 3)), Ok(()));
        port.enter_beyond_of(task(7), Sent(7, 4));
        assert_eq!(port.leave_of(task(7), 7, Sent(7, 5)), Ok(()));
        // Others wait for nobody.
        assert_eq!(port.arrive_of(task(8), 8, Sent(8, 1)), Ok(Arrival::Queue));
        assert_eq!(taken(&mut port), Some(Sent(8, 1)));
        assert_eq!(taken(&mut port), None);
        assert!(!port.holds_nothing() && port.behind() == 3);
        port.adopt(Sent(7, 1));
        port.has_come(OUT);
        for number in 1..=5 {
            assert_eq!(taken(&mut port), Some(Sent(7, number)));
        }
        assert!(port.holds_nothing() && port.window.queued() == 0);
    }

    #[test]
    fn it_is_waited_for_all_its_rights() {
        let mut port = came(Capacity::Bounded(4));
        port.wait_for(Ticket(2), task(7));
        port.enter_beyond_of(task(7), Sent(7, 1));
        port.has_come(OUT);
        assert_eq!(taken(&mut port), None);
        port.has_come(Ticket(2));
        assert_eq!(taken(&mut port), Some(Sent(7, 1)));
        assert!(!port.waits_for(task(7)));
    }

    #[test]
    fn what_waits_takes_a_place_and_keeps_none_from_what_came() {
        let mut port = came(Capacity::Bounded(1));
        assert_eq!(port.enter_of(task(7), Sent(7, 2)), Ok(()));
        assert_eq!(port.enter_of(task(7), Sent(7, 3)), Err(Sent(7, 3)));
        assert_eq!(port.enter_of(task(9), Sent(9, 1)), Err(Sent(9, 1)));
        // It came with the port: nobody who waits behind keeps it from its receiver.
        port.adopt(Sent(7, 1));
        assert_eq!(taken(&mut port), Some(Sent(7, 1)));
        port.has_come(OUT);
        assert_eq!(taken(&mut port), Some(Sent(7, 2)));
        assert_eq!((port.window.promised(), port.window.beside()), (0, 0));
        assert_eq!(port.enter_of(task(7), Sent(7, 3)), Ok(()));
    }

    /// A third task sends on, and the old owner says nothing of it.
    fn held_up() -> Queue {
        let mut port = came(Capacity::Bounded(16));
        port.wait_for(Ticket(2), task(7));
        port.wait_for(Ticket(3), task(9));
        for number in 2..=3 {
            assert_eq!(port.arrive_of(task(7), 7, Sent(7, number)), Ok(Arrival::Beside));
        }
        port
    }

    #[test]
    fn an_old_owner_that_is_silent_holds_nothing_up_for_ever() {
        let mut port = held_up();
        // The first look begins.
        assert_eq!(port.next_look_behind(), Some(0));
        assert!(!port.look_behind(1_000, 30));
        assert_eq!(port.next_look_behind(), Some(1_010));
        assert!(!port.look_behind(1_010, 30) && !port.look_behind(1_025, 30));
        assert_eq!((taken(&mut port), port.next_look_behind()), (None, Some(1_035)));
        assert!(port.look_behind(1_035, 30));
        assert_eq!(taken(&mut port), Some(Sent(7, 2)));
        assert_eq!(taken(&mut port), Some(Sent(7, 3)));
        assert_eq!((port.window.queued(), port.next_look_behind()), (0, None));
        // From now on it waits for nobody; who has sent nothing since is still awaited.
        assert!(!port.waits_for(task(7)) && port.waits_for(task(9)));
        // What the old owner has after all is not lost.
        port.adopt(Sent(7, 1));
        assert_eq!(taken(&mut port), Some(Sent(7, 1)));
        port.has_come(OUT);
        port.has_come(Ticket(2));
        port.has_come(Ticket(3));
        assert!(port.holds_nothing());
    }

    #[test]
    fn time_in_which_nobody_looked_is_no_patience() {
        let mut port = held_up();
        assert!(!port.look_behind(1_000, 30));
        // We were stopped, and perhaps the old owner with us.
        assert!(!port.look_behind(1_000_000, 30) && !port.look_behind(1_000_001, 30));
        port.adopt(Sent(7, 1));
        port.has_come(OUT);
        port.has_come(Ticket(2));
        assert_eq!([(); 3].map(|()| taken(&mut port)), [1, 2, 3].map(|n| Some(Sent(7, n))));
    }

    #[test]
    fn each_has_a_patience_of_its_own() {
        let mut port = held_up();
        assert!(!port.look_behind(0, 30) && !port.look_behind(10, 30));
        port.enter_beyond_of(task(9), Sent(9, 1));
        assert!(!port.look_behind(20, 30));
        assert!(port.look_behind(30, 30));
        assert_eq!((taken(&mut port), port.behind()), (Some(Sent(7, 2)), 0));
        assert!(port.waits_for(task(9)) && !port.look_behind(40, 30));
        assert!(port.look_behind(50, 30));
        assert_eq!(taken(&mut port), Some(Sent(7, 3)));
        assert_eq!(taken(&mut port), Some(Sent(9, 1)));
        // What began to stand behind later begins anew.
        port.wait_for(OUT, task(9));
        port.enter_beyond_of(task(9), Sent(9, 2));
        assert!(!port.look_behind(60, 30) && !port.look_behind(70, 30));
        port.has_come(OUT);
        assert_eq!((taken(&mut port), port.next_look_behind()), (Some(Sent(9, 2)), None));
    }

    #[test]
    fn a_port_that_ends_gives_back_what_waits() {
        let mut port = came(Capacity::Unbounded);
        assert_eq!(port.arrive_of(task(7), 7, Sent(7, 1)), Ok(Arrival::Beside));
        assert_eq!(port.iter().count(), 1);
        assert_eq!(port.drain().collect::<Vec<_>>(), [Sent(7, 1)]);
    }

    #[test]
    fn whatever_happens_they_come_in_order_and_within_the_capacity() {
        for capacity in
            [1, 2, 3, 16].map(Capacity::Bounded).into_iter().chain([Capacity::Unbounded])
        {
            let mut random = 1_u64;
            let mut next = |below: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 33) % below
            };
            for _ in 0..2_000 {
                let mut port = came(capacity);
                // So many were sent to the old owner; then what was sent here.
                let early = next(4) as u32;
                let (mut brought, mut sent, mut last, mut others) = (0, early, 0, 0);
                let mut raises = Vec::new();
                for _ in 0..40 {
                    match next(7) {
                        0 if brought < early => {
                            brought += 1;
                            port.adopt(Sent(7, brought));
                        }
                        0 => port.has_come(OUT),
                        1 => {
                            port.window.ask(7, 0);
                            if port.arrive_of(task(7), 7, Sent(7, sent + 1)).is_ok() {
                                sent += 1;
                            }
                        }
                        2 => sent += u32::from(port.enter_of(task(7), Sent(7, sent + 1)).is_ok()),
                        3 => {
                            let arrived = port.arrive_of(task(8), 8, Sent(8, others + 1));
                            others += u32::from(arrived.is_ok());
                        }
                        4 => port.hand_out(0, &mut raises),
                        _ => {
                            if let Some(Sent(7, number)) = taken(&mut port) {
                                assert_eq!(number, last + 1);
                                last = number;
                            }
                        }
                    }
                    let window = &port.window;
                    assert!(
                        window.queued().saturating_add(window.promised()) <= window.places(),
                        "{port:?}"
                    );
                }
                while brought < early {
                    brought += 1;
                    port.adopt(Sent(7, brought));
                }
                port.has_come(OUT);
                while let Some(Sent(of, number)) = taken(&mut port) {
                    assert!(of == 8 || number == last + 1);
                    last = if of == 8 { last } else { number };
                }
                assert_eq!(last, sent);
            }
        }
    }
}
