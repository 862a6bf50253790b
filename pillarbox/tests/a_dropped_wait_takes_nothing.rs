//! A wait for something in particular, as a future, that is dropped between any
//! two polls: it has taken, left, sent and withdrawn nothing, and whoever waits
//! beside it is told in its place. One that is polled on does what the call of
//! its name does.

mod executor;
mod family;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use executor::{Count, block_on, poll_once};
use family::linked::give;
use family::{Reaped, act, acting, given, is_part, long, meet, offer, settled};
use pillarbox::{
    CallError, Callers, Capacity, Deadline, Gone, Holding, Left, Message, Notification, Overflow,
    PartError, Peer, PortOptions, ReceiveError, ReceiveFromError, ReceiveRight, ReplyError,
    ReplyState, SendFailure, SendRight, SendToFailure, Short, Task, Withdraw, limits,
};

/// A message with its number as id, tag and body.
fn numbered(number: u8) -> Message {
    Message::new([number; 8]).with_id(i32::from(number)).with_tag(u64::from(number))
}

/// The numbers that wait, all taken.
fn all(inbox: &ReceiveRight) -> Vec<i32> {
    std::iter::from_fn(|| inbox.receive(Deadline::Now).ok()).map(|message| message.id()).collect()
}

type Wait<'a> = Pin<Box<dyn Future<Output = Result<Message, ReceiveError>> + 'a>>;

/// Each way to wait for message 7 at a port.
fn waits_for_seven(inbox: &ReceiveRight) -> [Wait<'_>; 3] {
    [
        Box::pin(inbox.receive_id_async(7)),
        Box::pin(inbox.receive_tag_async(7)),
        Box::pin(inbox.receive_where_async(|message| message.id() == 7)),
    ]
}

/// What the one who asked wants of the answer.
fn state_of(request: &Message) -> ReplyState {
    request.reply_right().unwrap().state()
}

#[test]
fn a_choice_that_goes_leaves_every_message_in_its_place() {
    let task = Task::new();
    for which in 0..3 {
        let inbox = task.port(Capacity::Bounded(8));
        let post = inbox.make_send().unwrap();
        let [mut one, mut two] = [(); 2].map(|()| waits_for_seven(&inbox).into_iter().nth(which));
        let (first, second) = (one.as_mut().unwrap(), two.as_mut().unwrap());
        post.send(numbered(1), Deadline::Now).unwrap();
        assert!(poll_once(first.as_mut()).is_pending());
        post.send(numbered(2), Deadline::Now).unwrap();
        let (came, waker) = counting();
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(poll_once(first.as_mut()).is_pending());
        // Both are told of it; the one goes, and the other has it.
        post.send(numbered(7), Deadline::Now).unwrap();
        drop(one);
        assert!(came.times() > 0, "who waits beside it is told");
        let Poll::Ready(message) = poll_once(second.as_mut()) else { panic!("it is there") };
        assert_eq!(message.unwrap().body(), [7; 8]);
        post.send(numbered(7), Deadline::Now).unwrap();
        drop(two);
        assert_eq!(all(&inbox), [1, 2, 7], "wait {which}");
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn a_choice_shows_no_message_twice_and_survives_a_panic() {
    let inbox = Task::new().port(Capacity::Bounded(8));
    let post = inbox.make_send().unwrap();
    let mut shown = Vec::new();
    {
        let mut choice = pin!(inbox.receive_where_async(|message| {
            shown.push(message.id());
            assert!(message.id() != 3, "as was asked for");
            message.id() == 9
        }));
        for number in [1, 2] {
            post.send(numbered(number), Deadline::Now).unwrap();
            assert!(poll_once(choice.as_mut()).is_pending());
            assert!(poll_once(choice.as_mut()).is_pending());
        }
        post.send(numbered(3), Deadline::Now).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| poll_once(choice.as_mut())));
        assert!(panicked.is_err());
        assert!(poll_once(choice.as_mut()).is_pending());
    }
    assert_eq!(shown, [1, 2, 3]);
    assert_eq!(all(&inbox), [1, 2, 3]);
}

#[test]
fn a_buffer_that_is_taken_back_holds_nothing_of_the_message() {
    let inbox = Task::new().port(Capacity::Bounded(2));
    let post = inbox.make_send().unwrap();
    let mut buffer = *b"......";
    {
        let mut receive = pin!(inbox.receive_into_async(&mut buffer, Short::Split));
        assert!(poll_once(receive.as_mut()).is_pending());
        post.send(Message::new("letterbox"), Deadline::Now).unwrap();
    }
    assert_eq!(&buffer, b"......");
    let kept = block_on(inbox.receive_into_async(&mut buffer, Short::Keep)).unwrap_err();
    assert_eq!(kept, ReceiveError::TooLong { bytes: 9 });
    let part = block_on(inbox.receive_into_async(&mut buffer, Short::Split)).unwrap();
    assert_eq!((part.bytes, part.left, &buffer), (6, 3, b"letter"));
    let rest = block_on(inbox.receive_into_async(&mut buffer, Short::Truncate)).unwrap();
    assert_eq!((rest.bytes, rest.left, &buffer[..3]), (3, 0, &b"box"[..]));
}

/// A server, a client it is linked with, and the client as it knows it.
fn met() -> (Task, ReceiveRight, Task, SendRight, Peer) {
    let (server, client) = (Task::new(), Task::new());
    let inbox = server.port(Capacity::Bounded(8));
    let post = give(&server, &client, inbox.make_send().unwrap());
    post.send(Message::new("it is I"), long()).unwrap();
    let peer = inbox.receive(long()).unwrap().peer().unwrap();
    (server, inbox, client, post, peer)
}

#[test]
fn what_one_peer_sent_is_taken_alone_and_its_end_comes_last() {
    if is_part() {
        return;
    }
    let (server, inbox, client, post, peer) = met();
    let own = inbox.make_send().unwrap();
    for polls in 0..4 {
        own.send(numbered(1), Deadline::Now).unwrap();
        let mut next = Box::pin(inbox.receive_from_async(&peer));
        assert!((0..polls).all(|_| poll_once(next.as_mut()).is_pending()));
        post.send(numbered(2), long()).unwrap();
        drop(next);
        let taken = block_on(inbox.receive_from_async(&peer)).unwrap();
        assert_eq!((taken.id(), all(&inbox)), (2, vec![1]));
    }
    let mut waiting = pin!(inbox.receive_from_async(&peer));
    assert!(poll_once(waiting.as_mut()).is_pending());
    post.send(numbered(3), long()).unwrap();
    client.close();
    assert_eq!(block_on(waiting.as_mut()).unwrap().id(), 3, "everything it sent comes first");
    let end = block_on(inbox.receive_from_async(&peer)).unwrap_err();
    assert_eq!(end, ReceiveFromError::Gone);
    server.close();
}

#[test]
fn an_inbox_is_reached_once_for_each_send_that_was_ready() {
    if is_part() {
        return;
    }
    let (server, _inbox, client, _post, peer) = met();
    let refused = block_on(server.send_to_async(&peer, numbered(1))).unwrap_err();
    assert_eq!((refused.reason, refused.message.id()), (SendToFailure::NoInbox, 1));
    let mut sent = Vec::new();
    for number in 1..=120 {
        // Asked for anew each time: it was closed.
        let opened = client.open_inbox(Capacity::Bounded(1), Callers::anyone()).unwrap();
        let news = server.port(Capacity::Bounded(1));
        let told = news.make_send_once().unwrap();
        let mut send = Box::pin(server.send_to_async(&peer, numbered(number).with_right(told)));
        let ready = (0..number % 6).find_map(|_| match poll_once(send.as_mut()) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => {
                std::thread::yield_now();
                None
            }
        });
        drop(send);
        match ready {
            Some(result) => {
                result.unwrap();
                assert_eq!(opened.receive(long()).unwrap().id(), i32::from(number));
                sent.push(number);
            }
            // Its right went with it.
            None => {
                let told = news.receive(long()).unwrap().notification();
                assert_eq!(told, Some(Notification::SendOnceDropped));
            }
        }
        assert!(opened.receive(Deadline::Now).is_err());
    }
    let opened = client.open_inbox(Capacity::Bounded(1), Callers::anyone()).unwrap();
    block_on(server.send_to_async(&peer, numbered(7))).unwrap();
    assert_eq!(opened.receive(long()).unwrap().id(), 7);
    assert!(sent.len() < 100, "many were dropped: {}", sent.len());
    settled(|| server.census().count(Holding::Joining), |joining| *joining == 0);
    client.close();
    // Until that is seen, what is sent is accepted, as for a thread that sends.
    let gone = |sent: &Result<(), SendToFailure>| *sent == Err(SendToFailure::Gone);
    let send = || block_on(server.send_to_async(&peer, numbered(8))).map_err(|error| error.reason);
    settled(send, gone);
    server.close();
}

#[test]
fn a_call_that_is_polled_no_more_goes_on_until_it_is_dropped() {
    if is_part() {
        return;
    }
    let (server, inbox, client, post, _) = met();
    for post in [inbox.make_send().unwrap(), post] {
        let mut call = block_on(post.start_call_async(Message::new("?"))).unwrap();
        assert!(poll_once(Pin::new(&mut call)).is_pending());
        {
            let waiting = &mut call;
            assert!(poll_once(pin!(waiting)).is_pending());
        }
        let mut request = inbox.receive(long()).unwrap();
        assert_eq!(state_of(&request), ReplyState::Wanted);
        request.reply(Message::new("!"), long()).unwrap();
        // By whichever way it is taken.
        assert_eq!(call.wait(long()).unwrap().body(), b"!");
        assert!(matches!(block_on(&mut call), Err(CallError::Withdrawn)));

        let mut call = post.start_call(Message::new("?"), long()).unwrap();
        assert!(matches!(call.wait(Deadline::Now), Err(CallError::Deadline)));
        let mut request = inbox.receive(long()).unwrap();
        let answering = std::thread::spawn(move || {
            settled(|| state_of(&request), |state| *state == ReplyState::Asked);
            request.reply(Message::new("in the end"), long()).unwrap();
        });
        assert!(poll_once(Pin::new(&mut call)).is_pending());
        assert!(call.withdraw(Withdraw::Ask));
        assert_eq!(block_on(&mut call).unwrap().body(), b"in the end");
        answering.join().unwrap();

        let mut call = Box::pin(block_on(post.start_call_async(Message::new("?"))).unwrap());
        assert!(poll_once(call.as_mut()).is_pending());
        let mut request = inbox.receive(long()).unwrap();
        drop(call);
        settled(|| state_of(&request), |state| *state == ReplyState::Gone(Gone::Withdrawn));
        let answered = block_on(request.reply_async(Message::new("too late")));
        let Err(ReplyError::Unsent(back)) = answered else { panic!("nobody waits for it") };
        assert!(matches!(back.reason, SendFailure::Withdrawn(_)), "{back}");
        assert_eq!(back.message.body(), b"too late");
    }
    client.close();
    server.close();
}

#[test]
fn a_call_that_was_not_started_promises_nothing() {
    let task = Task::new();
    let (inbox, done) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let post = inbox.make_send().unwrap();
    post.send(numbered(1), Deadline::Now).unwrap();
    for polls in 0..3 {
        let mut start = Box::pin(post.start_call_to_async(numbered(2), &done, 5));
        assert!((0..polls).all(|_| poll_once(start.as_mut()).is_pending()));
        drop(start);
        let mut start = Box::pin(post.start_call_async(numbered(2)));
        assert!((0..polls).all(|_| poll_once(start.as_mut()).is_pending()));
    }
    assert_eq!(all(&inbox), [1]);
    let started = block_on(post.start_call_to_async(numbered(3), &done, 5)).unwrap();
    inbox.receive(long()).unwrap().reply(numbered(4), long()).unwrap();
    assert!(started.is_over());
    let answer = done.receive(long()).unwrap();
    assert_eq!((answer.completion(), answer.id()), (Some(5), 4));
    assert!(done.receive(Deadline::Now).is_err(), "of those that were not started nothing comes");
    // A request that cannot be sent comes back with the reply right it had.
    drop(inbox);
    let request = numbered(5).with_reply(done.make_send_once().unwrap());
    let mut back = block_on(post.start_call_async(request)).unwrap_err().message;
    back.take_reply().unwrap().send(numbered(6), long()).unwrap();
    assert_eq!(all(&done), [6]);
}

#[test]
fn a_message_is_left_once_in_the_poll_that_says_so() {
    if is_part() {
        return;
    }
    let (server, client) = (Task::new(), Task::new());
    let small = server.port(Capacity::Bounded(1));
    let news = client.port(Capacity::Bounded(4));
    let post = give(&server, &client, small.make_send().unwrap());
    let (mut left, mut dropped) = (0, 0);
    for polls in 0..40 {
        post.send(numbered(1), long()).unwrap();
        let leave = post.leave_async(numbered(2), news.make_send_once().unwrap());
        let mut leave = Box::pin(leave);
        let ready = (0..polls % 8).find_map(|_| match poll_once(leave.as_mut()) {
            Poll::Ready(done) => Some(done.unwrap()),
            Poll::Pending => {
                std::thread::yield_now();
                None
            }
        });
        drop(leave);
        assert_eq!(small.receive(long()).unwrap().id(), 1);
        match ready {
            Some(Left::Waiting) => {
                left += 1;
                assert_eq!(small.receive(long()).unwrap().id(), 2);
                let told = news.receive(long()).unwrap().notification();
                assert_eq!(told, Some(Notification::MessageAccepted));
            }
            Some(Left::Sent(_)) => panic!("there was no room"),
            None => {
                dropped += 1;
                let told = news.receive(long()).unwrap().notification();
                assert_eq!(told, Some(Notification::SendOnceDropped));
                assert!(small.receive(Deadline::Now).is_err());
            }
        }
    }
    assert!(dropped >= 5, "{dropped}");
    // To its end, whatever was dropped before; and a second one is told apart.
    post.send(numbered(1), long()).unwrap();
    let waits = block_on(post.leave_async(numbered(2), news.make_send_once().unwrap())).unwrap();
    assert!(matches!(waits, Left::Waiting), "after {left}");
    let second = block_on(post.leave_async(numbered(3), news.make_send_once().unwrap()));
    let error = second.unwrap_err();
    assert_eq!((error.reason, error.message.id()), (SendFailure::NotifyPending, 3));
    let unused = error.accepted.unwrap();
    settled(|| small.receive(Deadline::Now).map(|it| it.id()), |id| *id == Ok(1));
    assert_eq!(small.receive(long()).unwrap().id(), 2);
    assert!(news.receive(long()).unwrap().notification() == Some(Notification::MessageAccepted));
    let sent = block_on(post.leave_async(numbered(4), unused)).unwrap();
    let Left::Sent(unused) = sent else { panic!("there is room") };
    drop(small);
    settled(|| post.is_dead(), |dead| *dead);
    let error = block_on(post.leave_async(numbered(5), unused)).unwrap_err();
    assert_eq!((error.reason, error.accepted.is_some()), (SendFailure::Dead, true));
    client.close();
    server.close();
}

/// Has a port with one place, and takes a message out of it when told to.
#[test]
fn keeper_part() {
    if !acting("keeper_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (small, orders) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(4)));
    let dropping = PortOptions::new(Capacity::Bounded(1)).overflow(Overflow::DropOldest);
    let dropping = task.port(dropping);
    offer(&[&small, &dropping, &orders]);
    while let Ok(mut order) = orders.receive(long()) {
        let taken = small.receive(Deadline::Now).map_or(0, |message| message.id());
        order.reply(Message::new("").with_id(taken), long()).unwrap();
    }
}

/// Sends until the lane to a reader that is stopped has no room for a short message.
fn fill_lane(post: &SendRight) {
    for bytes in [32 * 1024, 1024, 0] {
        while post.send(Message::new(vec![0; bytes]), Deadline::Now).is_ok() {}
    }
}

#[test]
fn a_message_that_waits_for_room_to_be_left_is_nowhere_before() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (inbox, news) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let (child, [small, dropping, orders]) = meet(act("keeper_part"), &inbox);
    let take = || orders.call(Message::new("take"), long()).unwrap().id();
    let told = || news.receive(long()).unwrap().notification();
    let mut polls = 0;
    while polls < 5 {
        small.send(numbered(1), long()).unwrap();
        let carried = task.port(Capacity::Bounded(1));
        let message = Message::new([0; 2000]).with_id(2).with_right(carried.make_send().unwrap());
        let mut leave = Box::pin(small.leave_async(message, news.make_send_once().unwrap()));
        // It asks for a place; when this is answered, it has been refused.
        let done = poll_once(leave.as_mut());
        small.status(long()).unwrap();
        if done.is_pending() {
            child.stop();
            fill_lane(&dropping);
            assert!((0..=polls).all(|_| poll_once(leave.as_mut()).is_pending()), "no room");
            polls += 1;
            if polls < 5 {
                drop(leave);
                assert_eq!(told(), Some(Notification::SendOnceDropped));
                child.resume();
                assert_eq!((take(), take()), (1, 0), "nothing was left");
            } else {
                // Polled on, it is left when there is room.
                child.resume();
                assert!(matches!(block_on(leave).unwrap(), Left::Waiting));
                assert_eq!((take(), take()), (1, 2));
                assert_eq!(told(), Some(Notification::MessageAccepted));
            }
        } else {
            // So fast was the answer.
            assert!(matches!(done, Poll::Ready(Ok(Left::Waiting))));
            assert_eq!((take(), take()), (1, 2));
            assert_eq!(told(), Some(Notification::MessageAccepted));
        }
        carried.notify_no_senders(news.make_send_once().unwrap()).unwrap();
        assert_eq!(told(), Some(Notification::NoSenders), "its right is nowhere");
    }
}

#[test]
fn room_is_asked_for_in_the_poll_that_says_so() {
    if is_part() {
        return;
    }
    let (server, client) = (Task::new(), Task::new());
    let small = server.port(Capacity::Bounded(1));
    let news = client.port(Capacity::Bounded(4));
    let post = give(&server, &client, small.make_send().unwrap());
    post.send(numbered(1), long()).unwrap();
    drop(post.notify_room_async(news.make_send_once().unwrap()));
    let told = |inbox: &ReceiveRight| inbox.receive(long()).unwrap().notification();
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    block_on(post.notify_room_async(news.make_send_once().unwrap())).unwrap();
    assert_eq!(small.receive(long()).unwrap().id(), 1);
    assert_eq!(told(&news), Some(Notification::SendPossible));
    client.close();
    server.close();
}

/// Bytes of the answer that is written in parts: more than a lane holds.
const LENGTH: usize = 3 << 20;

fn answer() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

/// Asks, is stopped while it waits, and looks at what it got.
#[test]
fn caller_part() {
    if !acting("caller_part") {
        return;
    }
    let request = Message::new("in parts").with_reply_room(LENGTH as u64);
    let server = given("server");
    let answered = server.call(request, long()).unwrap();
    assert_eq!(answered.body().len(), LENGTH + 4);
    assert!(answered.body().starts_with(&answer()) && answered.body().ends_with(b"last"));
    let done = server.call(Message::new("done"), long()).unwrap();
    assert_eq!(done.body(), b"well");
}

/// A request with room for parts, whose caller is stopped.
fn asked() -> (ReceiveRight, Message, Reaped) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let child = act("caller_part").right("server", inbox.make_send().unwrap()).spawn();
    let child = Reaped(child.unwrap());
    let request = inbox.receive(long()).unwrap();
    child.stop();
    (inbox, request, child)
}

#[test]
fn a_part_or_an_answer_that_was_dropped_can_be_written_again() {
    if is_part() {
        return;
    }
    let (inbox, mut request, mut child) = asked();
    let bytes = answer();
    for polls in 0..4 {
        let reply = request.reply_right_mut().unwrap();
        let mut part = Box::pin(reply.write_at_async(0, &bytes));
        assert!((0..polls).all(|_| poll_once(part.as_mut()).is_pending()), "nobody reads");
    }
    // There is no room for another piece of that length.
    for polls in 0..3 {
        let long = Message::new(vec![0; limits::INLINE_BYTES]);
        let mut reply = Box::pin(request.reply_async(long));
        assert!((0..polls).all(|_| poll_once(reply.as_mut()).is_pending()));
        drop(reply);
        assert_eq!(state_of(&request), ReplyState::Wanted);
    }
    {
        let reply = request.reply_right_mut().unwrap();
        let error = block_on(reply.write_at_async(LENGTH as u64, b"x")).unwrap_err();
        assert_eq!(error, PartError::BeyondRoom { room: LENGTH as u64 });
        let mut part = Box::pin(reply.write_at_async(0, &bytes));
        assert!(poll_once(part.as_mut()).is_pending());
        child.resume();
        block_on(part).unwrap();
        // Again, whole: parts may cover each other.
        block_on(reply.write_at_async(0, &bytes)).unwrap();
    }
    block_on(request.reply_async(Message::new("last"))).unwrap();
    let again = block_on(request.reply_async(Message::new("twice")));
    assert!(matches!(again, Err(ReplyError::NoReply(back)) if back.body() == b"twice"));
    let mut done = inbox.receive(long()).unwrap();
    block_on(done.reply_async(Message::new("well"))).unwrap();
    assert!(child.ended_well());
}

#[test]
fn a_caller_that_dies_ends_the_writing_of_its_answer() {
    if is_part() {
        return;
    }
    let (_inbox, mut request, mut child) = asked();
    let bytes = answer();
    let reply = request.reply_right_mut().unwrap();
    let mut part = pin!(reply.write_at_async(0, &bytes));
    assert!(poll_once(part.as_mut()).is_pending());
    child.kill();
    assert!(matches!(block_on(part), Err(PartError::Gone(_))));
}
