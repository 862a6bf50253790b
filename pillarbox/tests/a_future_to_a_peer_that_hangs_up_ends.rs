//! A future that sends to a peer that has just hung up ends, whether the thread that
//! buries the peer has come so far or not: it does not look for ever whether the port
//! went elsewhere.

mod family;

use std::fs::File;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

use family::{act, acting, inbox, is_part, long, meet, offer, port};
use pillarbox::{Message, SendFailure};

/// Peers that hang up.
const ROUNDS: u64 = 30;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn receiver_part() {
    if !acting("receiver_part") {
        return;
    }
    let (inbox, _post) = port();
    let _parent = offer(&[&inbox]);
    while inbox.receive(long()).is_ok() {}
}

#[test]
fn a_send_to_who_was_killed_ends_with_the_message() {
    if is_part() {
        return;
    }
    let inbox = inbox();
    for round in 0..ROUNDS {
        let (mut child, [post]) = meet(act("receiver_part"), &inbox);
        let message = |number: u64| {
            let file = File::open("/dev/null").expect("there is one");
            Message::new("").with_tag(number).with_descriptor(file.into())
        };
        for number in 0..round % 4 {
            block_on(post.send_async(message(number))).expect("it lives");
        }
        child.kill();
        let mut number = 0;
        let error = loop {
            number += 1;
            if let Err(error) = block_on(post.send_async(message(number))) {
                break error;
            }
        };
        assert_eq!(error.reason, SendFailure::Dead, "in round {round}");
        assert_eq!((error.message.tag(), error.message.descriptors().len()), (number, 1));
    }
}
