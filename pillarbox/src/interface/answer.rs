//! What a server says instead of a result.
//!
//! Each is the body of an answer whose id is one of [`super::LIBRARY_IDS`], in
//! the form that may grow.

use serde::{Deserialize, Serialize};

use super::{ClientError, MALFORMED, UNKNOWN_METHOD, WRONG_INTERFACE};
use crate::message::Message;
use crate::typed::growing::unpack_value;
use crate::typed::{TypedOffence, TypedReceiveError};

/// Of [`UNKNOWN_METHOD`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unknown {
    pub(super) server_version: u32,
}

/// Of [`WRONG_INTERFACE`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wrong {}

/// Of [`MALFORMED`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Malformed {
    pub(super) argument: Option<u32>,
    /// The bytes of an offence, since an older client may not know that one.
    pub(super) offence: Option<Said>,
}

/// An offence as two numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    kind: u32,
    detail: u64,
    expected: u64,
}

impl Said {
    pub(super) fn new(offence: TypedOffence) -> Self {
        let (kind, detail, expected) = match offence {
            TypedOffence::Truncated => (0, 0, 0),
            TypedOffence::BytesLeftOver(bytes) => (1, bytes as u64, 0),
            TypedOffence::NumberTooLarge => (2, 0, 0),
            TypedOffence::NotTrueOrFalse(byte) => (3, byte.into(), 0),
            TypedOffence::NotText => (4, 0, 0),
            TypedOffence::TooDeep => (5, 0, 0),
            TypedOffence::TooManyEmpty => (6, 0, 0),
            TypedOffence::NoSuchValue => (7, 0, 0),
            TypedOffence::RightMissing(number) => (8, number.into(), 0),
            TypedOffence::RightTwice(number) => (9, number.into(), 0),
            TypedOffence::RightOfWrongKind(number) => (10, number.into(), 0),
            TypedOffence::DescriptorMissing(number) => (11, number.into(), 0),
            TypedOffence::DescriptorTwice(number) => (12, number.into(), 0),
            TypedOffence::RightsLeftOver(count) => (13, count as u64, 0),
            TypedOffence::WrongSize { bytes, expected } => (14, bytes as u64, expected as u64),
            TypedOffence::Missing => (15, 0, 0),
        };
        Said { kind, detail, expected }
    }

    /// The offence, if we know such a one.
    fn offence(&self) -> Option<TypedOffence> {
        let number = u32::try_from(self.detail);
        let count = usize::try_from(self.detail);
        Some(match self.kind {
            0 => TypedOffence::Truncated,
            1 => TypedOffence::BytesLeftOver(count.ok()?),
            2 => TypedOffence::NumberTooLarge,
            3 => TypedOffence::NotTrueOrFalse(u8::try_from(self.detail).ok()?),
            4 => TypedOffence::NotText,
            5 => TypedOffence::TooDeep,
            6 => TypedOffence::TooManyEmpty,
            7 => TypedOffence::NoSuchValue,
            8 => TypedOffence::RightMissing(number.ok()?),
            9 => TypedOffence::RightTwice(number.ok()?),
            10 => TypedOffence::RightOfWrongKind(number.ok()?),
            11 => TypedOffence::DescriptorMissing(number.ok()?),
            12 => TypedOffence::DescriptorTwice(number.ok()?),
            13 => TypedOffence::RightsLeftOver(count.ok()?),
            14 => TypedOffence::WrongSize {
                bytes: count.ok()?,
                expected: usize::try_from(self.expected).ok()?,
            },
            15 => TypedOffence::Missing,
            _ => return None,
        })
    }
}

/// What an answer that is no result says.
pub(super) fn refusal<A>(mut answer: Message, method: i32, client_version: u32) -> ClientError<A> {
    let read = match answer.id() {
        UNKNOWN_METHOD => unpack_value(&mut answer).map(|Unknown { server_version }| {
            ClientError::UnknownMethod { method, client_version, server_version }
        }),
        WRONG_INTERFACE => unpack_value(&mut answer).map(|Wrong {}| ClientError::WrongInterface),
        MALFORMED => unpack_value(&mut answer).map(|Malformed { argument, offence }| {
            ClientError::Rejected { argument, offence: offence.and_then(|said| said.offence()) }
        }),
        _ => {
            let sender = answer.sender();
            Err(TypedReceiveError::Fault { offence: TypedOffence::NoSuchValue, sender })
        }
    };
    read.unwrap_or_else(ClientError::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offence_is_said_and_understood() {
        for kind in 0..=15 {
            let said = Said { kind, detail: 3, expected: 4 };
            let offence = said.offence().unwrap();
            assert_eq!(Said::new(offence).offence(), Some(offence), "{kind}");
            assert_eq!(Said::new(offence).kind, kind);
        }
    }

    #[test]
    fn what_no_offence_says_is_not_understood() {
        for (kind, detail) in [(16, 0), (3, 256), (8, 1 << 32)] {
            assert_eq!(Said { kind, detail, expected: 0 }.offence(), None);
        }
    }
}
