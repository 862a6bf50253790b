//! The bytes of a message, wherever they lie.

use std::sync::Arc;

use super::Message;
use crate::call::InParts;

/// The bytes of a message: short ones are copied, long ones are sealed memory
/// that is read where it lies.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    Sealed(Arc<shm::body::Body>),
    /// What is left of a body from this byte on, after parts of it were taken.
    Rest(Arc<Body>, usize),
    /// It came in parts.
    Parts(Box<InParts>),
    /// It was sealed memory that could not be mapped here.
    Lost,
}

impl Body {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Sealed(body) => body,
            Body::Rest(whole, from) => whole.as_slice().get(*from..).unwrap_or_default(),
            Body::Parts(parts) => parts.whole().unwrap_or_default(),
            Body::Lost => &[],
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Body::Bytes(_) | Body::Sealed(_) => false,
            Body::Rest(whole, _) => whole.is_lost(),
            Body::Parts(parts) => parts.whole().is_none(),
            Body::Lost => true,
        }
    }
}

impl Message {
    /// The body. Long bodies lie in sealed memory, which nobody can write any
    /// more, not even the sender.
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
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
