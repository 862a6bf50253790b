//! Waits that a signal ends.

use std::cell::Cell;

thread_local! {
    static HEEDS: Cell<bool> = const { Cell::new(false) };
}

/// Whether a signal ends what this thread waits for.
pub(super) fn is_heeded() -> bool {
    HEEDS.with(Cell::get)
}

/// As long as `act` runs, a handler that ran while this thread slept in a wait of this
/// library ends that wait as its deadline would, also where it has none. Elsewhere the
/// wait goes on after the handler.
///
/// A handler that was installed to have calls restarted (`SA_RESTART`) may end nothing. So
/// may one that runs while the thread is awake, which it is for some microseconds before
/// it sleeps.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Task, heed_signals};
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
/// // `ReceiveError::Deadline` where a signal came first.
/// let message = heed_signals(|| inbox.receive(Deadline::Never))?;
/// assert_eq!(message.body(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn heed_signals<R>(act: impl FnOnce() -> R) -> R {
    /// What was so before is so again, also after a panic or a jump.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            HEEDS.with(|heeds| heeds.set(self.0));
        }
    }

    let before = Before(HEEDS.with(|heeds| heeds.replace(true)));
    shm::jump::held(before, drop, |_| act()).1
}
