//! The bootstrap server.
#![forbid(unsafe_code)]
