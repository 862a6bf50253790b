//! A send-once right is consumed by its use.

use pillarbox::{Capacity, Deadline, Message, Task};

fn main() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let once = inbox.make_send_once().unwrap();
    once.send(Message::new("first"), Deadline::Never).unwrap();
    once.send(Message::new("second"), Deadline::Never).unwrap();
}
