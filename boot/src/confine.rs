//! What a service may do to the system beyond its messages, taken away before it begins.
//!
//! A process takes it away from itself, between its start and its program: the server
//! starts `pillarbox confine`, which does what stands here and becomes the program. It is
//! the same process, so it has its rights and checks in as the one that was started.
//! Nothing gives any of it back, to the program or to what it starts.
//!
//! | what            | by             | says                                        |
//! |-----------------|----------------|---------------------------------------------|
//! | no new rights   | `prctl`        | set-user-id programs are plain ones          |
//! | [`Confinement::read`], [`Confinement::write`] | Landlock | which files there are for it |
//! | [`SystemCalls`] | seccomp        | which calls fail                            |
//!
//! Where the system cannot do what is asked, the program is not started.

use std::ffi::OsString;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
};

mod calls;

pub use self::calls::SystemCalls;

/// Why a process is not confined, and must not become the program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// The system does not promise that no rights are gained.
    #[error("the system lets it gain rights: {0}")]
    Gains(std::io::Error),
    /// A path is not there, or may not be seen.
    #[error("{path} cannot be allowed: {error}")]
    Path {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: PathFdError,
    },
    /// Its files are not restricted: Landlock is not there, or is switched off.
    #[error("the system does not restrict files (Landlock): {0}")]
    Files(#[from] RulesetError),
    /// The same, found out at the end.
    #[error("the system does not restrict files: Landlock is switched off")]
    NoLandlock,
    /// Its system calls are not restricted.
    #[error("the system does not restrict system calls (seccomp): {0}")]
    Calls(String),
}

/// What is left to a process. Where no path is named, files are not restricted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confinement {
    /// What it may read and run, with all that lies below.
    pub read: Vec<PathBuf>,
    /// What it may read, run, write and make, with all that lies below.
    pub write: Vec<PathBuf>,
    /// Which system calls fail.
    pub system_calls: Option<SystemCalls>,
}

impl Confinement {
    /// The arguments with which `pillarbox confine` is told of it.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        for (option, paths) in [("--read", &self.read), ("--write", &self.write)] {
            for path in paths {
                words.extend([OsString::from(option), path.clone().into()]);
            }
        }
        if let Some(calls) = self.system_calls {
            words.extend(["--system-calls".into(), calls.name().into()]);
        }
        words
    }

    /// Confines this thread, for good, and what it becomes and starts. Other threads are
    /// not touched, so it is for a thread that is about to become a program.
    ///
    /// # Errors
    /// See [`ConfineError`]. Some of it may be done then: what failed to be confined must
    /// not go on.
    pub fn enter(&self) -> Result<(), ConfineError> {
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| ConfineError::Gains(error.into()))?;
        if !self.read.is_empty() || !self.write.is_empty() {
            self.restrict_files()?;
        }
        // Last: what was needed until here may be forbidden.
        self.system_calls.map_or(Ok(()), SystemCalls::restrict)
    }

    fn restrict_files(&self) -> Result<(), ConfineError> {
        // The first version is a must; of the later ones, which restrict more, what there is.
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LATEST))?
            .create()?;
        for path in &self.read {
            rules = allow(rules, path, AccessFs::from_read(LATEST))?;
        }
        for path in &self.write {
            rules = allow(rules, path, AccessFs::from_all(LATEST))?;
        }
        match rules.restrict_self()?.ruleset {
            RulesetStatus::NotEnforced => Err(ConfineError::NoLandlock),
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        }
    }
}

const LATEST: ABI = ABI::V5;

fn allow(
    rules: RulesetCreated,
    path: &PathBuf,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    let opened =
        PathFd::new(path).map_err(|error| ConfineError::Path { path: path.clone(), error })?;
    // What can be done in a directory only means nothing of a file, and is refused.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LATEST) };
    Ok(rules.add_rule(PathBeneath::new(opened, access))?)
}
