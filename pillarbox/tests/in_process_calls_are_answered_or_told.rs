//! Within one task: every call ends in its answer, or in what became of it.

mod asleep;

use std::sync::mpsc;
use std::time::Duration;

use asleep::{long, spawn_asleep};
use pillarbox::{
    CallError, Capacity, Deadline, Gone, Holding, Message, Notification, ReplyError, ReplyState,
    Right, SendFailure, Task,
};

#[test]
fn calls_are_answered_each_with_its_own() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(2));
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4u64)
            .map(|caller| {
                let post = inbox.make_send().unwrap();
                scope.spawn(move || {
                    for turn in 0..500 {
                        let tag = caller << 32 | turn;
                        let answer = post.call(Message::new("").with_tag(tag), long()).unwrap();
                        assert_eq!(answer.tag(), !tag);
                    }
                })
            })
            .collect();
        for _ in 0..4 * 500 {
            let mut request = inbox.receive(long()).unwrap();
            assert!(request.reply_right().is_some());
            let answer = Message::new("").with_tag(!request.tag());
            request.reply(answer, Deadline::Now).unwrap();
        }
        for caller in callers {
            caller.join().unwrap();
        }
    });
    drop(inbox);
    assert_eq!(task.census(), pillarbox::Census::default());
}

#[test]
fn an_answer_brings_rights_and_its_sender() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut request = inbox.receive(long()).unwrap();
            let mut answer = Message::new("here").with_id(5);
            for right in request.take_rights() {
                answer = answer.with_right(right);
            }
            request.reply(answer, long()).unwrap();
            assert!(request.reply_right().is_none());
            let again = request.reply(Message::new("again"), long()).unwrap_err();
            let ReplyError::NoReply(answer) = again else { panic!("{again}") };
            assert_eq!(answer.body(), b"again");
        });
        let request = Message::new("").with_right(post.clone());
        let mut answer = post.call(request, long()).unwrap();
        assert_eq!((answer.body(), answer.id()), (&b"here"[..], 5));
        assert_eq!(answer.sender(), Some(task.identity()));
        assert_eq!(answer.notification(), None);
        let right = answer.take_rights().remove(0).into_send().unwrap();
        assert!(right.same_port(&post));
    });
}

#[test]
fn a_request_dropped_is_told() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        let caller = spawn_asleep(scope, || post.call(Message::new(""), Deadline::Never));
        drop(inbox.receive(Deadline::Now).unwrap());
        assert!(matches!(caller.join().unwrap().unwrap_err(), CallError::Dropped));

        // So is a reply right that was taken out and dropped.
        let caller = spawn_asleep(scope, || post.call(Message::new(""), Deadline::Never));
        let mut request = inbox.receive(Deadline::Now).unwrap();
        drop(request.take_reply());
        assert!(matches!(caller.join().unwrap().unwrap_err(), CallError::Dropped));
    });
}

#[test]
fn a_late_reply_is_refused_and_comes_back_whole() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let error = post.call(Message::new(""), Deadline::after(Duration::from_millis(2)));
    assert!(matches!(error.unwrap_err(), CallError::Deadline));

    let mut request = inbox.receive(Deadline::Now).unwrap();
    let other = task.port(Capacity::Bounded(1));
    let news = task.port(Capacity::Bounded(1));
    let answer = Message::new("late")
        .with_right(other.make_send().unwrap())
        .with_right(news.make_send_once().unwrap());
    let refused = request.reply(answer, Deadline::Now).unwrap_err();
    let ReplyError::Unsent(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.reason, SendFailure::Withdrawn(Gone::TimedOut));
    assert_eq!(refused.message.body(), b"late");
    assert_eq!(other.status().senders, 1);
    drop(refused);
    assert_eq!(other.status().senders, 0);
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
}

#[test]
fn a_server_can_see_that_its_caller_has_gone() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    assert!(matches!(post.call(Message::new(""), Deadline::Now), Err(CallError::Deadline)));
    let request = inbox.receive(Deadline::Now).unwrap();
    let state = request.reply_right().unwrap().state();
    assert_eq!(state, ReplyState::Gone(Gone::TimedOut));
}

#[test]
fn a_call_that_is_not_sent_returns_what_was_put_in() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new(""), Deadline::Now).unwrap();
    let own = task.port(Capacity::Bounded(1));
    let request = Message::new("back")
        .with_right(own.make_send().unwrap())
        .with_reply(own.make_send_once().unwrap());
    let CallError::Unsent(mut error) = post.call(request, Deadline::Now).unwrap_err() else {
        panic!("it was not sent")
    };
    assert_eq!(error.reason, SendFailure::Full);
    assert_eq!(error.message.body(), b"back");
    assert!(matches!(error.message.rights(), [Right::Send(_)]));
    // The caller's own reply right, not the one that was made for the call.
    let reply = error.message.take_reply().unwrap();
    reply.send(Message::new("to own"), Deadline::Now).unwrap();
    assert_eq!(own.receive(Deadline::Now).unwrap().body(), b"to own");
}

#[test]
fn a_reply_right_is_given_on_and_used_elsewhere() {
    let task = Task::new();
    let front = task.port(Capacity::Bounded(1));
    let back = task.port(Capacity::Bounded(1));
    let (to_front, to_back) = (front.make_send().unwrap(), back.make_send().unwrap());
    std::thread::scope(|scope| {
        let caller = spawn_asleep(scope, || to_front.call(Message::new("x"), long()));
        let mut request = front.receive(Deadline::Now).unwrap();
        let reply = request.take_reply().unwrap();
        to_back.send(Message::new("").with_reply(reply), Deadline::Now).unwrap();
        scope.spawn(|| {
            let mut passed = back.receive(long()).unwrap();
            passed.reply(Message::new("from behind"), long()).unwrap();
        });
        assert_eq!(caller.join().unwrap().unwrap().body(), b"from behind");
    });
    assert_eq!(task.census().count(Holding::OwnSendOnce), 0);
}

#[test]
fn a_reply_comes_even_where_the_callers_queue_is_full() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new("fills it"), Deadline::Now).unwrap();
    let once = inbox.make_send_once().unwrap();
    once.send(Message::new("beyond"), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"fills it");
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"beyond");
}

#[test]
fn a_task_may_call_itself_through_another_thread_and_deep() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut request = inbox.receive(long()).unwrap();
                let depth = request.tag();
                let below = match depth {
                    0 => 0,
                    _ => {
                        let next = Message::new("").with_tag(depth - 1);
                        inbox.make_send().unwrap().call(next, long()).unwrap().tag()
                    }
                };
                request.reply(Message::new("").with_tag(below + 1), long()).unwrap();
            });
        }
        assert_eq!(post.call(Message::new("").with_tag(7), long()).unwrap().tag(), 8);
    });
}

#[test]
fn answers_race_deadlines_and_nothing_is_lost() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let other = task.port(Capacity::Unbounded);
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (inbox, other) = (&inbox, &other);
        scope.spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                if let Ok(mut request) = inbox.receive(Deadline::after(Duration::from_millis(1))) {
                    let answer = Message::new("").with_right(other.make_send_once().unwrap());
                    // Refused where the deadline was first.
                    let _ = request.reply(answer, Deadline::Now);
                }
            }
        });
        let post = inbox.make_send().unwrap();
        for turn in 0..1_000 {
            let soon = Deadline::after(Duration::from_micros(turn % 50));
            match post.call(Message::new(""), soon) {
                Ok(mut answer) => {
                    let right = answer.take_rights().remove(0).into_send_once().unwrap();
                    right.send(Message::new(""), Deadline::Now).unwrap();
                }
                Err(error) => assert!(matches!(error, CallError::Deadline), "{error}"),
            }
        }
        drop(stop);
    });
    while let Ok(mut request) = inbox.receive(Deadline::Now) {
        let answer = Message::new("").with_right(other.make_send_once().unwrap());
        assert!(request.reply(answer, Deadline::Now).is_err());
    }
    // Every right that was in an answer was used by the caller or has spoken.
    for _ in 0..1_000 {
        other.receive(Deadline::Now).unwrap();
    }
    assert!(other.receive(Deadline::Now).is_err());
}
