//! Rules broken on purpose, to see that the checkers see.

/// One broken rule of the simulated task. The machines in `rights` are never
/// broken: what is broken is how a task acts on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A failed message does not take its gives back.
    TakeBackForgotten,
    /// A failed message leaves its exports behind.
    ExportLeftBehind,
    /// A dead peer's lane is not read to its end.
    DeadLaneUnread,
    /// Promises a dead peer held are not broken aloud.
    SilentPromise,
    /// A claim that hangs on the answer to another is refused.
    ChainRefused,
    /// What a dead task gave on before its claim was answered is forgotten.
    ChainForgotten,
    /// What was given to a dead task is called back though its lane is not read.
    CalledBackUnread,
    /// A promise that was given on unconfirmed is let go of aloud.
    GivenOnAloud,
    /// Messages leave the queue in another order.
    OrderTurned,
    /// A sender that asked is not told of its place.
    LookForgotten,
    /// What was sent is forgotten with the last right.
    SentForgotten,
    /// A sender of the port's own task does not wait for a place.
    NoPlaceNeeded,
    /// The owner of a given right does not hear that its receiver is dead.
    DeathUntold,
    /// A moved right is released one time, however often it came.
    ReleaseOne,
    /// A claim that came before its give is refused.
    RefusedTooEarly,
    /// A message that waits for a place is forgotten when its sender learns of
    /// room.
    WaitingForgotten,
    /// A promise whose receiver died is broken though its giver still has it.
    EndsTheGiversRight,
    /// A giver whose ticket was guessed is blamed for using its own right.
    RobbedBlamed,
    /// A giver is blamed where the owner refuses the claim.
    RefusedBlamed,
    /// A message on a right that has ended enters the queue.
    RevokedEnters,
    /// What is sent on a right for so many messages is not counted.
    UseUncounted,
    /// A revoked right at a peer still counts as a sender.
    RevokedStillCounted,
    /// Who hands places back on a right that has just ended is blamed.
    CrossedReturnBlamed,
    /// A slot can be used before the message that names it is published.
    UsableUnsent,
    /// A port moves and its importers' slots do not say so.
    MarkForgotten,
    /// A move is published and the importers are not told to look.
    CommitUnsaid,
    /// What the old owner of a port hears of a right's end it keeps to itself.
    EndUntold,
    /// A claim is answered though messages are still on their way.
    JoinedTooEarly,
    /// What is sent on a right made since its port came goes before what its sender had
    /// sent to the old owner.
    NotBehind,
    /// What a bag brings does not count for the right it came on.
    BroughtUncounted,
    /// A claim is refused though the old owner's lane shows more.
    AnsweredBlindly,
    /// The right at the old owner is kept after it has followed.
    OldSlotKept,
    /// A port may lie in its own queue.
    CircleKept,
    /// The promises that an old owner passes on are senders.
    PromisesAreSenders,
    /// The promises a dead old owner would have passed on are not broken aloud.
    RelayedUnbroken,
    /// A failed move does not ask again to hear of no senders.
    NotArmedAnew,
    /// What is to be sent again does not go after its port.
    AgainStays,
    /// What a dead owner had not read does not go before what its sender has sent since.
    AgainOvertaken,
    /// The answer to a call that was withdrawn is taken.
    LateIsKept,
    /// The slot of a withdrawn call ends at once, though its use may be on the way.
    WithdrawnSlotEnds,
    /// The slot of the next holder is born without what the caller wants.
    BornWithoutState,
    /// Parts of answers are not kept.
    PartLost,
    /// A second message is left before the first was taken.
    LeftTwice,
    /// Who left a message does not hear that it may leave another.
    TakenUnsaid,
    /// Who asked for room is not told.
    RoomUntold,
    /// What a dead task had left is thrown away.
    LeftDiesWithSender,
    /// A pulse that was taken does not show on the board.
    PulsesUnraised,
    /// A sender does not count its pulses.
    PulseUncounted,
    /// Pulses that became one are one when their port moves.
    PulsesMoveAsOne,
    /// The rights in a message that a port dropped are kept.
    FallenKept,
    /// A port that moves forgets how much it dropped.
    DroppedForgotten,
    /// What a reader has is handed to another too.
    SharedTwice,
    /// What a reader gave back is forgotten.
    SharedForgotten,
    /// A reader whose port is gone is buried though its answer may be on its way.
    SharedBuriedEarly,
    /// A message goes by the lane though its slot has spilled ones.
    BesideTheSpill,
    /// The lane does not say what was spilled before what follows.
    SpillUnmarked,
    /// A spilled message is taken before what the lane held when it was sent.
    SpillTakenEarly,
    /// What comes in the lane does not wait for what was spilled before it.
    SpillNotWaitedFor,
    /// A right goes home though spilled messages go to it.
    SpillReleasedEarly,
    /// What a dead task spilled is not read.
    SpillDiesWithSender,
    /// What was spilled for a dead old owner is not sent again.
    SpillNotSentAgain,
    /// Spilled messages are taken whatever waits.
    SpillWindowIgnored,
    /// A message that is one too many to be spilled does not come back.
    OverLimitLost,
    /// A member of a set that has something is not noted.
    ReadyUnnoted,
    /// A member of a set is taken from until it is empty.
    SetGreedy,
}

impl Fault {
    /// Those that chance shows within a few hundred seeds. `RobbedBlamed` needs
    /// a guess at the right moment, and has a test of its own; so have those of what
    /// is given on, where the right one must die, `NotArmedAnew`, `AgainStays`,
    /// `AgainOvertaken` and `NotBehind`.
    pub const BY_CHANCE: [Fault; 56] = [
        Fault::TakeBackForgotten,
        Fault::ExportLeftBehind,
        Fault::DeadLaneUnread,
        Fault::SilentPromise,
        Fault::OrderTurned,
        Fault::LookForgotten,
        Fault::SentForgotten,
        Fault::NoPlaceNeeded,
        Fault::DeathUntold,
        Fault::ReleaseOne,
        Fault::RefusedTooEarly,
        Fault::WaitingForgotten,
        Fault::EndsTheGiversRight,
        Fault::RefusedBlamed,
        Fault::RevokedEnters,
        Fault::UseUncounted,
        Fault::RevokedStillCounted,
        Fault::CrossedReturnBlamed,
        Fault::UsableUnsent,
        Fault::MarkForgotten,
        Fault::CommitUnsaid,
        Fault::EndUntold,
        Fault::JoinedTooEarly,
        Fault::BroughtUncounted,
        Fault::AnsweredBlindly,
        Fault::OldSlotKept,
        Fault::CircleKept,
        Fault::PromisesAreSenders,
        Fault::RelayedUnbroken,
        Fault::LateIsKept,
        Fault::WithdrawnSlotEnds,
        Fault::BornWithoutState,
        Fault::PartLost,
        Fault::LeftTwice,
        Fault::TakenUnsaid,
        Fault::RoomUntold,
        Fault::LeftDiesWithSender,
        Fault::PulsesUnraised,
        Fault::PulseUncounted,
        Fault::PulsesMoveAsOne,
        Fault::FallenKept,
        Fault::DroppedForgotten,
        Fault::SharedTwice,
        Fault::SharedForgotten,
        Fault::SharedBuriedEarly,
        Fault::BesideTheSpill,
        Fault::SpillUnmarked,
        Fault::SpillTakenEarly,
        Fault::SpillNotWaitedFor,
        Fault::SpillReleasedEarly,
        Fault::SpillDiesWithSender,
        Fault::SpillNotSentAgain,
        Fault::SpillWindowIgnored,
        Fault::OverLimitLost,
        Fault::ReadyUnnoted,
        Fault::SetGreedy,
    ];
}
