//! What the fuzz targets share: a real task in this process, and hostile links with
//! it.
//!
//! | file        | part                                                          |
//! |-------------|---------------------------------------------------------------|
//! | `victim.rs` | the task, which takes what comes and uses it                  |
//! | `memory.rs` | a link whose every byte was chosen before it began            |
//! | `peer.rs`   | a link that goes on: frames one by one, words that change     |
//! | `bag.rs`    | the bag of a port, as nobody packs it                         |
//! | `script.rs` | the fuzzer's bytes, as one choice after the other             |
//! | `figures.rs`| what a target counts, told now and then                       |

pub mod bag;
pub mod figures;
pub mod memory;
pub mod peer;
pub mod script;
pub mod victim;
