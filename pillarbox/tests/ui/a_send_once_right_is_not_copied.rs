//! A promise of one message is not made twice.

use pillarbox::{Capacity, Task};

fn main() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let once = inbox.make_send_once().unwrap();
    let _copy = once.clone();
}
