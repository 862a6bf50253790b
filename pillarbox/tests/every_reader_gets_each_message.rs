//! A shared mailbox may hand each message to all of its readers; one that lags is
//! left behind and holds up nobody.

mod family;

use std::time::Duration;

use family::long;
use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, Task, limits};

#[test]
fn every_reader_gets_each_in_order_and_who_lags_is_let_go() {
    let task = Task::new();
    let port = task.port(Capacity::Unbounded);
    let post = port.make_send().unwrap();
    let mut mailbox = SharedMailbox::new(port, Policy::All);
    let right = mailbox.reader_right().unwrap();
    let count = u64::try_from(limits::SHARED_BEHIND).unwrap() + 100;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let attach = || SharedReader::attach(&task, right.clone(), 4, long()).unwrap();
            let (mut one, mut two, mut lazy) = (attach(), attach(), attach());
            for number in 0..count {
                post.send(Message::new("").with_tag(number), long()).unwrap();
                for reader in [&mut one, &mut two] {
                    let delivery = reader.receive(long()).unwrap().unwrap();
                    assert_eq!(delivery.message().tag(), number);
                    delivery.acknowledge(long()).unwrap();
                }
            }
            // The first came; then it was left behind.
            let first = lazy.receive(long()).unwrap().unwrap();
            assert_eq!(first.message().tag(), 0);
        });
        while !reading.is_finished() {
            mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        }
        reading.join().unwrap();
    });
    mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
    assert_eq!((mailbox.status().readers, mailbox.status().held), (0, 0));
}
