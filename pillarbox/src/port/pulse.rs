//! Pulses: a few bytes in the queue that never wait for a place.

use abi::Offence;
use rights::port::PulseArrived;
use rights::pulses::PulseRaise;
use rights::queue::Labelled;
use rights::terms::{End, Refusal};

use super::PortCore;
use super::after::After;
use super::coming::Away;
use super::state::{Holder, PortState};
use crate::error::PulseError;
use crate::link::Link;
use crate::message::Message;
use crate::wait::parking::lock;

/// Who sends the pulses of our own task: no waiting thread has this number.
const OWN: Holder = Holder::Own(0);

impl PortState {
    /// A peer may send pulses up to this count from now on. It finds that on the
    /// board when it looks; nobody waits for it.
    pub(super) fn raise_pulses(&self, raise: Option<PulseRaise<Holder>>) {
        let Some(PulseRaise { holder: Holder::Link(number, via), granted }) = raise else { return };
        let Some(place) = self.boards.get(&(number, via)) else { return };
        let Some(link) = place.link.upgrade() else { return };
        link.own_page().set_pulses(place.slot.index, granted);
    }

    /// Queues a pulse that was admitted.
    fn queue_pulse(
        &mut self,
        holder: Holder,
        pulse: Message,
        after: &mut After,
    ) -> Result<(), Offence> {
        let label = pulse.label();
        match self.take_pulse(holder, pulse, after) {
            Ok(PulseArrived::Queued) => self.wake_for(label, after),
            Ok(PulseArrived::Merged(pulse, raise)) => {
                // Its neighbour has woken whoever it is for.
                after.drop_later(pulse);
                self.raise_pulses(raise);
            }
            Err((offence, pulse)) => {
                after.drop_later(pulse);
                return Err(offence);
            }
        }
        Ok(())
    }
}

impl PortCore {
    /// A pulse came on a send right of a peer.
    pub(crate) fn pulse_arrives(
        &self,
        link: &Link,
        via: u64,
        mut pulse: Message,
        after: &mut After,
    ) -> Result<(), Offence> {
        let holder = Holder::Link(link.number, via);
        let now_ns = self.task.now_ns();
        let mut state = match self.at_home(link, via, |queue, holder| queue.pulses.arrive(holder)) {
            Ok(state) => state,
            Err(Away::Gone(gone, granted)) => {
                return gone.pulse((link.number, via), pulse, granted, after);
            }
            Err(Away::Ended) => {
                after.drop_later(pulse);
                return Ok(());
            }
        };
        match state.admit(self.id, via, &pulse, now_ns, after) {
            Ok(admitted) => {
                if via != self.id {
                    state.mark(Some(via), &mut pulse);
                }
                state.queue_pulse(holder, pulse, after)?;
                state.queued(admitted, now_ns, after);
            }
            Err(refusal) => {
                after.drop_later(pulse);
                if let Refusal::Id(_) = refusal {
                    let raise = state.queue.refuse_pulse(holder)?;
                    state.raise_pulses(raise);
                }
                state.facets.rules.count_refused();
            }
        }
        Ok(())
    }

    /// Sends a pulse of our own task.
    pub(crate) fn pulse_own(&self, via: Option<u64>, mut pulse: Message) -> Result<(), PulseError> {
        let now_ns = self.task.now_ns();
        let mut after = After::default();
        let sent = {
            let mut state = lock(&self.state);
            let state = &mut *state;
            let permits = |via| state.facets.rules.permits(via, pulse.id(), now_ns);
            match via.map_or(Ok(()), permits) {
                _ if !state.alive => Err(PulseError::Dead),
                Err(Refusal::Ended(End::Revoked | End::Expired | End::Spent)) => {
                    Err(PulseError::Revoked)
                }
                Err(Refusal::Id(id)) => Err(PulseError::NotPermitted(id)),
                Ok(()) => {
                    state.mark(via, &mut pulse);
                    let id = pulse.id();
                    let queued = state.queue_pulse(OWN, pulse, &mut after);
                    if queued.is_ok() {
                        state.count_own(via, id, now_ns, &mut after);
                    }
                    queued.map_err(|_| PulseError::NoRoom)
                }
            }
        };
        after.run();
        sent
    }
}
