//! What a peer can do wrong, one word for each.
//!
//! An offence ends the link it was committed on and nothing else. Every offence
//! is raised in one place and has one test of its name.

/// A peer broke the protocol, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Offence {
    /// The first packet is not one of ours.
    #[error("the peer's first packet is not a Pillarbox hello")]
    HelloMalformed,
    /// The peer speaks a version we do not.
    #[error("the peer speaks protocol version {theirs}, we speak {ours}", ours = crate::hello::VERSION)]
    VersionUnknown {
        /// The version the peer named.
        theirs: u32,
    },
    /// The peer offered a lane of a size outside the limits.
    #[error("the peer offered a lane of {0} bytes")]
    LaneSize(u32),
    /// The peer's first packet carried no memory, or more than one descriptor.
    #[error("the peer's hello carried the wrong number of descriptors")]
    HelloDescriptors,
    /// The kernel did not say who the peer is.
    #[error("the peer's hello came without credentials")]
    CredentialsMissing,
    /// A descriptor that must be a memfd is something else.
    #[error("the peer passed a descriptor of the wrong kind where memory was due")]
    MemoryKind,
    /// The peer's memory lacks a seal.
    #[error("the peer's memory is not sealed as it must be")]
    SealMissing,
    /// The peer's memory has another size than was said.
    #[error("the peer's memory has another size than it said")]
    MemorySize,
    /// The peer's memory has holes, which reading would charge to us.
    #[error("the peer's memory is not wholly allocated")]
    MemoryHoles,
    /// The page does not begin as a page does.
    #[error("the peer's memory is not a Pillarbox page")]
    PageMalformed,
    /// A frame ends before what it says it holds.
    #[error("a frame of the peer's ends too early")]
    FrameTruncated,
    /// A frame is longer than the limit, or longer than what was announced.
    #[error("a frame of the peer's is longer than it may be")]
    FrameOversized,
    /// A frame of a kind nobody defined.
    #[error("a frame of the peer's is of an unknown kind")]
    FrameKind,
    /// A flag nobody defined, or one that does not fit its frame.
    #[error("a frame of the peer's carries flags that do not fit")]
    FrameFlags,
    /// The announced head lies outside the lane.
    #[error("the peer announced a head outside its lane")]
    HeadImpossible,
    /// The announced tail lies outside what we wrote.
    #[error("the peer announced a tail outside what was written")]
    TailImpossible,
    /// An index that was never exported to this peer.
    #[error("the peer used a right that was never given to it")]
    NeverExported,
    /// A name from an earlier life of its slot.
    #[error("the peer used a right it no longer holds")]
    GenerationStale,
    /// A slot was given to us again while we still hold its last life.
    #[error("the peer used a slot again that is still held")]
    GenerationReused,
    /// More releases than there were rights.
    #[error("the peer released more rights than it holds")]
    ReleasedTooMany,
    /// A message beyond the window of its port.
    #[error("the peer sent more messages than it was granted")]
    WindowExceeded,
    /// More pulses than the port grants one holder.
    #[error("the peer sent more pulses than it was granted")]
    PulsesExceeded,
    /// A message or pulse with a priority above the highest.
    #[error("the peer sent a message of priority {0}, the highest is {highest}", highest = crate::limits::PRIORITY_MAX)]
    PriorityExceeded(u16),
    /// A second message left with a port that has not taken the first.
    #[error("the peer left a second message with a full port")]
    LeftTwice,
    /// More bytes than the link's window.
    #[error("the peer sent more bytes than it was granted")]
    BytesExceeded,
    /// A right of another kind than the operation needs.
    #[error("the peer used a right in a way its kind does not allow")]
    RightKind,
    /// A frame speaks of descriptors that did not come before it.
    #[error("the peer announced descriptors and sent none")]
    DescriptorsMissing,
    /// Descriptors came that no frame owns.
    #[error("the peer sent descriptors that no message owns")]
    DescriptorsUnowned,
    /// A packet on the socket that is none of ours.
    #[error("the peer sent an unknown packet")]
    PacketMalformed,
    /// A body in memory that is not sealed, or of another size.
    #[error("the peer sent a body that is not what it says")]
    BodyMalformed,
    /// An answer to a question that was not asked.
    #[error("the peer answered a question that was not asked")]
    AnswerUnasked,
    /// More questions than may be open.
    #[error("the peer asked more questions than may be open")]
    QuestionsExceeded,
    /// The task that answered is not the one the giver named.
    #[error("the peer is not the task the giver named")]
    WrongTask,
    /// A ticket was written twice.
    #[error("the peer used a ticket twice")]
    TicketReused,
    /// More gives than may wait to be claimed.
    #[error("the peer gave more than may wait to be claimed")]
    GivesExceeded,
    /// A board that does not follow the last.
    #[error("the peer offered a board out of order")]
    BoardOrder,
    /// A part of an answer beyond the room that was declared for it.
    #[error("the peer wrote a part of an answer beyond its room")]
    PartBeyondRoom,
    /// What was spilled is not what it must be: a frame that is no message of its
    /// slot, or numbers that do not grow.
    #[error("the peer spilled what cannot be spilled")]
    SpillMalformed,
    /// More spilled than may wait to be read.
    #[error("the peer spilled more than may wait to be read")]
    SpillsExceeded,
    /// More was taken of a spill than was in it.
    #[error("the peer says it took more than was spilled")]
    EmptiedImpossible,
    /// A bag that does not begin with its port, a port that nobody could have made,
    /// or a frame that does not belong where it lies.
    #[error("the peer moved a port in a bag that holds something impossible")]
    BagMalformed,
    /// More in a bag than its memory holds, or than may wait of one peer's bags.
    #[error("the peer put more into its bags than they may hold")]
    BagOverfull,
    /// A right said to be out that is out already.
    #[error("the peer named a right twice in a bag")]
    OutTwice,
    /// A port said to go to another task, taken back, and so on, more often than is kept.
    #[error("the peer took back more moves of its ports than it may")]
    MovesTakenBack,
    /// More messages on send-once rights than were out when the port moved.
    #[error("the peer brought more promised messages than were promised")]
    PromisesExceeded,
    /// A loan that does not lie in memory that is there, or a region of no length.
    #[error("the peer lent memory that is not there")]
    LoanMalformed,
    /// The return of a loan that is not out.
    #[error("the peer returned a loan that it does not have")]
    LoanNotOut,
    /// Memory for loans out of order, more than there may be, or taken back while it
    /// was lent.
    #[error("the peer offered or took back memory for loans as it must not")]
    ArenaOrder,
    /// A name that is not valid.
    #[error("the peer sent an invalid name: {0}")]
    Name(#[from] crate::name::NameError),
}
