//! Where a server is to be killed, and which rule it is to break: said by whoever starts
//! its process.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use super::family::placed::told_path;
use crate::step::{Rule, Step};

/// The variable with the step before which a server is killed: its kind, and how many of
/// that kind it takes before, or no number where it takes all.
pub(super) const KILL_AT: &str = "PILLARBOX_TEST_KILL_AT";

/// The variable that names the rule it breaks.
pub(super) const BREAKS: &str = "PILLARBOX_TEST_BREAKS";

/// The file beside its socket in which it says which step that was.
pub(super) const LAST_STEP: &str = "last-step";

/// The file beside that in which it says which steps it has taken.
pub(super) const STEPS: &str = "steps";

/// Takes a step, or is killed before it: by the signal that cannot be caught, so that
/// nothing of ours runs afterwards.
pub(crate) fn before(step: Step) {
    static AT: OnceLock<Option<(String, Option<u64>)>> = OnceLock::new();
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let at = AT.get_or_init(|| {
        let at = std::env::var(KILL_AT).ok()?;
        let (kind, number) = at.split_once(' ')?;
        Some((kind.to_owned(), number.parse().ok()))
    });
    let Some((kind, number)) = at else { return };
    let (beside, kind) = (told_path(), *kind == format!("{step:?}"));
    if kind && Some(TAKEN.fetch_add(1, Ordering::Relaxed)) == *number {
        std::fs::write(beside.with_file_name(LAST_STEP), format!("{step:?}")).unwrap();
        kill_process(getpid(), Signal::KILL).unwrap();
        loop {
            std::thread::park();
        }
    }
    let steps = OpenOptions::new().append(true).create(true).open(beside.with_file_name(STEPS));
    writeln!(steps.unwrap(), "{step:?}").unwrap();
}

/// Whether this server keeps the rule.
pub(crate) fn holds(rule: Rule) -> bool {
    static BROKEN: OnceLock<Option<String>> = OnceLock::new();
    let broken = BROKEN.get_or_init(|| std::env::var(BREAKS).ok());
    broken.as_ref().is_none_or(|broken| *broken != format!("{rule:?}"))
}
