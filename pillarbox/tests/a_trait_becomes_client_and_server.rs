//! A trait becomes a client and a server: what a method is given and returns
//! crosses to another process, and whatever goes wrong is told to who asked.

mod family;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use family::{act, acting, inbox, long, meet, offer, port};
use pillarbox::interface::{ClientError, DispatchError, MALFORMED, Protocol};
use pillarbox::typed::TypedOffence;
use pillarbox::{Deadline, Message, Notification, ReceiveError, SendFailure, SendRight, Task};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum DivideError {
    ByZero { dividend: f64 },
}

/// Does sums.
#[pillarbox::interface(name = "org.example.Calculator", version = 2)]
trait Calculator {
    /// The sum of two.
    #[id(1)]
    fn add(&self, a: i64, b: i64) -> i64;
    #[id(2)]
    fn divide(&self, a: f64, b: f64) -> Result<f64, DivideError>;
    #[id(3, since = 2)]
    fn sum(&self, numbers: Vec<i64>) -> i64;
    #[id(4)]
    #[oneway]
    fn log(&self, line: String);
    #[id(7)]
    fn lines(&self) -> Vec<String>;
    #[id(2147483647)]
    fn nothing(&self);
    /// The argument is called as one that every method of a client has.
    #[id(9)]
    fn awkward(&self, deadline: u8, list: u8, request: u8, asked: u8) -> u32;
    #[id(10)]
    fn panic(&self) -> u8;
    #[id(11)]
    fn process(&self) -> u32;
}

#[derive(Default)]
struct Plain {
    lines: Mutex<Vec<String>>,
}

impl Calculator for Plain {
    fn add(&self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    fn divide(&self, a: f64, b: f64) -> Result<f64, DivideError> {
        if b == 0.0 { Err(DivideError::ByZero { dividend: a }) } else { Ok(a / b) }
    }

    fn sum(&self, numbers: Vec<i64>) -> i64 {
        numbers.iter().sum()
    }

    fn log(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    fn nothing(&self) {}

    fn awkward(&self, deadline: u8, list: u8, request: u8, asked: u8) -> u32 {
        u32::from_le_bytes([deadline, list, request, asked])
    }

    fn panic(&self) -> u8 {
        std::panic::resume_unwind(Box::new("on purpose"));
    }

    fn process(&self) -> u32 {
        std::process::id()
    }
}

/// Runs `work` with a client, while another thread serves what it asks for and
/// notes what was wrong with it.
fn served(work: impl FnOnce(CalculatorClient)) -> Vec<DispatchError> {
    let (inbox, post) = port();
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let server = CalculatorServer::new(Plain::default());
            let mut wrong = Vec::new();
            loop {
                match server.dispatch(inbox.receive(long()).unwrap(), long()) {
                    Ok(()) => {}
                    Err(DispatchError::Notification(Notification::NoSenders)) => return wrong,
                    Err(error) => wrong.push(error),
                }
            }
        });
        work(CalculatorClient::new(post));
        serving.join().unwrap()
    })
}

fn use_all(client: &CalculatorClient) {
    assert_eq!(client.add(1, -3, long()).unwrap(), -2);
    assert_eq!(client.divide(3.0, 2.0, long()).unwrap(), Ok(1.5));
    let by_zero = client.divide(3.0, 0.0, long()).unwrap();
    assert_eq!(by_zero, Err(DivideError::ByZero { dividend: 3.0 }));
    assert_eq!(client.sum((1..=100_000).collect(), long()).unwrap(), 5_000_050_000);
    client.nothing(long()).unwrap();
    assert_eq!(client.awkward(1, 2, 3, 4, long()).unwrap(), 0x0403_0201);
    client.log("one".into(), long()).unwrap();
    client.log("two".into(), long()).unwrap();
    // What one task sends to one port arrives in the order sent.
    assert_eq!(client.lines(long()).unwrap(), ["one", "two"]);
}

#[test]
fn a_client_calls_a_server_of_its_own_task() {
    assert_eq!(served(|client| use_all(&client)), []);
}

#[test]
fn serving_part() {
    if !acting("serving_part") {
        return;
    }
    let inbox = inbox();
    offer(&[&inbox]);
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    let ended = CalculatorServer::new(Plain::default()).serve(&inbox, long());
    assert_eq!(ended, Ok(Notification::NoSenders));
}

#[test]
fn a_client_calls_a_server_of_another_process() {
    let inbox = inbox();
    let (mut child, [right]) = meet(act("serving_part"), &inbox);
    let client = CalculatorClient::new(right);
    use_all(&client);
    assert_eq!(client.process(long()).unwrap(), child.pid() as u32);
    // A server that serves as long as there is a client ends with the last one.
    let other = client.clone();
    drop(client);
    use_all(&other);
    drop(other);
    assert!(child.ended_well());
}

#[test]
fn a_server_that_is_killed_is_told_of() {
    let inbox = inbox();
    let (mut child, [right]) = meet(act("serving_part"), &inbox);
    let client = CalculatorClient::new(right);
    child.stop();
    let error = client.add(1, 2, Deadline::after(std::time::Duration::from_millis(1)));
    assert!(matches!(error, Err(ClientError::Deadline)), "{error:?}");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.add(1, 2, long()));
        // Its request is in the lane or not; either way the death is told.
        child.kill();
        let error = call.join().unwrap().unwrap_err();
        let dead = SendFailure::Dead.into();
        assert!(
            matches!(error, ClientError::Died)
                || matches!(error, ClientError::Unsent { reason, arguments: (1, 2) } if reason == dead),
            "{error}"
        );
    });
    let error = client.sum(vec![4, 5], long()).unwrap_err();
    let ClientError::Unsent { reason, arguments: (numbers,) } = error else { panic!("{error}") };
    assert_eq!((reason, numbers), (SendFailure::Dead.into(), vec![4, 5]));
}

#[test]
fn a_method_that_panics_is_told_to_its_caller() {
    let (inbox, post) = port();
    let client = CalculatorClient::new(post);
    std::thread::scope(|scope| {
        let serving =
            scope.spawn(|| CalculatorServer::new(Plain::default()).serve(&inbox, Deadline::Never));
        let error = client.panic(long()).unwrap_err();
        assert!(matches!(error, ClientError::Dropped), "{error}");
        assert!(serving.join().is_err(), "it panicked");
        // The next one serves on.
        let later = scope.spawn(|| CalculatorServer::new(Plain::default()).serve(&inbox, long()));
        assert_eq!(client.add(1, 1, long()).unwrap(), 2);
        inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
        drop(client);
        assert_eq!(later.join().unwrap(), Ok(Notification::NoSenders));
    });
}

#[test]
fn serving_ends_at_its_deadline() {
    let (inbox, _post) = port();
    let server = CalculatorServer::new(Plain::default());
    assert_eq!(server.serve(&inbox, Deadline::Now), Err(ReceiveError::Deadline));
}

#[test]
fn several_threads_serve_with_one_server() {
    #[pillarbox::interface(name = "org.example.Meeting", version = 1)]
    trait Meeting {
        /// Returns once two are there.
        #[id(1)]
        fn meet(&self) -> u32;
    }
    struct Two(std::sync::Barrier, AtomicU32);
    impl Meeting for Two {
        fn meet(&self) -> u32 {
            self.0.wait();
            self.1.fetch_add(1, Ordering::Relaxed)
        }
    }
    let (inbox, post) = port();
    let client = MeetingClient::new(post);
    let server = MeetingServer::new(Two(std::sync::Barrier::new(2), AtomicU32::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                server.dispatch(inbox.receive(long()).unwrap(), long()).unwrap();
            });
        }
        let calls: Vec<_> = (0..2).map(|_| scope.spawn(|| client.meet(long()).unwrap())).collect();
        let mut answers: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        answers.sort_unstable();
        assert_eq!(answers, [0, 1]);
    });
    assert_eq!(server.methods().1.load(Ordering::Relaxed), 2);
}

/// Asks for something with a message made by hand.
fn ask(right: &SendRight, id: i32, body: &[u8]) -> Message {
    let tag = Protocol::tag("org.example.Calculator", 2);
    right.call(Message::new(body).with_id(id).with_tag(tag), long()).unwrap()
}

#[test]
fn a_malformed_request_is_answered_and_blames_its_sender() {
    let own = Task::current().unwrap().identity();
    let cases: [(&[u8], Option<u32>, TypedOffence); 7] = [
        (&[], None, TypedOffence::Truncated),
        (&[0], Some(0), TypedOffence::Missing),
        (&[1, 2], Some(1), TypedOffence::Missing),
        (&[2, 2], Some(1), TypedOffence::Truncated),
        (&[2, 2, 4, 0], None, TypedOffence::BytesLeftOver(1)),
        (&[2, 0xff, 0xff], Some(0), TypedOffence::Truncated),
        (
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            None,
            TypedOffence::NumberTooLarge,
        ),
    ];
    let wrong = served(|client| {
        for (body, ..) in cases {
            assert_eq!(ask(client.right(), 1, body).id(), MALFORMED, "{body:?}");
        }
        // Both sides go on.
        assert_eq!(ask(client.right(), 1, &[2, 2, 4]).body(), [6]);
        assert_eq!(client.add(1, 1, long()).unwrap(), 2);
    });
    assert_eq!(wrong.len(), cases.len());
    for (found, (body, at, what)) in wrong.into_iter().zip(cases) {
        let DispatchError::Malformed { method: 1, argument, offence, sender } = found else {
            panic!("{body:?}: {found}");
        };
        assert_eq!((argument, offence, sender), (at, Some(what), Some(own)), "{body:?}");
    }
}

#[test]
fn who_takes_a_method_for_another_is_told_so() {
    #[pillarbox::interface(name = "org.example.Calculator", version = 2)]
    trait Mistaken {
        #[id(1)]
        fn add(&self, a: String) -> i64;
        #[id(3)]
        fn sum(&self, numbers: Vec<i64>) -> Vec<bool>;
    }
    let wrong = served(|client| {
        let mistaken = MistakenClient::new(client.into_right());
        let error = mistaken.add("a".into(), long()).unwrap_err();
        let offence = Some(TypedOffence::Missing);
        let ClientError::Rejected { argument, offence: told } = error else { panic!("{error}") };
        assert_eq!((argument, told), (Some(1), offence));
        // Here it is the answer that cannot be read.
        let error = mistaken.sum(vec![1], long()).unwrap_err();
        assert!(matches!(error, ClientError::Answer(_)), "{error}");
    });
    assert_eq!(wrong.len(), 1);
}

#[test]
fn a_client_of_another_interface_is_told_so() {
    #[pillarbox::interface(name = "org.example.Other", version = 2)]
    trait Other {
        #[id(1)]
        fn add(&self, a: i64, b: i64) -> i64;
    }
    let wrong = served(|client| {
        let other = OtherClient::new(client.into_right());
        let error = other.add(1, 2, long()).unwrap_err();
        assert!(matches!(error, ClientError::WrongInterface), "{error}");
    });
    assert!(matches!(*wrong, [DispatchError::WrongInterface { sender: Some(_) }]), "{wrong:?}");
}

#[test]
fn a_method_that_is_answered_does_not_run_without_a_way_to_answer() {
    let wrong = served(|client| {
        let tag = Protocol::tag("org.example.Calculator", 2);
        client.right().send(Message::new([0]).with_id(7).with_tag(tag), long()).unwrap();
        client.log("kept".into(), long()).unwrap();
        assert_eq!(client.lines(long()).unwrap(), ["kept"]);
        // And one that is not answered runs, and says so to who waits.
        assert_eq!(ask(client.right(), 4, &[1, 1, b'x']).body(), []);
        assert_eq!(client.lines(long()).unwrap(), ["x"]);
    });
    assert!(matches!(*wrong, [DispatchError::NoReply { method: 7, .. }]), "{wrong:?}");
}

#[test]
fn a_port_may_serve_two_interfaces() {
    #[pillarbox::interface(name = "org.example.Name", version = 1)]
    trait Name {
        #[id(1)]
        fn name(&self) -> String;
    }
    struct Bob;
    impl Name for Bob {
        fn name(&self) -> String {
            "Bob".into()
        }
    }
    let (inbox, post) = port();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                let message = inbox.receive(long()).unwrap();
                if NameServer::<Bob>::is_for(&message) {
                    NameServer::new(Bob).dispatch(message, long()).unwrap();
                } else {
                    CalculatorServer::new(Plain::default()).dispatch(message, long()).unwrap();
                }
            }
        });
        assert_eq!(CalculatorClient::new(post.clone()).add(1, 2, long()).unwrap(), 3);
        assert_eq!(NameClient::new(post).name(long()).unwrap(), "Bob");
    });
}
