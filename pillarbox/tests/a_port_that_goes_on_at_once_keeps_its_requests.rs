//! Who is to hear that nobody can send any more hears it, however fast a port goes
//! on: the request is at the port before anybody can have it.

mod family;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, Task};

/// How often a port goes there and back.
const ROUNDS: u64 = 200;

/// The port in the next message to come.
fn port_in(inbox: &ReceiveRight) -> ReceiveRight {
    let until = long();
    let mut message = loop {
        // Looks and never sleeps: it has the port before whoever read it from the
        // lane has come to an end.
        match inbox.receive(Deadline::Now) {
            Ok(message) => break message,
            Err(_) => assert!(!until.has_passed(), "no port comes"),
        }
    };
    message.take_rights().remove(0).into_receive().expect("it is a port")
}

/// Says that it is over, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_port_that_goes_on_at_once_keeps_its_requests() {
    let (near, far) = (Task::new(), Task::new());
    let (there, back) = (far.port(Capacity::Bounded(2)), near.port(Capacity::Bounded(2)));
    let to_far = give(&far, &near, there.make_send().unwrap());
    let to_near = give(&near, &far, back.make_send().unwrap());
    let news = near.port(Capacity::Bounded(2));
    let port = near.port(Capacity::Bounded(2));
    let post = port.make_send().unwrap();
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let over = AtomicBool::new(false);
    let idle = far.port(Capacity::Bounded(1));
    let port = std::thread::scope(|scope| {
        // Others of that task wait for something else, and read what comes for all.
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = idle.receive(Deadline::after(Duration::from_millis(1)));
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                let port = port_in(&there);
                to_near.send(Message::new("").with_right(port), long()).unwrap();
            }
        });
        let _over = Over(&over);
        let mut port = port;
        for round in 0..ROUNDS {
            to_far.send(Message::new("").with_right(port), long()).unwrap();
            port = port_in(&back);
            let early = news.receive(Deadline::Now).ok().map(|news| news.notification());
            assert_eq!(early, None, "in round {round}");
        }
        port
    });
    post.send(Message::new("last"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"last");
    drop(post);
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::NoSenders));
}
