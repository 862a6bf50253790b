//! An interface is a value: ids, versions, arguments and the rights that each
//! message carries; the client has it, a running server answers for it, and it
//! reads as JSON and as Markdown.

use std::os::fd::OwnedFd;

use pillarbox::interface::{
    Carries, ClientError, DESCRIBE, LIBRARY_IDS, MethodKind, Protocol, Sink, describe,
};
use pillarbox::typed::{Carry, Sender, SenderOnce};
use pillarbox::{Capacity, Deadline, Message, SendRight, Task};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Elsewhere {
    log: SendRight,
    file: Carry<OwnedFd>,
}

/// Keeps things.
///
/// In "boxes" | and `elsewhere`.
#[pillarbox::interface(name = "org.example.Depot", version = 4)]
#[reserved(7, 9)]
trait Depot {
    /// Opens a box.
    #[id(1)]
    fn open(&self, name: String) -> DepotClient;
    #[id(2, since = 3)]
    fn subscribe(
        &self,
        news: Vec<Sender<String>>,
        done: Carry<SenderOnce<(u8, [u16; 4])>>,
        #[default(5)] times: u32,
        copy: Option<Carry<OwnedFd>>,
    ) -> Result<Stream<Option<SendRight>>, String>;
    /// The type does not name what is in it.
    #[id(3)]
    #[carries(send, descriptor)]
    fn inside(&self, #[carries(descriptor, send)] of: Elsewhere) -> Vec<Elsewhere>;
    #[id(4)]
    #[oneway]
    fn drop_all(&self);
}

struct Plain;

impl Depot for Plain {
    fn open(&self, _: String) -> DepotClient {
        DepotClient::new(Task::current().unwrap().port(Capacity::Rendezvous).make_send().unwrap())
    }

    fn subscribe(
        &self,
        _: Vec<Sender<String>>,
        _: Carry<SenderOnce<(u8, [u16; 4])>>,
        _: u32,
        _: Option<Carry<OwnedFd>>,
        _: Sink<Option<SendRight>>,
    ) -> Result<(), String> {
        Ok(())
    }

    fn inside(&self, of: Elsewhere) -> Vec<Elsewhere> {
        vec![of]
    }

    fn drop_all(&self) {}
}

#[test]
fn a_client_knows_its_interface() {
    let Protocol { name, version, documentation, methods, reserved } = DepotClient::PROTOCOL;
    assert_eq!((&*name, version, &*reserved), ("org.example.Depot", 4, &[7, 9][..]));
    assert_eq!(documentation, "Keeps things.\n\nIn \"boxes\" | and `elsewhere`.");
    let ids: Vec<_> = methods.iter().map(|method| (method.id, method.since, method.kind)).collect();
    let kinds = [MethodKind::Call, MethodKind::Stream, MethodKind::Call, MethodKind::OneWay];
    assert_eq!(ids, [(1, 1, kinds[0]), (2, 3, kinds[1]), (3, 1, kinds[2]), (4, 1, kinds[3])]);

    let [open, subscribe, inside, drop_all] = &*methods else { panic!("{methods:?}") };
    assert_eq!((&*open.documentation, &*open.answer.of_type), ("Opens a box.", "DepotClient"));
    assert_eq!(*open.answer.carries, [Carries::Send]);
    let arguments: Vec<_> = subscribe
        .arguments
        .iter()
        .map(|it| (&*it.name, &*it.of_type, it.may_be_missing, it.carries.to_vec()))
        .collect();
    assert_eq!(
        arguments,
        [
            ("news", "Vec<Sender<String>>", false, vec![Carries::Send]),
            ("done", "Carry<SenderOnce<(u8, [u16; 4])>>", false, vec![Carries::SendOnce]),
            ("times", "u32", true, vec![]),
            ("copy", "Option<Carry<OwnedFd>>", true, vec![Carries::Descriptor]),
        ]
    );
    assert_eq!(subscribe.answer.of_type, "Result<Stream<Option<SendRight>>, String>");
    assert_eq!(*inside.arguments[0].carries, [Carries::Descriptor, Carries::Send]);
    assert_eq!(*inside.answer.carries, [Carries::Send, Carries::Descriptor]);
    assert_eq!((drop_all.arguments.len(), &*drop_all.answer.of_type), (0, "()"));
    assert_eq!(DepotClient::PROTOCOL.method(3), Some(inside));
    assert_eq!(DepotClient::PROTOCOL.method(7), None);
}

#[test]
fn a_running_server_answers_for_it() {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                let message = inbox.receive(Deadline::Never).unwrap();
                DepotServer::new(Plain).dispatch(message, Deadline::Never).unwrap();
            }
        });
        assert_eq!(describe(&post, Deadline::Never).unwrap(), DepotClient::PROTOCOL);
        // It is a question like any other, and what it says is the same value.
        let asked = Message::new([0]).with_id(DESCRIBE);
        let answer = post.call(asked, Deadline::Never).unwrap();
        assert_eq!(answer.id(), DESCRIBE);
        assert!(LIBRARY_IDS.contains(&DESCRIBE));
    });
}

#[test]
fn who_is_no_server_is_told_apart() {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(inbox.receive(Deadline::Never).unwrap());
            let mut request = inbox.receive(Deadline::Never).unwrap();
            request.reply(Message::new("echo").with_id(DESCRIBE), Deadline::Never).unwrap();
            let mut request = inbox.receive(Deadline::Never).unwrap();
            request.reply(Message::new("echo"), Deadline::Never).unwrap();
        });
        let told = || describe(&post, Deadline::Never).unwrap_err();
        assert!(matches!(told(), ClientError::Dropped));
        assert!(matches!(told(), ClientError::Answer(_)));
        assert!(matches!(told(), ClientError::Answer(_)));
    });
}

#[test]
fn json_is_what_serde_says_of_it() {
    let json = DepotClient::PROTOCOL.to_json();
    assert!(!json.contains('\n'));
    let read: Protocol = serde_json::from_str(&json).unwrap();
    assert_eq!(read, DepotClient::PROTOCOL);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value, serde_json::to_value(DepotClient::PROTOCOL).unwrap());
    // Whatever a stranger puts in.
    let mut strange = DepotClient::PROTOCOL;
    strange.name = "\u{1b}[31m\"\\\n\t\u{7f}\u{9b}ü".into();
    let json = strange.to_json();
    assert!(!json.contains(char::is_control), "{json}");
    assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), strange);
}

#[test]
fn markdown_is_a_page_for_people() {
    let page = DepotClient::PROTOCOL.to_markdown();
    let expected = "\
# org.example.Depot, version 4

Keeps things.

In \"boxes\" | and `elsewhere`.

| id | method | kind | since | rights sent | rights answered |
|---|---|---|---|---|---|
| 1 | `open(name: String) -> DepotClient` | call | 1 | - | send |
| 2 | `subscribe(news: Vec<Sender<String>>, done: Carry<SenderOnce<(u8, [u16; 4])>>, \
times?: u32, copy?: Option<Carry<OwnedFd>>) -> Result<Stream<Option<SendRight>>, String>` \
| stream | 3 | send, send-once, descriptor | send |
| 3 | `inside(of: Elsewhere) -> Vec<Elsewhere>` | call | 1 | descriptor, send | send, descriptor |
| 4 | `drop_all()` | one-way | 1 | - | - |

## 1 `open`

Opens a box.

## 3 `inside`

The type does not name what is in it.

Never used again: 7, 9.
";
    assert_eq!(page, expected);
    let mut strange = DepotClient::PROTOCOL;
    strange.documentation = "\u{1b}]0;owned\u{7}\nline".into();
    let page = strange.to_markdown();
    assert!(page.contains("\\u{1b}]0;owned\\u{7}\nline\n"), "{page}");
}
