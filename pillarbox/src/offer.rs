//! Named rights that go with a link: what a child or a caller may be offered.

use std::collections::HashSet;
use std::sync::Arc;

use abi::limits;
use abi::name::NameError;

use crate::core::TaskCore;

/// Why rights cannot be offered under the names given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// A name that is not valid.
    #[error("the name of a right is not valid: {0}")]
    Name(#[from] NameError),
    /// Two rights have one name: nobody could tell them apart.
    #[error("two rights are offered under the name {0}")]
    NameTwice(String),
    /// More rights than one message carries.
    #[error("{0} rights are offered, the limit is {limit}", limit = limits::MESSAGE_RIGHTS)]
    TooManyRights(usize),
    /// The names are longer together than one message carries.
    #[error("the names of the rights are too long together")]
    NamesTooLong,
    /// A right that another task of this process holds.
    #[error("the right offered as {0} belongs to another task")]
    OtherTask(String),
}

/// Checks that these may be offered by `task`.
pub(crate) fn check<'a>(
    task: &Arc<TaskCore>,
    offered: impl ExactSizeIterator<Item = (&'a str, Option<&'a Arc<TaskCore>>)>,
) -> Result<(), OfferError> {
    if offered.len() > limits::MESSAGE_RIGHTS.min(task.limits.message_rights) {
        return Err(OfferError::TooManyRights(offered.len()));
    }
    let mut bytes = 0;
    let mut names = HashSet::new();
    for (name, holder) in offered {
        abi::name::check(name.as_bytes())?;
        if !names.insert(name) {
            return Err(OfferError::NameTwice(name.to_owned()));
        }
        if holder.is_some_and(|holder| !Arc::ptr_eq(holder, task)) {
            return Err(OfferError::OtherTask(name.to_owned()));
        }
        bytes += name.len() + 1;
    }
    if bytes > limits::INLINE_BYTES { Err(OfferError::NamesTooLong) } else { Ok(()) }
}
