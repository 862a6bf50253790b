//! Values travel in postcard's format: what it writes we read, and the other
//! way round, and bytes it refuses we refuse.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use pillarbox::typed::{
    DEPTH, EMPTY, EncodeError, Receiver, Sender, TypedOffence, TypedReceiveError,
};
use pillarbox::{Capacity, Deadline, Message, Task, typed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(u16);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(i8, i16);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    One(i32),
    Two(char, bool),
    Named { left: f32, right: f64, label: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    unit: Unit,
    wrapped: Wrapped,
    pair: Pair,
    shapes: Vec<Shape>,
    wide: (i64, u64, i128, u128),
    size: usize,
    bytes: [u8; 5],
    map: BTreeMap<u32, Vec<String>>,
    boxed: Option<Box<Everything>>,
}

fn everything(inner: Option<Box<Everything>>) -> Everything {
    Everything {
        unit: Unit,
        wrapped: Wrapped(u16::MAX),
        pair: Pair(i8::MIN, i16::MIN),
        shapes: vec![
            Shape::Nothing,
            Shape::One(i32::MIN),
            Shape::Two('ß', true),
            Shape::Two('\u{10ffff}', false),
            Shape::Named { left: -0.0, right: f64::MAX, label: None },
            Shape::Named { left: 1.5, right: f64::MIN_POSITIVE, label: Some("grün".into()) },
        ],
        wide: (i64::MIN, u64::MAX, i128::MIN, u128::MAX),
        size: usize::MAX,
        bytes: *b"\0\x01\x7f\x80\xff",
        map: BTreeMap::from([(0, vec![]), (u32::MAX, vec![String::new(), "x".repeat(300)])]),
        boxed: inner,
    }
}

fn pair<T>() -> (Sender<T>, Receiver<T>) {
    typed::channel_in(&Task::new(), Capacity::Unbounded).unwrap()
}

/// The bytes of `value` as a typed send writes them.
fn written<T: Serialize>(value: T) -> Vec<u8> {
    let (sender, receiver) = pair();
    sender.send(value, Deadline::Now).unwrap();
    receiver.into_right().receive(Deadline::Now).unwrap().into_body()
}

/// `bytes` as a typed receive reads them.
fn read<T: DeserializeOwned>(bytes: impl Into<Vec<u8>>) -> Result<T, TypedOffence> {
    let (sender, receiver) = pair();
    sender.right().send(Message::new(bytes.into()), Deadline::Now).unwrap();
    match receiver.receive(Deadline::Now) {
        Ok(received) => Ok(received.value),
        Err(TypedReceiveError::Fault { offence, .. }) => Err(offence),
        Err(other) => panic!("{other}"),
    }
}

fn same<T: Serialize + DeserializeOwned + Clone + Debug + PartialEq>(value: T) {
    let bytes = postcard::to_stdvec(&value).unwrap();
    assert_eq!(written(value.clone()), bytes, "{value:?}");
    assert_eq!(read::<T>(bytes), Ok(value));
}

#[test]
fn every_sort_of_value_has_postcards_bytes() {
    let inner = everything(None);
    same(everything(Some(Box::new(inner))));
    same(());
    same(String::new());
    same(HashMap::from([("one".to_owned(), 1u8)]));
    same(Some(Some(None::<u8>)));
    same([[1i16, -1], [i16::MAX, 0]]);
    for bits in 0..64 {
        let edge = 1u64 << bits;
        same((edge, edge - 1, edge.wrapping_neg() as i64, edge as i64));
        same((edge as u32, edge as u16, edge as i32, edge as i16));
    }
    for bits in 0..128 {
        let edge = 1u128 << bits;
        same((edge, edge - 1, edge as i128, edge.wrapping_neg() as i128));
    }
}

/// A small generator, so that a failure is the same at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn agree<T: DeserializeOwned + Debug + PartialEq>(bytes: &[u8]) {
    let theirs = match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => Some(value),
        Ok(_) | Err(_) => None,
    };
    let ours = read::<T>(bytes);
    if ours.as_ref().err() == Some(&TypedOffence::NotText) {
        // Of a character with others behind it, postcard takes the first.
        return;
    }
    let ours = ours.ok();
    // Compared in print: a float that is no number is not equal to itself.
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{bytes:?}");
}

#[test]
fn what_postcard_refuses_is_refused() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let good = postcard::to_stdvec(&everything(None)).unwrap();
    for _ in 0..2_000 {
        let length = dice.roll() as usize % 24;
        // Mostly small bytes: these get further.
        let mask = if dice.roll().is_multiple_of(2) { 0x03 } else { 0xff };
        let bytes: Vec<u8> = (0..length).map(|_| dice.roll() as u8 & mask).collect();
        agree::<Shape>(&bytes);
        agree::<(u16, i32, u64, Option<i128>)>(&bytes);
        agree::<Vec<(String, char)>>(&bytes);
        agree::<BTreeMap<u8, Vec<bool>>>(&bytes);

        let mut broken = good.clone();
        let place = dice.roll() as usize % broken.len();
        broken[place] = dice.roll() as u8;
        agree::<Everything>(&broken);
        agree::<Everything>(&good[..place]);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Chain>),
}

impl Chain {
    fn of(links: usize) -> Self {
        (0..links).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)))
    }
}

#[test]
fn a_million_levels_do_not_overflow_the_stack() {
    assert_eq!(read::<Chain>(vec![1; 1_000_000]), Err(TypedOffence::TooDeep));
    let deepest = Chain::of(DEPTH);
    let bytes = written(Chain::of(DEPTH));
    assert_eq!(read::<Chain>(bytes), Ok(deepest));
}

#[test]
fn what_no_receiver_reads_is_not_sent() {
    let (sender, receiver) = pair::<Chain>();
    let error = sender.send(Chain::of(DEPTH + 1), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, EncodeError::TooDeep.into());
    assert_eq!(error.value, Chain::of(DEPTH + 1));
    assert_eq!(receiver.right().status().queued, 0);

    let (sender, _receiver) = pair::<Vec<()>>();
    let error = sender.send(vec![(); EMPTY + 1], Deadline::Now).unwrap_err();
    assert_eq!(error.reason, EncodeError::TooManyEmpty.into());
    assert_eq!(error.value.len(), EMPTY + 1);
}

#[test]
fn elements_without_bytes_end() {
    assert_eq!(read::<Vec<()>>(written(vec![(); EMPTY])), Ok(vec![(); EMPTY]));
    let endless = postcard::to_stdvec(&u64::MAX).unwrap();
    assert_eq!(read::<Vec<()>>(endless.clone()), Err(TypedOffence::TooManyEmpty));
    // Many sequences that are each within the limit are not, together.
    let many: Vec<_> = std::iter::repeat_n([0xff, 0xff, 0x03], 8).flatten().collect();
    assert_eq!(read::<Vec<Vec<()>>>([&[8][..], &many].concat()), Err(TypedOffence::TooManyEmpty));
    // A length no body could have sets nothing aside.
    assert_eq!(read::<Vec<u64>>(endless.clone()), Err(TypedOffence::Truncated));
    assert_eq!(read::<String>(endless), Err(TypedOffence::Truncated));
}

#[test]
fn a_type_that_wants_to_be_told_blames_nobody() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
    }
    let (sender, receiver) = pair::<Untagged>();
    sender.send(Untagged::Number(1), Deadline::Now).unwrap();
    assert_eq!(receiver.receive(Deadline::Now).unwrap_err(), TypedReceiveError::Unreadable);
}

#[test]
fn a_value_that_refuses_comes_back() {
    struct Refuses(u8);
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_seq(None).map(|_| unreachable!())
        }
    }
    let error = pair().0.send(Refuses(7), Deadline::Now).unwrap_err();
    assert_eq!((error.reason, error.value.0), (EncodeError::Refused.into(), 7));
    let error = pair().0.send(Endless, Deadline::Now).unwrap_err();
    assert_eq!(error.reason, EncodeError::UnknownLength.into());
}
