//! Where C calls in: the only unsafe code of this face.
//!
//! | invariant | says                                                              |
//! |-----------|-------------------------------------------------------------------|
//! | C1        | memory of a caller is reached as the crate `edge` reaches it      |
//! | C2        | what is unmapped was given away by its owner, in a call that says so |
//! | C3        | nothing that panics leaves this edge                              |
//! | C4        | what C is handed lives for ever, or is the caller's to free       |
//!
//! An address that a caller passes is a number here. Only `memory`, and the crate `edge`, act on it.
#![allow(
    unsafe_code,
    reason = "C finds functions by their bare names, and passes addresses; see docs/soundness.md"
)]

mod classic;
mod host;
pub(crate) mod memory;
mod messages;
mod news;
mod ports;
mod semaphores;
mod served;
mod services;
mod start;
mod tasks;
mod threads;
mod time;
mod virtual_memory;

use pillarbox::let_handlers_jump;

pub(crate) use self::start::{own_names, random};
use crate::codes::{Code, KERN_INVALID_ADDRESS, KERN_INVALID_TASK, KERN_SUCCESS, MIG_TYPE_ERROR};
use crate::names::Name;
use crate::space::Space;
use crate::{orders, with};
pub(crate) use ::edge::without_signals;

/// Runs a call of C's. A handler may jump out of it where it sleeps.
fn guarded<R>(failed: R, act: impl FnOnce() -> R) -> R {
    ::edge::guarded(failed, || let_handlers_jump(act))
}

/// What a call ends in.
fn code(result: Result<(), Code>) -> Code {
    result.err().unwrap_or(KERN_SUCCESS)
}

/// Acts in the space of the task that is named, which must be this one.
fn of_task<R>(task: Name, act: impl FnOnce(&mut Space) -> Result<R, Code>) -> Result<R, Code> {
    if task != own_names().0 {
        return Err(KERN_INVALID_TASK);
    }
    with(act)
}

/// Acts in the space of the task that is named; where that is another, it is asked to, and
/// `there` reads what it says.
fn in_task<R>(
    task: Name,
    order: i32,
    words: &[u32],
    here: impl FnOnce(&mut Space) -> Result<R, Code>,
    there: impl FnOnce(Vec<u32>) -> Option<R>,
) -> Result<R, Code> {
    if task == own_names().0 {
        return with(here);
    }
    there(orders::ask(task, order, words, None)?.words).ok_or(MIG_TYPE_ERROR)
}

/// The same, for what ends in a code.
fn code_in_task(
    task: Name,
    order: i32,
    words: &[u32],
    here: impl FnOnce(&mut Space) -> Code,
) -> Code {
    guarded(crate::codes::KERN_FAILURE, || {
        let here = |space: &mut Space| match here(space) {
            KERN_SUCCESS => Ok(()),
            code => Err(code),
        };
        code(in_task(task, order, words, here, |words| words.is_empty().then_some(())))
    })
}

/// The same, for what tells one number.
fn number_in_task(
    task: Name,
    order: i32,
    words: &[u32],
    here: impl FnOnce(&mut Space) -> Result<u32, Code>,
) -> Result<u32, Code> {
    in_task(task, order, words, here, |words| match words[..] {
        [number] => Some(number),
        _ => None,
    })
}

/// The same as [`of_task`], for what ends in a code.
fn code_of_task(task: Name, act: impl FnOnce(&mut Space) -> Code) -> Code {
    guarded(crate::codes::KERN_FAILURE, || {
        of_task(task, |space| Ok(act(space))).unwrap_or_else(|code| code)
    })
}

/// Writes a number where the caller wants it.
fn put<T: Number>(to: *mut T, value: T) -> Result<(), Code> {
    if memory::write(to as u64, value.bytes().as_ref()) {
        Ok(())
    } else {
        Err(KERN_INVALID_ADDRESS)
    }
}

/// Reads a number of the caller's.
fn get(from: *const u32) -> Result<u32, Code> {
    let bytes = memory::read(from as u64, 4).ok_or(KERN_INVALID_ADDRESS)?;
    Ok(crate::letter::word(&bytes, 0))
}

/// A plain number, as bytes.
trait Number {
    fn bytes(self) -> impl AsRef<[u8]>;
}

macro_rules! number {
    ($($kind:ty)*) => {
        $(impl Number for $kind {
            fn bytes(self) -> impl AsRef<[u8]> {
                self.to_ne_bytes()
            }
        })*
    };
}

number!(i32 u32 u64 usize);

/// Hands an array of words over as memory of the caller's, with their count.
fn hand_over(words: &[u32], to: *mut u64, count: *mut u32) -> Result<(), Code> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let address = match bytes.is_empty() {
        true => 0,
        false => memory::allocate_filled(&bytes).ok_or(crate::codes::KERN_RESOURCE_SHORTAGE)?,
    };
    let written = put(to, address).and_then(|()| put(count, words.len() as u32));
    if written.is_err() && address != 0 {
        memory::release(address, bytes.len());
    }
    written
}
