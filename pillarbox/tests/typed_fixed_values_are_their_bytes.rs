//! Channels of a fixed size: exactly the bytes of one value, nothing else.

mod family;

use family::long;
use pillarbox::typed::fixed::{
    self, FixedCallError, FixedReplyError, FromBytes, Immutable, IntoBytes,
};
use pillarbox::typed::{TypedOffence, TypedReceiveError, channel_in};
use pillarbox::{Capacity, Deadline, Message, Notification, SendFailure, Task};

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Sample {
    at_ns: u64,
    channel: u16,
    flags: [u8; 6],
}

const SAMPLE: Sample = Sample { at_ns: 7, channel: 3, flags: *b"abcdef" };

#[test]
fn the_body_is_the_bytes_of_the_value() {
    let (sender, receiver) = fixed::channel_in(&Task::new(), Capacity::Bounded(2)).unwrap();
    sender.send(SAMPLE, Deadline::Now).unwrap();
    sender.send(SAMPLE, Deadline::Now).unwrap();
    assert_eq!(receiver.receive(Deadline::Now).unwrap().value, SAMPLE);
    let message = receiver.right().receive(Deadline::Now).unwrap();
    assert_eq!(message.body(), SAMPLE.as_bytes());
    assert_eq!(message.body().len(), size_of::<Sample>());
}

#[test]
fn another_size_blames_the_sender() {
    let task = Task::new();
    let (sender, receiver) = fixed::channel_in::<Sample>(&task, Capacity::Bounded(1)).unwrap();
    let expected = size_of::<Sample>();
    for bytes in [0, expected - 1, expected + 1, 4096] {
        sender.right().send(Message::new(vec![0; bytes]), Deadline::Now).unwrap();
        let offence = TypedOffence::WrongSize { bytes, expected };
        let fault = TypedReceiveError::Fault { offence, sender: Some(task.identity()) };
        assert_eq!(receiver.receive(Deadline::Now).unwrap_err(), fault);
    }
}

#[test]
fn a_right_in_a_fixed_message_is_released() {
    let task = Task::new();
    let news = task.port(Capacity::Bounded(1));
    let (sender, receiver) = fixed::channel_in::<u8>(&task, Capacity::Bounded(1)).unwrap();
    let message = Message::new([1]).with_right(news.make_send_once().unwrap());
    sender.right().send(message, Deadline::Now).unwrap();
    let TypedReceiveError::Fault { offence, .. } = receiver.receive(Deadline::Now).unwrap_err()
    else {
        panic!("no fault")
    };
    assert_eq!(offence, TypedOffence::RightsLeftOver(1));
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
}

#[test]
fn a_failed_send_returns_the_value() {
    let (sender, receiver) = fixed::channel_in(&Task::new(), Capacity::Bounded(1)).unwrap();
    sender.send(SAMPLE, Deadline::Now).unwrap();
    let error = sender.send(SAMPLE, Deadline::Now).unwrap_err();
    assert_eq!((error.reason, error.value), (SendFailure::Full, SAMPLE));
    drop(receiver);
    let error = sender.call::<u8>(SAMPLE, Deadline::Never).unwrap_err();
    let FixedCallError::Unsent(error) = error else { panic!("{error}") };
    assert_eq!((error.reason, error.value), (SendFailure::Dead, SAMPLE));
}

#[test]
fn a_fixed_call_is_answered_and_a_wrong_answer_blamed() {
    let task = Task::new();
    let (sender, receiver) = fixed::channel_in::<u32>(&task, Capacity::Bounded(1)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut request = receiver.receive(long()).unwrap();
            let answer = u64::from(request.value) * 2;
            fixed::reply(&mut request, answer, long()).unwrap();
            let again = fixed::reply(&mut request, answer, long()).unwrap_err();
            assert!(matches!(again, FixedReplyError::NoReply(42)));
            let mut request = receiver.receive(long()).unwrap();
            fixed::reply(&mut request, [1u8, 2, 3], long()).unwrap();
            drop(receiver.receive(long()).unwrap());
        });
        assert_eq!(sender.call::<u64>(21, long()).unwrap(), 42);
        let error = sender.call::<u64>(21, long()).unwrap_err();
        let offence = TypedOffence::WrongSize { bytes: 3, expected: 8 };
        let fault = TypedReceiveError::Fault { offence, sender: Some(task.identity()) };
        assert!(matches!(error, FixedCallError::Answer(it) if it == fault));
        let error = sender.call::<u64>(21, long()).unwrap_err();
        assert!(matches!(error, FixedCallError::Dropped), "{error}");
    });
}

#[test]
fn a_fixed_sender_travels_in_a_typed_value() {
    let task = Task::new();
    let (sender, receiver) = fixed::channel_in::<u32>(&task, Capacity::Bounded(1)).unwrap();
    let (offers, inbox) = channel_in(&task, Capacity::Bounded(1)).unwrap();
    offers.send(sender, Deadline::Now).unwrap();
    inbox.receive(Deadline::Now).unwrap().value.send(9, Deadline::Now).unwrap();
    assert_eq!(receiver.receive(Deadline::Now).unwrap().value, 9);
}
