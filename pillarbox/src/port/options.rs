//! What a port is made with.

use super::Capacity;

/// What a port is made with: how much it holds, and how it behaves. A
/// [`Capacity`] alone will do for most.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, PortOptions, Task};
/// let plain = Task::current()?.port(Capacity::Bounded(8));
/// let same = Task::current()?.port(PortOptions::new(Capacity::Bounded(8)));
/// assert_eq!(plain.status(), same.status());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PortOptions {
    pub(crate) capacity: Capacity,
}

impl PortOptions {
    /// A port that holds so much and is otherwise plain.
    pub fn new(capacity: Capacity) -> Self {
        let capacity = match capacity {
            Capacity::Bounded(0) => Capacity::Rendezvous,
            Capacity::Bounded(places) => {
                Capacity::Bounded(places.min(abi::limits::CAPACITY_MESSAGES))
            }
            other => other,
        };
        PortOptions { capacity }
    }
}

impl From<Capacity> for PortOptions {
    fn from(capacity: Capacity) -> Self {
        PortOptions::new(capacity)
    }
}
