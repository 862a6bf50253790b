//! Who gives up waiting for a place hands back what was granted meanwhile, and never the
//! place that another thread of its task is just using.

mod family;

use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Deadline, Message, SendFailure, Task};

/// Messages that come of who does not give up.
const MESSAGES: u64 = 400;

/// Descriptors in each of them: between the look at the grant and the counting of the
/// message lies the time it takes the system to pass them on.
const DESCRIPTORS: usize = 60;

#[test]
fn who_gives_up_is_blamed_for_nothing() {
    let (owner, other) = (Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(1));
    let right = give(&owner, &other, port.make_send().expect("it is not forked"));
    let file = std::fs::File::open("/dev/null").expect("it is there");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // It asks for a place and thinks better of it.
        scope.spawn(|| {
            let mut cx = Context::from_waker(Waker::noop());
            let spans = (0..20).cycle().map(|tens| Duration::from_micros(10 * tens));
            for span in spans.take_while(|_| !over.load(Ordering::Relaxed)) {
                let mut send = pin!(right.send_async(Message::new("perhaps")));
                if let Poll::Ready(sent) = send.as_mut().poll(&mut cx) {
                    sent.expect("the link lives");
                }
                let begun = Instant::now();
                while begun.elapsed() < span {
                    std::hint::spin_loop();
                }
            }
        });
        scope.spawn(|| {
            let mut come = 0;
            while come < MESSAGES {
                let message = port.receive(long()).expect("the link lives");
                come += u64::from(message.body() == b"files");
            }
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            let mut message = Message::new("files");
            for _ in 0..DESCRIPTORS {
                let file = file.as_fd().try_clone_to_owned().expect("one more may be open");
                message = message.with_descriptor(file);
            }
            match right.send(message, Deadline::Now).map_err(|error| error.reason) {
                Ok(()) | Err(SendFailure::Full) => {}
                Err(reason) => {
                    over.store(true, Ordering::Relaxed);
                    panic!("a link between the honest ended: {reason:?}");
                }
            }
        }
    });
    // Nobody was blamed: the link is there. What was sent before may still be coming, and
    // has the one place.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            right.send(Message::new("behind it"), long()).expect("the link lives");
        });
        while port.receive(long()).expect("it comes").body() != b"behind it" {}
    });
}
