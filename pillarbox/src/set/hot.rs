//! Receiving what comes to a member as it comes, by the thread that waits at the set.
//!
//! It looks into the lanes as who waits for one port does ([`crate::port`]), for any
//! member. What it finds there for one it takes past the queue, where nothing is ready at
//! the set and nobody stands there. Wherever anything is in the way it goes the general
//! way.

use std::sync::Arc;

use super::{Member, SetCore};
use crate::deadline::Deadline;
use crate::link::Turn;
use crate::message::Message;
use crate::port::{Near, PortCore, TURNS, taken_out};
use crate::wait::parking::{lock, try_lock};
use crate::wait::{BURST, Spin};

impl SetCore {
    /// Whether it is open and nobody stands in line at it. Under a member's lock.
    pub(crate) fn is_free(&self) -> bool {
        let state = lock(&self.state);
        !state.closed && state.waiting.is_empty()
    }

    /// The same, and nothing is ready.
    fn is_quiet(&self) -> bool {
        let state = lock(&self.state);
        !state.closed && state.waiting.is_empty() && state.ready.waiting() == 0
    }

    /// Takes a message for a member out of a lane if one of at most `room` bytes comes while
    /// this thread spins.
    pub(super) fn receive_awake(
        self: &Arc<Self>,
        room: usize,
        deadline: Deadline,
    ) -> Option<(Member, Message)> {
        let task = &self.task;
        let _hush = task.hush()?;
        let mut spin = Spin::begin(task, deadline);
        let mut turns = 0;
        // Most sets are sent to at one member, time and again.
        let mut known: Option<Arc<PortCore>> = None;
        'turns: loop {
            if task.has_business() || !self.is_quiet() {
                return None;
            }
            let mut seat = try_lock(&task.seat)?;
            let _ = seat.links(task);
            for _ in 0..BURST {
                if let Some(link) = seat.next_with_frames() {
                    known = link.comes_to(known.take(), room);
                    let near = known.as_deref().map(|port| Near { port, set: Some(self) });
                    if let Some(near) = near
                        && let Some(message) = link.take_plain(near)
                    {
                        return Some((Member(near.port.id), message));
                    }
                    turns += 1;
                    if turns > TURNS {
                        return None;
                    }
                    let mut turn = Turn::default();
                    // How long what lies behind it is nobody has looked.
                    let message = match near.filter(|_| room == usize::MAX) {
                        Some(near) => link.drain_near(near, &mut turn),
                        None => {
                            let _ = link.drain(&mut turn);
                            None
                        }
                    };
                    task.answer_claims(&mut turn);
                    drop(seat);
                    task.finish_turn(turn);
                    task.tell_pollers();
                    match (message, near) {
                        (Some(message), Some(near)) => {
                            return Some((Member(near.port.id), taken_out(message)));
                        }
                        _ => continue 'turns,
                    }
                }
                if !spin.turn() {
                    return None;
                }
            }
        }
    }
}
