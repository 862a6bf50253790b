//! The memory.
//!
//! Two tasks share one link: a socket and two memories, each written by one of
//! them. Everything here is a thing of that link or a way to wait for it. What a
//! message or a right is, this crate does not know.
//!
//! | module     | holds                                                       |
//! |------------|-------------------------------------------------------------|
//! | [`fork`]   | which life of the process this is; descriptors              |
//! | [`memory`] | memfds: made and sealed, or checked and mapped              |
//! | [`page`]   | the outbound page and its boards, ours and the peer's       |
//! | [`word`]   | loads, stores, fences                                       |
//! | [`ring`]   | the lane's counting and copying, over any words             |
//! | [`lane`]   | the lane over two mapped memories                           |
//! | [`wait`]   | sleeping on a word of our own and on peers' heads           |
//! | [`poll`]   | waiting for descriptors                                     |
//! | [`socket`] | packets, descriptors, who sent them, death                  |
//! | [`body`]   | sealed regions                                              |
//! | [`arena`]  | memory that is lent, ours and the peer's                    |
//! | [`spawn`]  | children born with a link                                   |
//! | [`thread`] | threads no signal reaches                                   |
//! | [`jump`]   | what becomes of what a sleep holds that is jumped out of    |
//! | [`close`]  | closing what may block                                      |
//! | [`exit`]   | how a process has ended that is no child of ours            |
//! | [`refuse`] | every system call by name, and tests that refuse them       |
//! | [`bare`]   | the bare limits the benchmark compares with                 |
//!
//! # Invariants
//!
//! This is the one crate that may say `unsafe`. Each such place names the
//! invariant that makes it sound; `docs/soundness.md` argues each at length.
//!
//! | id  | says | upheld by | attacked by |
//! |-----|------|-----------|-------------|
//! | M1  | no access outside a mapping, or after it is gone | `memory.rs` | `tests/hostile.rs` |
//! | M2  | our memory is written by us alone, word by word | `memory.rs` | `tests/hostile.rs` |
//! | M3  | a peer's memory is only loaded from, relaxed, 8 bytes at most | `memory.rs`, `word.rs` | `tests/hostile.rs`, `tests/loom.rs` |
//! | M4  | bytes behind a `&[u8]` never change or vanish | `memory.rs` | `tests/hostile.rs` |
//! | M5  | a forked child touches no mapping it inherited | `fork.rs`, `memory.rs` | `tests/fork.rs` |
//! | M6  | a descriptor is closed once, by its owner, in its own life | `fork.rs`, `packet.rs` | `tests/fork.rs` |
//! | M7  | nobody sleeps on a peer's word alone | `wait.rs` | `tests/hostile.rs` |
//! | M8  | a thread's signal mask is put back as it was | `thread.rs` | its own test |
//! | M9  | what a static points at is never freed | `close.rs`, `fork.rs` | `tests/fork.rs` |
//! | M10 | the kernel is given buffers as long as it is told | `packet.rs`, `exit.rs` | `tests/hostile_packets.rs` |
//! | M11 | between fork and exec: no lock, no memory, one system call | `spawn.rs` | `tests/two_processes.rs` |
//! | M12 | the benchmark's bare memory is used by its own processes alone, by atomics or one opaque copy | `memory.rs`, `bare.rs` | its own tests |
//! | M13 | a chunk of an arena is written by its one holder, and by nobody once it is lent | `arena/mod.rs` | its own tests, `tests/hostile.rs` |
//! | M14 | what a lock guards is reached by its one holder | `lock.rs` | its own tests, `tests/loom_lock.rs` |
//! | M15 | what a frame holds is taken once: by the frame, or by a jump over it | `jump.rs` | its own tests, the faces' programs in C |

pub mod arena;
pub mod bare;
pub mod body;
pub mod close;
pub mod exit;
pub mod fork;
pub mod jump;
pub mod lane;
pub mod lock;
pub mod memory;
mod packet;
pub mod page;
pub mod poll;
pub mod refuse;
pub mod region;
pub mod ring;
pub mod socket;
pub mod spawn;
pub mod thread;
pub mod wait;
mod who;
pub mod word;

pub use body::Body;
pub use close::close_later;
pub use fork::Epoch;
pub use lane::{LaneReader, LaneWriter};
pub use memory::OpenError;
pub use page::{OwnPage, PeerPage};
pub use poll::{Epoll, EventFd};
pub use ring::WriteError;
pub use socket::{Credentials, LinkSocket, Listener, Received, SendPacketError};
pub use wait::{WakeWord, Woke, sleep};
pub use word::full_fence;

const _: () =
    assert!(usize::BITS == 64, "offsets into memories and the layout of control data are 64 bits");
