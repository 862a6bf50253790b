//! Handlers of signals that jump out of a sleep (`siglongjmp`).
//!
//! A jump runs no destructor: what its thread held while it slept would be held for
//! ever, and it would stand in every line in which it stood. But before the C library
//! jumps it runs what was left with it for that case (`_pthread_cleanup_push`), on top of
//! the frames that it is about to leave, which are whole still. So who sleeps and holds
//! something says here what is to become of it.
//!
//! That is done for a thread that has said so ([`allow`]), and only where it sleeps:
//! awake it may hold locks. So from its first sleep in a call to the end of that call such
//! a thread is awake with signals blocked, and takes them asleep.
//!
//! | state    | says                                                              |
//! |----------|-------------------------------------------------------------------|
//! | `may`    | handlers of this thread may jump                                  |
//! | `asleep` | it sleeps: what a jump leaves now is taken care of                |
//! | `before` | what it blocked before it blocked all, since its first sleep      |
//!
//! A handler may call in here again, out of a sleep: its call finds the state of the one
//! below it and puts it back. Other C libraries than glibc forget what was left with them.

#![allow(unsafe_code, reason = "what a frame holds is reached as it is jumped over (M15)")]

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::compiler_fence;

#[derive(Clone, Copy, Debug)]
struct State {
    may: bool,
    asleep: bool,
    before: Option<u64>,
}

const NONE: State = State { may: false, asleep: false, before: None };

thread_local! {
    static STATE: Cell<State> = const { Cell::new(NONE) };
}

/// What the C library keeps of one record: its `struct _pthread_cleanup_buffer`.
#[repr(C)]
#[derive(Debug)]
struct Buffer {
    routine: *const c_void,
    argument: *const c_void,
    cancel: i32,
    before: *const Buffer,
}

const EMPTY: Buffer = Buffer {
    routine: std::ptr::null(),
    argument: std::ptr::null(),
    cancel: 0,
    before: std::ptr::null(),
};

#[cfg(target_env = "gnu")]
mod library {
    use super::{Buffer, c_void};

    pub(super) const REMEMBERS: bool = true;

    unsafe extern "C" {
        #[link_name = "_pthread_cleanup_push"]
        pub(super) fn push(
            buffer: *mut Buffer,
            routine: extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        #[link_name = "_pthread_cleanup_pop"]
        pub(super) fn pop(buffer: *mut Buffer, run: i32);
    }
}

#[cfg(not(target_env = "gnu"))]
mod library {
    use super::{Buffer, c_void};

    pub(super) const REMEMBERS: bool = false;

    pub(super) unsafe fn push(_: *mut Buffer, _: extern "C" fn(*mut c_void), _: *mut c_void) {}

    pub(super) unsafe fn pop(_: *mut Buffer, _: i32) {}
}

/// What a frame holds, where a jump over it finds it.
#[repr(C)]
#[derive(Debug)]
struct Record<T, L> {
    buffer: Buffer,
    value: ManuallyDrop<T>,
    /// What becomes of the value. There is none once that is done.
    left: Option<L>,
}

impl<T, L> Drop for Record<T, L> {
    fn drop(&mut self) {
        if self.left.take().is_some() {
            // SAFETY: M15: whoever takes the value takes `left` first.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// Has the C library forget a record.
#[derive(Debug)]
struct Known(*mut Buffer);

impl Drop for Known {
    fn drop(&mut self) {
        // SAFETY: M15: it is the last that was pushed, in a frame that is still there.
        unsafe { library::pop(self.0, 0) };
    }
}

/// Does `act` beside `value`, and returns both. Where a handler jumps out of a sleep in
/// `act`, `left` is done with the value, in the handler's frame.
#[inline]
pub fn held<T, R>(value: T, left: impl FnOnce(T), act: impl FnOnce(&mut T) -> R) -> (T, R) {
    let mut value = value;
    if !STATE.get().may {
        let done = act(&mut value);
        return (value, done);
    }
    recorded(
        value,
        |value, state| {
            left(value);
            state
        },
        act,
    )
}

fn recorded<T, R, L: FnOnce(T, State) -> State>(
    value: T,
    left: L,
    act: impl FnOnce(&mut T) -> R,
) -> (T, R) {
    let mut record = Record { buffer: EMPTY, value: ManuallyDrop::new(value), left: Some(left) };
    let at = &raw mut record;
    // SAFETY: M15: the record stays where it is until it is popped, which is before this
    // frame ends, or until a jump over this frame, which runs the routine at most once.
    unsafe { library::push(at.cast(), jumped::<T, L>, at.cast()) };
    let known = Known(at.cast());
    // SAFETY: M15: a jump takes the value only when `act` never goes on.
    let value = unsafe { &mut (*at).value };
    let done = act(value);
    drop(known);
    record.left = None;
    // SAFETY: M15: nobody else takes it, since there is no `left` any more.
    let value = unsafe { ManuallyDrop::take(&mut record.value) };
    (value, done)
}

/// A frame is jumped over.
extern "C" fn jumped<T, L: FnOnce(T, State) -> State>(record: *mut c_void) {
    let state = STATE.get();
    if !state.asleep {
        return;
    }
    // No other handler may jump out of this one.
    let mask = set_mask(ALL);
    // What is done now is done awake, whatever it calls.
    STATE.set(NONE);
    // SAFETY: M15: the frame of the record is whole, and nothing runs in it any more.
    let record = unsafe { &mut *record.cast::<Record<T, L>>() };
    let mut after = state;
    if let Some(left) = record.left.take() {
        // SAFETY: M15: whoever takes the value takes `left` first.
        let value = unsafe { ManuallyDrop::take(&mut record.value) };
        // Nothing that panics leaves through frames of C.
        after = catch_unwind(AssertUnwindSafe(|| left(value, state))).unwrap_or(state);
    }
    STATE.set(after);
    set_mask(mask);
}

/// What is so is put back where a call ends.
#[derive(Debug)]
struct Over(Option<State>);

impl Drop for Over {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            let inner = STATE.replace(outer);
            compiler_fence(SeqCst); // pairs: jump.asleep
            if let Some(mask) = inner.before {
                set_mask(mask);
            }
        }
    }
}

/// As long as `act` runs, a handler of a signal may jump out of it while it sleeps.
pub fn allow<R>(act: impl FnOnce() -> R) -> R {
    if !library::REMEMBERS {
        return act();
    }
    let outer = STATE.replace(State { may: true, ..NONE });
    let left = |mut over: Over, _| over.0.take().unwrap_or(NONE);
    let (over, done) = recorded(Over(Some(outer)), left, |_| act());
    drop(over);
    done
}

/// This thread is about to sleep. Where handlers may jump it takes signals asleep from now
/// on, to the end of what [`allow`] runs.
#[inline]
pub fn about_to_sleep() {
    let state = STATE.get();
    if state.may && state.before.is_none() {
        let before = set_mask(ALL);
        STATE.set(State { before: Some(before), ..state });
    }
}

/// Sleeps by `act`, which takes no lock and holds nothing.
#[inline]
pub(crate) fn asleep<R>(act: impl FnOnce() -> R) -> R {
    let state = STATE.get();
    if !state.may {
        return act();
    }
    STATE.set(State { asleep: true, ..state });
    // A handler of this thread sees it.
    compiler_fence(SeqCst); // pairs: jump.asleep
    if let Some(mask) = state.before {
        set_mask(mask);
    }
    let done = act();
    if state.before.is_some() {
        set_mask(ALL);
    }
    compiler_fence(SeqCst); // pairs: jump.asleep
    STATE.set(state);
    done
}

/// Every signal that something else than this thread's own fault sends; not those that the
/// C library keeps for itself, or that the kernel lets nobody block.
const ALL: u64 = {
    let own = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGSYS,
        libc::SIGKILL,
        libc::SIGSTOP,
        32,
        33,
    ];
    let (mut all, mut at) = (u64::MAX, 0);
    while at < own.len() {
        all &= !(1 << (own[at] - 1));
        at += 1;
    }
    all
};

/// Blocks these signals and no others. Returns which were blocked.
fn set_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: M8: the kernel reads the one word and writes the other; whoever blocks more
    // than was blocked puts it back.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        )
    };
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn blocked() -> u64 {
        let now = set_mask(ALL);
        set_mask(now);
        now
    }

    #[test]
    fn what_nobody_jumps_over_comes_back() {
        let (value, done) = held(7, |_| panic!("nobody jumped"), |value| *value + 1);
        assert_eq!((value, done), (7, 8));
        allow(|| {
            let (value, done) = held(7, |_| panic!("nobody jumped"), |value| *value + 1);
            assert_eq!((value, done), (7, 8));
        });
    }

    #[test]
    fn a_panic_drops_what_is_held_once() {
        let counted = Rc::new(());
        let given = Rc::clone(&counted);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            allow(|| held(given, |_| (), |_| panic!("on purpose")));
        }));
        assert!(panicked.is_err());
        assert_eq!(Rc::strong_count(&counted), 1);
        assert!(!STATE.get().may);
    }

    #[test]
    fn who_may_be_jumped_out_of_takes_signals_asleep() {
        let before = blocked();
        about_to_sleep();
        assert_eq!(blocked(), before);
        allow(|| {
            assert_eq!(blocked(), before);
            about_to_sleep();
            assert_eq!(blocked() & ALL, ALL);
            assert_eq!(asleep(blocked), before);
            assert_eq!(blocked() & ALL, ALL);
            // A handler that calls again, out of the sleep.
            asleep(|| {
                allow(|| {
                    assert!(!STATE.get().asleep);
                    about_to_sleep();
                    assert_eq!(blocked() & ALL, ALL);
                });
                assert!(STATE.get().asleep);
                assert_eq!(blocked(), before);
            });
        });
        assert_eq!(blocked(), before);
    }
}
