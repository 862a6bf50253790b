//! Tasks of a tokio runtime receive, send and call, on one thread and on
//! several, driven by the runtime and not; with timeouts, in a select, as
//! streams and sinks.

mod family;

use std::sync::Arc;
use std::time::Duration;

use family::{Reaped, act, acting, given, is_part, meet};
use futures_util::{SinkExt, StreamExt};
use pillarbox::typed::channel_in;
use pillarbox::{CallError, Capacity, Deadline, Message, SendRight, Task};
use tokio::runtime::{Builder, Runtime};

/// Every kind of runtime, and whether it drives the task.
fn runtimes() -> impl Iterator<Item = (Runtime, bool)> {
    [false, true].into_iter().flat_map(|driven| {
        let one = Builder::new_current_thread().enable_all().build().unwrap();
        let many = Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        [(one, driven), (many, driven)]
    })
}

/// Drives the task of this process until the runtime ends.
fn drive(task: &Task) {
    let task = task.clone();
    tokio::spawn(async move { task.drive().await.map(|_| ()) });
}

/// Answers calls for ever on a runtime of one thread, driven by it.
#[test]
fn server_part() {
    if !acting("server_part") {
        return;
    }
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let task = Task::current().unwrap();
        drive(&task);
        let inbox = task.port(Capacity::Bounded(8));
        let hello = Message::new("").with_right(inbox.make_send().unwrap());
        given("parent").send_async(hello).await.unwrap();
        let mut held = Vec::new();
        while let Ok(mut request) = inbox.receive_async().await {
            // One that is never answered.
            if request.body() == b"hold" {
                held.push(request);
                continue;
            }
            let reply = request.take_reply().unwrap();
            let answer = Message::new(request.body());
            tokio::spawn(async move { reply.send_async(answer).await.unwrap() });
        }
    });
}

fn start_server() -> (Reaped, SendRight) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let (child, [post]) = meet(act("server_part"), &inbox);
    (child, post)
}

#[test]
fn processes_call_each_other_on_every_runtime() {
    if is_part() {
        return;
    }
    let (mut child, server) = start_server();
    let server = Arc::new(server);
    let task = Task::current().unwrap();
    for (runtime, driven) in runtimes() {
        runtime.block_on(async {
            if driven {
                drive(&task);
            }
            let mut callers = Vec::new();
            for caller in 0..20 {
                let server = Arc::clone(&server);
                callers.push(tokio::spawn(async move {
                    for number in 0..50 {
                        let asked = format!("{caller} {number}");
                        let answer = server.call_async(Message::new(asked.as_str())).await;
                        assert_eq!(answer.unwrap().body(), asked.as_bytes());
                    }
                }));
            }
            for caller in callers {
                caller.await.unwrap();
            }
            // A timeout of the runtime's is a deadline.
            let call = server.call_async(Message::new("hold"));
            assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
            // A loser of a select has done nothing.
            let quiet = task.port(Capacity::Bounded(1));
            let post = quiet.make_send().unwrap();
            for number in 0..50_u8 {
                tokio::select! {
                    biased;
                    message = quiet.receive_async() => panic!("nobody sent {message:?}"),
                    answer = server.call_async(Message::new([number])) => {
                        assert_eq!(answer.unwrap().body(), [number]);
                    }
                }
            }
            post.send_async(Message::new("late")).await.unwrap();
            assert_eq!(quiet.receive_async().await.unwrap().body(), b"late");
        });
    }
    // A death reaches a runtime that waits for nothing else.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        drive(&task);
        let waiting = Arc::clone(&server);
        let call = tokio::spawn(async move { waiting.call_async(Message::new("hold")).await });
        // Answered after the one before it was taken.
        server.call_async(Message::new("")).await.unwrap();
        child.kill();
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::Died | CallError::Unsent(_)), "{error}");
    });
}

#[test]
fn ports_are_streams_and_sinks() {
    for (runtime, _) in runtimes() {
        let task = Task::new();
        let inbox = task.port(Capacity::Bounded(2));
        let post = inbox.make_send().unwrap();
        runtime.block_on(async {
            let mut sink = post.into_sink();
            let sender = tokio::spawn(async move {
                for number in 0..100_u8 {
                    sink.send(Message::new([number])).await.unwrap();
                }
                // What is not flushed is not sent, and comes back.
                sink.feed(Message::new("fed")).await.unwrap();
                let (right, unsent) = sink.into_right();
                assert_eq!(unsent.unwrap().body(), b"fed");
                right
            });
            let mut numbers = inbox.messages().map(|message| message.unwrap().into_body());
            for number in 0..100_u8 {
                assert_eq!(numbers.next().await, Some(vec![number]));
            }
            drop(numbers);
            let right = sender.await.unwrap();
            // A port that is gone is told by the sink, with the message.
            let mut stream = inbox.into_stream();
            right.send_async(Message::new("last")).await.unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap().body(), b"last");
            drop(stream.into_right());
            let mut sink = right.into_sink();
            let error = sink.send(Message::new("back")).await.unwrap_err();
            assert_eq!(error.message.body(), b"back");
        });
    }
}

#[test]
fn typed_channels_are_futures_too() {
    for (runtime, _) in runtimes() {
        runtime.block_on(async {
            let task = Task::new();
            let (sender, receiver) =
                channel_in::<(u8, String)>(&task, Capacity::Bounded(1)).unwrap();
            let server = tokio::spawn(async move {
                loop {
                    let mut request = receiver.receive_async().await.unwrap();
                    let (number, text) = request.value.clone();
                    if number == 0 {
                        return text;
                    }
                    request.reply_async(text.repeat(number.into())).await.unwrap();
                }
            });
            for number in 1..20 {
                let answer: String = sender.call_async((number, "ab".into())).await.unwrap();
                assert_eq!(answer.len(), 2 * usize::from(number));
            }
            sender.send_async((0, "end".into())).await.unwrap();
            assert_eq!(server.await.unwrap(), "end");
            let error = sender.send_async((1, "back".into())).await.unwrap_err();
            assert_eq!(error.value.1, "back");
        });
    }
    // In the same task, both ways of waiting.
    let task = Task::new();
    let (sender, receiver) = channel_in::<u8>(&task, Capacity::Bounded(1)).unwrap();
    sender.send(1, Deadline::Now).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(receiver.receive_async()).unwrap().value, 1);
}
