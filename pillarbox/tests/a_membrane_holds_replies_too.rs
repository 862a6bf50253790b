//! A membrane and replies: what answers through it is wrapped, whoever of the
//! owner's task answers; a call that is open when it is revoked ends, in one
//! message or in one word, and what was on its way ends with the membrane.

mod asleep;
mod executor;
mod family;

use std::pin::pin;
use std::task::Poll;

use asleep::spawn_asleep;
use executor::{block_on, poll_once};
use family::linked::give;
use family::{is_part, long, settled};
use pillarbox::{
    CallError, Capacity, Deadline, FacetError, Gone, Limits, Membrane, Message, Notification,
    ReceiveRight, ReplyError, ReplyState, Right, SendFailure, SendOnceRight, SendRight, Task,
};

/// An owner, its door behind a membrane, and a right to it: the owner's own, or
/// that of another task.
struct House {
    owner: Task,
    visitor: Task,
    membrane: Membrane,
    door: ReceiveRight,
    front: SendRight,
}

impl House {
    fn new(far: bool) -> House {
        let owner = Task::new();
        let door = owner.port(Capacity::Bounded(8));
        let membrane = owner.membrane();
        let wrapped = membrane.wrap(&door.make_send().unwrap()).unwrap();
        let visitor = if far { Task::new() } else { owner.clone() };
        let front = if far { give(&owner, &visitor, wrapped) } else { wrapped };
        House { owner, visitor, membrane, door, front }
    }

    fn close(self) {
        self.visitor.close();
        self.owner.close();
    }
}

/// Both kinds of visitor.
fn houses() -> [House; 2] {
    [false, true].map(House::new)
}

fn first_send(message: &mut Message) -> SendRight {
    message.take_rights().remove(0).into_send().unwrap()
}

fn first_once(message: &mut Message) -> SendOnceRight {
    let Right::SendOnce(right) = message.take_rights().remove(0) else { panic!("another right") };
    right
}

fn failure(right: &SendRight) -> Option<SendFailure> {
    right.send(Message::new("?"), long()).err().map(|error| error.reason)
}

#[test]
fn an_answer_by_whoever_of_the_task_it_was_given_to_is_wrapped() {
    if is_part() {
        return;
    }
    for house in houses() {
        let (within, worker) =
            (house.owner.port(Capacity::Bounded(8)), house.owner.port(Capacity::Bounded(8)));
        let mut call = house.front.start_call(Message::new("?"), long()).unwrap();
        // The reply object goes on to another thread of the task, say.
        let mut request = house.door.receive(long()).unwrap();
        let reply = request.take_reply().unwrap();
        assert_eq!(reply.state(), ReplyState::Wanted);
        let order = Message::new("answer it").with_right(reply);
        worker.make_send().unwrap().send(order, long()).unwrap();
        let reply = first_once(&mut worker.receive(long()).unwrap());
        let answer = Message::new("!").with_right(within.make_send().unwrap());
        reply.send(answer, long()).unwrap();
        let got = first_send(&mut call.wait(long()).unwrap());
        assert_eq!(failure(&got), None);
        assert_eq!(house.membrane.reach().0, 2, "the door and what the answer brought");
        house.membrane.revoke();
        settled(|| failure(&got), |failure| *failure == Some(SendFailure::Revoked));
        house.close();
    }
}

#[test]
fn a_call_that_is_open_at_the_revocation_is_dropped_aloud() {
    if is_part() {
        return;
    }
    for house in houses() {
        let news = house.owner.port(Capacity::Bounded(8));
        let mut call = house.front.start_call(Message::new("?"), long()).unwrap();
        let mut request = house.door.receive(long()).unwrap();
        house.membrane.revoke();
        // Who was to answer sees that nobody waits, and has everything back.
        assert!(request.reply_right().unwrap().state().is_gone());
        let answer = Message::new("!").with_right(news.make_send_once().unwrap());
        let Err(ReplyError::Unsent(back)) = request.reply(answer, long()) else {
            panic!("it was answered")
        };
        assert_eq!((back.reason, back.message.body()), (SendFailure::Revoked, &b"!"[..]));
        assert_eq!(back.message.rights().len(), 1);
        assert!(!call.is_ready(), "its promise is not broken yet");
        drop(back);
        let told = news.receive(long()).unwrap().notification();
        assert_eq!(told, Some(Notification::SendOnceDropped));
        // What can be done with it is to drop it.
        assert!(matches!(call.wait(long()), Err(CallError::Dropped)));
        // And nobody comes in any more.
        let late = house.front.call(Message::new("late"), long());
        let refused = |error: &CallError| match error {
            CallError::Unsent(error) => error.reason == SendFailure::Revoked,
            CallError::Refused => true,
            _ => false,
        };
        assert!(late.as_ref().is_err_and(refused), "{late:?}");
        house.close();
    }
}

#[test]
fn a_future_that_answers_at_the_revocation_has_its_answer_back() {
    if is_part() {
        return;
    }
    for house in houses() {
        let call = house.front.start_call(Message::new("?"), long()).unwrap();
        let mut request = house.door.receive(long()).unwrap();
        drop(request.reply_async(Message::new("never polled")));
        house.membrane.revoke();
        let answered = block_on(request.reply_async(Message::new("!")));
        let Err(ReplyError::Unsent(back)) = answered else { panic!("it was answered") };
        assert_eq!((back.reason, back.message.body()), (SendFailure::Revoked, &b"!"[..]));
        drop(back);
        let mut call = pin!(call);
        assert!(matches!(block_on(call.as_mut()), Err(CallError::Dropped)));
        house.close();
    }
}

#[test]
fn a_promise_among_the_rights_of_a_message_is_inside_too() {
    if is_part() {
        return;
    }
    for house in houses() {
        let (answers, secret) =
            (house.visitor.port(Capacity::Bounded(8)), house.owner.port(Capacity::Bounded(8)));
        let two = Message::new("two promises")
            .with_right(answers.make_send_once().unwrap())
            .with_right(answers.make_send_once().unwrap());
        house.front.send(two, long()).unwrap();
        let mut rights = house.door.receive(long()).unwrap().take_rights().into_iter();
        let mut next = || match rights.next() {
            Some(Right::SendOnce(right)) => right,
            other => panic!("{other:?}"),
        };
        let (first, second) = (next(), next());
        let with_right = Message::new("kept").with_right(secret.make_send().unwrap());
        first.send(with_right, long()).unwrap();
        let got = first_send(&mut answers.receive(long()).unwrap());
        assert_eq!(failure(&got), None);
        assert!(secret.receive(long()).is_ok());
        house.membrane.revoke();
        settled(|| failure(&got), |failure| *failure == Some(SendFailure::Revoked));
        assert_eq!(second.state(), ReplyState::Gone(Gone::Died));
        let back = second.send(Message::new("late"), long()).unwrap_err();
        assert_eq!(back.reason, SendFailure::Revoked);
        drop(back);
        let told = answers.receive(long()).unwrap().notification();
        assert_eq!(told, Some(Notification::SendOnceDropped));
        house.close();
    }
}

#[test]
fn an_answer_to_a_call_that_went_out_comes_in_after_the_revocation_with_nothing_of_use() {
    if is_part() {
        return;
    }
    for house in houses() {
        let (far, further) =
            (house.visitor.port(Capacity::Bounded(8)), house.visitor.port(Capacity::Bounded(8)));
        let bring = Message::new("call me").with_right(far.make_send().unwrap());
        house.front.send(bring, long()).unwrap();
        let held = first_send(&mut house.door.receive(long()).unwrap());
        let mut before = held.start_call(Message::new("one"), long()).unwrap();
        let mut open = held.start_call(Message::new("two"), long()).unwrap();
        let mut asked = [(); 2].map(|()| far.receive(long()).unwrap());
        let answer = || Message::new("!").with_right(further.make_send().unwrap());
        asked[0].reply(answer(), long()).unwrap();
        let got = first_send(&mut before.wait(long()).unwrap());
        assert_eq!(failure(&got), None);
        house.membrane.revoke();
        assert_eq!(failure(&held), Some(SendFailure::Revoked));
        assert_eq!(failure(&got), Some(SendFailure::Revoked));
        // The request was accepted: its answer comes, and the right in it is of no use.
        asked[1].reply(answer(), long()).unwrap();
        let mut answered = open.wait(long()).unwrap();
        assert_eq!(answered.body(), b"!");
        assert_eq!(failure(&first_send(&mut answered)), Some(SendFailure::Revoked));
        drop(answered);
        // Nobody there waits: a look takes in what was let go.
        let senders = || {
            while further.receive(Deadline::Now).is_ok() {}
            further.status().senders
        };
        settled(senders, |senders| *senders == 0);
        house.close();
    }
}

/// A port beyond the membrane that is full, and a right to it that the membrane holds.
fn full_beyond(house: &House) -> (ReceiveRight, SendRight) {
    let small = house.visitor.port(Capacity::Bounded(1));
    let bring = Message::new("").with_right(small.make_send().unwrap());
    house.front.send(bring, long()).unwrap();
    let held = first_send(&mut house.door.receive(long()).unwrap());
    held.send(Message::new("full"), long()).unwrap();
    (small, held)
}

/// Nothing came beyond but what filled it.
fn holds_one(small: &ReceiveRight) {
    assert_eq!(small.receive(long()).unwrap().body(), b"full");
    assert!(small.receive(Deadline::Now).is_err());
}

#[test]
fn a_call_that_waits_for_room_ends_with_the_membrane() {
    if is_part() {
        return;
    }
    for house in houses() {
        let (small, held) = full_beyond(&house);
        let mut call = pin!(held.call_async(Message::new("waits")));
        assert!(poll_once(call.as_mut()).is_pending());
        house.membrane.revoke();
        let ended = match poll_once(call.as_mut()) {
            Poll::Ready(ended) => ended,
            Poll::Pending => block_on(call),
        };
        let Err(CallError::Unsent(back)) = ended else { panic!("{ended:?}") };
        assert_eq!((back.reason, back.message.body()), (SendFailure::Revoked, &b"waits"[..]));
        assert!(back.message.rights().is_empty());
        holds_one(&small);
        house.close();
    }
}

#[test]
fn a_thread_that_waits_for_room_ends_with_the_membrane() {
    if is_part() {
        return;
    }
    for house in houses() {
        let (small, held) = full_beyond(&house);
        std::thread::scope(|scope| {
            let sender = spawn_asleep(scope, || held.send(Message::new("waits"), long()));
            house.membrane.revoke();
            let back = sender.join().unwrap().unwrap_err();
            assert_eq!((back.reason, back.message.body()), (SendFailure::Revoked, &b"waits"[..]));
        });
        holds_one(&small);
        house.close();
    }
}

#[test]
fn what_cannot_be_wrapped_does_not_go_out() {
    let owner = Task::new_with(Limits { facets: 1, ..Limits::default() });
    let (door, other) = (owner.port(Capacity::Bounded(8)), owner.port(Capacity::Bounded(8)));
    let membrane = owner.membrane();
    // The door is the one facet the task may have.
    let front = membrane.wrap(&door.make_send().unwrap()).unwrap();
    let mut call = front.start_call(Message::new("?"), long()).unwrap();
    let mut request = door.receive(long()).unwrap();
    let answer = || Message::new("!").with_right(other.make_send().unwrap());
    let not_wrapped = SendFailure::NotWrapped(FacetError::TooMany);
    let Err(ReplyError::Unsent(back)) = request.reply(answer(), long()) else { panic!("it went") };
    assert_eq!((back.reason, back.message.rights().len()), (not_wrapped, 1));
    // The right is the caller's as it was: to the port itself, in no membrane.
    let mut message = back.message;
    assert_eq!(failure(&first_send(&mut message)), None);
    assert!(other.receive(Deadline::Now).is_ok());
    let again = block_on(back.right.send_async(answer())).unwrap_err();
    assert_eq!((again.reason, again.message.rights().len()), (not_wrapped, 1));
    // Without it the promise can be kept.
    again.right.send(Message::new("alone"), long()).unwrap();
    assert_eq!(call.wait(long()).unwrap().body(), b"alone");
}
