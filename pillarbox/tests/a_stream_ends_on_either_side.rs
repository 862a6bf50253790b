//! A stream of answers goes on until either side ends it, and the other side is
//! told how: finished, dropped, or dead.

mod family;

use std::sync::Mutex;
use std::sync::mpsc;

use family::{Reaped, act, acting, inbox, long, meet, offer, port, settled};
use pillarbox::interface::{Sink, StreamError};
use pillarbox::typed::{Sender, TypedReceiveError, channel};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveError, ReceiveRight, SendFailure,
};

#[pillarbox::interface(name = "org.example.Count", version = 1)]
trait Count {
    #[id(1)]
    fn up_to(&self, last: u32) -> Stream<u32>;
    /// The server may refuse this one.
    #[id(2)]
    fn up_to_at_most(&self, last: u32, most: u32) -> Result<Stream<u32>, String>;
    /// Items with rights in them, and an argument with the name of the sink.
    #[id(3)]
    fn boxes(&self, sink: Sender<String>) -> Stream<Sender<String>>;
    /// What the server does with the sink is up to the test.
    #[id(4)]
    fn kept(&self) -> Stream<String>;
    #[id(5)]
    fn panics(&self) -> Stream<u8>;
}

struct Plain {
    kept: Mutex<mpsc::Sender<Sink<String>>>,
}

fn count(last: u32, sink: Sink<u32>) {
    std::thread::spawn(move || {
        for number in 1..=last {
            if sink.send(number, long()).is_err() {
                return;
            }
        }
        sink.finish(long()).unwrap();
    });
}

impl Count for Plain {
    fn up_to(&self, last: u32, sink: Sink<u32>) {
        count(last, sink);
    }

    fn up_to_at_most(&self, last: u32, most: u32, sink: Sink<u32>) -> Result<(), String> {
        if last > most {
            return Err(format!("{last} is more than {most}"));
        }
        count(last, sink);
        Ok(())
    }

    fn boxes(&self, argument: Sender<String>, sink: Sink<Sender<String>>) {
        sink.send(argument, long()).unwrap();
        sink.finish(long()).unwrap();
    }

    fn kept(&self, sink: Sink<String>) {
        self.kept.lock().unwrap().send(sink).unwrap();
    }

    fn panics(&self, sink: Sink<u8>) {
        sink.send(1, long()).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

/// A server in a thread that ends with its last client, and the sinks it keeps.
fn served() -> (CountClient, mpsc::Receiver<Sink<String>>) {
    let (inbox, post) = port();
    let (kept, sinks) = mpsc::channel();
    std::thread::spawn(move || {
        inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
        let _ = CountServer::new(Plain { kept: Mutex::new(kept) }).serve(&inbox, long());
    });
    (CountClient::new(post), sinks)
}

fn sum(mut stream: pillarbox::interface::Stream<u32>) -> u64 {
    let mut sum = 0;
    while let Some(number) = stream.receive(long()).unwrap() {
        sum += u64::from(number);
    }
    // It stays at its end.
    assert_eq!(stream.receive(Deadline::Now), Ok(None));
    sum
}

#[test]
fn a_finished_stream_has_every_item_in_order() {
    let (client, _) = served();
    assert_eq!(sum(client.up_to(1000, long()).unwrap()), 500_500);
    assert_eq!(sum(client.up_to(0, long()).unwrap()), 0);
    let refused = client.up_to_at_most(3, 2, long()).unwrap();
    assert_eq!(refused.unwrap_err(), "3 is more than 2");
    assert_eq!(sum(client.up_to_at_most(2, 2, long()).unwrap().unwrap()), 3);
}

#[test]
fn rights_travel_in_items() {
    let (client, _) = served();
    let (post, inbox) = channel::<String>(Capacity::Bounded(1)).unwrap();
    let mut boxes = client.boxes(post, long()).unwrap();
    boxes.receive(long()).unwrap().unwrap().send("home".into(), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().value, "home");
    assert!(boxes.receive(long()).unwrap().is_none());
}

#[test]
fn the_server_is_no_further_ahead_than_the_capacity() {
    let (client, sinks) = served();
    let client = client.with_stream_capacity(Capacity::Bounded(2));
    let mut stream = client.kept(long()).unwrap();
    let sink = sinks.recv().unwrap();
    sink.send("one".into(), Deadline::Now).unwrap();
    sink.send("two".into(), Deadline::Now).unwrap();
    let error = sink.send("three".into(), Deadline::Now).unwrap_err();
    assert_eq!((error.reason, &*error.value), (SendFailure::Full.into(), "three"));
    assert_eq!(stream.right().status().queued, 2);
    // The end needs no room.
    sink.finish(Deadline::Now).unwrap();
    assert_eq!(stream.receive(long()).unwrap().unwrap(), "one");
    assert_eq!(stream.receive(long()).unwrap().unwrap(), "two");
    assert_eq!(stream.receive(long()), Ok(None));
}

#[test]
fn a_sink_that_is_dropped_is_told() {
    let (client, sinks) = served();
    let mut stream = client.kept(long()).unwrap();
    assert_eq!(stream.receive(Deadline::Now), Err(ReceiveError::Deadline.into()));
    let sink = sinks.recv().unwrap();
    sink.send("first".into(), long()).unwrap();
    drop(sink);
    assert_eq!(stream.receive(long()).unwrap().unwrap(), "first");
    for _ in 0..2 {
        assert_eq!(stream.receive(long()), Err(StreamError::Dropped));
    }
}

#[test]
fn a_stream_that_is_dropped_is_told() {
    let (client, sinks) = served();
    let stream = client.kept(long()).unwrap();
    let sink = sinks.recv().unwrap();
    let (news, _) = port();
    sink.right().notify_dead(news.make_send_once().unwrap()).unwrap();
    sink.send("not taken".into(), long()).unwrap();
    assert!(!sink.right().is_dead());
    drop(stream);
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::DeadName));
    assert!(sink.right().is_dead());
    let error = sink.send("late".into(), Deadline::Never).unwrap_err();
    assert_eq!((error.reason, &*error.value), (SendFailure::Dead.into(), "late"));
}

#[test]
fn a_method_that_panics_ends_its_stream() {
    let (inbox, post) = port();
    let (kept, _) = mpsc::channel();
    let client = CountClient::new(post);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            CountServer::new(Plain { kept: Mutex::new(kept) }).serve(&inbox, Deadline::Never)
        });
        client.panics(long()).unwrap_err();
        assert!(serving.join().is_err());
    });
}

#[test]
fn what_is_no_item_is_told_and_the_stream_goes_on() {
    let (client, sinks) = served();
    let mut stream = client.kept(long()).unwrap();
    let sink = sinks.recv().unwrap();
    sink.right().send(Message::new([5, b'x']), long()).unwrap();
    sink.send("fine".into(), long()).unwrap();
    let error = stream.receive(long()).unwrap_err();
    assert!(matches!(error, StreamError::Item(TypedReceiveError::Fault { .. })), "{error}");
    assert_eq!(stream.receive(long()).unwrap().unwrap(), "fine");
}

#[test]
fn many_streams_need_no_thread_each() {
    let (client, sinks) = served();
    let mut streams: Vec<_> = (0..1000).map(|_| client.kept(long()).unwrap()).collect();
    let sinks: Vec<_> = sinks.try_iter().collect();
    assert_eq!(sinks.len(), 1000);
    for (number, sink) in sinks.into_iter().enumerate() {
        sink.send(number.to_string(), Deadline::Now).unwrap();
        sink.finish(Deadline::Now).unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!(stream.receive(long()).unwrap().unwrap(), number.to_string());
        assert_eq!(stream.receive(long()), Ok(None));
    }
}

// ---- between processes ---------------------------------------------------------

#[test]
fn counting_part() {
    if acting("counting_part") {
        let inbox = inbox();
        let parent = offer(&[&inbox]);
        let (kept, sinks) = mpsc::channel::<Sink<String>>();
        std::thread::spawn(move || {
            // Each is kept until its client drops it, and then that is told.
            for sink in sinks {
                let (news, _) = port();
                sink.right().notify_dead(news.make_send_once().unwrap()).unwrap();
                sink.send("first".into(), long()).unwrap();
                news.receive(long()).unwrap();
                parent.send(Message::new("gone"), long()).unwrap();
            }
        });
        let _ = CountServer::new(Plain { kept: Mutex::new(kept) }).serve(&inbox, long());
    }
}

fn child() -> (CountClient, Reaped, ReceiveRight) {
    let inbox = inbox();
    let (child, [right]) = meet(act("counting_part"), &inbox);
    (CountClient::new(right), child, inbox)
}

#[test]
fn a_stream_crosses_to_another_process() {
    let (client, _child, inbox) = child();
    assert_eq!(sum(client.up_to(1000, long()).unwrap()), 500_500);
    let unbounded = client.clone().with_stream_capacity(Capacity::Unbounded);
    assert_eq!(sum(unbounded.up_to(1000, long()).unwrap()), 500_500);
    let meeting = client.clone().with_stream_capacity(Capacity::Rendezvous);
    assert_eq!(sum(meeting.up_to(100, long()).unwrap()), 5050);
    let mut stream = client.kept(long()).unwrap();
    assert_eq!(stream.receive(long()).unwrap().unwrap(), "first");
    drop(stream);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"gone");
}

#[test]
fn a_server_that_is_killed_ends_its_streams() {
    let (client, mut child, _inbox) = child();
    let mut stream = client.kept(long()).unwrap();
    let mut behind = client.up_to(u32::MAX, long()).unwrap();
    // It has sent what there is room for.
    settled(|| behind.right().status().queued, |queued| *queued == 16);
    child.kill();
    assert_eq!(stream.receive(long()).unwrap().unwrap(), "first");
    assert_eq!(stream.receive(long()), Err(StreamError::Died));
    // What was accepted is there, and then the news.
    let mut last = 0;
    let end = loop {
        match behind.receive(long()) {
            Ok(Some(number)) => {
                assert_eq!(number, last + 1);
                last = number;
            }
            end => break end,
        }
    };
    assert_eq!(end, Err(StreamError::Died));
    assert!(last >= 16);
}
