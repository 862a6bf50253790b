//! The bytes of a message, wherever they lie.

use std::sync::{Arc, Mutex, OnceLock};

use super::Message;
use crate::call::InParts;
use crate::link::OnLoan;
use crate::wait::parking::lock;

/// The bytes of a message: short ones are copied, long ones lie in memory the sender
/// lends until they are looked at, the longest in sealed memory that is read where it
/// lies.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
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
    /// What a peer lends; lost where its memory could not be had.
    pub(crate) fn lent(on_loan: OnLoan) -> Body {
        if on_loan.lent().is_none() {
            return Body::Lost;
        }
        let bytes = on_loan.len();
        let (on_loan, copy) = (Mutex::new(Some(on_loan)), OnceLock::new());
        Body::Lent(Box::new(LentBody { bytes, on_loan, copy }))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Sealed(body) => body,
            Body::Lent(body) => body.copy(),
            Body::Rest(whole, from) => whole.as_slice().get(*from..).unwrap_or_default(),
            Body::Parts(parts) => parts.whole().unwrap_or_default(),
            Body::Lost => &[],
        }
    }

    /// How long it is. Copies nothing.
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
            Body::Bytes(_) | Body::Sealed(_) | Body::Lent(_) => false,
            Body::Rest(whole, _) => whole.is_lost(),
            Body::Parts(parts) => parts.whole().is_none(),
            Body::Lost => true,
        }
    }
}

impl Message {
    /// The body. A long one is copied here at the first look, the longest lie in sealed
    /// memory, which nobody can write any more, not even the sender.
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// How long the body is, without a look at it.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Whether the body was lost: it was long, and this process had no
    /// descriptor or address space left to map it.
    pub fn is_body_lost(&self) -> bool {
        self.body.is_lost()
    }

    /// The body, taken out; copied only where it lies in sealed memory.
    pub fn into_body(self) -> Vec<u8> {
        match self.body {
            Body::Bytes(bytes) => bytes,
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
            descriptors: std::mem::take(&mut self.descriptors),
            regions: self.regions.take(),
            reply: self.reply.take(),
            is_rest: std::mem::replace(&mut self.is_rest, true),
            within: self.within.take(),
            // Told with the last part.
            accepted: None,
            charge: None,
            via: self.via.clone(),
            note: self.note.take(),
            ..*self
        }
    }
}
