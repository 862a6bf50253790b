//! `cargo xtask chaos`: real tasks that are stopped and killed at random.

use anyhow::Result;

use crate::Verdict;
use crate::program::Program;
use crate::step::{Bench, Ending};

/// Kills of `cargo xtask check`.
const KILLS: u64 = 300;

/// Stops and kills real tasks that exchange rights.
///
/// Who is stopped or killed, and when, is chance; the rest is to notice nothing but that.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many tasks are killed.
    #[arg(long, value_name = "N", default_value_t = KILLS)]
    kills: u64,
    /// Tasks at a time.
    #[arg(long, value_name = "T", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(2..=200))]
    tasks: u64,
    /// Where chance begins; another each time where none is given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// None owns mailboxes that several read.
    #[arg(long)]
    without_mailboxes: bool,
    /// Kills a service that reads a queue instead, and checks every call of its clients.
    #[arg(long, conflicts_with_all = ["tasks", "without_mailboxes"])]
    service: bool,
}

fn program(options: &Options) -> Program {
    if options.service {
        let mut arguments = vec!["service".to_owned(), format!("--kills={}", options.kills)];
        arguments.extend(options.seed.map(|seed| format!("--seed={seed}")));
        return Program { package: "pillarbox-chaos", name: "chaos", arguments };
    }
    let mut arguments = vec![
        "kills".to_owned(),
        format!("--kills={}", options.kills),
        format!("--tasks={}", options.tasks),
    ];
    arguments.extend(options.seed.map(|seed| format!("--seed={seed}")));
    arguments.extend((!options.without_mailboxes).then(|| "--mailboxes".to_owned()));
    Program { package: "pillarbox-chaos", name: "chaos", arguments }
}

/// Kills as many as were asked for.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    program(options).run()
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let options =
        Options { kills: KILLS, tasks: 20, seed: None, without_mailboxes: false, service: false };
    program(&options).step(bench)
}
