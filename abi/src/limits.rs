//! Every limit, as a sum with its holders named.
//!
//! A limit is charged to the task that causes the growth. Hitting one is an
//! error to that task, never an abort and never somebody else's loss.

/// Bytes in one lane: what a sender may have written and the reader not yet
/// freed. Three of the largest frames a plain message makes, two of the largest there
/// are. All of it is allocated and touched when a link is made, before the greeting: that
/// was half the time of an introduction when it was twice as large.
pub const LANE_BYTES: u32 = 128 * 1024;

/// The smallest lane a peer may offer us.
pub const LANE_BYTES_MIN: u32 = 64 * 1024;

/// The largest lane a peer may offer us.
pub const LANE_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// The last bytes of a lane, which only the protocol's own frames may fill, so
/// that a full mailbox never keeps a release or a *look* from being said.
pub const LANE_RESERVE: u32 = 4 * 1024;

/// The longest body that is copied through the lane. Longer ones travel in a
/// sealed memfd.
pub const INLINE_BYTES: usize = 32 * 1024;

/// The longest body of one message: 1 GiB. One byte more is refused before
/// anything is sent.
pub const MESSAGE_BYTES: u64 = 1 << 30;

/// Rights in one message, the reply right not counted.
pub const MESSAGE_RIGHTS: usize = 512;

/// Descriptors in one message.
pub const MESSAGE_DESCRIPTORS: usize = 64;

/// Regions in one message, a body in memory that is lent not counted.
pub const MESSAGE_REGIONS: usize = 16;

/// Receive rights in one message.
pub const MESSAGE_RECEIVES: usize = 8;

/// The longest name of a service, in bytes.
pub const NAME_BYTES: usize = 255;

/// The longest frame: header, reply right, the right of a left message, attachment head, the rights with the
/// longest form, regions, and an inline body.
pub const FRAME_BYTES: usize = crate::frame::HEADER_BYTES
    + crate::frame::ATTACHED_BYTES
    + (MESSAGE_RIGHTS + 2) * crate::right::REF_BYTES_MAX
    + INLINE_BYTES
    + crate::loan::HEAD_BYTES
    + (MESSAGE_REGIONS + 1) * crate::loan::REGION_BYTES
    + crate::bag::Origin::BYTES
    + 8;

/// Bytes one peer may have waiting in our queues, frames and charges summed.
pub const LINK_QUEUED_BYTES: u64 = 8 * 1024 * 1024;

/// The least a task may grant: the largest message with everything in it, or
/// that message could never be sent.
pub const LINK_QUEUED_BYTES_MIN: u64 =
    FRAME_BYTES as u64 + (MESSAGE_DESCRIPTORS + MESSAGE_REGIONS + 1) as u64 * DESCRIPTOR_CHARGE;

/// What one descriptor or loan in a queued message counts against
/// [`LINK_QUEUED_BYTES`], on a send-once right as well: at most 128 of one peer
/// wait, so that none can fill our descriptor table.
pub const DESCRIPTOR_CHARGE: u64 = 64 * 1024;

/// Descriptors that may wait for the frame that owns them, and packets with them: as
/// many as a window lets be on their way ([`DESCRIPTOR_CHARGE`]), and as many again for
/// boards and other memory that is offered meanwhile.
pub const DESCRIPTORS_WAITING: usize = 2 * (LINK_QUEUED_BYTES / DESCRIPTOR_CHARGE) as usize;

/// Packets with descriptors of messages in bags that may wait for their bag: a port
/// with more such messages does not move. Of who sends more the oldest are lost.
pub const BAG_DESCRIPTORS_WAITING: usize = 256;

/// Bytes of a window that messages to unbounded ports leave to others: beyond it
/// they are spilled, and calls over the same link go on.
pub const WINDOW_KEPT: u64 = LINK_QUEUED_BYTES / 4;

/// Bytes of memory one link's sender may have spilled to unbounded ports and its
/// reader not yet taken; each memory takes 8 KiB beside.
pub const SPILL_BYTES: u64 = 64 * 1024 * 1024;

/// Such memories of one link, over all rights: eleven of them hold all there may be
/// for one right, since each is as large as those before it.
pub const SPILLS: usize = 64;

/// Bytes of one link's spilled messages that wait in the reader's queues. A right of
/// which nothing waits may go beyond it by one message: nobody's unread port keeps
/// another's. For a port that is about to go up to [`SPILL_BYTES`] are taken.
pub const SPILL_QUEUED_BYTES: u64 = LINK_QUEUED_BYTES / 4;

/// Descriptors in spilled messages of one link that are not taken: one message's
/// worth, its regions', and its long body's.
pub const SPILL_DESCRIPTORS: usize = MESSAGE_DESCRIPTORS + MESSAGE_REGIONS + 1;

/// Bytes of memory one task may have for what it lends to one peer, as many as 128
/// bodies of 1 MiB: what a window lets wait ([`DESCRIPTOR_CHARGE`]). The peer's
/// mappings of it are limited alike.
pub const ARENA_BYTES: u64 = 128 * 1024 * 1024;

/// The smallest of the memories an arena is made of.
pub const ARENA_MEMORY_MIN: u64 = 1024 * 1024;

/// The largest.
pub const ARENA_MEMORY_MAX: u64 = 64 * 1024 * 1024;

/// Memories of one arena, those counted that the peer has not let go: each as large
/// as all before it makes eight of them.
pub const ARENA_MEMORIES: usize = 16;

/// The most that is lent as one chunk. Longer bodies travel in sealed memory.
pub const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// Chunks of one arena that may be out at once: as many as the page has words to
/// return them by.
pub const LOANS: u32 = 448;

/// How long an arena is not used before what of it is free is given up.
pub const ARENA_IDLE_NS: u64 = 1_000_000_000;

/// Bytes a task's own senders may have waiting in its own unbounded ports: twice the
/// longest body.
pub const OWN_QUEUED_BYTES: u64 = 2 * MESSAGE_BYTES;

/// Send-once rights that may be out of a port that moves: what is not kept of them
/// when its old owner dies is told to the new one, message by message.
pub const MOVED_PROMISES: u64 = 1 << 16;

/// Moves that one peer may have announced and taken back, of ports that we hold rights
/// to. An owner announces one in the moment of it, and takes it back only where the new
/// owner breaks the link just then.
pub const MOVES_TAKEN_BACK: usize = 64;

/// Bytes out of the bags of one peer that may wait in our queues: four of the
/// largest bags. Beside that a bag takes no more than its memory.
pub const BAG_QUEUED_BYTES: u64 = 4 * LANE_BYTES_MAX as u64;

/// How deep ports that move may lie in one another's queues.
pub const BAG_DEPTH: usize = 16;

/// Questions of one link that may be unanswered.
pub const QUESTIONS: u32 = 64;

/// Slots on the board a link begins with.
pub const BOARD_SLOTS: u32 = 128;

/// Boards a link may have: each new one has as many slots as all before it.
pub const BOARDS: u32 = 14;

/// Slots on all boards of a link together.
pub const SLOTS: u32 = BOARD_SLOTS << (BOARDS - 1);

/// Gives by the tasks of one process that nobody has claimed yet: eight messages full
/// of rights. By process and not by task, since which task of its process a peer is, it
/// says itself: one that came back as another each time could give without limit. And
/// ports that moved over one link and have rights that did not follow: half as many.
pub const GIVES: usize = 8 * MESSAGE_RIGHTS;

/// Links of one task.
pub const LINKS: usize = 16 * 1024;

/// Connections of one uid that have said who they are and named no ticket yet.
pub const STRANGERS: usize = 64;

/// Such connections of all users together: eight that use all of theirs.
pub const STRANGERS_ALL: usize = 8 * STRANGERS;

/// How long a connection may take to say who it is.
pub const HELLO_NS: u64 = 2_000_000_000;

/// How long the owner of a right that was given may take to let in its new holder. A task
/// may be stopped, or its machine be busy, and is not dead.
pub const INTRODUCTION_NS: u64 = 10_000_000_000;

/// How long a give of a dead giver waits for its claim.
pub const ORPHAN_GIVE_NS: u64 = 10_000_000_000;

/// How long what a task sends to a port waits for what it sent to the port's old owner,
/// which is alive and has not passed it on. Longer than anybody is stopped for who goes on
/// as if nothing had been.
pub const PASSING_ON_NS: u64 = 30_000_000_000;

/// How long a granted place may stay unused while others wait for one.
pub const GRANT_IDLE_NS: u64 = 10_000_000;

/// How long a thread waits for a peer before it rings the peer's bell.
pub const PATIENCE_NS: u64 = 1_000_000;

/// The same where the peer has read what was written, or was woken to read it. Longer than
/// from one tick of the kernel's clock to the next, so that no timer of a processor must be
/// set for it: that costs more than the sleep where a hypervisor does it.
pub const PATIENCE_READ_NS: u64 = 20_000_000;

/// The highest priority of a message. There are 32,768 levels.
pub const PRIORITY_MAX: u16 = 32_767;

/// Pulses each holder of a port may have in its queue, where its owner says
/// nothing else.
pub const PULSES: u32 = 64;

/// The most pulses an owner may grant each holder of a port.
pub const PULSES_MAX: u32 = 1 << 16;

/// The most messages a bounded port may hold.
pub const CAPACITY_MESSAGES: u32 = 1 << 24;

/// Facets of one task, those in its membranes included.
pub const FACETS: usize = 1 << 18;

/// How many facets may be made one from the other.
pub const FACET_DEPTH: u32 = 16;

/// Message ids one facet may list.
pub const FACET_IDS: usize = 1024;

/// Requests for news to a task's notify port that are open, or whose news was not
/// taken: each has its place from the moment it is made.
pub const NEWS: u64 = 1 << 16;

/// Port sets one port may be in: each is told of each message.
pub const PORT_SETS: usize = 64;

/// Requests that may wait at the kernel port of a task, over all who may ask.
pub const KERNEL_REQUESTS: u32 = 64;

/// Bytes of a request to a kernel port: a program's arguments and environment.
pub const KERNEL_BYTES: usize = 64 * 1024;

/// Who may wait for the end of one program.
pub const KERNEL_WAITS: usize = 64;

/// Programs a task has started on request that run, or whose end somebody may ask
/// for. Each costs it a descriptor.
pub const STARTED: usize = 64;

/// Bytes of memory a task makes on request. It is not charged to the task.
pub const REGION_BYTES: u64 = 1 << 30;

/// Lines in one answer of a kernel port.
pub const KERNEL_ROWS: usize = 256;

/// Readers of one shared mailbox. Each costs its owner a send right, and the
/// messages it was handed.
pub const SHARED_READERS: usize = 1024;

/// Readers of one shared mailbox that are of one task.
pub const SHARED_READERS_EACH: u32 = 16;

/// Messages a reader may be handed before it has acknowledged one of them.
pub const SHARED_PREFETCH: u32 = 64;

/// Messages the owner of a shared mailbox has taken from its port and that wait
/// for the reader of their key.
pub const SHARED_WAITING: usize = 1024;

/// Keys of which a shared mailbox remembers the reader. Beyond them the key that
/// was not used for longest, and of which nothing is out, is forgotten.
pub const SHARED_KEYS: usize = 64 * 1024;

/// Messages a reader may be behind, where each reader gets all.
pub const SHARED_BEHIND: usize = 1024;
