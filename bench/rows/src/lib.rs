//! The rows of the benchmark: what is measured, its limit, its goal, and the runner.
//!
//! Each row is measured against what the machine can do at best: bare shared memory
//! where both ends are awake, a bare sleeper of the kernel where they are not. All
//! contenders of a row take short slices in turn within one run.
//!
//! | module    | holds                                                        |
//! |-----------|--------------------------------------------------------------|
//! | `row`     | what a row is: unit, goal, state, place                      |
//! | `rows`    | the rows themselves                                          |
//! | `runner`  | contenders, sides, effort; slices in turn                    |
//! | `child`   | the other process: this program once more, acting a part     |
//! | `channel` | what in-process rows do with channels between threads        |
//! | `ring`    | the bare ring                                                |
//! | `place`   | processors, pinning, processor time                          |
//! | `clock`   | time of operations                                           |
//! | `figure`  | medians, quantiles, ratios                                   |
//! | `operation` | one operation again and again, and the library's own call     |
//! | `report`  | the table, and JSON                                          |
//! | `html`    | the table and the distributions as a page                    |
//! | `command` | choosing rows, running them, telling what came out            |
//! | `program` | a program that runs rows: its line, and its end               |
//!
//! Every program that runs rows begins with [`act`], since it is its own children.
#![forbid(unsafe_code)]

pub mod channel;
mod child;
pub mod clock;
pub mod command;
mod figure;
mod html;
mod operation;
mod place;
mod program;
mod report;
mod ring;
mod row;
mod rows;
mod runner;

pub use child::{Casting, Child, Line, Part, Stage, act, acts};
pub use command::Plan;
pub use figure::Slice;
pub use html::html;
pub use operation::{Operation, own_call};
pub use place::{Cores, Place};
pub use program::program;
pub use report::{Measured, json, table};
pub use row::{Goal, Row, State, Unit};
pub use rows::PLAN;
pub use rows::server::{ECHO, Pair};
pub use runner::{Contender, Effort, Entrant, Peer, Side};
