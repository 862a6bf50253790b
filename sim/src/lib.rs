//! The whole system in one thread under one seed.
#![forbid(unsafe_code)]
