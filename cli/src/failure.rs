//! What went wrong: as a person reads it, and as a script does.
//!
//! Every failure of ours is one of these kinds. The kind decides the exit code
//! and the word in `--json`; the text says what happened, its causes why, and
//! the hint what to do.
//!
//! | code | word           | when                                             |
//! |------|----------------|--------------------------------------------------|
//! | 1    | `system`       | the system refused us memory, a descriptor, …    |
//! | 2    | `usage`        | a wrong argument, a file that cannot be read     |
//! | 64   | `no-such-name` | nobody has the name                              |
//! | 65   | `no-server`    | no bootstrap server is running                   |
//! | 66   | `deadline`     | it did not happen in time                        |
//! | 67   | `died`         | the service died                                 |
//! | 68   | `refused`      | a service or the server said no                  |

use std::error::Error;
use std::path::Path;

use boot::admin::AdminError;
use pillarbox::bootstrap::{BootstrapError, Refused};
use pillarbox::{CallError, LinkError, SendFailure};
use serde::Serialize;

/// The table of this file's head, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   it is done
  1   the system refused (memory, descriptors, a full disk)
  2   a wrong argument, or a file that cannot be read
  64  nobody has the name
  65  no bootstrap server is running
  66  it did not happen before the deadline
  67  the service died
  68  a service or the server refused";

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    System,
    Usage,
    NoSuchName,
    NoServer,
    Deadline,
    Died,
    Refused,
}

impl Kind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Kind::System => 1,
            Kind::Usage => 2,
            Kind::NoSuchName => 64,
            Kind::NoServer => 65,
            Kind::Deadline => 66,
            Kind::Died => 67,
            Kind::Refused => 68,
        }
    }
}

/// One failure.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

/// What is told of a failure: the object `--json` prints.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    ok: bool,
    error: Kind,
    pub(crate) exit_code: u8,
    pub(crate) message: &'a str,
    pub(crate) causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<&'a str>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Failure { kind, what: what.into(), cause: None, hint: None }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Failure::new(Kind::Usage, what)
    }

    pub(crate) fn system(
        what: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Failure::new(Kind::System, what).because(cause)
    }

    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Nobody serves names at `path`, and how to mend that.
    pub(crate) fn no_server(path: &Path) -> Self {
        Failure::new(Kind::NoServer, format!("no bootstrap server at {}", path.display())).hint(
            "start a service with `pillarbox serve NAME -- CMD`, which starts a server too, \
             or a server alone with `pillarbox boot`",
        )
    }

    /// What the bootstrap server at `path` did not do about `name`.
    pub(crate) fn bootstrap(error: BootstrapError, path: &Path) -> Self {
        match error {
            BootstrapError::NoServer(path) => Failure::no_server(&path),
            BootstrapError::Died => Failure::no_server(path)
                .because("the server that was asked ended before it answered"),
            BootstrapError::Deadline => Failure::new(
                Kind::Deadline,
                format!("the bootstrap server at {} did not answer in time", path.display()),
            )
            .hint(
                "give it longer with --deadline; one that was stopped must be continued or killed",
            ),
            BootstrapError::Refused { name, reason } => Failure::refused(&name, reason),
            BootstrapError::Name(error) => Failure::usage("the name is not valid").because(error),
            BootstrapError::Link(LinkError::Deadline) => Failure::new(
                Kind::Deadline,
                format!("the bootstrap server at {} did not greet in time", path.display()),
            )
            .hint("one that was stopped must be continued or killed"),
            BootstrapError::Link(LinkError::Died) => Failure::no_server(path),
            BootstrapError::Link(LinkError::System(error))
                if error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Failure::new(Kind::Refused, format!("{} may not be opened", path.display()))
                    .because(error)
                    .hint("a server answers its own user; start one of your own")
            }
            BootstrapError::Link(LinkError::System(error)) if is_no_path(&error) => {
                Failure::usage(format!("{} is not a path for a socket", path.display()))
                    .because(error)
            }
            BootstrapError::Link(LinkError::System(error)) => {
                Failure::system(format!("{} cannot be connected to", path.display()), error)
            }
            BootstrapError::Link(error) => Failure::new(
                Kind::Refused,
                format!("{} is not a bootstrap server we can use", path.display()),
            )
            .because(error),
            other => Failure::system("the bootstrap server did not help", other),
        }
    }

    /// What the bootstrap server at `path` did not do about a declared service.
    pub(crate) fn admin(error: AdminError, service: &str, path: &Path) -> Self {
        match error {
            AdminError::NoSuchService => {
                Failure::new(Kind::NoSuchName, format!("no service {service} is declared"))
                    .hint("`pillarbox ls --services` lists those that are")
            }
            AdminError::NotStarted(reason) => {
                Failure::new(Kind::Died, format!("{service} could not be started"))
                    .because(reason)
                    .hint(format!("`pillarbox logs {service}` prints what it has said"))
            }
            AdminError::Deadline => Failure::new(
                Kind::Deadline,
                format!("it was not done before the deadline ({service})"),
            )
            .hint("`pillarbox ls --services` says how far it is"),
            AdminError::Died => Failure::no_server(path)
                .because("the server that was asked ended before it answered"),
            AdminError::BadAnswer => Failure::new(
                Kind::Refused,
                format!("the bootstrap server at {} keeps no services", path.display()),
            )
            .because(error),
            other => {
                Failure::new(Kind::Refused, format!("the bootstrap server refused ({service})"))
                    .because(other)
            }
        }
    }

    fn refused(name: &str, reason: Refused) -> Self {
        match reason {
            Refused::NoSuchName => {
                Failure::new(Kind::NoSuchName, format!("nobody has the name {name}"))
                    .hint("`pillarbox ls` lists the names there are")
            }
            Refused::InUse => Failure::new(Kind::Refused, format!("the name {name} is in use"))
                .hint(format!("`pillarbox show {name}` says by whom")),
            Refused::Deadline => {
                Failure::new(Kind::Deadline, format!("{name} was not ready in time"))
            }
            Refused::NotStarted(_) => {
                Failure::new(Kind::Died, format!("{name} could not be started")).because(reason)
            }
            Refused::BadName => Failure::usage("the name is not valid").because(reason),
            Refused::NotAllowed(_) if !name.is_empty() => {
                Failure::new(Kind::Refused, format!("the bootstrap server refused {name}"))
                    .because(reason)
                    .hint("the rules stand in the file of its service; see docs/services.md")
            }
            other if name.is_empty() => {
                Failure::new(Kind::Refused, "the bootstrap server refused").because(other)
            }
            other => Failure::new(Kind::Refused, format!("the bootstrap server refused {name}"))
                .because(other),
        }
    }

    /// Why a message to `name` was not sent.
    pub(crate) fn unsent(reason: SendFailure, name: &str) -> Self {
        match reason {
            SendFailure::Full => Failure::new(
                Kind::Deadline,
                format!("the mailbox of {name} had no room before the deadline"),
            )
            .hint("give it longer with --deadline"),
            SendFailure::OverLimit => {
                Failure::new(Kind::Refused, format!("{name} does not take what it was sent"))
                    .because(reason)
            }
            SendFailure::NotJoined(_) => Failure::new(
                Kind::Deadline,
                format!("{name} did not accept the connection before the deadline"),
            )
            .because(reason),
            SendFailure::Dead | SendFailure::Fault(_) => {
                Failure::new(Kind::Died, format!("{name} died before it took the message"))
                    .because(reason)
            }
            SendFailure::TooLong { .. } => {
                Failure::usage("the message was not sent").because(reason)
            }
            other => Failure::system(format!("the message to {name} was not sent"), other),
        }
    }

    /// Why a call of `name` has no answer.
    pub(crate) fn call(error: CallError, name: &str) -> Self {
        match error {
            CallError::Unsent(error) => Failure::unsent(error.reason, name),
            CallError::Deadline => {
                Failure::new(Kind::Deadline, format!("{name} did not answer before the deadline"))
                    .hint("it may still do what was asked")
            }
            CallError::Died => Failure::new(Kind::Died, format!("{name} died before it answered"))
                .hint("what was asked may or may not have been done"),
            CallError::Dropped => {
                Failure::new(Kind::Refused, format!("{name} dropped the request without an answer"))
                    .hint("a receiver that does not answer is reached with `pillarbox send`")
            }
            other => Failure::system(format!("{name} was not called"), other),
        }
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut said = self.what.clone();
        let mut next = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many errors quote their source; once is enough.
            if !said.contains(&text) {
                causes.push(text.clone());
            }
            said = text;
            next = cause.source();
        }
        causes
    }

    /// What is to be told of it.
    pub(crate) fn told(&self) -> Told<'_> {
        Told {
            ok: false,
            error: self.kind,
            exit_code: self.kind.code(),
            message: &self.what,
            causes: self.causes(),
            hint: self.hint.as_deref(),
        }
    }
}

/// Whether the system could not take a path as that of a socket: it may have
/// 107 bytes.
pub(crate) fn is_no_path(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory};
    matches!(error.kind(), InvalidFilename | InvalidInput | NotADirectory)
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let what = error.to_string();
        Failure::new(Kind::System, what).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let quoting = BootstrapError::Unsent(SendFailure::Full);
        let failure = Failure::system("no", quoting);
        assert_eq!(failure.causes().len(), 1);
        let failure = Failure::from(anyhow::anyhow!("inner").context("outer"));
        assert_eq!(failure.what, "outer");
        assert_eq!(failure.causes(), ["inner"]);
    }

    #[test]
    fn every_kind_has_the_documented_code() {
        for (kind, code) in [
            (Kind::System, "  1 "),
            (Kind::Usage, "  2 "),
            (Kind::NoSuchName, "  64 "),
            (Kind::NoServer, "  65 "),
            (Kind::Deadline, "  66 "),
            (Kind::Died, "  67 "),
            (Kind::Refused, "  68 "),
        ] {
            assert_eq!(format!("  {} ", kind.code()), code);
            assert!(EXIT_CODES.contains(code));
        }
    }
}
