//! A shared mailbox that ends while one of its readers has no room keeps its link with
//! the reader's task.

mod family;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};

use family::linked::give;
use family::{long, settled};
use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Task};

/// Keeps the one thread that wakes it, which is the background thread of a task whose
/// other threads are not in the library.
#[derive(Debug, Default)]
struct Stop {
    here: AtomicBool,
    over: Mutex<bool>,
    told: Condvar,
}

impl Wake for Stop {
    fn wake(self: Arc<Self>) {
        self.here.store(true, Ordering::Release);
        let over = self.over.lock().expect("nobody panics");
        drop(self.told.wait_while(over, |over| !*over).expect("nobody panics"));
    }
}

impl Stop {
    /// Keeps the background thread of who owns `port`, until [`Stop::end`].
    fn begin(port: &ReceiveRight, post: &SendRight) -> Arc<Stop> {
        let stop = Arc::new(Stop::default());
        let waker = Waker::from(Arc::clone(&stop));
        let mut receive = pin!(port.receive_async());
        assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        post.send(Message::new("stop"), long()).expect("it is sent");
        settled(|| stop.here.load(Ordering::Acquire), |here| *here);
        stop
    }

    fn end(&self) {
        *self.over.lock().expect("nobody panics") = true;
        self.told.notify_all();
    }
}

#[test]
fn a_mailbox_that_ends_while_a_reader_has_no_room_is_blamed_for_nothing() {
    let (owner, reads) = (Task::new(), Task::new());
    let stops = reads.port(Capacity::Bounded(4));
    let to_stops = give(&reads, &owner, stops.make_send().expect("it is not forked"));
    let port = owner.port(Capacity::Bounded(64));
    let post = port.make_send().expect("it is not forked");
    let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    let right = mailbox.reader_right().expect("it is not forked");
    let right = give(&owner, &reads, right);
    let attached = std::thread::scope(|scope| {
        let attach = scope.spawn(|| SharedReader::attach(&reads, right, 16, long()));
        while !attach.is_finished() {
            mailbox.serve(Deadline::Now).expect("it is not forked");
            std::thread::yield_now();
        }
        attach.join().expect("it does not panic")
    });
    let reader = attached.expect("the owner serves");
    let stop = Stop::begin(&stops, &to_stops);
    for _ in 0..16 {
        post.send(Message::new("work"), long()).expect("it is sent");
    }
    // One of them finds no room there, and waits: nobody reads what it asks.
    while mailbox.status().held < 16 {
        mailbox.serve(Deadline::Now).expect("it is not forked");
    }
    drop(mailbox);
    drop(reader);
    stop.end();
    to_stops.send(Message::new("behind it"), long()).expect("the link lives");
    assert_eq!(stops.receive(long()).expect("it comes").body(), b"stop");
    assert_eq!(stops.receive(long()).expect("it comes").body(), b"behind it");
}
