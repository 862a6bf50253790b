//! Services that are declared in files: a program, the names it provides, and
//! when it is started and ended.
//!
//! | file        | part                                                    |
//! |-------------|---------------------------------------------------------|
//! | this one    | what a file declares, and the command that is made of it |
//! | `keys.rs`   | every key there is: of the parser and of the schema     |
//! | `read.rs`   | from text to a declaration, or to everything wrong in it |
//! | `allow.rs`  | entitlements, and who may look up and check in             |
//! | `sandbox.rs`| what is taken away from its process                     |
//! | `user.rs`   | as whom it runs                                         |
//! | `schema.rs` | the keys as a JSON Schema                               |
//! | `found.rs`  | the directories files lie in, and whose they must be    |
//!
//! A key that is not obeyed does not exist: an unknown one is an error.

mod allow;
mod found;
mod keys;
mod read;
mod sandbox;
mod schema;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pillarbox::bootstrap::Listed;

pub use self::found::{Found, directories, find};
pub use self::schema::schema;
use crate::authority::Access;
use crate::cgroup::Bounds;
use crate::confine::Confinement;
use crate::supervision::Rules;

/// Something wrong in a service file: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

impl Problem {
    /// A problem at this place.
    pub fn new(
        line: usize,
        column: usize,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Problem { line, column, what: what.into(), cure: cure.into() }
    }
}

/// One service, as its file declares it.
///
/// # Examples
/// ```
/// use boot::service::ServiceFile;
/// let text = r#"
/// program = "/usr/bin/pillarbox"
/// arguments = ["serve", "upper", "--", "tr", "a-z", "A-Z"]
/// names = ["upper"]
/// "#;
/// assert_eq!(ServiceFile::read(text).unwrap().names(), ["upper"]);
/// let wrong = ServiceFile::read(&format!("{text}throttel = \"1s\"")).unwrap_err();
/// assert_eq!((wrong[0].line, wrong[0].column), (5, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFile {
    program: String,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    inherit: Inherit,
    names: Vec<String>,
    queues: Vec<String>,
    pub(crate) queue_messages: u32,
    /// Options of the shell's `ulimit`, and their values.
    limits: Vec<(char, u64)>,
    /// What all its processes may use together.
    pub(crate) bounds: Option<Bounds>,
    user: Option<String>,
    group: Option<String>,
    /// What its process takes away from itself before it is the program.
    sandbox: Option<Confinement>,
    /// What confines it.
    confiner: PathBuf,
    pub(crate) rules: Rules,
    pub(crate) log_bytes: usize,
    pub(crate) entitlements: Vec<String>,
    pub(crate) access: Access,
    /// All that its bootstrap right leads to beside its own names.
    pub(crate) only: Option<Vec<Listed>>,
}

/// What of our own environment a service is given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Inherit {
    All,
    Only(Vec<String>),
}

/// Variables that are meant for the process systemd started, and no other.
const SYSTEMD: [&str; 6] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// The verb that confines.
const CONFINE: &str = "confine";

/// Enters the cgroup whose door standard input is, as the process that it is, and shuts it.
const ENTER: &str =
    "echo 0 >&0 || echo 'pillarbox: it is not in its cgroup' >&2; exec </dev/null; ";

/// The same where it must.
const MUST_ENTER: &str = "echo 0 >&0 || exit 126; exec </dev/null; ";

/// Sets limits, and becomes the program: the process stays the same one.
const LIMITED: &str = "exec \"$0\" \"$@\"";

impl ServiceFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong in it, in the order of the lines.
    pub fn read(text: &str) -> Result<ServiceFile, Vec<Problem>> {
        read::read(text)
    }

    /// The names it provides with ports of its own.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names of queues that the server keeps for it.
    pub fn queues(&self) -> &[String] {
        &self.queues
    }

    /// What the process that is started is entitled to.
    pub fn entitlements(&self) -> &[String] {
        &self.entitlements
    }

    /// Both.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &String> {
        self.names.iter().chain(&self.queues)
    }

    /// Whether it is started within its bounds or not at all.
    pub(crate) fn is_bound(&self) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.required)
    }

    /// Says which program is `pillarbox`, which confines services that have a sandbox;
    /// else it is looked for in `PATH`.
    #[must_use]
    pub fn confined_by(mut self, program: impl Into<PathBuf>) -> ServiceFile {
        self.confiner = program.into();
        self
    }

    /// What is started: the program, or what becomes it. It goes into the cgroup of this
    /// door before all else.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) fn command(&self, door: Option<File>) -> Result<Command, String> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(sandbox) = &self.sandbox {
            words.extend([self.confiner.clone().into(), CONFINE.into()]);
            words.extend(sandbox.words());
            words.push("--".into());
        }
        words.push(self.program.clone().into());
        let first = words.remove(0);
        let mut command = if self.limits.is_empty() && door.is_none() {
            Command::new(first)
        } else {
            let mut script = String::new();
            if door.is_some() {
                script.push_str(if self.is_bound() { MUST_ENTER } else { ENTER });
            }
            for (option, value) in &self.limits {
                script.push_str(&format!("ulimit -{option} {value} || exit 126; "));
            }
            script.push_str(LIMITED);
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(script).arg(first);
            command
        };
        command.args(words).args(&self.arguments);
        command.stdin(door.map_or_else(Stdio::null, Stdio::from));
        if let Inherit::Only(kept) = &self.inherit {
            command.env_clear();
            for name in kept {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
        }
        // What systemd says to the server is said to the server alone.
        for name in SYSTEMD {
            command.env_remove(name);
        }
        command.envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        user::run_as(&mut command, self.user.as_deref(), self.group.as_deref())?;
        Ok(command)
    }
}
