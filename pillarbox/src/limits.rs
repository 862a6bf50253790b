//! Limits of one task, which may be lower than those of the library.
//!
//! [`abi::limits`] says what each is for and how it comes about; `docs/limits.md`
//! who hits it and what that one is told.

pub use abi::limits::*;

macro_rules! limits {
    ($($(#[$doc:meta])+ $field:ident: $type:ty = $constant:ident, $kind:ident, $least:expr;)+) => {
        /// What one task allows itself and those it talks with.
        ///
        /// A limit can be lowered and never raised: what is above the library's own
        /// counts as that, and what is too low to work with as the lowest that does.
        ///
        /// # Examples
        /// ```
        /// use pillarbox::{Limits, Task};
        /// let task = Task::new_with(Limits { links: 4, ..Limits::default() });
        /// assert_eq!(task.limits().links, 4);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits { $($(#[$doc])+ pub $field: $type,)+ }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($field: $constant,)+ }
            }
        }

        /// One of the limits that a task may lower.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Limit { $($(#[$doc])+ $kind,)+ }

        impl Limit {
            /// All of them.
            pub const ALL: &[Limit] = &[$(Limit::$kind,)+];

            /// The constant it begins as, in [`crate::limits`].
            pub const fn constant(self) -> &'static str {
                match self { $(Limit::$kind => stringify!($constant),)+ }
            }
        }

        impl Limits {
            /// One of them, as a number.
            pub fn value(&self, limit: Limit) -> u64 {
                match limit {
                    $(Limit::$kind => u64::try_from(self.$field).unwrap_or(u64::MAX),)+
                }
            }

            /// With every limit between the lowest that works and the library's own.
            pub(crate) fn within(self) -> Limits {
                Limits { $($field: self.$field.clamp($least, $constant),)+ }
            }
        }
    };
}

limits! {
    /// Bytes in the lanes it writes; rounded down to a power of two. The peer is
    /// told with the greeting.
    lane_bytes: u32 = LANE_BYTES, LaneBytes, LANE_BYTES_MIN;
    /// Bytes in the body of a message it sends.
    message_bytes: u64 = MESSAGE_BYTES, MessageBytes, 0;
    /// Rights in a message it sends.
    message_rights: usize = MESSAGE_RIGHTS, MessageRights, 0;
    /// Descriptors in a message it sends.
    message_descriptors: usize = MESSAGE_DESCRIPTORS, MessageDescriptors, 0;
    /// Regions in a message it sends.
    message_regions: usize = MESSAGE_REGIONS, MessageRegions, 0;
    /// Bytes one peer may have waiting in its queues. The peer is told by its window.
    link_queued_bytes: u64 = LINK_QUEUED_BYTES, LinkQueuedBytes, LINK_QUEUED_BYTES_MIN;
    /// Bytes it spills for one peer that does not read its unbounded ports.
    spill_bytes: u64 = SPILL_BYTES, SpillBytes, 0;
    /// Bytes of memory it has for what it lends to one peer; what finds no room there
    /// travels in memory of its own.
    arena_bytes: u64 = ARENA_BYTES, ArenaBytes, 0;
    /// Bytes its own senders may have waiting in its own unbounded ports.
    own_queued_bytes: u64 = OWN_QUEUED_BYTES, OwnQueuedBytes, 0;
    /// Questions of one link that may be open: half of them its own claims, half
    /// its own questions of how full a port is.
    questions: u32 = QUESTIONS, Questions, 2;
    /// Rights of its own that one peer may hold.
    slots: u32 = SLOTS, Slots, 0;
    /// Rights one peer may give away of it that nobody has claimed yet.
    gives: usize = GIVES, Gives, 0;
    /// How long, in nanoseconds, what comes to a port of its own waits for what its sender
    /// sent to the port's old owner, which has not passed that on.
    passing_on_ns: u64 = PASSING_ON_NS, PassingOn, 0;
    /// Tasks it is linked with because they came to it.
    links: usize = LINKS, Links, 0;
    /// Connections of one user that have not said who they are.
    strangers: usize = STRANGERS, Strangers, 1;
    /// Places of a bounded port.
    capacity_messages: u32 = CAPACITY_MESSAGES, CapacityMessages, 1;
    /// Send rights with terms or badges.
    facets: usize = FACETS, Facets, 0;
    /// Programs it starts on request.
    started: usize = STARTED, Started, 0;
    /// Bytes of memory it makes on request.
    region_bytes: u64 = REGION_BYTES, RegionBytes, 0;
}

impl Limits {
    /// The size of a lane: a power of two.
    pub(crate) fn lane(&self) -> u32 {
        let next = self.lane_bytes.next_power_of_two();
        if next > self.lane_bytes { next / 2 } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_lowered_and_never_raised() {
        let high = Limits { links: usize::MAX, slots: u32::MAX, ..Limits::default() };
        assert_eq!(high.within(), Limits::default());
        let low = Limits { lane_bytes: 0, link_queued_bytes: 0, strangers: 0, ..high }.within();
        assert_eq!(low.lane(), LANE_BYTES_MIN);
        assert_eq!((low.link_queued_bytes, low.strangers), (LINK_QUEUED_BYTES_MIN, 1));
        let odd = Limits { lane_bytes: LANE_BYTES_MIN * 2 - 1, ..high }.within();
        assert_eq!(odd.lane(), LANE_BYTES_MIN);
        assert_eq!(Limits::default().lane(), LANE_BYTES);
    }
}
