//! Rights inside of values.
//!
//! Serde shows a value's fields by reference and knows nothing of rights. So
//! while a typed send serialises, this thread has a *tray*: a right in the value
//! puts itself there and writes only its number into the bytes. While a typed
//! receive deserialises, there is a tray of what came, and a number takes the
//! right out of it, once.
//!
//! A right that can be copied is copied; one that cannot lies in a [`Carry`],
//! which is emptied only when the whole value has been serialised, and filled
//! again when the message was not sent. The value itself is kept until then, so
//! what comes back is that very value, also where its type does not say all of
//! itself in bytes.
//!
//! Elsewhere there is no tray, and serialising a right is an error.

use std::any::type_name;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::error::{EncodeError, TypedOffence, TypedReceiveError};
use super::{Sender, SenderOnce, decode, encode};
use crate::message::{Descriptor, Message, Right};
use crate::right::{SendOnceRight, SendRight};
use crate::wait::parking::{Mutex, lock};

/// What the thread's typed send or receive has to do with rights.
#[derive(Default)]
struct Trays {
    out: Option<Out>,
    came: Option<Came>,
}

thread_local! {
    static TRAYS: RefCell<Trays> = RefCell::default();
}

/// Works on this thread's trays; `None` where the thread is ending.
fn with<T>(act: impl FnOnce(&mut Trays) -> T) -> Option<T> {
    TRAYS.try_with(|trays| act(&mut trays.borrow_mut())).ok()
}

/// Puts back the trays of an outer send or receive, also when unwinding.
struct Restore(Option<Trays>);

impl Restore {
    fn begin(trays: Trays) -> Self {
        Restore(with(|now| std::mem::replace(now, trays)))
    }

    /// The trays begun with, as the value left them.
    fn end(mut self) -> Trays {
        self.restore().unwrap_or_default()
    }

    fn restore(&mut self) -> Option<Trays> {
        let outer = self.0.take()?;
        with(|now| std::mem::replace(now, outer))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Rights speak when dropped: not while the trays are borrowed.
        drop(self.restore());
    }
}

// ---- out ---------------------------------------------------------------------

type Shared = Arc<Mutex<Option<Load>>>;

/// What cannot be copied.
#[derive(Debug)]
enum Load {
    Right(Right),
    Descriptor(Descriptor),
}

/// A right on the tray of a send, in the order of the message.
enum Put {
    Copied(SendRight),
    Carried(Shared),
}

#[derive(Default)]
struct Out {
    rights: Vec<Put>,
    descriptors: Vec<Shared>,
    trouble: Option<EncodeError>,
}

/// A value as a message, and where to put its rights if it is not sent.
#[derive(Default)]
pub(crate) struct Outgoing {
    rights: Vec<Option<Shared>>,
    descriptors: Vec<Shared>,
}

/// Makes `value` a message. Its carries are empty from here on, and full again
/// after an error or [`Outgoing::come_back`].
pub(super) fn pack<T: Serialize>(value: &T) -> Result<(Message, Outgoing), EncodeError> {
    pack_with(|| encode::write(value, false))
}

/// As [`pack`], with the bytes that `write` makes of the value.
pub(super) fn pack_with(
    write: impl FnOnce() -> Result<Vec<u8>, encode::Stop>,
) -> Result<(Message, Outgoing), EncodeError> {
    let restore = Restore::begin(Trays { out: Some(Out::default()), came: None });
    let written = write();
    let out = restore.end().out.unwrap_or_default();
    let body = match written {
        Ok(body) => body,
        Err(encode::Stop(error)) => return Err(out.trouble.unwrap_or(error)),
    };
    let mut message = Message::new(body);
    let mut outgoing = Outgoing::default();
    match outgoing.load(out, &mut message) {
        Ok(()) => Ok((message, outgoing)),
        Err(error) => {
            outgoing.come_back(&mut message);
            Err(error)
        }
    }
}

impl Outgoing {
    fn load(&mut self, out: Out, message: &mut Message) -> Result<(), EncodeError> {
        for put in out.rights {
            match put {
                Put::Copied(right) => {
                    message.rights.push(right.into());
                    self.rights.push(None);
                }
                Put::Carried(shared) => {
                    // Empty now, though it was not: it stands in the value twice.
                    let Some(Load::Right(right)) = lock(&shared).take() else {
                        return Err(EncodeError::GivenAway);
                    };
                    message.rights.push(right);
                    self.rights.push(Some(shared));
                }
            }
        }
        for shared in out.descriptors {
            let Some(Load::Descriptor(descriptor)) = lock(&shared).take() else {
                return Err(EncodeError::GivenAway);
            };
            message.push_descriptor(descriptor);
            self.descriptors.push(shared);
        }
        Ok(())
    }

    /// The message was not sent: everything goes back to where it was.
    pub(crate) fn come_back(self, message: &mut Message) {
        for (shared, right) in self.rights.into_iter().zip(message.take_rights()) {
            if let Some(shared) = shared {
                *lock(&shared) = Some(Load::Right(right));
            }
        }
        for (shared, descriptor) in self.descriptors.into_iter().zip(message.take_descriptors()) {
            *lock(&shared) = Some(Load::Descriptor(descriptor));
        }
    }
}

/// Puts something on the tray of the send and writes its number.
fn put<S: Serializer>(
    serializer: S,
    act: impl FnOnce(&mut Out) -> Result<usize, EncodeError>,
) -> Result<S::Ok, S::Error> {
    let number = with(|trays| {
        let out = trays.out.as_mut()?;
        let number = act(out);
        out.trouble = number.as_ref().err().copied();
        Some(number)
    });
    match number.flatten() {
        Some(Ok(number)) => serializer.serialize_u64(number as u64),
        Some(Err(error)) => Err(S::Error::custom(error)),
        None => Err(S::Error::custom("a right can be serialised by a typed send only")),
    }
}

// ---- in ----------------------------------------------------------------------

/// What came with a message and was not taken yet.
#[derive(Default)]
struct Came {
    rights: Vec<Option<Right>>,
    descriptors: Vec<Option<Descriptor>>,
    trouble: Option<TypedOffence>,
}

/// Reads a message as a value. Whatever the value does not take is released.
pub(super) fn unpack<T: DeserializeOwned>(message: &mut Message) -> Result<T, TypedReceiveError> {
    unpack_with(message, |bytes| decode::read(bytes).map(|value| (value, false)))
}

/// As [`unpack`], with the value that `read` makes of the bytes. It also says
/// whether it skipped some, which may have named rights.
pub(super) fn unpack_with<T>(
    message: &mut Message,
    read: impl FnOnce(&[u8]) -> Result<(T, bool), decode::Stop>,
) -> Result<T, TypedReceiveError> {
    let sender = message.sender();
    let fault = |offence| TypedReceiveError::Fault { offence, sender };
    if message.is_body_lost() {
        return Err(TypedReceiveError::BodyLost);
    }
    let came = Came {
        rights: message.take_rights().into_iter().map(Some).collect(),
        descriptors: message.take_descriptors().into_iter().map(Some).collect(),
        trouble: None,
    };
    let restore = Restore::begin(Trays { out: None, came: Some(came) });
    let read = read(message.body());
    let came = restore.end().came.unwrap_or_default();
    match read {
        Ok((value, true)) => Ok(value),
        Ok((value, false)) => {
            let left =
                came.rights.iter().flatten().count() + came.descriptors.iter().flatten().count();
            if left > 0 {
                return Err(fault(TypedOffence::RightsLeftOver(left)));
            }
            Ok(value)
        }
        Err(decode::Stop::Unreadable) => Err(TypedReceiveError::Unreadable),
        Err(decode::Stop::Fault(offence)) => Err(fault(came.trouble.unwrap_or(offence))),
    }
}

/// Reads a number and takes what it names.
fn take<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    act: impl FnOnce(&mut Came, u32) -> Result<T, TypedOffence>,
) -> Result<T, D::Error> {
    // The tray first: elsewhere the bytes may be anything.
    if with(|trays| trays.came.is_some()) != Some(true) {
        return Err(D::Error::custom("a right can be deserialised by a typed receive only"));
    }
    let number = u64::deserialize(deserializer)?;
    let taken = with(|trays| {
        let came = trays.came.as_mut()?;
        let taken = act(came, u32::try_from(number).unwrap_or(u32::MAX));
        came.trouble = taken.as_ref().err().copied();
        Some(taken)
    });
    match taken.flatten() {
        Some(Ok(taken)) => Ok(taken),
        Some(Err(offence)) => Err(D::Error::custom(offence)),
        None => Err(D::Error::custom("the thread is ending")),
    }
}

impl Came {
    fn right(
        &mut self,
        number: u32,
        of_kind: impl FnOnce(&Right) -> bool,
    ) -> Result<Right, TypedOffence> {
        let place =
            self.rights.get_mut(number as usize).ok_or(TypedOffence::RightMissing(number))?;
        match place {
            None => Err(TypedOffence::RightTwice(number)),
            Some(right) if !of_kind(right) => Err(TypedOffence::RightOfWrongKind(number)),
            Some(_) => place.take().ok_or(TypedOffence::RightTwice(number)),
        }
    }

    fn descriptor(&mut self, number: u32) -> Result<Descriptor, TypedOffence> {
        let place = self
            .descriptors
            .get_mut(number as usize)
            .ok_or(TypedOffence::DescriptorMissing(number))?;
        place.take().ok_or(TypedOffence::DescriptorTwice(number))
    }
}

// ---- what can stand in a value -------------------------------------------------

/// Copies the right into the message. Elsewhere than in a typed send an error.
impl Serialize for SendRight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let copy = self.clone();
        put(serializer, |out| {
            out.rights.push(Put::Copied(copy));
            Ok(out.rights.len() - 1)
        })
    }
}

/// Takes the right out of the message. Elsewhere than in a typed receive an
/// error.
impl<'de> Deserialize<'de> for SendRight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer, |came, number| {
            match came.right(number, |right| matches!(right, Right::Send(_)))?.into_send() {
                Ok(right) => Ok(right),
                Err(_) => Err(TypedOffence::RightOfWrongKind(number)),
            }
        })
    }
}

/// A right or a descriptor in a value that is sent: it moves with the value.
///
/// What cannot be copied cannot be serialised as it is, since serde lends a
/// value and never takes it. A carry can: a typed send empties it when it takes
/// the value. Where the send fails, the value comes back with its carries full.
///
/// It carries [`SendOnceRight`], [`SenderOnce`] and [`OwnedFd`]; also
/// [`SendRight`] and [`Sender`], which are then moved and not copied.
///
/// # Rights
/// Owns what it carries; dropping a full one drops that.
///
/// # Examples
/// ```
/// use pillarbox::typed::{Carry, channel};
/// use pillarbox::{Capacity, Deadline};
/// use std::io::{Read, Write};
/// use std::os::fd::OwnedFd;
///
/// let (sender, receiver) = channel::<(String, Carry<OwnedFd>)>(Capacity::Bounded(1))?;
/// let (read, write) = std::io::pipe()?;
/// sender.send(("log here".into(), Carry::new(write.into())), Deadline::Never)?;
///
/// let (_, write) = receiver.receive(Deadline::Never)?.value;
/// let write = write.into_inner().ok_or("the descriptor was lost")?;
/// std::fs::File::from(write).write_all(b"hello")?;
/// assert_eq!(std::io::read_to_string(read)?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Carry<T> {
    shared: Shared,
    holds: PhantomData<T>,
}

/// What a [`Carry`] can carry. Only this crate knows more of it.
#[allow(private_interfaces, private_bounds, reason = "sealed: nobody else implements it")]
pub trait Carried: Sealed {}

trait Sealed: Sized {
    fn load(self) -> Load;
    fn unload(load: Load) -> Option<Self>;
}

impl<T: Carried> Carry<T> {
    /// Puts `what` into a carry.
    ///
    /// # Rights
    /// It is the carry's from now on.
    ///
    /// # Blocking
    /// Never.
    pub fn new(what: T) -> Self {
        Carry { shared: Arc::new(Mutex::new(Some(what.load()))), holds: PhantomData }
    }

    /// Takes out what it carries.
    ///
    /// `None` for a descriptor that could not be installed here, because the
    /// table of descriptors was full; and where the carry was sent already,
    /// which only a value that shares it, with an `Arc` say, can see.
    ///
    /// # Rights
    /// It is the caller's from now on.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::typed::Carry;
    /// use pillarbox::{Capacity, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(1));
    /// let carry = Carry::new(inbox.make_send_once()?);
    /// assert!(!carry.is_empty());
    /// assert!(carry.into_inner().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(self) -> Option<T> {
        let load = lock(&self.shared).take();
        load.and_then(T::unload)
    }
}

impl<T> Carry<T> {
    /// Whether there is nothing in it to take.
    pub fn is_empty(&self) -> bool {
        match &*lock(&self.shared) {
            None => true,
            Some(Load::Descriptor(descriptor)) => descriptor.is_lost(),
            Some(Load::Right(_)) => false,
        }
    }
}

impl<T> fmt::Debug for Carry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_empty() { "nothing" } else { type_name::<T>() };
        write!(f, "Carry({what})")
    }
}

impl<T> Serialize for Carry<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shared = Arc::clone(&self.shared);
        put(serializer, |out| {
            let is_right = match &*lock(&shared) {
                None => return Err(EncodeError::GivenAway),
                Some(Load::Right(_)) => true,
                Some(Load::Descriptor(_)) => false,
            };
            if is_right {
                out.rights.push(Put::Carried(shared));
                Ok(out.rights.len() - 1)
            } else {
                out.descriptors.push(shared);
                Ok(out.descriptors.len() - 1)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Carry<OwnedFd> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let descriptor = take(deserializer, Came::descriptor)?;
        let shared = Arc::new(Mutex::new(Some(Load::Descriptor(descriptor))));
        Ok(Carry { shared, holds: PhantomData })
    }
}

impl Carried for OwnedFd {}

impl Sealed for OwnedFd {
    fn load(self) -> Load {
        Load::Descriptor(Descriptor::own(self))
    }

    fn unload(load: Load) -> Option<Self> {
        match load {
            Load::Descriptor(descriptor) => descriptor.take(),
            Load::Right(_) => None,
        }
    }
}

/// Rights of two kinds, each in a few types.
macro_rules! carried {
    ($(($($of:ident)?) $type:ty, $kind:ident, $into:ident, $wrap:expr, $unwrap:expr;)*) => {$(
        impl$(<$of>)? Carried for $type {}

        impl$(<$of>)? Sealed for $type {
            fn load(self) -> Load {
                Load::Right(Right::$kind($unwrap(self)))
            }

            fn unload(load: Load) -> Option<Self> {
                match load {
                    Load::Right(right) => right.$into().ok().map($wrap),
                    Load::Descriptor(_) => None,
                }
            }
        }

        impl<'de $(, $of)?> Deserialize<'de> for Carry<$type> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let right = take(deserializer, |came, number| {
                    came.right(number, |right| matches!(right, Right::$kind(_)))
                })?;
                let shared = Arc::new(Mutex::new(Some(Load::Right(right))));
                Ok(Carry { shared, holds: PhantomData })
            }
        }
    )*};
}

carried! {
    () SendRight, Send, into_send, std::convert::identity, std::convert::identity;
    () SendOnceRight, SendOnce, into_send_once, std::convert::identity, std::convert::identity;
    (T) Sender<T>, Send, into_send, Sender::new, Sender::into_right;
    (T) SenderOnce<T>, SendOnce, into_send_once, SenderOnce::new, SenderOnce::into_right;
}
