//! The futures need no runtime: a queue and a thread are enough, in one task,
//! between tasks and between processes, beside threads that block, for a
//! hundred thousand futures at once.

mod executor;
mod family;

use std::future::Future;
use std::io::{Read, Write};
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use executor::{Count, Executor, block_on, poll_once};
use family::{Reaped, act, act_with, acting, given, is_part, long, offer};
use pillarbox::{
    CallError, Capacity, Deadline, Message, ReceiveRight, SendFailure, SendRight, StatusError, Task,
};

/// Answers calls for ever, one after the other, as a future.
async fn serve(inbox: ReceiveRight) {
    while let Ok(mut request) = inbox.receive_async().await {
        let Some(reply) = request.take_reply() else { return };
        reply.send_async(Message::new(request.body())).await.unwrap();
    }
}

/// Two tasks of this process, and a right of the second's in the first.
fn linked(capacity: Capacity) -> (Task, Task, SendRight, ReceiveRight) {
    let (near, far) = (Task::new(), Task::new());
    let port = far.port(capacity);
    let dir = std::env::temp_dir();
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("pillarbox-futures-{}-{number}", std::process::id()));
    let listening = far.listen(&path, vec![("port".into(), port.make_send().unwrap())]).unwrap();
    let mut came = near.connect(&path, long()).unwrap();
    drop(listening);
    let right = came.remove("port").unwrap().into_send().unwrap();
    (near, far, right, port)
}

#[test]
fn a_task_talks_to_itself() {
    for capacity in [Capacity::Rendezvous, Capacity::Bounded(1), Capacity::Unbounded] {
        for threads in [1, 4] {
            let executor = Executor::new();
            let inbox = Task::new().port(capacity);
            let sum = Arc::new(AtomicU64::new(0));
            for sender in 0..8 {
                let post = inbox.make_send().unwrap();
                executor.spawn(async move {
                    for number in 0..100 {
                        let message = Message::new("").with_tag(sender * 100 + number);
                        post.send_async(message).await.unwrap();
                    }
                });
            }
            let total = Arc::clone(&sum);
            executor.spawn(async move {
                let mut last = [None; 8];
                for _ in 0..800 {
                    let tag = inbox.receive_async().await.unwrap().tag();
                    let before = last[tag as usize / 100].replace(tag);
                    assert!(before.is_none_or(|before| before < tag), "in the order sent");
                    total.fetch_add(tag, Ordering::Relaxed);
                }
                let status = inbox.status();
                assert_eq!(status.queued, 0);
            });
            executor.run(threads);
            assert_eq!(sum.load(Ordering::Relaxed), (0..800).sum());
        }
    }
}

#[test]
fn tasks_call_each_other() {
    for threads in [1, 3] {
        let executor = Executor::new();
        let (near, _far, right, port) = linked(Capacity::Bounded(4));
        executor.spawn(serve(port));
        let right = Arc::new(right);
        let open = Arc::new(AtomicU64::new(50));
        for caller in 0..50 {
            let (right, open) = (Arc::clone(&right), Arc::clone(&open));
            executor.spawn(async move {
                for number in 0..20 {
                    let asked = format!("{caller} {number}");
                    let answer = right.call_async(Message::new(asked.clone())).await.unwrap();
                    assert_eq!(answer.body(), asked.as_bytes());
                }
                if open.fetch_sub(1, Ordering::SeqCst) == 1 {
                    let status = right.status_async().await.unwrap();
                    assert_eq!((status.queued, status.capacity), (0, 4));
                    // No reply right: the server ends.
                    right.send_async(Message::new("")).await.unwrap();
                }
            });
        }
        executor.run(threads);
        block_on(async {
            // The server is gone, and so is its port.
            let error = right.call_async(Message::new("")).await.unwrap_err();
            let CallError::Unsent(mut error) = error else { panic!("{error}") };
            assert_eq!(error.reason, SendFailure::Dead);
            assert!(error.message.take_reply().is_none(), "what went in comes back");
            assert_eq!(right.status_async().await, Err(StatusError::Dead));
        });
        near.close();
    }
}

/// Serves the parent with futures, on one thread of its own making.
#[test]
fn server_part() {
    if !acting("server_part") {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(8));
    let hello = Message::new("").with_right(inbox.make_send().unwrap());
    block_on(async {
        given("parent").send_async(hello).await.unwrap();
        serve(inbox).await;
    });
}

fn start_server() -> (Reaped, SendRight) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let child = act("server_part").right("parent", inbox.make_send().unwrap()).spawn();
    let child = Reaped(child.unwrap());
    let mut hello = block_on(inbox.receive_async()).unwrap();
    (child, hello.take_rights().pop().unwrap().into_send().unwrap())
}

#[test]
fn processes_call_each_other_beside_threads_that_block() {
    if is_part() {
        return;
    }
    let (mut child, right) = start_server();
    let right = Arc::new(right);
    let executor = Executor::new();
    for caller in 0..20 {
        let right = Arc::clone(&right);
        executor.spawn(async move {
            for number in 0..100 {
                let asked = format!("future {caller} {number}");
                let answer = right.call_async(Message::new(asked.clone())).await.unwrap();
                assert_eq!(answer.body(), asked.as_bytes());
            }
        });
    }
    std::thread::scope(|scope| {
        for caller in 0..3 {
            let right = &right;
            scope.spawn(move || {
                for number in 0..500 {
                    let asked = format!("thread {caller} {number}");
                    let answer = right.call(Message::new(asked.clone()), long()).unwrap();
                    assert_eq!(answer.body(), asked.as_bytes());
                }
            });
        }
        scope.spawn(|| executor.run(2));
    });
    // A call that is open when the server dies ends with that news.
    let executor = Executor::new();
    child.kill();
    let told = Arc::new(AtomicU64::new(0));
    for _ in 0..20 {
        let (right, told) = (Arc::clone(&right), Arc::clone(&told));
        executor.spawn(async move {
            let error = right.call_async(Message::new("")).await.unwrap_err();
            assert!(matches!(error, CallError::Died | CallError::Unsent(_)), "{error}");
            told.fetch_add(1, Ordering::SeqCst);
        });
    }
    executor.run(1);
    assert_eq!(told.load(Ordering::SeqCst), 20);
}

#[test]
fn a_hundred_thousand_futures_wait_and_a_wake_finds_its_own() {
    const MANY: usize = 100_000;
    let executor = Executor::new();
    let task = Task::new();
    let done = Arc::new(AtomicU64::new(0));
    let mut posts = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let inbox = task.port(Capacity::Bounded(1));
        posts.push(inbox.make_send().unwrap());
        let done = Arc::clone(&done);
        executor.spawn(async move {
            let message = inbox.receive_async().await.unwrap();
            assert_eq!(message.tag(), number as u64);
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    executor.run_ready();
    assert_eq!((executor.polls(), done.load(Ordering::SeqCst)), (MANY as u64, 0));
    for number in (0..MANY).step_by(1000) {
        posts[number].send(Message::new("").with_tag(number as u64), Deadline::Now).unwrap();
    }
    executor.run_ready();
    // Nobody was polled who had nothing to find.
    assert_eq!(executor.polls(), MANY as u64 + 100);
    assert_eq!(done.load(Ordering::SeqCst), 100);
    for (number, post) in posts.iter().enumerate() {
        if number % 1000 != 0 {
            post.send(Message::new("").with_tag(number as u64), Deadline::Now).unwrap();
        }
    }
    executor.run(2);
    assert_eq!(done.load(Ordering::SeqCst), MANY as u64);
}

#[test]
fn who_is_told_and_not_polled_keeps_nobody_else_from_a_message() {
    let inbox = Task::new().port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    let (one, two) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut lazy = Box::pin(inbox.receive_async());
    let mut eager = pin!(inbox.receive_async());
    let (lazy_waker, eager_waker) = (Waker::from(one.clone()), Waker::from(two.clone()));
    assert!(lazy.as_mut().poll(&mut Context::from_waker(&lazy_waker)).is_pending());
    assert!(eager.as_mut().poll(&mut Context::from_waker(&eager_waker)).is_pending());
    post.send(Message::new("1"), Deadline::Now).unwrap();
    assert_eq!((one.times(), two.times()), (1, 0));
    post.send(Message::new("2"), Deadline::Now).unwrap();
    assert_eq!((one.times(), two.times()), (1, 1));
    let Poll::Ready(first) = poll_once(eager.as_mut()) else { panic!("it was told") };
    assert_eq!(first.unwrap().body(), b"1");
    // The other gives up: the message is the next one's.
    let mut third = pin!(inbox.receive_async());
    drop(lazy);
    let Poll::Ready(second) = poll_once(third.as_mut()) else { panic!("one is left") };
    assert_eq!(second.unwrap().body(), b"2");
}

/// Is told of a message, then has its one thread elsewhere until its input ends.
#[test]
fn busy_part() {
    if !acting("busy_part") {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(8));
    offer(&[&inbox]);
    let mut first = inbox.receive(long()).unwrap();
    first.reply(Message::new(""), long()).unwrap();
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).unwrap();
    let mut second = inbox.receive(long()).unwrap();
    second.reply(Message::new("at last"), long()).unwrap();
}

#[test]
fn a_peer_whose_threads_are_elsewhere_hears_of_a_future() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let act = act_with("busy_part", |command| {
        command.stdin(Stdio::piped());
    });
    let mut child = Reaped(act.right("parent", inbox.make_send().unwrap()).spawn().unwrap());
    let mut hello = block_on(inbox.receive_async()).unwrap();
    let right = hello.take_rights().pop().unwrap().into_send().unwrap();
    block_on(right.call_async(Message::new("first"))).unwrap();
    // From here on no thread of the child's waits in the library, and it may
    // have announced itself awake.
    for _ in 0..20 {
        assert_eq!(block_on(right.status_async()).unwrap().queued, 0);
    }
    let mut call = pin!(right.call_async(Message::new("second")));
    assert!(poll_once(call.as_mut()).is_pending());
    assert_eq!(block_on(right.status_async()).unwrap().capacity, 8);
    drop(child.0.stdin.take());
    assert_eq!(block_on(call).unwrap().body(), b"at last");
    assert!(child.ended_well());
}

/// Sends a message for each byte it is told, one with a descriptor and one
/// without, and never waits in the library.
#[test]
fn descriptors_part() {
    if !acting("descriptors_part") {
        return;
    }
    let to = given("parent");
    let mut told = [0];
    while std::io::stdin().read_exact(&mut told).is_ok() {
        let mut message = Message::new(told);
        if told[0] % 2 == 0 {
            message = message.with_descriptor(std::fs::File::open("/dev/null").unwrap().into());
        }
        to.send(message, Deadline::Now).unwrap();
    }
}

#[test]
fn a_bell_that_is_read_with_descriptors_rings_again() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(64));
    let act = act_with("descriptors_part", |command| {
        command.stdin(Stdio::piped());
    });
    let mut child = Reaped(act.right("parent", inbox.make_send().unwrap()).spawn().unwrap());
    let mut tell = child.0.stdin.take().unwrap();
    for round in 0..10_000_u32 {
        let number = round as u8;
        tell.write_all(&[number]).unwrap();
        // Nobody rings but for this message: the sender waits for nothing.
        assert_eq!(block_on(inbox.receive_async()).unwrap().body(), [number]);
    }
    drop(tell);
    assert!(child.ended_well());
}
