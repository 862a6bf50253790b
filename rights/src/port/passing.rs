//! A message that comes while its receiver is there, and never lies in the queue.

use std::hash::Hash;

use super::Port;
use crate::queue::Labelled;
use crate::window::Raise;

/// A message that went by the queue.
#[derive(Debug)]
#[must_use = "a raised grant must reach its holder"]
pub struct Passed<K> {
    /// The number of its turn.
    pub sequence: u64,
    /// Its place went back into its sender's reserve.
    pub raise: Option<Raise<K>>,
}

impl<M: Labelled, K: Copy + Eq + Hash> Port<M, K> {
    /// Counts a message of `holder` that comes and is received at once: the same is
    /// then so as if it had been queued and taken. `None` where that would not be the
    /// same, or it may not come: something waits here, or somebody for a place or to hear
    /// of one, or its place was written off, or it has none.
    pub fn pass(&mut self, holder: K) -> Option<Passed<K>> {
        if !self.holds_nothing() || self.window.minds_time() || self.window.is_watched() {
            return None;
        }
        let raise = self.window.pass(holder)?;
        self.sequence += 1;
        Some(Passed { sequence: self.sequence, raise })
    }

    /// Whether a message that took its place when its right was made may pass: nothing
    /// waits here, and nobody for a place.
    pub fn may_pass_beyond(&self) -> bool {
        self.holds_nothing() && !self.window.minds_time()
    }

    /// Counts such a message as [`Port::pass`] does. Returns its number; `None` where it may
    /// not pass.
    pub fn pass_beyond(&mut self) -> Option<u64> {
        if !self.may_pass_beyond() {
            return None;
        }
        self.sequence += 1;
        Some(self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Overflow;
    use crate::window::{Arrival, Capacity};

    #[derive(Clone, Debug)]
    struct Nothing;

    impl Labelled for Nothing {}

    type Numbers = Port<Nothing, u32>;

    /// What may be known of a port beside its empty queue.
    fn seen(port: &Numbers) -> String {
        format!("{:?} {}", port.window, port.sequence)
    }

    fn ports() -> Vec<Numbers> {
        let capacities = [1, 5, 8, 64].map(Capacity::Bounded);
        let plain = capacities.into_iter().chain([Capacity::Unbounded, Capacity::Rendezvous]);
        let dropping = Port::new(Capacity::Bounded(8)).overflowing(Overflow::DropOldest);
        plain.map(Port::new).chain([dropping]).collect()
    }

    #[test]
    fn to_pass_is_to_be_queued_and_taken() {
        let (mut passed, mut refused, mut beyond) = (0, 0, 0);
        for mut port in ports() {
            let mut raises = Vec::new();
            let mut random = 1_u64;
            for _ in 0..2_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let holder = (random >> 33) as u32 % 3;
                match (random >> 40) % 26 {
                    0 => {
                        port.window.leave(holder);
                        let _ = port.window.join_alone(holder);
                    }
                    1 => port.window.ask(holder, 0),
                    2 => drop(port.window.grant_more(holder, 2)),
                    3 => port.window.write_off(random >> 45),
                    4..8 => port.hand_out(random >> 45, &mut raises),
                    8..14 => while port.take(0, &mut raises).is_some() {},
                    14 => drop(port.arrive(holder, Nothing)),
                    15 => port.window.watch(holder),
                    16 => drop(port.window.tell_room()),
                    17..19 => {
                        let (mut by, mut through) = (port.clone(), port.clone());
                        let Some(sequence) = by.pass_beyond() else { continue };
                        through.enter_beyond(Nothing);
                        let mut raises = Vec::new();
                        assert_eq!(through.take(0, &mut raises).unwrap().sequence, sequence);
                        assert_eq!((seen(&by), raises), (seen(&through), Vec::new()));
                        beyond += 1;
                        port = by;
                    }
                    _ => {
                        let (mut by, mut through) = (port.clone(), port.clone());
                        let Some(done) = by.pass(holder) else {
                            refused += 1;
                            continue;
                        };
                        assert_eq!(through.arrive(holder, Nothing).unwrap(), Arrival::Queue);
                        let mut raises = Vec::new();
                        let taken = through.take(0, &mut raises).unwrap();
                        assert_eq!(done.sequence, taken.sequence);
                        assert_eq!(Vec::from_iter(done.raise), raises);
                        assert_eq!(seen(&by), seen(&through));
                        assert_eq!(by.window.tell_room(), through.window.tell_room());
                        assert!(port.window.tell_room().is_empty(), "who waits hears of it");
                        passed += 1;
                        port = by;
                    }
                }
            }
        }
        assert!(passed > 500 && refused > 500, "{passed} passed, {refused} did not");
        assert!(beyond > 100, "{beyond} passed beyond the window");
    }
}
