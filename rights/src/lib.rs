//! The rules, pure.
#![forbid(unsafe_code)]
