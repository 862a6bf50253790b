//! The whole system in one thread under one seed.
//!
//! Tasks are made of the same machines as the library (`rights`) and write the
//! same bytes (`abi`) into lanes and boards that are plain memory: what is
//! published is seen at once, and stays readable when its writer is dead. A
//! stream of chance picks who acts, who dies, who pauses and what a liar
//! writes. After every step the checkers look at everything.
//!
//! What is not here: sleeping and ringing (a task acts when it is picked),
//! byte windows, descriptors and regions, the handshake (a link is there at
//! once), two tasks that connect to each other at the same time, membranes,
//! and the words that readers of mailboxes say: here a reader acknowledges by an answer.
//!
//! | module         | idea                                                     |
//! |----------------|----------------------------------------------------------|
//! | `world`        | tasks, the memory between them, a clock, chance          |
//! | `lane`, `board`| memory that one task writes                              |
//! | `task`         | what a task has                                          |
//! | `send`         | rights are named, gives published, then the message      |
//! | `carry`        | rights that go with a message                            |
//! | `export`       | what peers hold of ours                                  |
//! | `meanwhile`    | what others do in the midst of a sending                 |
//! | `spill`        | messages that find no room: written beside the lane      |
//! | `spilled`      | and read in their order with it                          |
//! | `drain`        | frames are decoded, believed as far as the tables say    |
//! | `accept`       | rights in a message that came                            |
//! | `claim`        | gives and claims                                         |
//! | `chain`        | what is claimed, and given on before it is answered      |
//! | `control`      | the protocol's own frames                                |
//! | `port`         | queues, windows, notifications                           |
//! | `pulse`        | pulses, and what ports drop                              |
//! | `share`        | mailboxes of several readers                             |
//! | `set`          | sets of ports                                            |
//! | `facet`        | rights with terms: made, used up, revoked                |
//! | `call`         | promises of replies: withdrawn, watched, kept in parts   |
//! | `moving`       | receive rights that go to other tasks, and who follows   |
//! | `letting_go`   | how a right ends                                         |
//! | `waiting`      | messages that wait for a place                           |
//! | `left`         | messages left with full ports, and questions for room    |
//! | `death`        | what a task does when a peer is gone                     |
//! | `hostile`      | a peer that lies                                         |
//! | `hostile_move` | the same about ports that move                           |
//! | `schedule`     | who does what next                                       |
//! | `calm`         | the end of a run                                         |
//! | `check`        | what must hold after every step                          |
//! | `trace`        | what everybody said, for who looks for a cause           |
//! | [`fault`]      | rules broken on purpose                                  |
#![forbid(unsafe_code)]

mod accept;
mod board;
mod call;
mod calm;
mod carry;
mod chain;
#[cfg(test)]
mod chained;
mod check;
mod claim;
mod control;
mod death;
mod drain;
mod export;
mod facet;
pub mod fault;
mod hostile;
mod hostile_move;
mod lane;
mod left;
mod letting_go;
mod meanwhile;
#[cfg(test)]
mod misled;
mod moving;
mod port;
mod pulse;
#[cfg(test)]
mod robbed;
mod run;
mod schedule;
mod seed;
mod send;
mod set;
mod share;
mod spill;
mod spilled;
mod task;
mod trace;
mod waiting;
mod world;

pub use fault::Fault;
pub use run::{Failure, Size, run, run_traced};
pub use world::{Figures, Violation};
