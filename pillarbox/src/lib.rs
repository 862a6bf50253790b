//! The library people use.
#![forbid(unsafe_code)]
