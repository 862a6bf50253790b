//! Fuzzes what a server of an interface is asked, and what its client is
//! answered: bytes that a peer has written, as arguments and as a result.
//!
//! Whatever they are, the server answers once and goes on, and neither side
//! panics. What decodes as arguments is answered with what it was, and then
//! decodes as a result.
#![no_main]

use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use pillarbox::interface::{ClientError, DESCRIBE, Protocol, Sink, describe_async};
use pillarbox::typed::{Carry, Sender};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendOnceRight, SendRight, Task};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Grown {
    name: String,
    #[serde(default)]
    inside: Vec<Shape>,
    #[serde(default)]
    nothing: (),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Pair(i16, Option<bool>),
    Named {
        one: u8,
        #[serde(default)]
        deeper: Vec<Shape>,
    },
}

#[pillarbox::interface(name = "org.example.Fuzz", version = 1)]
trait Fuzz {
    #[id(1)]
    fn same(&self, first: Grown, numbers: Vec<u64>, #[default] last: String) -> Grown;
    #[id(2)]
    fn rights(&self, post: Option<SendRight>, news: Vec<Sender<u8>>) -> u64;
    #[id(3)]
    fn once(&self, done: Carry<SendOnceRight>);
    #[id(4)]
    fn stream(&self, what: Shape) -> Stream<Shape>;
}

struct Plain;

impl Fuzz for Plain {
    fn same(&self, first: Grown, _: Vec<u64>, _: String) -> Grown {
        first
    }

    fn rights(&self, post: Option<SendRight>, news: Vec<Sender<u8>>) -> u64 {
        u64::from(post.is_some()) + news.len() as u64
    }

    fn once(&self, _: Carry<SendOnceRight>) {}

    fn stream(&self, what: Shape, sink: Sink<Shape>) {
        let _ = sink.send(what, Deadline::Now);
    }
}

/// Where the server is asked, and where the client is answered.
struct Ports {
    server: (ReceiveRight, SendRight),
    answers: ReceiveRight,
}

fn ports() -> &'static Ports {
    static PORTS: OnceLock<Ports> = OnceLock::new();
    PORTS.get_or_init(|| {
        let task = Task::new();
        let inbox = task.port(Capacity::Bounded(4));
        let post = inbox.make_send().expect("it is not forked");
        Ports { server: (inbox, post), answers: task.port(Capacity::Bounded(4)) }
    })
}

/// What a server of this interface says to a message with these bytes.
fn asked(id: i32, body: &[u8]) -> Message {
    let Ports { server: (inbox, post), answers } = ports();
    let own = answers.make_send_once().expect("it is not forked");
    let mut message = Message::new(body)
        .with_id(id)
        .with_tag(Protocol::tag("org.example.Fuzz", 1))
        .with_reply(own);
    // Two rights and one for once: bytes may name them or not.
    message = message.with_right(post.clone()).with_right(post.clone());
    let done = answers.make_send_once().expect("it is not forked");
    message = message.with_right(done);
    post.send(message, Deadline::Now).expect("there is room");
    let message = inbox.receive(Deadline::Now).expect("it was sent");
    let _ = FuzzServer::new(Plain).dispatch(message, Deadline::Now);
    // What a stream brought comes here as well.
    while inbox.receive(Deadline::Now).is_ok() {}
    // The send-once right speaks too; the answer has a sender.
    loop {
        let said = answers.receive(Deadline::Now).expect("a server answers or drops");
        if said.sender().is_some() {
            while answers.receive(Deadline::Now).is_ok() {}
            return said;
        }
        if answers.status().queued == 0 {
            return said;
        }
    }
}

/// What a client makes of an answer with these bytes.
fn answered(id: i32, body: &[u8]) -> Result<Grown, ClientError<(Grown, Vec<u64>, String)>> {
    let client = FuzzClient::new(ports().server.1.clone());
    let first = Grown { name: String::new(), inside: Vec::new(), nothing: () };
    with_answer(client.same_async(first, Vec::new(), String::new()), id, body)
}

/// What a call returns that is answered so.
fn with_answer<T>(call: impl Future<Output = T>, id: i32, body: &[u8]) -> T {
    let inbox = &ports().server.0;
    let mut call = pin!(call);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    let mut request = inbox.receive(Deadline::Now).expect("it was asked");
    request.reply(Message::new(body).with_id(id), Deadline::Now).expect("it waits");
    match call.poll(&mut cx) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it was answered"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    match choice % 8 {
        id @ 0..=4 => {
            let answer = asked(id.into(), body);
            if answer.id() == 1 {
                // Its own answer is one that a client reads.
                let read = answered(1, answer.body()).expect("it is a value");
                let again = answered(1, answer.body()).expect("it is a value");
                assert_eq!(read, again);
            }
        }
        5 => drop(answered(1, body)),
        6 => drop(answered(i32::MIN + i32::from(body.first().copied().unwrap_or(0)), body)),
        _ => {
            let described = describe_async(&ports().server.1);
            if let Ok(protocol) = with_answer(described, DESCRIBE, body) {
                assert!(!protocol.to_json().contains(char::is_control));
                let page = protocol.to_markdown();
                assert!(!page.replace('\n', "").contains(char::is_control));
            }
        }
    }
});
