//! Between two tasks typed values do what they do within one: rights go whole or
//! come back whole, and blame finds the peer.

mod asleep;

use std::io::Write;
use std::os::fd::OwnedFd;

use asleep::long;
use pillarbox::typed::{
    Carry, Sender, SenderOnce, TypedCallError, TypedOffence, TypedReceiveError, channel_in, fixed,
};
use pillarbox::{Capacity, Deadline, Holding, Message, ReceiveRight, SendFailure, SendRight, Task};
use serde::{Deserialize, Serialize};

/// A path nobody else has, removed in the end.
struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let file = format!("pillarbox-{name}-{}.sock", std::process::id());
        Place(std::env::temp_dir().join(file))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The far task, a port of its, and the near task with a send right to it.
fn linked(name: &str, capacity: Capacity) -> (Task, ReceiveRight, Task, SendRight) {
    let place = Place::new(name);
    let (far, near) = (Task::new(), Task::new());
    let inbox = far.port(capacity);
    let offer = vec![("inbox".to_owned(), inbox.make_send().unwrap())];
    let _listening = far.listen(&place.0, offer).unwrap();
    let mut offered = near.connect(&place.0, long()).unwrap();
    let post = offered.remove("inbox").unwrap().into_send().unwrap();
    (far, inbox, near, post)
}

#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    text: String,
    numbers: Sender<u32>,
    once: Carry<SenderOnce<String>>,
    file: Carry<OwnedFd>,
}

#[test]
fn rights_in_a_value_cross_and_work() {
    let (far, inbox, near, post) = linked("cross", Capacity::Bounded(4));
    let (numbers, numbers_inbox) = channel_in::<u32>(&near, Capacity::Bounded(4)).unwrap();
    let (_, words) = channel_in::<String>(&near, Capacity::Bounded(4)).unwrap();
    let (read, write) = std::io::pipe().unwrap();
    let parcel = Parcel {
        text: "x".repeat(100_000),
        numbers,
        once: Carry::new(words.make_send_once().unwrap()),
        file: Carry::new(write.into()),
    };
    Sender::new(post.clone()).send(parcel, long()).unwrap();

    let inbox = pillarbox::typed::Receiver::<Parcel>::new(inbox);
    let received = inbox.receive(long()).unwrap();
    assert_eq!(received.sender.unwrap().task, near.identity().task);
    let Parcel { text, numbers, once, file } = received.value;
    assert_eq!(text.len(), 100_000);
    numbers.send(7, long()).unwrap();
    once.into_inner().unwrap().send("done".into(), long()).unwrap();
    std::fs::File::from(file.into_inner().unwrap()).write_all(b"through").unwrap();
    let number = numbers_inbox.receive(long()).unwrap();
    assert_eq!((number.value, number.sender.unwrap().task), (7, far.identity().task));
    assert_eq!(words.receive(long()).unwrap().value, "done");
    assert_eq!(std::io::read_to_string(read).unwrap(), "through");
    far.close();
    near.close();
}

#[test]
fn a_value_that_finds_no_room_comes_back_whole() {
    let (far, inbox, near, post) = linked("full", Capacity::Bounded(1));
    let (numbers, numbers_inbox) = channel_in::<u32>(&near, Capacity::Bounded(4)).unwrap();
    let (_, words) = channel_in::<String>(&near, Capacity::Bounded(4)).unwrap();
    let (_read, write) = std::io::pipe().unwrap();
    post.send(Message::new(""), long()).unwrap();
    let parcel = Parcel {
        text: "back".into(),
        numbers,
        once: Carry::new(words.make_send_once().unwrap()),
        file: Carry::new(write.into()),
    };
    let sender = Sender::new(post);
    let error = sender.send(parcel, Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::Full.into());
    drop(inbox);
    let error = sender.call::<()>(error.value, Deadline::Never).unwrap_err();
    let TypedCallError::Unsent(error) = error else { panic!("{error}") };
    assert_eq!(error.reason, SendFailure::Dead.into());
    let Parcel { text, numbers, once, file } = error.value;
    assert_eq!(text, "back");
    assert!(!file.is_empty());
    numbers.send(1, Deadline::Now).unwrap();
    assert_eq!(numbers_inbox.receive(Deadline::Now).unwrap().value, 1);
    once.into_inner().unwrap().send("used".into(), Deadline::Now).unwrap();
    assert_eq!(words.receive(Deadline::Now).unwrap().value, "used");
    drop(numbers);
    assert_eq!(near.census().count(Holding::OwnSend), 0);
    assert_eq!(near.census().count(Holding::ExportedSend), 0);
    far.close();
    near.close();
}

#[test]
fn a_malformed_message_blames_the_peer_and_answers_its_call() {
    let (far, inbox, near, post) = linked("blame", Capacity::Bounded(4));
    let inbox = pillarbox::typed::Receiver::<bool>::new(inbox);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let error = inbox.receive(long()).unwrap_err();
            let TypedReceiveError::Fault { offence, sender } = error else { panic!("{error}") };
            assert_eq!(offence, TypedOffence::NotTrueOrFalse(9));
            assert_eq!(sender.unwrap().task, near.identity().task);
            // The port and the link go on.
            let mut request = inbox.receive(long()).unwrap();
            let answer = !request.value;
            request.reply(answer, long()).unwrap();
        });
        let error = Sender::<u8>::new(post.clone()).call::<()>(9, long()).unwrap_err();
        assert!(matches!(error, TypedCallError::Dropped), "{error}");
        assert!(Sender::<bool>::new(post).call::<bool>(false, long()).unwrap());
    });
    far.close();
    near.close();
}

#[test]
fn fixed_values_cross() {
    let (far, inbox, near, post) = linked("fixed", Capacity::Bounded(4));
    let inbox = fixed::Receiver::<[u64; 4]>::new(inbox);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                let mut request = inbox.receive(long()).unwrap();
                let sum: u64 = request.value.iter().sum();
                fixed::reply(&mut request, sum, long()).unwrap();
            }
        });
        let sender = fixed::Sender::<[u64; 4]>::new(post);
        for turn in 0..100 {
            let sum = sender.call::<u64>([turn, 1, 2, 3], long()).unwrap();
            assert_eq!(sum, turn + 6);
        }
    });
    far.close();
    near.close();
}
