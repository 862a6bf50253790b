//! Waits that a handler of a signal jumps out of.

/// As long as `act` runs, a handler that runs while this thread sleeps in a wait of this
/// library may jump out of it, as C does by `siglongjmp`. The wait is over then as if it had come to
/// its deadline, with nothing taken. What was to be sent is not sent, unless it was on its way, and ends
/// with every right in it. What a call still waits for is withdrawn.
///
/// From the first such sleep to the end of `act` the thread has signals blocked while it
/// is awake. One that comes before that, while a call runs that has not slept yet, must not be jumped out
/// of: locks stay taken.
///
/// What the frames between hold is not dropped by a jump: see [`hold_in_wait`]. It needs
/// glibc; with another C library a jump leaves the thread in every line it stands in. So it does where a
/// handler runs on a stack of its own that lies higher than the thread's.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Task, let_handlers_jump};
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
/// let message = let_handlers_jump(|| inbox.receive(Deadline::Never))?;
/// assert_eq!(message.body(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn let_handlers_jump<R>(act: impl FnOnce() -> R) -> R {
    shm::jump::allow(act)
}

/// Does `act` beside `value`, and returns both. Where a handler jumps out of a wait in `act`
/// ([`let_handlers_jump`]), `left` is done with the value.
///
/// `left` runs in the handler, on the thread that waited, and after what was begun later is
/// over: it may do anything that this library offers.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Task, hold_in_wait, let_handlers_jump};
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// let post = inbox.make_send()?;
/// post.send(Message::new("hello"), Deadline::Never)?;
/// // The send right is dropped in any case.
/// let (_, message) = let_handlers_jump(|| {
///     hold_in_wait(post, drop, |_| inbox.receive(Deadline::Never))
/// });
/// assert_eq!(message?.body(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn hold_in_wait<T, R>(value: T, left: impl FnOnce(T), act: impl FnOnce(&mut T) -> R) -> (T, R) {
    shm::jump::held(value, left, act)
}
