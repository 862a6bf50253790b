//! Two versions of one interface, in two processes, both ways: what is older
//! goes on working, and what it lacks it is told with both versions.

mod family;

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;

use family::{Reaped, act, acting, inbox, long, meet, offer};
use pillarbox::interface::{ClientError, DispatchError};
use pillarbox::typed::{Carry, TypedOffence};
use pillarbox::{Capacity, Message, Notification, ReceiveRight, SendRight, Task};

/// The interface as it was.
mod before {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Person {
        pub(crate) name: String,
        pub(crate) at: Place,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Place {
        pub(crate) street: String,
    }

    #[pillarbox::interface(name = "org.example.People", version = 1)]
    pub(crate) trait People {
        /// Stores who is there and returns them all.
        #[id(1)]
        fn store(&self, people: Vec<Person>) -> Vec<Person>;
        #[id(2)]
        fn greet(&self, name: String) -> String;
        #[id(3)]
        fn dismiss(&self);
        #[id(6)]
        #[oneway]
        fn forget(&self, name: String);
    }
}

/// The interface as it is.
mod now {
    use super::{Carry, OwnedFd};
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Person {
        pub(crate) name: String,
        pub(crate) at: Place,
        /// Nobody is 0 years old who is stored.
        #[serde(default)]
        pub(crate) age: u8,
        #[serde(default)]
        pub(crate) titles: Vec<String>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Place {
        pub(crate) street: String,
        #[serde(default = "one")]
        pub(crate) number: u32,
    }

    fn one() -> u32 {
        1
    }

    #[pillarbox::interface(name = "org.example.People", version = 2)]
    #[reserved(3)]
    pub(crate) trait People {
        #[id(1)]
        fn store(&self, people: Vec<Person>) -> Vec<Person>;
        #[id(2)]
        fn greet(
            &self,
            name: String,
            copy: Option<Carry<OwnedFd>>,
            #[default] polite: bool,
            #[default(2)] times: u8,
        ) -> String;
        #[id(4, since = 2)]
        fn count(&self) -> u64;
        #[id(5, since = 2)]
        fn names(&self) -> Stream<String>;
        #[id(7, since = 2)]
        #[oneway]
        fn forget_all(&self);
    }
}

struct Before;

impl before::People for Before {
    fn store(&self, people: Vec<before::Person>) -> Vec<before::Person> {
        people
    }

    fn greet(&self, name: String) -> String {
        format!("hello {name}")
    }

    fn dismiss(&self) {}

    fn forget(&self, _: String) {}
}

struct Now;

impl now::People for Now {
    fn store(&self, people: Vec<now::Person>) -> Vec<now::Person> {
        people
    }

    fn greet(&self, name: String, copy: Option<Carry<OwnedFd>>, polite: bool, times: u8) -> String {
        assert!(copy.is_none());
        format!("{} {name} {times}", if polite { "good day" } else { "hi" })
    }

    fn count(&self) -> u64 {
        7
    }

    fn names(&self, _: pillarbox::interface::Sink<String>) {}

    fn forget_all(&self) {}
}

/// Serves until nobody asks any more, and returns what was wrong, in words.
fn serve(dispatch: impl Fn(Message) -> Result<(), DispatchError>) -> Vec<String> {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(16));
    offer(&[&inbox]);
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    let mut wrong = Vec::new();
    loop {
        match dispatch(inbox.receive(long()).unwrap()) {
            Ok(()) => {}
            Err(DispatchError::Notification(Notification::NoSenders)) => return wrong,
            Err(error) => wrong.push(error.to_string()),
        }
    }
}

#[test]
fn older_part() {
    if acting("older_part") {
        let server = before::PeopleServer::new(Before);
        let wrong = serve(|message| server.dispatch(message, long()));
        let ids: Vec<_> = wrong.iter().map(|wrong| wrong.contains("we serve version 1")).collect();
        assert_eq!(ids, [true; 3], "{wrong:?}");
    }
}

#[test]
fn newer_part() {
    if acting("newer_part") {
        let server = now::PeopleServer::new(Now);
        let wrong = serve(|message| server.dispatch(message, long()));
        let ids: Vec<_> = wrong.iter().map(|wrong| wrong.contains("we serve version 2")).collect();
        assert_eq!(ids, [true; 2], "{wrong:?}");
    }
}

#[test]
fn content_part() {
    if acting("content_part") {
        let server = now::PeopleServer::new(Now);
        assert_eq!(serve(|message| server.dispatch(message, long())), [""; 0]);
    }
}

/// A server of another process, and what keeps it.
fn served_by(part: &str) -> (SendRight, Reaped, ReceiveRight) {
    let inbox = inbox();
    let (child, [right]) = meet(act(part), &inbox);
    (right, child, inbox)
}

#[test]
fn a_newer_client_uses_an_older_server() {
    let (right, mut child, _inbox) = served_by("older_part");
    let client = now::PeopleClient::new(right);

    // What the server does not know is not stored, at any depth.
    let at = now::Place { street: "High Street".into(), number: 5 };
    let ann = now::Person { name: "Ann".into(), at, age: 40, titles: vec!["Dr".into()] };
    let bob = now::Person { name: "Bob".into(), ..ann.clone() };
    let stored = client.store(vec![ann.clone(), bob], long()).unwrap();
    let names: Vec<_> = stored.iter().map(|person| &*person.name).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    for person in stored {
        assert_eq!((person.at.street, person.at.number), ("High Street".into(), 1));
        assert_eq!((person.age, person.titles), (0, vec![]));
    }

    // Arguments it does not know are nothing to it, and their rights are released.
    let (read, write) = std::io::pipe().unwrap();
    let copy = Some(Carry::new(write.into()));
    assert_eq!(client.greet("Ann".into(), copy, true, 3, long()).unwrap(), "hello Ann");
    assert_eq!(std::io::read_to_string(read).unwrap(), "", "nobody holds the other end");

    // Methods it does not have are told so, whatever they would answer.
    let unknown = |error: ClientError, id| {
        let ClientError::UnknownMethod { method, client_version, server_version } = error else {
            panic!("{error}");
        };
        assert_eq!((method, client_version, server_version), (id, 2, 1));
    };
    unknown(client.count(long()).unwrap_err(), 4);
    unknown(client.names(long()).unwrap_err(), 5);
    // Nobody waits for this one; the server hears of it.
    client.forget_all(long()).unwrap();
    assert_eq!(client.greet("Bob".into(), None, false, 0, long()).unwrap(), "hello Bob");
    drop(client);
    assert!(child.ended_well());
}

#[test]
fn an_older_client_uses_a_newer_server() {
    let (right, mut child, _inbox) = served_by("newer_part");
    let client = before::PeopleClient::new(right);
    let ann =
        before::Person { name: "Ann".into(), at: before::Place { street: "High Street".into() } };
    assert_eq!(client.store(vec![ann.clone(), ann.clone()], long()).unwrap(), [ann.clone(), ann]);
    assert_eq!(client.greet("Ann".into(), long()).unwrap(), "hi Ann 2");
    // A method that was removed.
    let error = client.dismiss(long()).unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::UnknownMethod { method: 3, client_version: 1, server_version: 2 }
        ),
        "{error}"
    );
    client.forget("Ann".into(), long()).unwrap();
    assert_eq!(client.greet("Bob".into(), long()).unwrap(), "hi Bob 2");
    drop(client);
    assert!(child.ended_well());
}

#[test]
fn a_newer_client_of_a_newer_server_says_it_all() {
    let (right, mut child, _inbox) = served_by("content_part");
    let client = now::PeopleClient::new(right);
    let at = now::Place { street: "High Street".into(), number: 5 };
    let ann = now::Person { name: "Ann".into(), at, age: 40, titles: vec!["Dr".into()] };
    assert_eq!(client.store(vec![ann.clone()], long()).unwrap(), [ann]);
    assert_eq!(client.greet("Ann".into(), None, true, 9, long()).unwrap(), "good day Ann 9");
    assert_eq!(client.count(long()).unwrap(), 7);
    drop(client);
    assert!(child.ended_well());
}

/// A server that gives back what it was given, under many shapes of the same
/// struct.
mod shapes {
    use super::HashMap;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) enum Old {
        Unit,
        Named { one: u8 },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) enum New {
        Unit,
        Named {
            one: u8,
            #[serde(default)]
            two: HashMap<String, Vec<Option<u8>>>,
            #[serde(default)]
            nothing: (),
        },
    }

    #[pillarbox::interface(name = "org.example.Shapes", version = 1)]
    pub(crate) trait Shapes {
        #[id(1)]
        fn same(&self, first: Old, last: Old) -> (Old, u8);
    }

    pub(crate) mod newer {
        use super::New;

        #[pillarbox::interface(name = "org.example.Shapes", version = 2)]
        pub(crate) trait Shapes {
            #[id(1)]
            fn same(&self, first: New, last: New) -> (New, u8);
            /// Wants what no older client sends.
            #[id(2)]
            fn demanding(&self, first: u8, second: u8) -> u8;
        }

        #[pillarbox::interface(name = "org.example.Shapes", version = 1)]
        pub(crate) trait Sloppy {
            #[id(2)]
            fn demanding(&self, first: u8) -> u8;
        }
    }
}

struct Mirror;

impl shapes::Shapes for Mirror {
    fn same(&self, first: shapes::Old, last: shapes::Old) -> (shapes::Old, u8) {
        assert_eq!(last, shapes::Old::Unit);
        (first, 3)
    }
}

impl shapes::newer::Shapes for Mirror {
    fn same(&self, first: shapes::New, last: shapes::New) -> (shapes::New, u8) {
        assert_eq!(last, shapes::New::Unit);
        (first, 3)
    }

    fn demanding(&self, first: u8, second: u8) -> u8 {
        first + second
    }
}

#[test]
fn variants_with_named_fields_grow_too() {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(16));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let older = shapes::ShapesServer::new(Mirror);
            older.dispatch(inbox.receive(long()).unwrap(), long()).unwrap();
            let newer = shapes::newer::ShapesServer::new(Mirror);
            newer.dispatch(inbox.receive(long()).unwrap(), long()).unwrap();
        });
        let two = HashMap::from([("a".to_owned(), vec![Some(1), None])]);
        let named = shapes::New::Named { one: 1, two, nothing: () };
        let newer = shapes::newer::ShapesClient::new(post.clone());
        let seen = newer.same(named, shapes::New::Unit, long()).unwrap();
        let less = shapes::New::Named { one: 1, two: HashMap::new(), nothing: () };
        assert_eq!(seen, (less, 3));
        let older = shapes::ShapesClient::new(post);
        let named = shapes::Old::Named { one: 1 };
        assert_eq!(older.same(named.clone(), shapes::Old::Unit, long()).unwrap(), (named, 3));
    });
}

#[test]
fn an_argument_that_must_be_there_and_is_not_is_told() {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(16));
    let client = shapes::newer::SloppyClient::new(inbox.make_send().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let newer = shapes::newer::ShapesServer::new(Mirror);
            let wrong = newer.dispatch(inbox.receive(long()).unwrap(), long());
            let at = matches!(wrong, Err(DispatchError::Malformed { argument: Some(1), .. }));
            assert!(at, "{wrong:?}");
        });
        let error = client.demanding(1, long()).unwrap_err();
        let ClientError::Rejected { argument, offence } = error else { panic!("{error}") };
        assert_eq!((argument, offence), (Some(1), Some(TypedOffence::Missing)));
    });
}

#[test]
fn what_is_left_of_a_pipe_is_closed_by_who_skips_it() {
    // The counterpart of the test above: who knows the argument holds it.
    struct Keeps(std::sync::Mutex<Vec<Carry<OwnedFd>>>);
    #[pillarbox::interface(name = "org.example.Keep", version = 1)]
    trait Keep {
        #[id(1)]
        fn keep(&self, it: Carry<OwnedFd>);
    }
    impl Keep for Keeps {
        fn keep(&self, it: Carry<OwnedFd>) {
            self.0.lock().unwrap().push(it);
        }
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(16));
    let client = KeepClient::new(inbox.make_send().unwrap());
    let server = KeepServer::new(Keeps(std::sync::Mutex::default()));
    let (read, write) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.dispatch(inbox.receive(long()).unwrap(), long()).unwrap());
        client.keep(Carry::new(write.into()), long()).unwrap();
    });
    let kept = server.methods().0.lock().unwrap().remove(0).into_inner().unwrap();
    std::fs::File::from(kept).write_all(b"kept").unwrap();
    assert_eq!(std::io::read_to_string(read).unwrap(), "kept");
}
