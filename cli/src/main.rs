//! The command `pillarbox`.
#![forbid(unsafe_code)]
fn main() {}
