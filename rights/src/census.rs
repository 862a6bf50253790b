//! Where every right is.

use abi::TaskId;

/// What sort of thing is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Holding {
    /// The receive right of a port of ours.
    Receive,
    /// Send rights to a port of ours, in our own space.
    OwnSend,
    /// Send-once rights to a port of ours, in our own space.
    OwnSendOnce,
    /// Send rights to a port of ours that a peer holds.
    ExportedSend,
    /// Send-once rights to a port of ours that a peer holds.
    ExportedSendOnce,
    /// Send rights to a peer's port.
    ImportedSend,
    /// Send-once rights to a peer's port.
    ImportedSendOnce,
    /// Rights given to us that their owner has not confirmed yet.
    Joining,
    /// Rights to a port of ours that one peer gave another, not yet claimed.
    Given,
    /// Rights that lead nowhere any more, because their port is gone or they
    /// were revoked, and whose holder has not let go of them.
    Dead,
    /// No right, but messages of peers that a port refused because the right
    /// they came on did not permit them, or not any more.
    Refused,
}

impl Holding {
    /// The name used in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Holding::Receive => "receive",
            Holding::OwnSend => "send",
            Holding::OwnSendOnce => "send-once",
            Holding::ExportedSend => "exported send",
            Holding::ExportedSendOnce => "exported send-once",
            Holding::ImportedSend => "imported send",
            Holding::ImportedSendOnce => "imported send-once",
            Holding::Joining => "joining",
            Holding::Given => "given",
            Holding::Dead => "dead",
            Holding::Refused => "refused",
        }
    }
}

/// One line of a census.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// What is held.
    pub holding: Holding,
    /// Which port: a number of the owner's for its own, a slot index for a
    /// peer's.
    pub port: u64,
    /// The peer it concerns.
    pub peer: Option<TaskId>,
    /// How many.
    pub count: u64,
}

/// The rights of one task by kind, port and peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The lines, sorted.
    pub rows: Vec<Row>,
}

impl Census {
    /// How many of one sort there are in all.
    pub fn count(&self, holding: Holding) -> u64 {
        self.rows.iter().filter(|row| row.holding == holding).map(|row| row.count).sum()
    }

    /// How many of one sort concern `peer`.
    pub fn count_with(&self, holding: Holding, peer: TaskId) -> u64 {
        self.rows
            .iter()
            .filter(|row| row.holding == holding && row.peer == Some(peer))
            .map(|row| row.count)
            .sum()
    }
}

impl FromIterator<Row> for Census {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut rows: Vec<Row> = rows.into_iter().filter(|row| row.count > 0).collect();
        rows.sort_unstable();
        Census { rows }
    }
}
