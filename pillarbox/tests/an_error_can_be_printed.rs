//! An error with a message in it can be printed, whatever rights the message
//! carries: rights lead to links, links to tasks, tasks to links, and a print
//! must not follow them round. `unwrap` prints.

mod family;

use family::long;
use pillarbox::{Capacity, Deadline, Message, Task};

#[test]
fn an_unsent_message_with_rights_of_every_kind_is_a_short_print() {
    let (near, far) = (Task::new(), Task::new());
    let port = far.port(Capacity::Bounded(1));
    let path = std::env::temp_dir().join(format!("pillarbox-print-{}", std::process::id()));
    let listening = far.listen(&path, vec![("port".into(), port.make_send().unwrap())]).unwrap();
    let mut came = near.connect(&path, long()).unwrap();
    drop(listening);
    let right = came.remove("port").unwrap().into_send().unwrap();

    // A promise of the other task's, which it holds itself now.
    let own = near.port(Capacity::Bounded(4));
    let request = Message::new("").with_right(own.make_send().unwrap());
    right.send(request.with_reply(own.make_send_once().unwrap()), long()).unwrap();
    let mut request = port.receive(long()).unwrap();
    let answer = Message::new("")
        .with_right(request.take_rights().remove(0))
        .with_right(request.take_reply().unwrap())
        .with_right(port.make_send().unwrap());
    drop(port);
    let dead = far.port(Capacity::Bounded(1)).make_send().unwrap();
    let error = dead.send(answer, Deadline::Now).unwrap_err();
    let printed = format!("{error:?}");
    assert!(printed.contains("Dead") && printed.len() < 20_000, "{}", printed.len());

    let error = right.send(Message::new("").with_right(right.clone()), long()).unwrap_err();
    let printed = format!("{error:?}");
    assert!(printed.contains("Dead") && printed.len() < 20_000, "{}", printed.len());
}
