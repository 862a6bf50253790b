//! Restricted bootstrap rights: some names, under whatever name, and nothing else.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Answered, Bootstrap, BootstrapError, Request, found};
use crate::deadline::Deadline;
use crate::wait::hold_in_wait;

/// A name as a restricted bootstrap right lists it.
///
/// # Examples
/// ```
/// use pillarbox::bootstrap::Listed;
/// let jobs = Listed::new("com.example.jobs").called("jobs").ids(1..=2).messages(100);
/// assert_eq!(jobs, jobs.clone());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listed {
    /// The name that it stands for.
    pub name: String,
    /// What it is called there.
    pub alias: String,
    /// The first and the last id that messages may have; any where there is none.
    pub ids: Option<(i32, i32)>,
    /// How many messages may be sent in all, by whoever holds the right; any number where
    /// there is none.
    pub messages: Option<u64>,
}

impl Listed {
    /// The name, as it is called here.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Listed { alias: name.clone(), name, ids: None, messages: None }
    }

    /// It is called so there.
    #[must_use]
    pub fn called(mut self, alias: impl Into<String>) -> Self {
        self.alias = alias.into();
        self
    }

    /// Only messages with an id in this range, as [`Terms::ids`](crate::Terms::ids).
    ///
    /// The owner of a port alone can narrow a right to it. So this is for queues that the
    /// server keeps, and for ports of the server's own task: a parent that is the server
    /// of its children. For another name it is refused.
    #[must_use]
    pub fn ids(mut self, ids: RangeInclusive<i32>) -> Self {
        self.ids = Some((*ids.start(), *ids.end()));
        self
    }

    /// Only so many messages, as [`Terms::messages`](crate::Terms::messages), over all
    /// copies of the right. For the same names as [`Listed::ids`].
    #[must_use]
    pub fn messages(mut self, messages: u64) -> Self {
        self.messages = Some(messages);
        self
    }
}

impl Bootstrap {
    /// A bootstrap right to the same server that sees the names listed and no others: for
    /// a child, or whatever shall not reach all that this task may.
    ///
    /// Whoever holds it looks them up by the authority of this task, as of now. It checks
    /// nobody in, gives no orders, and is restricted further, never less. It lasts until
    /// nobody holds it, however this task ends.
    ///
    /// # Rights
    /// The right is this task's, to be given away.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`](super::Refused::NotAllowed) for a name that this task may
    /// not look up, or that the server cannot narrow;
    /// [`Refused::NoRoom`](super::Refused::NoRoom) for more names, or more such rights,
    /// than a server keeps.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    ///
    /// # Examples
    /// ```no_run
    /// use std::process::Command;
    /// use pillarbox::bootstrap::{BOOTSTRAP, Listed};
    /// use pillarbox::{Deadline, Spawn, bootstrap};
    /// let listed = [Listed::new("com.example.printer").called("printer")];
    /// let server = bootstrap(Deadline::Never)?.subset(&listed, Deadline::Never)?;
    /// let right = server.right().clone();
    /// let mut child = Spawn::new(Command::new("guest")).right(BOOTSTRAP, right).spawn()?;
    /// child.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subset(&self, names: &[Listed], deadline: Deadline) -> Result<Self, BootstrapError> {
        let request = request(names)?;
        let asked = hold_in_wait(about(names), drop, |names| self.ask(names, request, deadline)).1;
        restricted(asked?)
    }

    /// As [`Bootstrap::subset`], without a thread that waits.
    ///
    /// # Rights
    /// The right is this task's.
    ///
    /// # Errors
    /// As [`Bootstrap::subset`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn subset_async(&self, names: &[Listed]) -> Result<Self, BootstrapError> {
        let request = request(names)?;
        restricted(self.ask_async(&about(names), &request).await?)
    }
}

fn request(names: &[Listed]) -> Result<Request, BootstrapError> {
    for listed in names {
        abi::name::check(listed.name.as_bytes())?;
        abi::name::check(listed.alias.as_bytes())?;
    }
    Ok(Request::Subset { names: names.to_vec() })
}

/// What an error says it was about.
fn about(names: &[Listed]) -> String {
    let names: Vec<&str> = names.iter().map(|listed| listed.name.as_str()).collect();
    names.join(", ")
}

fn restricted(answered: Answered) -> Result<Bootstrap, BootstrapError> {
    found(answered).map(Bootstrap::new)
}
