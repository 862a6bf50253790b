//! The honest client of a task that is lied to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pillarbox::{Deadline, Message, Right, SendRight, Task};

use crate::log::Log;

/// What the honest say.
pub(super) const WORD: &[u8] = b"an honest word";

/// Counters in the client's log.
pub(super) mod counter {
    /// Messages that were accepted.
    pub(crate) const SENT: usize = 0;
    /// Calls that were answered.
    pub(crate) const ANSWERED: usize = 1;
    /// Nanoseconds the longest of both took.
    pub(crate) const LONGEST_NS: usize = 2;
    /// Not its own: it is enough.
    pub(crate) const ENOUGH: usize = 3;
}

/// The honest client.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the victim listens.
    #[arg(long)]
    path: PathBuf,
}

/// How long it rests after each round, so that the hostile have the most of the time.
const REST: Duration = Duration::from_millis(1);

/// No healthy wait is as long.
pub(super) fn long() -> Deadline {
    Deadline::after(super::PATIENCE)
}

/// Connects with the victim. It may not have had the time to greet when the library
/// gives a greeting up.
pub(super) fn connect(task: &Task, path: &Path) -> Result<HashMap<String, Right>, String> {
    let until = Instant::now() + super::PATIENCE;
    loop {
        match task.connect(path, long()) {
            Ok(offered) => return Ok(offered),
            Err(error) if Instant::now() > until => return Err(format!("at the door: {error}")),
            Err(_) => std::thread::park_timeout(REST),
        }
    }
}

/// Sends and calls in turn until it is told that it is enough.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("client: {what}: {error}");
    let log = Log::of_parent().map_err(|error| said("its log", &error))?;
    let task = Task::current().map_err(|error| said("its task", &error))?;
    let mut offered = connect(&task, &options.path).map_err(|error| format!("client: {error}"))?;
    let mut named = |name: &str| -> Result<SendRight, String> {
        let right = offered.remove(name).and_then(|right: Right| right.into_send().ok());
        right.ok_or_else(|| format!("client: there is no {name}"))
    };
    let (stream, calls) = (named("c-stream")?, named("d-calls")?);
    drop(offered);
    let (mut sent, mut answered, mut longest) = (0, 0, Duration::ZERO);
    while log.get(counter::ENOUGH) == 0 {
        let begun = Instant::now();
        for _ in 0..8 {
            let message = Message::new(WORD).with_tag(sent + 1);
            stream.send(message, long()).map_err(|error| said("a send", &error))?;
            sent += 1;
            log.set(counter::SENT, sent);
        }
        let request = Message::new(WORD).with_tag(answered + 1);
        let answer = calls.call(request, long()).map_err(|error| said("a call", &error))?;
        if answer.body() != WORD || answer.tag() != answered + 1 {
            return Err(format!("client: a wrong answer: {answer:?}"));
        }
        answered += 1;
        log.set(counter::ANSWERED, answered);
        longest = longest.max(begun.elapsed());
        log.set(counter::LONGEST_NS, longest.as_nanos() as u64);
        std::thread::park_timeout(REST);
    }
    Ok(())
}
