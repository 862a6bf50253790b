//! What the C edges of the faces have in common: reaching memory of the caller's, letting no
//! panic out, texts, and threads that no signal is for.
//!
//! | invariant | says                                                              |
//! |-----------|-------------------------------------------------------------------|
//! | C1        | memory of a caller is reached by the kernel, which copies or says no; or it lies in the stack of the thread that calls, where all is there |
//! | C3        | nothing that panics leaves an edge                                |
//! | C4        | texts that C is handed live for ever                              |
//!
//! An address that a caller passes is a number. Only [`memory`] acts on it.
#![allow(unsafe_code, reason = "C passes addresses; see docs/soundness.md")]

pub mod memory;
mod signals;
mod stack;
mod texts;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::signals::without_signals;
pub use self::texts::for_c;

/// Runs what a C function does. What panics there is a failure of the call (C3).
///
/// ```
/// assert_eq!(edge::guarded(-1, || 4), 4);
/// ```
pub fn guarded<R>(failed: R, act: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(failed)
}
