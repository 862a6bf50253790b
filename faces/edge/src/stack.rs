//! The stack of the thread that calls: what lies between here and its beginning is there.
//!
//! Most messages of C programs are variables of a function that waits for us. The kernel
//! need not be asked for them.

use std::mem::MaybeUninit;
use std::ops::Range;

/// Where this thread's stack ends and begins. Empty where the system does not say.
fn whole() -> Range<u64> {
    let mut about = MaybeUninit::uninit();
    // SAFETY: it says which thread this is.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: the system fills the room of our own with what it knows of this thread.
    let asked = unsafe { libc::pthread_getattr_np(this, about.as_mut_ptr()) };
    if asked != 0 {
        return 0..0;
    }
    let (mut low, mut bytes) = (std::ptr::null_mut(), 0);
    // SAFETY: it was filled just now, and both words are our own.
    let told = unsafe { libc::pthread_attr_getstack(about.as_ptr(), &mut low, &mut bytes) };
    // SAFETY: it was filled, and nobody else has it.
    let _ = unsafe { libc::pthread_attr_destroy(about.as_mut_ptr()) };
    let low = low as u64;
    if told == 0 { low..low.saturating_add(bytes as u64) } else { 0..0 }
}

thread_local! {
    static WHOLE: Range<u64> = whole();
}

/// Whether all these bytes lie in frames of this thread's stack above ours. A thread that
/// runs on another stack than it began with, as in a handler of signals, has none.
#[inline(never)]
pub(crate) fn holds(address: u64, bytes: usize) -> bool {
    let mark = 0u8;
    let here = std::hint::black_box(&raw const mark) as u64;
    let Some(end) = address.checked_add(bytes as u64) else { return false };
    WHOLE
        .try_with(|whole| whole.contains(&here) && here < address && end <= whole.end)
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<T>(value: &T) -> u64 {
        std::ptr::from_ref(value) as u64
    }

    #[test]
    fn what_callers_have_is_there_and_nothing_else_is() {
        let held = [0u64; 8];
        let apart = Box::new([0u64; 8]);
        static FIXED: [u64; 8] = [0; 8];
        let all = || {
            assert!(holds(at(&held), 64) && !holds(at(&*apart), 64) && !holds(at(&FIXED), 64));
            let begin = WHOLE.with(|whole| whole.end);
            let rest = usize::try_from(begin - at(&held)).unwrap();
            assert!(holds(at(&held), rest) && !holds(at(&held), rest + 1));
            assert!(!holds(at(&held), usize::MAX) && !holds(0, 8));
            // Below us nobody has anything yet.
            assert!(!holds(at(&held) - 65_536, 8));
        };
        all();
        std::thread::scope(|scope| {
            // Another thread's stack is not ours, though it is there.
            assert!(scope.spawn(|| !holds(at(&held), 64)).join().unwrap());
        });
        std::thread::spawn(|| {
            let held = [1u8; 4];
            assert!(holds(at(&held), 4));
        })
        .join()
        .unwrap();
    }
}
