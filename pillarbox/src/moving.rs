//! Receive rights that go from one task to another.
//!
//! | module     | whose part                                                |
//! |------------|-----------------------------------------------------------|
//! | [`bag`]    | the memory between old and new owner                      |
//! | [`pack`]   | the old owner's, before the move                          |
//! | [`gone`]   | the old owner's, after it                                 |
//! | [`parked`] | and what waits for that                                   |
//! | [`relay`]  | promises it passes on                                     |
//! | [`adopt`]  | the new owner's                                           |
//! | [`claims`] | what it answers those who follow                          |
//! | [`followers`] | who has not followed yet                               |
//! | [`missing`] | what they send again, since a dead owner had not read it  |
//! | [`circle`] | a port inside its own queue                               |
//!
//! The importers' part is `link/follow.rs`; the rules are [`rights::moving`].

pub(crate) mod adopt;
pub(crate) mod bag;
mod circle;
mod claims;
pub(crate) mod followers;
pub(crate) mod gone;
mod missing;
pub(crate) mod pack;
mod parked;
mod relay;
