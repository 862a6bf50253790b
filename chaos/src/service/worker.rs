//! The service: it writes down what it works on, then answers. It is killed anywhere.

use std::fs::OpenOptions;
use std::io::Write;

use pillarbox::shared::SharedReader;
use pillarbox::{Deadline, Message, Task, bootstrap};

use super::{LEDGER, QUEUE};
use crate::chance::Chance;

/// How one service works.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    seed: u64,
}

/// Works until it is killed, or told to end.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("the service: {error}");
    let path = std::env::var_os(LEDGER).ok_or("the service has no ledger")?;
    let mut ledger =
        OpenOptions::new().append(true).create(true).open(path).map_err(|error| told(&error))?;
    let task = Task::current().map_err(|error| told(&error))?;
    let server = bootstrap(Deadline::Never).map_err(|error| told(&error))?;
    let right = server.attend(QUEUE, Deadline::Never).map_err(|error| told(&error))?;
    let mut chance = Chance::of(options.seed, u64::from(std::process::id()));
    let ahead = 1 + u32::try_from(chance.below(16)).unwrap_or(0);
    let mut jobs =
        SharedReader::attach(&task, right, ahead, Deadline::Never).map_err(|error| told(&error))?;
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        let again = job.redelivered();
        let body = job.message().body().to_vec();
        // One call of the system, so it is there whole or not at all.
        let line = format!("{} {again}\n", String::from_utf8_lossy(&body));
        ledger.write_all(line.as_bytes()).map_err(|error| told(&error))?;
        if chance.one_in(8) {
            // sleep: work that takes time, so that one is killed in the midst of it
            std::thread::sleep(chance.micros(500));
        }
        if job.message().reply_right().is_some() {
            // Who is gone needs no answer.
            let _ = job.reply(Message::new(body), Deadline::Never);
        } else {
            let _ = job.acknowledge(Deadline::Never);
        }
    }
    Ok(())
}
