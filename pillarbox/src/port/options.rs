//! What a port is made with.

use abi::limits;

use super::{Capacity, Order, Overflow};

/// What a port is made with: how much it holds, and how it behaves. A
/// [`Capacity`] alone will do for most.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Order, PortOptions, Task};
/// let options = PortOptions::new(Capacity::Bounded(8)).order(Order::Priority);
/// let inbox = Task::current()?.port(options);
/// let post = inbox.make_send()?;
/// post.send(Message::new("later"), Deadline::Never)?;
/// post.send(Message::new("first").with_priority(1), Deadline::Never)?;
/// assert_eq!(inbox.receive(Deadline::Never)?.body(), b"first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PortOptions {
    pub(crate) capacity: Capacity,
    pub(crate) order: Order,
    pub(crate) overflow: Overflow,
    pub(crate) pulses: u32,
    pub(crate) merge_pulses: bool,
}

impl PortOptions {
    /// A port that holds so much and is otherwise plain.
    #[inline]
    pub fn new(capacity: Capacity) -> Self {
        let capacity = match capacity {
            Capacity::Bounded(0) => Capacity::Rendezvous,
            Capacity::Bounded(places) => Capacity::Bounded(places.min(limits::CAPACITY_MESSAGES)),
            other => other,
        };
        let (order, pulses) = (Order::Fifo, limits::PULSES);
        let overflow = Overflow::Refuse;
        PortOptions { capacity, order, overflow, pulses, merge_pulses: false }
    }

    /// What the port does with one message more than it holds. It refuses unless
    /// it is said otherwise.
    ///
    /// A port that drops never makes a sender wait for a place: what is sent is
    /// accepted, and what is dropped is counted in [`crate::PortStatus`]. The
    /// rights of a dropped message go home, its send-once rights speak. What
    /// comes on a send-once right, notifications and pulses are never dropped.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Overflow, PortOptions, Task};
    /// let options = PortOptions::new(Capacity::Bounded(1)).overflow(Overflow::DropOldest);
    /// let latest = Task::current()?.port(options);
    /// let post = latest.make_send()?;
    /// post.send(Message::new("old"), Deadline::Now)?;
    /// post.send(Message::new("new"), Deadline::Now)?;
    /// assert_eq!(latest.status().dropped, 1);
    /// assert_eq!(latest.receive(Deadline::Now)?.body(), b"new");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The order in which messages are received. First in, first out unless it is
    /// said otherwise.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How many pulses each holder of a send right may have in the queue: each
    /// other task for each right it holds, and this task for all of its own.
    /// [`limits::PULSES`] unless it is said otherwise, at most
    /// [`limits::PULSES_MAX`]; none for 0.
    #[must_use]
    pub fn pulses(mut self, each: u32) -> Self {
        self.pulses = each.min(limits::PULSES_MAX);
        self
    }

    /// Whether equal pulses of one holder that would stand next to each other in
    /// the queue become one, which tells how many it stands for.
    #[must_use]
    pub fn merge_pulses(mut self, merge: bool) -> Self {
        self.merge_pulses = merge;
        self
    }
}

impl From<Capacity> for PortOptions {
    fn from(capacity: Capacity) -> Self {
        PortOptions::new(capacity)
    }
}
