//! Rights are arguments and results of methods as any other value: they arrive,
//! work, and come back from what was not sent.

mod family;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use family::{Reaped, act, acting, inbox, long, meet, offer, port};
use pillarbox::interface::{ClientError, DESCRIBE, describe};
use pillarbox::typed::{Carry, Sender, SenderOnce, channel};
use pillarbox::{
    Capacity, Deadline, Holding, Message, Notification, ReceiveRight, SendFailure, SendOnceRight,
    SendRight, Task, Terms,
};
use serde::{Deserialize, Serialize};

#[pillarbox::interface(name = "org.example.File", version = 1)]
trait File {
    #[id(1)]
    fn read(&self) -> String;
    #[id(2)]
    fn append(&self, text: String);
}

#[derive(Serialize, Deserialize)]
struct Order {
    what: String,
    done: Carry<SendOnceRight>,
}

#[pillarbox::interface(name = "org.example.Store", version = 1)]
trait Store {
    /// Another interface's client as a result.
    #[id(1)]
    fn open(&self, name: String) -> FileClient;
    /// The same as an argument.
    #[id(2)]
    fn fill(&self, file: FileClient, text: String) -> Result<String, String>;
    #[id(3)]
    fn subscribe(&self, news: Sender<String>, plain: SendRight);
    #[id(4)]
    fn answer_later(&self, to: Carry<SenderOnce<u32>>, orders: Vec<Order>);
    #[id(5)]
    fn copy(&self, from: Carry<OwnedFd>) -> (u64, Carry<OwnedFd>);
    #[id(6)]
    fn mailbox(&self) -> SendRight;
}

/// A file in memory, and where it is served.
struct InMemory(Mutex<String>);

impl File for InMemory {
    fn read(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn append(&self, text: String) {
        self.0.lock().unwrap().push_str(&text);
    }
}

/// Serves a file as long as anybody holds a right to it.
fn open(name: &str) -> FileClient {
    let (inbox, post) = port();
    let file = InMemory(Mutex::new(format!("{name}: ")));
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    std::thread::spawn(move || {
        assert_eq!(FileServer::new(file).serve(&inbox, long()), Ok(Notification::NoSenders));
    });
    FileClient::new(post)
}

#[derive(Default)]
struct Plain {
    mailbox: Mutex<Option<ReceiveRight>>,
}

impl Store for Plain {
    fn open(&self, name: String) -> FileClient {
        open(&name)
    }

    fn fill(&self, file: FileClient, text: String) -> Result<String, String> {
        file.append(text, long()).map_err(|error| error.to_string())?;
        file.read(long()).map_err(|error| error.to_string())
    }

    fn subscribe(&self, news: Sender<String>, plain: SendRight) {
        news.send("news".into(), long()).unwrap();
        plain.send(Message::new("plain"), long()).unwrap();
    }

    fn answer_later(&self, to: Carry<SenderOnce<u32>>, orders: Vec<Order>) {
        std::thread::spawn(move || {
            for Order { what, done } in orders {
                done.into_inner().unwrap().send(Message::new(what), long()).unwrap();
            }
            to.into_inner().unwrap().send(42, long()).unwrap();
        });
    }

    fn copy(&self, from: Carry<OwnedFd>) -> (u64, Carry<OwnedFd>) {
        let text = std::io::read_to_string(std::fs::File::from(from.into_inner().unwrap()));
        let text = text.unwrap();
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(text.to_uppercase().as_bytes()).unwrap();
        (text.len() as u64, Carry::new(read.into()))
    }

    fn mailbox(&self) -> SendRight {
        let (inbox, post) = port();
        *self.mailbox.lock().unwrap() = Some(inbox);
        post
    }
}

#[test]
fn storing_part() {
    if acting("storing_part") {
        let inbox = inbox();
        offer(&[&inbox]);
        inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
        let ended = StoreServer::new(Plain::default()).serve(&inbox, long());
        assert_eq!(ended, Ok(Notification::NoSenders));
    }
}

fn store() -> (StoreClient, Reaped, ReceiveRight) {
    let inbox = inbox();
    let (child, [right]) = meet(act("storing_part"), &inbox);
    (StoreClient::new(right), child, inbox)
}

#[test]
fn a_client_of_another_interface_is_a_result_and_an_argument() {
    let (store, _child, _inbox) = store();
    let file = store.open("theirs".into(), long()).unwrap();
    file.append("one ".into(), long()).unwrap();
    assert_eq!(file.read(long()).unwrap(), "theirs: one ");
    // Their own file, back to them.
    let read = store.fill(file.clone(), "two".into(), long()).unwrap();
    assert_eq!(read.unwrap(), "theirs: one two");
    // And one of ours, which they ask us for.
    let own = open("ours");
    assert_eq!(store.fill(own, "three".into(), long()).unwrap().unwrap(), "ours: three");
}

#[test]
fn send_rights_are_copied_and_what_is_once_moves() {
    let (store, _child, _inbox) = store();
    let (news, newsreader) = channel::<String>(Capacity::Bounded(1)).unwrap();
    let (plain, post) = port();
    store.subscribe(news.clone(), post.clone(), long()).unwrap();
    assert_eq!(newsreader.receive(long()).unwrap().value, "news");
    assert_eq!(plain.receive(long()).unwrap().body(), b"plain");
    news.send("still ours".into(), long()).unwrap();

    let (_, answers) = channel::<u32>(Capacity::Bounded(1)).unwrap();
    let done = || Carry::new(plain.make_send_once().unwrap());
    let order = |what: &str| Order { what: what.into(), done: done() };
    let orders = vec![order("a"), order("b")];
    store.answer_later(Carry::new(answers.make_send_once().unwrap()), orders, long()).unwrap();
    assert_eq!(plain.receive(long()).unwrap().body(), b"a");
    assert_eq!(plain.receive(long()).unwrap().body(), b"b");
    assert_eq!(answers.receive(long()).unwrap().value, 42);
}

#[test]
fn descriptors_go_both_ways() {
    let (store, _child, _inbox) = store();
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(b"through").unwrap();
    drop(write);
    let (length, copy) = store.copy(Carry::new(read.into()), long()).unwrap();
    assert_eq!(length, 7);
    let copy = std::fs::File::from(copy.into_inner().unwrap());
    assert_eq!(std::io::read_to_string(copy).unwrap(), "THROUGH");
}

#[test]
fn a_right_in_a_result_lives_as_long_as_its_port() {
    let (store, mut child, _inbox) = store();
    let mailbox = store.mailbox(long()).unwrap();
    mailbox.send(Message::new("kept"), long()).unwrap();
    let (news, _) = port();
    mailbox.notify_dead(news.make_send_once().unwrap()).unwrap();
    child.kill();
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::DeadName));
    let error = mailbox.send(Message::new("late"), Deadline::Never).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead);
}

#[test]
fn what_was_not_sent_comes_back_with_every_right() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let store = StoreClient::new(inbox.make_send().unwrap());
    drop(inbox);
    let (inbox, post) = port();
    let (_, answers) = channel::<u32>(Capacity::Bounded(1)).unwrap();
    let orders =
        vec![Order { what: "a".into(), done: Carry::new(inbox.make_send_once().unwrap()) }];
    let to = Carry::new(answers.make_send_once().unwrap());
    let error = store.answer_later(to, orders, long()).unwrap_err();
    let ClientError::Unsent { reason, arguments: (to, mut orders) } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, SendFailure::Dead.into());
    to.into_inner().unwrap().send(1, long()).unwrap();
    assert_eq!(answers.receive(long()).unwrap().value, 1);
    let done = orders.remove(0).done.into_inner().unwrap();
    done.send(Message::new("unused"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"unused");

    let (news, _reader) = channel::<String>(Capacity::Bounded(1)).unwrap();
    let error = store.subscribe(news, post, long()).unwrap_err();
    let ClientError::Unsent { arguments: (news, post), .. } = error else { panic!("{error}") };
    news.send("back".into(), long()).unwrap();
    post.send(Message::new("back"), long()).unwrap();
    // Not one right more than that.
    assert_eq!(task.census().count(Holding::OwnSend), 0);
}

#[test]
fn a_narrowed_right_is_a_right_to_some_methods() {
    let (inbox, _) = port();
    let appending = FileClient::new(inbox.make_send_with(&Terms::new().ids(2..=2)).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = FileServer::new(InMemory(Mutex::default()));
            file.dispatch(inbox.receive(long()).unwrap(), long()).unwrap();
            assert_eq!(*file.methods().0.lock().unwrap(), "more");
        });
        appending.append("more".into(), long()).unwrap();
        let error = appending.read(long()).unwrap_err();
        let ClientError::Unsent { reason, arguments: () } = error else { panic!("{error}") };
        assert_eq!(reason, SendFailure::NotPermitted(1).into());
        let error = describe(appending.right(), long()).unwrap_err();
        let ClientError::Unsent { reason, .. } = error else { panic!("{error}") };
        assert_eq!(reason, SendFailure::NotPermitted(DESCRIBE).into());
    });
}
