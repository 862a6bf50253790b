//! Every typed offence: raised, charged to the sender, its rights released.

use std::io::Read;
use std::os::fd::OwnedFd;

use pillarbox::typed::{Carry, Sender, TypedOffence, TypedReceiveError, channel_in};
use pillarbox::{
    Capacity, Deadline, Holding, Message, Notification, ReceiveRight, SendOnceRight, SendRight,
    Task,
};
use serde::de::DeserializeOwned;

/// What a receiver of `T` says to `message`, and that it says it of the sender.
fn offence<T: DeserializeOwned>(task: &Task, message: Message) -> TypedOffence {
    let (sender, receiver) = channel_in::<T>(task, Capacity::Bounded(1)).unwrap();
    sender.right().send(message, Deadline::Now).unwrap();
    match receiver.receive(Deadline::Now) {
        Err(TypedReceiveError::Fault { offence, sender }) => {
            assert_eq!(sender, Some(task.identity()));
            offence
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken for a value"),
    }
}

fn of_bytes<T: DeserializeOwned>(bytes: &[u8]) -> TypedOffence {
    offence::<T>(&Task::new(), Message::new(bytes))
}

#[test]
fn truncated() {
    assert_eq!(of_bytes::<u8>(&[]), TypedOffence::Truncated);
    assert_eq!(of_bytes::<String>(&[2, b'a']), TypedOffence::Truncated);
    assert_eq!(of_bytes::<f64>(&[0; 7]), TypedOffence::Truncated);
}

#[test]
fn bytes_left_over() {
    assert_eq!(of_bytes::<u8>(&[1, 2, 3]), TypedOffence::BytesLeftOver(2));
    assert_eq!(of_bytes::<()>(&[0]), TypedOffence::BytesLeftOver(1));
}

#[test]
fn number_too_large() {
    assert_eq!(of_bytes::<u16>(&[0xff, 0xff, 0x04]), TypedOffence::NumberTooLarge);
    assert_eq!(of_bytes::<u16>(&[0xff, 0xff, 0x83]), TypedOffence::NumberTooLarge);
    assert_eq!(of_bytes::<u128>(&[0xff; 19]), TypedOffence::NumberTooLarge);
}

#[test]
fn not_true_or_false() {
    assert_eq!(of_bytes::<bool>(&[2]), TypedOffence::NotTrueOrFalse(2));
    assert_eq!(of_bytes::<Option<u8>>(&[7, 0]), TypedOffence::NotTrueOrFalse(7));
}

#[test]
fn not_text() {
    assert_eq!(of_bytes::<String>(&[1, 0xff]), TypedOffence::NotText);
    assert_eq!(of_bytes::<char>(&[2, b'a', b'b']), TypedOffence::NotText);
    assert_eq!(of_bytes::<char>(&[0]), TypedOffence::NotText);
}

#[test]
fn too_deep() {
    #[derive(serde::Deserialize)]
    struct Nest {
        _inner: Option<Box<Nest>>,
    }
    assert_eq!(of_bytes::<Nest>(&[1; 10_000]), TypedOffence::TooDeep);
}

#[test]
fn too_many_empty() {
    assert_eq!(of_bytes::<Vec<()>>(&[0xff, 0xff, 0xff, 0x7f]), TypedOffence::TooManyEmpty);
}

#[test]
fn no_such_value() {
    assert_eq!(of_bytes::<Result<(), ()>>(&[2]), TypedOffence::NoSuchValue);
    assert_eq!(of_bytes::<std::num::NonZeroU8>(&[0]), TypedOffence::NoSuchValue);
}

/// A task, a port of it that is watched, and a message with a right to it and a
/// send-once right.
struct Evidence {
    task: Task,
    watched: ReceiveRight,
    news: ReceiveRight,
}

impl Evidence {
    fn new() -> Self {
        let task = Task::new();
        let watched = task.port(Capacity::Bounded(4));
        let news = task.port(Capacity::Bounded(4));
        Evidence { task, watched, news }
    }

    fn send(&self) -> SendRight {
        self.watched.make_send().unwrap()
    }

    fn once(&self) -> SendOnceRight {
        self.news.make_send_once().unwrap()
    }

    /// No right of the message is left, and its send-once rights have spoken.
    fn all_released(&self, once: usize) {
        let census = self.task.census();
        assert_eq!(census.count(Holding::OwnSend), 0);
        assert_eq!(census.count(Holding::OwnSendOnce), 0);
        for _ in 0..once {
            let told = self.news.receive(Deadline::Now).unwrap();
            assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
        }
        assert!(self.news.receive(Deadline::Now).is_err());
    }
}

#[test]
fn right_missing() {
    let it = Evidence::new();
    let message = Message::new([0, 1]).with_right(it.send());
    let found = offence::<(SendRight, Sender<u8>)>(&it.task, message);
    assert_eq!(found, TypedOffence::RightMissing(1));
    // A number beyond all counting.
    let message = Message::new([0xff; 9].into_iter().chain([1]).collect::<Vec<_>>());
    assert_eq!(offence::<SendRight>(&it.task, message), TypedOffence::RightMissing(u32::MAX));
    it.all_released(0);
}

#[test]
fn right_twice() {
    let it = Evidence::new();
    let message = Message::new([0, 0]).with_right(it.once());
    let found = offence::<(Carry<SendOnceRight>, Carry<SendOnceRight>)>(&it.task, message);
    assert_eq!(found, TypedOffence::RightTwice(0));
    it.all_released(1);
}

#[test]
fn right_of_wrong_kind() {
    let it = Evidence::new();
    let message = Message::new([0]).with_right(it.once());
    assert_eq!(offence::<SendRight>(&it.task, message), TypedOffence::RightOfWrongKind(0));
    it.all_released(1);
    let message = Message::new([1]).with_right(it.once()).with_right(it.send());
    let found = offence::<Carry<SendOnceRight>>(&it.task, message);
    assert_eq!(found, TypedOffence::RightOfWrongKind(1));
    it.all_released(1);
}

#[test]
fn descriptor_missing_and_twice() {
    let (mut read, write) = std::io::pipe().unwrap();
    let task = Task::new();
    assert_eq!(
        offence::<Carry<OwnedFd>>(&task, Message::new([0])),
        TypedOffence::DescriptorMissing(0)
    );
    let message = Message::new([0, 0]).with_descriptor(write.into());
    let found = offence::<(Carry<OwnedFd>, Carry<OwnedFd>)>(&task, message);
    assert_eq!(found, TypedOffence::DescriptorTwice(0));
    // It is closed: the other end sees the end.
    assert_eq!(read.read(&mut [0]).unwrap(), 0);
}

#[test]
fn rights_left_over() {
    let (mut read, write) = std::io::pipe().unwrap();
    let it = Evidence::new();
    let message = Message::new([7])
        .with_right(it.send())
        .with_right(it.once())
        .with_reply(it.once())
        .with_descriptor(write.into());
    assert_eq!(offence::<u8>(&it.task, message), TypedOffence::RightsLeftOver(3));
    it.all_released(2);
    assert_eq!(read.read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_port_goes_on_after_an_offence() {
    let (sender, receiver) = channel_in::<u8>(&Task::new(), Capacity::Bounded(2)).unwrap();
    sender.right().send(Message::new("too long"), Deadline::Now).unwrap();
    sender.send(5, Deadline::Now).unwrap();
    assert!(receiver.receive(Deadline::Now).is_err());
    assert_eq!(receiver.receive(Deadline::Now).unwrap().value, 5);
}
