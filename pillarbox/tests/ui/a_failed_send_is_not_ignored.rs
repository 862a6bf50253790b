//! A message that was not sent comes back, and somebody must look.
#![deny(unused_must_use)]

use pillarbox::{Capacity, Deadline, Message, Task, typed};

fn main() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new(""), Deadline::Never);
    post.call(Message::new(""), Deadline::Never);
    inbox.make_send_once().unwrap().send(Message::new(""), Deadline::Never);
    let (sender, _receiver) = typed::channel_in::<u8>(&task, Capacity::Bounded(1)).unwrap();
    sender.send(1, Deadline::Never);
}
