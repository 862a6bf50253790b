//! A queue with a window: what was accepted, in order.

use std::collections::VecDeque;
use std::hash::Hash;

use abi::Offence;

use crate::window::{Capacity, Raise, Window};

/// A message in a queue, and whom its place is charged to.
#[derive(Clone, Debug)]
struct Queued<M, K> {
    message: M,
    place: Place<K>,
}

#[derive(Clone, Copy, Debug)]
enum Place<K> {
    /// A place of the window, granted to a holder of another task.
    Holder(K),
    /// A place of the window, taken by a sender of our own.
    Own,
    /// Send-once messages and notifications took their place when the right was
    /// made; they never wait.
    Beyond,
}

/// The queue of one port.
#[derive(Clone, Debug)]
pub struct Port<M, K> {
    /// Who may send.
    pub window: Window<K>,
    queue: VecDeque<Queued<M, K>>,
    sequence: u64,
}

impl<M, K: Copy + Eq + Hash> Port<M, K> {
    /// An empty queue.
    pub fn new(capacity: Capacity) -> Self {
        Port { window: Window::new(capacity), queue: VecDeque::new(), sequence: 0 }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Queues a message that `holder` was granted a place for.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`], with the message.
    pub fn arrive(&mut self, holder: K, message: M) -> Result<(), (Offence, M)> {
        if let Err(offence) = self.window.arrive(holder) {
            return Err((offence, message));
        }
        self.queue.push_back(Queued { message, place: Place::Holder(holder) });
        Ok(())
    }

    /// Queues a message of our own task, if there is room for it now.
    ///
    /// # Errors
    /// The message, where there is none.
    pub fn enter(&mut self, message: M) -> Result<(), M> {
        if !self.window.enter() {
            return Err(message);
        }
        self.queue.push_back(Queued { message, place: Place::Own });
        Ok(())
    }

    /// Queues a message that took its place when its right was made.
    pub fn enter_beyond(&mut self, message: M) {
        self.queue.push_back(Queued { message, place: Place::Beyond });
    }

    /// Takes the first message, with the number of its turn.
    pub fn take(&mut self, now_ns: u64, raises: &mut Vec<Raise<K>>) -> Option<(u64, M)> {
        let Queued { message, place } = self.queue.pop_front()?;
        match place {
            Place::Holder(holder) => self.window.take(Some(holder), now_ns, raises),
            Place::Own => self.window.take(None, now_ns, raises),
            Place::Beyond => {}
        }
        self.sequence += 1;
        Some((self.sequence, message))
    }

    /// The messages that wait, the first first.
    pub fn iter(&self) -> impl Iterator<Item = &M> {
        self.queue.iter().map(|queued| &queued.message)
    }

    /// Empties the queue, for a port that ends.
    pub fn drain(&mut self) -> impl Iterator<Item = M> {
        self.queue.drain(..).map(|queued| queued.message)
    }
}
