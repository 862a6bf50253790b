//! The bytes of a message, wherever they lie.

use std::sync::{Arc, OnceLock};

use super::{Message, Part};
use crate::call::InParts;
use crate::link::OnLoan;
use crate::wait::parking::{Mutex, lock};

/// The bytes of a message: short ones are copied, long ones lie in memory the sender
/// lends until they are looked at, the longest in sealed memory that is read where it
/// lies.
#[derive(Debug)]
pub(crate) enum Body {
    /// The message holds them itself.
    Small(SmallBody),
    Bytes(Vec<u8>),
    /// They are somebody else's as well, here.
    Shared(Arc<[u8]>),
    Sealed(Arc<shm::body::Body>),
    /// It lies in memory of the sender's.
    Lent(Box<LentBody>),
    /// What is left of a body from this byte on, after parts of it were taken.
    Rest(Arc<Body>, usize),
    /// It came in parts.
    Parts(Box<InParts>),
    /// It was sealed memory that could not be mapped here.
    Lost,
}

/// How many bytes a message holds itself.
const SMALL: usize = 64;

/// A few bytes, which need no memory of their own.
#[derive(Clone, Copy)]
pub(crate) struct SmallBody {
    length: u8,
    bytes: [u8; SMALL],
}

impl SmallBody {
    /// So many bytes, put there by `fill`; `None` where they are too many.
    #[inline(always)]
    fn filled(length: usize, fill: impl FnOnce(&mut [u8])) -> Option<SmallBody> {
        let mut bytes = [0; SMALL];
        fill(bytes.get_mut(..length)?);
        Some(SmallBody { length: length as u8, bytes })
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl std::fmt::Debug for SmallBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// What the body of a message may be made of: bytes or text. Up to 64 bytes of a slice
/// or an array are copied into the message itself; a vector or a string is taken as it
/// is. Neither needs memory of its own then. Nor do bytes in an `Arc`, which several
/// messages may have: what is sent again and again is then copied only on its way.
///
/// # Examples
/// ```
/// use pillarbox::{Message, MessageBody};
/// let body = MessageBody::from("twelve bytes");
/// assert_eq!(Message::new(body).body().len(), 12);
/// assert_eq!(Message::new(vec![0; 100]).body().len(), 100);
/// ```
#[derive(Debug)]
pub struct MessageBody(pub(crate) Body);

impl From<Vec<u8>> for MessageBody {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        MessageBody(Body::Bytes(bytes))
    }
}

impl From<String> for MessageBody {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Box<[u8]>> for MessageBody {
    fn from(bytes: Box<[u8]>) -> Self {
        bytes.into_vec().into()
    }
}

impl From<Arc<[u8]>> for MessageBody {
    fn from(bytes: Arc<[u8]>) -> Self {
        MessageBody(Body::Shared(bytes))
    }
}

impl From<&[u8]> for MessageBody {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        MessageBody(Body::copied(bytes))
    }
}

impl From<&str> for MessageBody {
    #[inline]
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl<const N: usize> From<[u8; N]> for MessageBody {
    #[inline]
    fn from(bytes: [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl<const N: usize> From<&[u8; N]> for MessageBody {
    #[inline]
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

/// A body in memory that the sender may still write: copied once, at the first look,
/// and then returned.
#[derive(Debug)]
pub(crate) struct LentBody {
    bytes: usize,
    on_loan: Mutex<Option<OnLoan>>,
    copy: OnceLock<Vec<u8>>,
}

impl LentBody {
    fn copy(&self) -> &[u8] {
        self.copy.get_or_init(|| {
            let on_loan = lock(&self.on_loan).take();
            on_loan.as_ref().and_then(OnLoan::lent).map(|lent| lent.to_vec(0)).unwrap_or_default()
        })
    }

    fn into_bytes(self) -> Vec<u8> {
        let _ = self.copy();
        self.copy.into_inner().unwrap_or_default()
    }

    /// Copies what fits into `buffer`, past the copy that was not made.
    fn copy_to(&self, buffer: &mut [u8]) -> usize {
        match self.copy.get() {
            Some(copy) => copy_front(copy, buffer),
            None => {
                let on_loan = lock(&self.on_loan);
                let lent = on_loan.as_ref().and_then(OnLoan::lent);
                lent.map_or(0, |lent| lent.copy_to(0, buffer))
            }
        }
    }
}

fn copy_front(from: &[u8], to: &mut [u8]) -> usize {
    let bytes = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..bytes), from.get(..bytes)) {
        to.copy_from_slice(from);
    }
    bytes
}

impl Body {
    /// No bytes.
    pub(crate) const NONE: Body = Body::Small(SmallBody { length: 0, bytes: [0; SMALL] });

    /// A copy of `bytes`.
    #[inline]
    pub(crate) fn copied(bytes: &[u8]) -> Body {
        match SmallBody::filled(bytes.len(), |to| to.copy_from_slice(bytes)) {
            Some(small) => Body::Small(small),
            None => Body::Bytes(bytes.to_vec()),
        }
    }

    /// The body of a frame.
    #[inline]
    pub(crate) fn read(reader: &mut shm::LaneReader, header: &abi::frame::Header) -> Body {
        let length = header.body_bytes();
        let few = SmallBody::filled(length, |to| {
            reader.body_into(header, to);
        });
        match few {
            Some(small) => Body::Small(small),
            None => {
                let mut body = Vec::with_capacity(length);
                reader.body(header, &mut body);
                Body::Bytes(body)
            }
        }
    }

    /// Its bytes, where they lie in our own memory and nobody else has a part in them.
    #[inline]
    pub(crate) fn plain(&self) -> Option<&[u8]> {
        match self {
            Body::Small(small) => Some(small.as_slice()),
            Body::Bytes(bytes) => Some(bytes),
            Body::Shared(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What a peer lends; lost where its memory could not be had.
    pub(crate) fn lent(on_loan: OnLoan) -> Body {
        if on_loan.lent().is_none() {
            return Body::Lost;
        }
        let bytes = on_loan.len();
        let (on_loan, copy) = (Mutex::new(Some(on_loan)), OnceLock::new());
        Body::Lent(Box::new(LentBody { bytes, on_loan, copy }))
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Small(small) => small.as_slice(),
            Body::Bytes(bytes) => bytes,
            Body::Shared(bytes) => bytes,
            Body::Sealed(body) => body,
            Body::Lent(body) => body.copy(),
            Body::Rest(whole, from) => whole.as_slice().get(*from..).unwrap_or_default(),
            Body::Parts(parts) => parts.whole().unwrap_or_default(),
            Body::Lost => &[],
        }
    }

    /// How long it is. Copies nothing.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Body::Lent(body) => body.bytes,
            Body::Rest(whole, from) => whole.len().saturating_sub(*from),
            other => other.as_slice().len(),
        }
    }

    /// Copies what fits into `buffer`; what is lent is copied there at once.
    pub(crate) fn copy_to(&self, buffer: &mut [u8]) -> usize {
        match self {
            Body::Lent(body) => body.copy_to(buffer),
            other => copy_front(other.as_slice(), buffer),
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Body::Small(_) | Body::Bytes(_) | Body::Shared(_) | Body::Sealed(_) | Body::Lent(_) => {
                false
            }
            Body::Rest(whole, _) => whole.is_lost(),
            Body::Parts(parts) => parts.whole().is_none(),
            Body::Lost => true,
        }
    }
}

impl Message {
    /// The body. A long one is copied here at the first look, the longest lie in sealed
    /// memory, which nobody can write any more, not even the sender.
    #[inline]
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// How long the body is, without a look at it.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Whether the body was lost: it was long, and this process had no
    /// descriptor or address space left to map it. Or it lay in sealed memory, and a task
    /// that had the port before died with the message unread.
    pub fn is_body_lost(&self) -> bool {
        self.body.is_lost()
    }

    /// The body, taken out; copied only where it is of a few bytes, is shared, or lies in
    /// sealed memory.
    pub fn into_body(self) -> Vec<u8> {
        match self.body {
            Body::Small(small) => small.as_slice().to_vec(),
            Body::Bytes(bytes) => bytes,
            Body::Shared(bytes) => bytes.to_vec(),
            Body::Sealed(body) => body.to_vec(),
            Body::Lent(body) => body.into_bytes(),
            rest @ Body::Rest(..) => rest.as_slice().to_vec(),
            Body::Parts(parts) => parts.into_bytes(),
            Body::Lost => Vec::new(),
        }
    }

    /// Parts the message after so many bytes of its body. Everything that is no
    /// body goes with the part; the rest stays here. Copies nothing: the part
    /// can see the whole of what is left.
    pub(crate) fn split_off_front(&mut self, bytes: usize) -> Message {
        let body = std::mem::replace(&mut self.body, Body::Lost);
        let (whole, from) = match body {
            Body::Rest(whole, from) => (whole, from),
            whole => (Arc::new(whole), 0),
        };
        self.body = Body::Rest(Arc::clone(&whole), from + bytes);
        Message {
            body: Body::Rest(whole, from),
            rights: std::mem::take(&mut self.rights),
            reply: self.reply.take(),
            part: std::mem::replace(&mut self.part, Part::Rest),
            charge: None,
            via: self.via.clone(),
            // Who is told that it was taken is told with the last part.
            aside: self.take_aside(),
            ..*self
        }
    }
}
