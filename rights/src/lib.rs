//! The rules, pure.
//!
//! Small machines that say what becomes of a right: nothing here knows a
//! socket, a clock or a thread (I11). Time is an argument. The shell holds each
//! machine where it is used, under the lock it already has, and acts on the
//! small values they return; the simulator holds the same machines and acts on
//! them under one seed.
//!
//! | module      | rule                                                      |
//! |-------------|-----------------------------------------------------------|
//! | [`table`]   | names are an index and a generation; none is used twice   |
//! | [`export`]  | what one peer holds of ours, counted                      |
//! | [`import`]  | what we hold of one peer's, counted                       |
//! | [`window`]  | who may send how many messages to a port                  |
//! | [`queue`]   | what waits, in order, each found at once                  |
//! | [`pulses`]  | who may send how many pulses to a port                    |
//! | [`port`]    | a queue with a window: what was accepted, in order        |
//! | [`give`]    | rights on their way from one peer of ours to another      |
//! | [`claim`]   | what is claimed, and given on before it is answered        |
//! | [`terms`]   | what a send right still permits                           |
//! | [`moving`]  | the receive right of a port goes to another task          |
//! | [`ready`]   | which members of a port set have their turn               |
//! | [`senders`] | when nobody can send any more                             |
//! | [`sharing`] | which of several readers gets which message           |
//! | [`spill`]   | what was sent to an unbounded port and found no room      |
//! | [`reply`]   | what a caller still wants of the answer it was promised   |
//! | [`chute`]   | the way past a plain queue, within one task               |
//! | [`quick`]   | maps by numbers of our own making                         |
//! | [`census`]  | where every right is                                      |
#![forbid(unsafe_code)]

pub mod census;
pub mod chute;
pub mod claim;
pub mod export;
pub mod give;
pub mod import;
pub mod moving;
pub mod port;
pub mod pulses;
pub mod queue;
pub mod quick;
pub mod ready;
pub mod reply;
pub mod senders;
pub mod sharing;
pub mod spill;
pub mod table;
pub mod terms;
pub mod window;
