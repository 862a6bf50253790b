//! What would be received from a port goes round any membrane, so a receive right
//! passes through none: going out it is refused and comes back, coming in its port
//! ends. And a port on which messages came in through a membrane stays where it is
//! until they are taken.

mod family;

use family::linked::give;
use family::long;
use pillarbox::{
    Capacity, Deadline, FacetError, Message, ReceiveRight, ReplyError, Right, SendFailure,
    SendRight, Task,
};

fn port_in(message: Message) -> ReceiveRight {
    let mut message = message;
    message.take_rights().pop().and_then(|right| right.into_receive().ok()).expect("a port")
}

/// A membrane between `inner` and `outer`, and a right to go out through it.
struct Wall {
    inner: Task,
    outer: Task,
    front: SendRight,
    inbox: ReceiveRight,
    membrane: pillarbox::Membrane,
}

fn wall() -> Wall {
    let (inner, outer) = (Task::new(), Task::new());
    let inbox = inner.port(Capacity::Bounded(8));
    let membrane = inner.membrane();
    let front = membrane.wrap(&inbox.make_send().unwrap()).unwrap();
    let front = give(&inner, &outer, front);
    Wall { inner, outer, front, inbox, membrane }
}

#[test]
fn going_out_it_is_refused_and_comes_back() {
    let Wall { inner, outer, front, inbox, membrane } = wall();
    // A right that came in leads out through the membrane; so does an answer.
    let there = outer.port(Capacity::Bounded(8));
    let call = Message::new("").with_right(there.make_send().unwrap());
    let answers = outer.port(Capacity::Bounded(1));
    front.send(call.with_reply(answers.make_send_once().unwrap()), long()).unwrap();
    let mut came = inbox.receive(long()).unwrap();
    let out = came.take_rights().remove(0).into_send().unwrap();
    let port = inner.port(Capacity::Bounded(8));
    let post = port.make_send().unwrap();
    let refused = SendFailure::NotWrapped(FacetError::ReceiveRight);
    let error = out.send(Message::new("port").with_right(port), long()).unwrap_err();
    assert_eq!(error.reason, refused);
    let port = port_in(*error.message);
    let error = came.reply(Message::new("port").with_right(port), long()).unwrap_err();
    let ReplyError::Unsent(error) = error else { panic!("{error}") };
    assert_eq!(error.reason, refused);
    let port = port_in(*error.message);
    post.send(Message::new("still here"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"still here");
    // Beside the membrane it goes as ever.
    let beside = give(&outer, &inner, there.make_send().unwrap());
    beside.send(Message::new("port").with_right(port), long()).unwrap();
    let port = port_in(there.receive(long()).unwrap());
    post.send(Message::new("and there"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"and there");
    membrane.revoke();
}

#[test]
fn coming_in_its_port_ends() {
    let Wall { inner: _inner, outer, front, inbox, membrane: _membrane } = wall();
    let port = outer.port(Capacity::Bounded(8));
    let post = port.make_send().unwrap();
    let message = Message::new("port").with_right(port).with_right(post.clone());
    front.send(message, long()).unwrap();
    let came = inbox.receive(long()).unwrap();
    let [Right::Receive(ended), Right::Send(_)] = came.rights() else { panic!("two rights") };
    assert!(ended.make_send().unwrap().is_dead());
    let error = post.send(Message::new("late"), long()).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead);
}

#[test]
fn a_port_with_what_came_in_stays_until_it_is_taken() {
    let Wall { inner, outer, front, inbox, membrane } = wall();
    let there = outer.port(Capacity::Bounded(8));
    let way = give(&outer, &inner, there.make_send().unwrap());
    front.send(Message::new("").with_right(there.make_send().unwrap()), long()).unwrap();
    front.status(long()).unwrap();
    // Nobody holds the way in any more, and what came in on it is there.
    drop(front);
    membrane.revoke();
    drop(membrane);
    let mut inbox = inbox;
    let error = way.send(Message::new("port").with_right(inbox), long()).unwrap_err();
    assert_eq!(error.reason, SendFailure::HasTerms);
    inbox = port_in(*error.message);
    drop(inbox.receive(long()).unwrap());
    // The way in is let go of by the other task, sooner or later.
    let until = long();
    loop {
        match way.send(Message::new("port").with_right(inbox), long()) {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::HasTerms);
                assert!(!until.has_passed(), "it never may");
                inbox = port_in(*error.message);
                let _ = inbox.receive(Deadline::Now);
            }
        }
    }
    drop(port_in(there.receive(long()).unwrap()));
}
