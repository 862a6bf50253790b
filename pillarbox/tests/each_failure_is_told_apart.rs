//! An error says what happened: each variant of each public error is met in a
//! test, and those that no other file has occasion for are met here.

mod executor;
mod family;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::thread::JoinHandle;

use executor::{block_on, poll_once};
use family::linked::give;
use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::bootstrap::{self, Bootstrap, BootstrapError};
use pillarbox::interface::{ClientError, DispatchError, StreamError};
use pillarbox::kernel::{Kernel, KernelError};
use pillarbox::shared::{AcknowledgeError, AttachError, Policy, SharedMailbox, SharedReader};
use pillarbox::typed::{
    EncodeError, Sender, TypedCallError, TypedReceiveError, TypedReplyError, TypedSendFailure,
};
use pillarbox::{
    Capacity, Deadline, LinkError, Message, PulseError, ReceiveError, ReceiveRight, SendFailure,
    SendRight, StatusError, Task, Terms, channel,
};

/// A port, and a right to it.
fn port(task: &Task) -> (ReceiveRight, SendRight) {
    let inbox = task.port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    (inbox, post)
}

/// A linked task's port that permits message 1 only; its holder's library does not
/// know that, and asks.
fn narrow() -> (Task, ReceiveRight, Task, SendRight) {
    let (owner, caller) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(4));
    let right = inbox.make_send_with(&Terms::new().ids_listed([1])).unwrap();
    let post = give(&owner, &caller, right);
    (owner, inbox, caller, post)
}

/// What a call becomes that is answered with `body`.
fn answered<T>(inbox: &ReceiveRight, call: impl Future<Output = T>, body: &[u8]) -> T {
    let mut call = pin!(call);
    assert!(poll_once(call.as_mut()).is_pending());
    inbox.receive(long()).unwrap().reply(Message::new(body), long()).unwrap();
    block_on(call)
}

/// Calls in a thread of its own.
fn calling(sender: &Sender<u32>) -> JoinHandle<Result<u32, TypedCallError<u32>>> {
    let sender = sender.clone();
    std::thread::spawn(move || block_on(sender.call_async::<u32>(8)))
}

#[test]
fn a_typed_call_ends_in_what_happened() {
    if is_part() {
        return;
    }
    let (owner, inbox, caller, post) = narrow();
    let sender = Sender::<u32>::new(post.clone());
    let refused = sender.call::<u32>(7, long());
    assert!(matches!(refused, Err(TypedCallError::Refused)), "{refused:?}");
    assert!(matches!(block_on(sender.call_async::<u32>(7)), Err(TypedCallError::Refused)));
    assert_eq!(inbox.status().queued, 0);

    let asks = give(&owner, &caller, inbox.make_send().unwrap());
    let sender = Sender::<u32>::new(asks);
    let late = sender.call::<u32>(7, Deadline::Now);
    assert!(matches!(late, Err(TypedCallError::Deadline)), "{late:?}");
    drop(inbox.receive(long()).unwrap());
    let call = calling(&sender);
    drop(inbox.receive(long()).unwrap());
    let dropped = call.join().unwrap();
    assert!(matches!(dropped, Err(TypedCallError::Dropped)), "{dropped:?}");
    owner.close();
    family::settled(|| sender.right().is_dead(), |dead| *dead);
    let unsent = sender.call::<u32>(9, long());
    let Err(TypedCallError::Unsent(unsent)) = unsent else { panic!("it was sent: {unsent:?}") };
    assert_eq!((unsent.reason, unsent.value), (TypedSendFailure::Unsent(SendFailure::Dead), 9));
    caller.close();
}

/// Is asked, and dies with the question.
#[test]
fn silent_part() {
    if acting("silent_part") {
        let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
        let hello = Message::new("").with_right(inbox.make_send().unwrap());
        let parent = given("parent");
        parent.send(hello, long()).unwrap();
        let _request = inbox.receive(long()).unwrap();
        parent.send(Message::new("asked"), long()).unwrap();
        std::thread::park();
    }
}

#[test]
fn a_server_that_was_killed_is_told_from_one_that_let_go() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let child = act("silent_part").right("parent", inbox.make_send().unwrap()).spawn();
    let mut child = Reaped(child.unwrap());
    let post = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let sender = Sender::<u32>::new(post);
    let call = calling(&sender);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"asked");
    child.stop();
    // One whose library does not answer is told from one that is gone.
    let full = sender.right().status(Deadline::after(std::time::Duration::from_millis(5)));
    assert_eq!(full, Err(StatusError::Deadline));
    child.kill();
    let died = call.join().unwrap();
    assert!(matches!(died, Err(TypedCallError::Died)), "{died:?}");
    assert_eq!(sender.right().status(long()), Err(StatusError::Dead));
}

/// As deep as no value may be nested.
#[derive(Debug, serde::Serialize)]
struct Deep(Option<Box<Deep>>);

#[test]
fn a_value_that_is_no_message_is_told_from_one_that_was_not_sent() {
    let (sender, receiver) = channel::<Deep>(Capacity::Bounded(1)).unwrap();
    let deep = || (0..200).fold(Deep(None), |inner, _| Deep(Some(Box::new(inner))));
    let error = sender.send(deep(), long()).unwrap_err();
    assert_eq!(error.reason, TypedSendFailure::Encode(EncodeError::TooDeep));
    assert!(error.value.0.is_some(), "it comes back");
    drop(receiver);

    let (asks, requests) = channel::<u8>(Capacity::Bounded(1)).unwrap();
    let mut call = asks.right().start_call(Message::new([1]), long()).unwrap();
    let mut request = requests.receive(long()).unwrap();
    let unsent = request.reply(deep(), long()).unwrap_err();
    assert!(matches!(unsent, TypedReplyError::Unsent(_)), "{unsent:?}");
    // It can be answered still, in either way.
    let unsent = block_on(request.reply_async(deep())).unwrap_err();
    assert!(matches!(unsent, TypedReplyError::Unsent(_)), "{unsent:?}");
    block_on(request.reply_async(2_u8)).unwrap();
    assert_eq!(call.wait(long()).unwrap().body(), [2]);
}

#[test]
fn a_pulse_says_why_it_was_not_sent() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let narrow = inbox.make_send_with(&Terms::new().ids_listed([1])).unwrap();
    assert_eq!(narrow.pulse(2, 0, 0), Err(PulseError::NotPermitted(2)));
    narrow.pulse(1, 0, 0).unwrap();
}

#[test]
fn a_server_that_is_replaced_for_ever_is_not_asked_for_ever() {
    let task = Task::new();
    let (inbox, post) = port(&task);
    let server = Bootstrap::new(post.clone());
    let replaced = bootstrap::Answer::Refused(bootstrap::Refused::Replaced);
    let (told, asked) = std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let mut asked = 0;
            // What asks for no answer is the last.
            while inbox
                .receive(long())
                .unwrap()
                .reply(bootstrap::encode_answer(&replaced), long())
                .is_ok()
            {
                asked += 1;
            }
            asked
        });
        let told = server.stop(long());
        post.send(Message::new("enough"), long()).unwrap();
        (told, serving.join().unwrap())
    });
    let replaced = bootstrap::Refused::Replaced;
    assert!(
        matches!(&told, Err(BootstrapError::Refused { reason, .. }) if *reason == replaced),
        "{told:?}"
    );
    assert!(asked > 1, "it asks again by itself");
}

#[test]
fn a_server_that_makes_no_sense_is_told_from_one_that_is_gone() {
    let task = Task::new();
    let (inbox, post) = port(&task);
    let server = Bootstrap::new(post.clone());
    let nonsense = answered(&inbox, server.look_up_async("org.example.Echo"), b"\xff");
    assert!(matches!(nonsense, Err(BootstrapError::BadAnswer)), "{nonsense:?}");
    let done = bootstrap::encode_answer(&bootstrap::Answer::Done);
    let other = answered(&inbox, server.look_up_async("org.example.Echo"), done.body());
    assert!(matches!(other, Err(BootstrapError::BadAnswer)), "{other:?}");
    answered(&inbox, server.stop_async(), done.body()).unwrap();
    let no = bootstrap::encode_answer(&bootstrap::Answer::Refused(bootstrap::Refused::NoSuchName));
    let refused = answered(&inbox, server.unregister_async("org.example.Echo"), no.body());
    let Err(BootstrapError::Refused { name, reason }) = refused else { panic!("{refused:?}") };
    assert_eq!((&*name, reason), ("org.example.Echo", bootstrap::Refused::NoSuchName));
    let late = server.stop(Deadline::Now);
    assert!(matches!(late, Err(BootstrapError::Deadline)), "{late:?}");
    drop(inbox.receive(Deadline::Now));

    let kernel = Kernel::new(post.clone());
    assert_eq!(kernel.identity(Deadline::Now), Err(KernelError::Deadline));
    drop(inbox.receive(Deadline::Now));
    assert_eq!(answered(&inbox, kernel.identity_async(), b"\xff"), Err(KernelError::BadAnswer));
    let revoked = Bootstrap::new(inbox.make_send_with(&Terms::new().ids_listed([9])).unwrap());
    let unsent = block_on(revoked.stop_async());
    assert!(
        matches!(unsent, Err(BootstrapError::Unsent(SendFailure::NotPermitted(0)))),
        "{unsent:?}"
    );
    let nowhere = Bootstrap::at("/", long());
    assert!(matches!(nowhere, Err(BootstrapError::NoServer(_) | BootstrapError::Link(_))));
    let long_path = format!("/{}", "x".repeat(200));
    let refused = task.connect(&long_path, long());
    assert!(matches!(refused, Err(LinkError::System(_))), "{refused:?}");
    let refused = Bootstrap::at(&long_path, long());
    assert!(matches!(refused, Err(BootstrapError::Link(_))), "{refused:?}");
    task.close();
}

#[test]
fn a_reader_says_why_it_was_not_attached_or_not_heard() {
    let task = Task::new();
    let (inbox, post) = port(&task);
    let unserved = SharedReader::attach(&task, post.clone(), 1, Deadline::Now);
    assert!(matches!(unserved, Err(AttachError::Call(_))), "{unserved:?}");
    drop(inbox.receive(Deadline::Now));
    let nonsense =
        answered(&inbox, SharedReader::attach_async(&task, post.clone(), 1), b"\xff\xff");
    assert!(matches!(nonsense, Err(AttachError::BadAnswer)), "{nonsense:?}");
    drop(inbox);
    let nobody = SharedReader::attach(&task, post, 1, long());
    assert!(matches!(nobody, Err(AttachError::Call(_))), "{nobody:?}");

    // The owner is gone when the hand-out is acknowledged, in either way.
    for in_a_future in [false, true] {
        let (owner, far) = (Task::new(), Task::new());
        let shared = owner.port(Capacity::Bounded(1));
        let post = shared.make_send().unwrap();
        let mut mailbox = SharedMailbox::new(shared, Policy::RoundRobin);
        let right = give(&owner, &far, mailbox.reader_right().unwrap());
        post.send(Message::new("work"), long()).unwrap();
        let delivery = {
            let work = async {
                let mut reader = SharedReader::attach_async(&far, right, 1).await.unwrap();
                let delivery = reader.receive_async().await.unwrap().unwrap();
                (reader, delivery)
            };
            let (mut work, mut serve) = (pin!(work), pin!(mailbox.serve_async()));
            let until = long();
            loop {
                assert!(!until.has_passed() && poll_once(serve.as_mut()).is_pending());
                if let Poll::Ready((reader, delivery)) = poll_once(work.as_mut()) {
                    drop(reader);
                    break delivery;
                }
                std::thread::yield_now();
            }
        };
        drop(mailbox);
        owner.close();
        // Until the news is here.
        family::settled(|| far.peers().len(), |peers| *peers == 0);
        let unsaid = if in_a_future {
            block_on(delivery.acknowledge_async())
        } else {
            delivery.acknowledge(long())
        };
        assert_eq!(unsaid, Err(AcknowledgeError::Unsent(SendFailure::Dead)));
        far.close();
    }
}

/// Counts.
#[pillarbox::interface(name = "org.example.Counter", version = 1)]
trait Counter {
    #[id(2)]
    fn next(&self) -> u32;
}

struct One;

impl Counter for One {
    fn next(&self) -> u32 {
        1
    }
}

#[test]
fn a_client_and_a_server_say_what_they_met() {
    if is_part() {
        return;
    }
    let (owner, inbox, caller, post) = narrow();
    let client = CounterClient::new(post);
    let refused = client.next(long());
    assert!(matches!(refused, Err(ClientError::Refused)), "{refused:?}");
    let own = inbox.make_send().unwrap();
    own.pulse(5, 6, 0).unwrap();
    let pulse = inbox.receive(long()).unwrap();
    let met = CounterServer::new(One).dispatch(pulse, long());
    assert!(matches!(met, Err(DispatchError::Pulse(pulse)) if pulse.value == 6), "{met:?}");
    // The caller is gone when the method has run.
    let client = CounterClient::new(own);
    let asked = client.next(Deadline::Now);
    assert!(matches!(asked, Err(ClientError::Deadline)), "{asked:?}");
    let met = CounterServer::new(One).dispatch(inbox.receive(long()).unwrap(), long());
    assert!(matches!(met, Err(DispatchError::Unanswered(_))), "{met:?}");
    assert_eq!(
        StreamError::from(ReceiveError::Deadline).to_string(),
        "no message came before the deadline"
    );
    owner.close();
    caller.close();
}

/// Errors that are met elsewhere under another name, or by no test that could be
/// run in a moment.
const ELSEWHERE: &[(&str, &str)] = &[
    ("AttachError::Unsent", "of a forked child's, or where a right is dead: as SendFailure"),
    ("BootstrapError::Task", "as TaskError, of a forked child"),
    ("DispatchError::BodyLost", "as TypedReceiveError::BodyLost"),
    ("EncodeError::TooLong", "a value of more than 4 GiB"),
    ("InboxError::Task", "as TaskError, of a forked child"),
    ("KernelError::Refused", "as kernel::Refused"),
    ("NameError::NotUtf8", "in abi/src/name.rs: a name of ours is text"),
    ("OfferError::Name", "as NameError in misuse_has_its_own_error"),
    ("PulseError::System", "where a lane cannot be written, as SendFailure::System"),
    ("Refusal::Ticket", "in abi/src/hello.rs, and sent by raw peers"),
    ("SendFailure::HasTerms", "in the tests of moves"),
    ("SendFailure::Unsettled", "in the tests of moves"),
    ("StreamError::Receive", "as ReceiveError"),
    ("TaskError::System", "by injection: a_refused_system_call_leaves_rights_intact"),
    ("TypedReceiveError::BodyLost", "as Message::is_body_lost, by injection"),
];

/// What waits for a right that another task gave and its owner has not confirmed, or
/// for a peer that offends in the midst of it: met where such peers are, by the
/// errors of sends.
const UNCONFIRMED: &[&str] = &[
    "PartError::Fault",
    "PartError::NotJoined",
    "PulseError::Fault",
    "PulseError::NotJoined",
    "SendFailure::NotJoined",
];

/// What a forked child is told: every use of a parent's right begins with one look.
fn is_of_a_fork(variant: &str) -> bool {
    variant.ends_with("::Forked")
}

fn all_text(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_text(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The variants of each public enum that is an error.
fn variants(text: &str, found: &mut BTreeMap<String, ()>) {
    let mut is_error = false;
    let mut within: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = &within {
            if line == "}" {
                within = None;
            } else if let Some(code) = line.strip_prefix("    ")
                && code.starts_with(|first: char| first.is_ascii_uppercase())
            {
                let variant: String =
                    code.chars().take_while(char::is_ascii_alphanumeric).collect();
                found.insert(format!("{name}::{variant}"), ());
            }
        } else if line.starts_with("#[derive(") {
            is_error = line.contains("thiserror::Error");
        } else if let Some(rest) = line.strip_prefix("pub enum ") {
            let name = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            within = std::mem::take(&mut is_error).then_some(name);
        } else if !line.starts_with('#') {
            is_error = false;
        }
    }
}

#[test]
fn each_variant_of_each_public_error_is_met_in_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sources, mut tests) = (Vec::new(), Vec::new());
    all_text(&root.join("src"), &mut sources);
    for folder in ["tests", "../boot/tests", "../cli/tests"] {
        all_text(&root.join(folder), &mut tests);
    }
    let mut found = BTreeMap::new();
    for (_, text) in &sources {
        variants(text, &mut found);
    }
    assert!(found.len() > 100, "the sources are elsewhere");
    let here = file!().rsplit('/').next().unwrap();
    let is_met = |variant: &String| {
        let counts = |(path, text): &(String, String)| {
            // The lists below are no meeting.
            let end = if path.ends_with(here) { text.find("const ELSEWHERE") } else { None };
            text[..end.unwrap_or(text.len())].contains(variant.as_str())
        };
        tests.iter().any(counts)
    };
    let excused = |variant: &&String| {
        is_of_a_fork(variant)
            || UNCONFIRMED.contains(&variant.as_str())
            || ELSEWHERE.iter().any(|(known, _)| known == variant)
    };
    let unmet: Vec<_> = found.keys().filter(|it| !is_met(it)).filter(|it| !excused(it)).collect();
    assert!(unmet.is_empty(), "no test meets {unmet:?}");
}

/// The reading itself is kept from the lists above.
#[test]
fn a_typed_receiver_tells_a_deadline() {
    let (_sender, receiver) = channel::<u8>(Capacity::Bounded(1)).unwrap();
    let error = receiver.receive(Deadline::Now).unwrap_err();
    assert_eq!(error, TypedReceiveError::Receive(ReceiveError::Deadline));
}
