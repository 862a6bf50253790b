//! A right that was put into a message is the message's.

use pillarbox::{Capacity, Deadline, Message, Task};

fn main() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let _message = Message::new("").with_right(post);
    post.send(Message::new(""), Deadline::Never).unwrap();
}
