//! A signal ends a wait where its thread wants that, as a deadline would, and no other
//! wait.
#![allow(unsafe_code, reason = "no safe crate sends a signal to a thread")]

use std::os::unix::thread::JoinHandleExt;
use std::sync::Once;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pillarbox::{CallError, Capacity, Deadline, Message, ReceiveError, Task, heed_signals};

extern "C" fn nothing(_signal: libc::c_int) {}

/// Has the signal handled, by nothing, and calls not restarted.
fn handle() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zeros are such a value: no flags, no mask.
        let action = unsafe { action.assume_init_mut() };
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        // SAFETY: the handler is a function that does nothing.
        let done = unsafe { libc::sigaction(libc::SIGUSR2, action, std::ptr::null_mut()) };
        assert_eq!(done, 0);
    });
}

fn signal<T>(thread: &JoinHandle<T>) {
    // SAFETY: the thread was not joined, so its number is its own still.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR2) };
}

/// Sends signals until the thread has ended: one that comes before it sleeps is no matter.
fn until_it_ends<T>(thread: JoinHandle<T>) -> T {
    let since = Instant::now();
    while !thread.is_finished() {
        assert!(since.elapsed() < Duration::from_secs(20), "it waits on");
        signal(&thread);
        // sleep: between two signals; it is not what is waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
    thread.join().unwrap()
}

#[test]
fn a_receiver_that_heeds_signals_is_interrupted() {
    handle();
    let inbox = Task::new().port(Capacity::Bounded(1));
    let thread = std::thread::spawn(move || {
        let taken = heed_signals(|| inbox.receive(Deadline::Never)).map(Message::into_body);
        (taken, inbox)
    });
    let (taken, inbox) = until_it_ends(thread);
    assert_eq!(taken, Err(ReceiveError::Deadline));
    // It is as it was.
    inbox.make_send().unwrap().send(Message::new("later"), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"later");
}

#[test]
fn a_receiver_that_does_not_waits_on() {
    handle();
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let thread = std::thread::spawn(move || {
        heed_signals(|| ());
        inbox.receive(Deadline::Never).map(Message::into_body)
    });
    for _ in 0..50 {
        signal(&thread);
        // sleep: between two signals; it is not what is waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
    post.send(Message::new("hello"), Deadline::Never).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(b"hello".to_vec()));
}

#[test]
fn a_call_that_was_interrupted_goes_on() {
    handle();
    let inbox = Task::new().port(Capacity::Bounded(1));
    let mut call =
        inbox.make_send().unwrap().start_call(Message::new("ask"), Deadline::Now).unwrap();
    let thread = std::thread::spawn(move || {
        let waited = heed_signals(|| call.wait(Deadline::Never)).map(Message::into_body);
        assert!(matches!(waited, Err(CallError::Deadline)), "{waited:?}");
        call
    });
    let mut call = until_it_ends(thread);
    let mut request = inbox.receive(Deadline::Now).unwrap();
    request.reply(Message::new("answer"), Deadline::Now).unwrap();
    assert_eq!(call.wait(Deadline::Never).unwrap().body(), b"answer");
}
