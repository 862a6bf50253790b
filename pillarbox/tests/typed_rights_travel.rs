//! Rights in values: they move with the value, or nothing moves.

mod family;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use family::long;
use pillarbox::typed::{
    Carry, EncodeError, Receiver, Sender, SenderOnce, TypedCallError, TypedReceiveError,
    TypedReplyError, channel_in,
};
use pillarbox::{
    Capacity, Deadline, Holding, Notification, SendFailure, SendOnceRight, SendRight, Task,
};
use serde::{Deserialize, Serialize};

/// One field of every sort.
#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    label: String,
    plain: SendRight,
    typed: Sender<u32>,
    more: Vec<Option<Sender<u32>>>,
    moved: Carry<SendRight>,
    once: Carry<SendOnceRight>,
    typed_once: Carry<SenderOnce<u32>>,
    file: Carry<OwnedFd>,
    /// What is not in the bytes comes back all the same.
    #[serde(skip)]
    note: String,
}

struct World {
    task: Task,
    numbers: Receiver<u32>,
    file: std::io::PipeReader,
}

fn parcel() -> (World, Parcel) {
    let task = Task::new();
    let (sender, numbers) = channel_in::<u32>(&task, Capacity::Unbounded).unwrap();
    let (file, write) = std::io::pipe().unwrap();
    let parcel = Parcel {
        label: "fragile".into(),
        plain: sender.right().clone(),
        more: vec![None, Some(sender.clone())],
        moved: Carry::new(sender.right().clone()),
        once: Carry::new(numbers.right().make_send_once().unwrap()),
        typed_once: Carry::new(numbers.make_send_once().unwrap()),
        typed: sender,
        file: Carry::new(write.into()),
        note: "of the sender's own".into(),
    };
    (World { task, numbers, file }, parcel)
}

/// Everything in `parcel` works.
fn unpack(world: World, parcel: Parcel) {
    let World { task, numbers, mut file } = world;
    assert_eq!(parcel.label, "fragile");
    Sender::<u32>::new(parcel.plain).send(1, Deadline::Now).unwrap();
    parcel.typed.send(2, Deadline::Now).unwrap();
    parcel.more[1].as_ref().unwrap().send(3, Deadline::Now).unwrap();
    Sender::<u32>::new(parcel.moved.into_inner().unwrap()).send(4, Deadline::Now).unwrap();
    SenderOnce::<u32>::new(parcel.once.into_inner().unwrap()).send(5, Deadline::Now).unwrap();
    parcel.typed_once.into_inner().unwrap().send(6, Deadline::Now).unwrap();
    for expected in 1..=6 {
        assert_eq!(numbers.receive(Deadline::Now).unwrap().value, expected);
    }
    let mut write = std::fs::File::from(parcel.file.into_inner().unwrap());
    write.write_all(b"through").unwrap();
    drop(write);
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    drop((parcel.typed, parcel.more));
    let census = task.census();
    assert_eq!(census.count(Holding::OwnSend), 0);
    assert_eq!(census.count(Holding::OwnSendOnce), 0);
}

#[test]
fn every_sort_of_right_travels_in_a_value() {
    let (world, parcel) = parcel();
    let (sender, receiver) = channel_in(&world.task, Capacity::Bounded(1)).unwrap();
    sender.send(parcel, Deadline::Now).unwrap();
    drop(sender);
    let received = receiver.receive(Deadline::Now).unwrap();
    assert_eq!(received.sender.unwrap(), world.task.identity());
    assert_eq!(received.value.note, "");
    unpack(world, received.value);
}

#[test]
fn a_failed_send_returns_the_value_whole() {
    let (world, parcel) = parcel();
    let (sender, receiver) = channel_in::<Parcel>(&world.task, Capacity::Bounded(1)).unwrap();
    let other = Sender::<u8>::new(sender.right().clone());
    other.send(0, Deadline::Now).unwrap();

    let error = sender.send(parcel, Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::Full.into());
    assert_eq!(error.value.note, "of the sender's own");

    let error = sender.call::<()>(error.value, Deadline::Now).unwrap_err();
    let TypedCallError::Unsent(error) = error else { panic!("{error}") };
    assert_eq!(error.reason, SendFailure::Full.into());

    drop(receiver);
    let error = sender.send(error.value, Deadline::Never).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead.into());
    drop((sender, other));
    unpack(world, error.value);
}

#[test]
fn a_value_that_cannot_be_written_keeps_its_rights() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let (world, parcel) = parcel();
    let (sender, _receiver) = channel_in(&world.task, Capacity::Bounded(1)).unwrap();
    let error = sender.send((parcel, Refuses), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, EncodeError::Refused.into());
    drop(sender);
    unpack(world, error.value.0);
}

#[test]
fn one_carry_in_two_places_is_refused() {
    #[derive(Serialize)]
    struct Twice {
        #[serde(serialize_with = "inside")]
        one: Arc<Carry<SendOnceRight>>,
        #[serde(serialize_with = "inside")]
        two: Arc<Carry<SendOnceRight>>,
    }
    fn inside<S: serde::Serializer, T: Serialize>(
        shared: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(shared, serializer)
    }
    let task = Task::new();
    let (sender, receiver) = channel_in::<Twice>(&task, Capacity::Bounded(1)).unwrap();
    let one = Arc::new(Carry::new(receiver.right().make_send_once().unwrap()));
    let two = Arc::clone(&one);
    let error = sender.send(Twice { one, two }, Deadline::Now).unwrap_err();
    assert_eq!(error.reason, EncodeError::GivenAway.into());
    let Twice { one, two } = error.value;
    drop(two);
    // It was in neither place and is still full.
    assert!(Arc::into_inner(one).unwrap().into_inner().is_some());
}

#[test]
fn elsewhere_a_right_is_an_error_and_no_panic() {
    let (world, parcel) = parcel();
    assert!(postcard::to_stdvec(&parcel).is_err());
    assert!(postcard::to_stdvec(&parcel.typed).is_err());
    assert!(postcard::to_stdvec(&parcel.once).is_err());
    assert!(postcard::from_bytes::<SendRight>(&[0]).is_err());
    assert!(postcard::from_bytes::<Carry<SendOnceRight>>(&[0]).is_err());
    assert!(postcard::from_bytes::<Carry<OwnedFd>>(&[0]).is_err());
    unpack(world, parcel);
}

#[test]
fn a_panicking_value_leaves_no_tray_behind() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }
    let (world, parcel) = parcel();
    let (sender, _receiver) = channel_in(&world.task, Capacity::Bounded(1)).unwrap();
    let value = (Carry::new(sender.right().clone()), Panics);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = sender.send(value, Deadline::Now);
    }));
    assert!(panicked.is_err());
    assert!(postcard::to_stdvec(&parcel.typed).is_err());
    drop(sender);
    unpack(world, parcel);
}

#[test]
fn a_send_inside_of_a_send_has_a_tray_of_its_own() {
    struct Sends(Sender<Carry<SendRight>>, Sender<u8>);
    impl Serialize for Sends {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.send(Carry::new(self.1.right().clone()), Deadline::Now).unwrap();
            self.1.serialize(serializer)
        }
    }
    let task = Task::new();
    let (inner, inner_inbox) = channel_in(&task, Capacity::Bounded(1)).unwrap();
    let (target, _target_inbox) = channel_in::<u8>(&task, Capacity::Bounded(1)).unwrap();
    let (sender, receiver) = channel_in(&task, Capacity::Bounded(1)).unwrap();
    sender.send((target.clone(), Sends(inner, target)), Deadline::Now).unwrap();
    let message = receiver.into_right().receive(Deadline::Now).unwrap();
    assert_eq!((message.body(), message.rights().len()), (&[0, 1][..], 2));
    let message = inner_inbox.into_right().receive(Deadline::Now).unwrap();
    assert_eq!((message.body(), message.rights().len()), (&[0][..], 1));
}

#[test]
fn a_typed_call_is_answered() {
    let task = Task::new();
    let (sender, receiver) = channel_in::<Vec<u64>>(&task, Capacity::Bounded(4)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut request = receiver.receive(long()).unwrap();
            let sum: u64 = request.value.iter().sum();
            let answers = receiver.make_send().unwrap();
            request.reply((sum, answers), long()).unwrap();
            let again = request.reply("again", long()).unwrap_err();
            assert!(matches!(again, TypedReplyError::NoReply("again")));
        });
        let (sum, back) = sender.call::<(u64, Sender<u8>)>(vec![1, 2, 3], long()).unwrap();
        assert_eq!(sum, 6);
        assert!(back.right().same_port(sender.right()));
    });
}

#[test]
fn a_request_dropped_unread_is_told() {
    let task = Task::new();
    let (sender, receiver) = channel_in::<String>(&task, Capacity::Bounded(4)).unwrap();
    let wrong = Sender::<u8>::new(sender.right().clone());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(receiver.receive(long()).unwrap());
            // The length is there and the text is not.
            assert!(matches!(receiver.receive(long()), Err(TypedReceiveError::Fault { .. })));
        });
        let error = sender.call::<()>("hello".into(), long()).unwrap_err();
        assert!(matches!(error, TypedCallError::Dropped), "{error}");
        let error = wrong.call::<()>(5, long()).unwrap_err();
        assert!(matches!(error, TypedCallError::Dropped), "{error}");
    });
}

#[test]
fn an_answer_of_another_type_blames_the_server() {
    let task = Task::new();
    let (sender, receiver) = channel_in::<()>(&task, Capacity::Bounded(4)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| receiver.receive(long()).unwrap().reply(9u8, long()).unwrap());
        let error = sender.call::<bool>((), long()).unwrap_err();
        let TypedCallError::Answer(TypedReceiveError::Fault { sender, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(sender.unwrap(), task.identity());
    });
}

#[test]
fn a_send_once_right_dropped_unused_is_a_notification() {
    let task = Task::new();
    let (_sender, receiver) = channel_in::<u8>(&task, Capacity::Bounded(1)).unwrap();
    drop(receiver.make_send_once().unwrap());
    let told = receiver.receive(Deadline::Now).unwrap_err();
    assert_eq!(told, TypedReceiveError::Notification(Notification::SendOnceDropped));
}

#[test]
fn no_senders_waits_for_the_right_in_a_message() {
    let task = Task::new();
    let (sender, receiver) = channel_in::<Sender<u8>>(&task, Capacity::Bounded(1)).unwrap();
    let (target, target_inbox) = channel_in::<u8>(&task, Capacity::Bounded(1)).unwrap();
    let news = task.port(Capacity::Bounded(1));
    target_inbox.right().notify_no_senders(news.make_send_once().unwrap()).unwrap();
    sender.send(target, Deadline::Now).unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    drop(receiver.receive(Deadline::Now).unwrap());
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::NoSenders));
}
