//! Values that may have grown: what the two sides of an interface say.
//!
//! A list of arguments is their number and then the arguments. Who reads it
//! takes those it knows and skips what follows; where it knows more than came,
//! the others are *missing*. Named fields are such a list too, at any depth of a
//! value, so a struct may get fields at its end: `#[serde(default)]` says what
//! stands for one that did not come. Tuples, and the order of everything, stay.
//!
//! Rights that only skipped bytes name are released. Where nothing was skipped,
//! a right that nothing names is an offence, as everywhere.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::carry::{Outgoing, pack_with, unpack_with};
use super::decode::{Reader, Stop};
use super::encode;
use super::error::{EncodeError, TypedOffence, TypedReceiveError};
use crate::message::Message;

/// Makes a list of `count` values a message: the elements of two tuples.
pub(crate) fn pack_list(
    count: usize,
    first: &impl Serialize,
    rest: &impl Serialize,
) -> Result<(Message, Outgoing), EncodeError> {
    pack_with(|| encode::write_list(count, first, rest))
}

/// Makes a value a message.
pub(crate) fn pack_value(value: &impl Serialize) -> Result<(Message, Outgoing), EncodeError> {
    pack_with(|| encode::write(value, true))
}

/// Reads a message as a value.
pub(crate) fn unpack_value<T: DeserializeOwned>(
    message: &mut Message,
) -> Result<T, TypedReceiveError> {
    unpack_with(message, |bytes| {
        let mut reader = Reader::new(bytes, true);
        let value = T::deserialize(&mut reader)?;
        reader.finish()?;
        Ok((value, reader.has_skipped()))
    })
}

/// Reads a message as a list, with a function that takes one value after the
/// other. On an error it also says which of them was at fault.
pub(crate) fn unpack_list<T>(
    message: &mut Message,
    read: impl FnOnce(&mut List<'_>) -> Result<T, Broken>,
) -> Result<T, (Option<u32>, TypedReceiveError)> {
    let mut at = None;
    unpack_with(message, |bytes| {
        let mut reader = Reader::new(bytes, true);
        let left = reader.length()?;
        let mut list = List { reader, left, at: 0 };
        let value = read(&mut list);
        at = Some(list.at);
        let value = value.map_err(|Broken(stop)| stop)?;
        at = None;
        if list.left > 0 {
            list.reader.skip_rest();
        }
        list.reader.finish()?;
        Ok((value, list.reader.has_skipped()))
    })
    .map_err(|error| (at, error))
}

/// A list of values that came, read from its beginning.
pub struct List<'de> {
    reader: Reader<'de>,
    left: usize,
    at: u32,
}

/// What stops a list from being read.
#[derive(Debug)]
pub struct Broken(Stop);

impl Broken {
    /// A value is not there.
    pub(crate) const fn missing() -> Self {
        Broken(Stop::Fault(TypedOffence::Missing))
    }
}

impl List<'_> {
    fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Broken> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        let value = T::deserialize(&mut self.reader).map_err(Broken)?;
        self.left = left;
        self.at += 1;
        Ok(Some(value))
    }

    /// The next value.
    ///
    /// # Errors
    /// It is missing, or is no `T`.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, Broken> {
        self.read()?.ok_or(Broken::missing())
    }

    /// The next value, or what `missing` says where the sender knows of none.
    ///
    /// # Errors
    /// It is no `T`.
    pub fn take_or<T: DeserializeOwned>(
        &mut self,
        missing: impl FnOnce() -> T,
    ) -> Result<T, Broken> {
        Ok(self.read()?.unwrap_or_else(missing))
    }
}

impl std::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List").field("left", &self.left).finish_non_exhaustive()
    }
}
