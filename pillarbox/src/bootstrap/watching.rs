//! Watching a name: being told when somebody has it, and when nobody has it any more.

use serde::{Deserialize, Serialize};

use super::{Answer, Answered, Bootstrap, BootstrapError, Request};
use crate::deadline::Deadline;

/// Whether somebody has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NameState {
    /// Nobody has it now. It may be that a look-up would start who does.
    Free,
    /// Somebody has it.
    Taken {
        /// Grows with each that takes a name: one that is taken again is another's.
        since: u64,
    },
}

/// A name that is watched. Dropping it ends that.
#[derive(Clone, Debug)]
pub struct Watch {
    server: Bootstrap,
    name: String,
    known: Option<NameState>,
}

impl Bootstrap {
    /// Watches a name. The first that [`Watch::next`] says is how it stands.
    ///
    /// A queue that the server keeps is always taken.
    ///
    /// # Errors
    /// [`BootstrapError::Name`].
    ///
    /// # Examples
    /// ```no_run
    /// use pillarbox::bootstrap::NameState;
    /// use pillarbox::{Deadline, bootstrap};
    /// let mut printer = bootstrap(Deadline::Never)?.watch("com.example.printer")?;
    /// while printer.next(Deadline::Never)? == NameState::Free {
    ///     println!("no printer");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch(&self, name: &str) -> Result<Watch, BootstrapError> {
        abi::name::check(name.as_bytes())?;
        Ok(Watch { server: self.clone(), name: name.to_owned(), known: None })
    }
}

impl Watch {
    /// How it stands with the name, when that is other than was said before. What came and
    /// went in between is not told, but one that was replaced by another is.
    ///
    /// # Rights
    /// None. That it is taken is not to be let in: a look-up says that.
    ///
    /// # Errors
    /// [`BootstrapError::Deadline`] where nothing changed, and the watch goes on;
    /// [`Refused::NotAllowed`](super::Refused::NotAllowed) for who may not look the name
    /// up; [`Refused::NoRoom`](super::Refused::NoRoom) where too many watch.
    ///
    /// # Blocking
    /// Until it changes, at most until `deadline`.
    pub fn next(&mut self, deadline: Deadline) -> Result<NameState, BootstrapError> {
        let answered = self.server.ask(&self.name, self.request(), deadline)?;
        self.take(answered)
    }

    /// As [`Watch::next`], without a thread that waits.
    ///
    /// # Rights
    /// None.
    ///
    /// # Errors
    /// As [`Watch::next`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is lost: the next says what this would have.
    pub async fn next_async(&mut self) -> Result<NameState, BootstrapError> {
        let request = self.request();
        let answered = self.server.ask_async(&self.name, &request).await?;
        self.take(answered)
    }

    fn request(&self) -> Request {
        Request::Watch { name: self.name.clone(), known: self.known }
    }

    fn take(&mut self, (answer, _): Answered) -> Result<NameState, BootstrapError> {
        match answer {
            Answer::Name(state) => {
                self.known = Some(state);
                Ok(state)
            }
            _ => Err(BootstrapError::BadAnswer),
        }
    }
}
