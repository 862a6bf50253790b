//! What the developers run.
#![forbid(unsafe_code)]
fn main() {}
