//! `pillarbox send`: one message, no reply.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use pillarbox::{Deadline, Message};
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::failure::Failure;
use crate::output;
use crate::server::Place;

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
Success means accepted: the message reaches the mailbox even if this process is
killed the next instant. Nobody says what became of it then. The body is FILE,
or standard input where FILE is `-` or left out; left out at a terminal, it is
empty. Without --deadline a send waits for room as long as it takes.

Examples:
  echo 'the build is done' | pillarbox send news
  pillarbox send --id 7 inbox report.pdf

JSON: {\"ok\":true,\"name\":\"news\",\"bytes\":18}, or {\"ok\":false,\"error\":…} as for call.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The mailbox
    name: OsString,
    /// The body of the message; `-` is standard input
    file: Option<PathBuf>,
    /// The id of the message
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    id: i32,
    /// The tag of the message
    #[arg(long, default_value_t = 0)]
    tag: u64,
    #[command(flatten)]
    patience: Patience,
    /// Print one object with the result
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Sent<'a> {
    ok: bool,
    name: &'a str,
    bytes: usize,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let name = argument::name(&arguments.name)?;
    let body = argument::body(arguments.file.as_deref())?;
    let bytes = body.len();
    let deadline = arguments.patience.or_never();
    let finding = arguments.patience.to_find();
    let server = place.reach(finding)?;
    let mailbox =
        server.look_up(&name, finding).map_err(|error| Failure::bootstrap(error, &place.path()))?;
    if deadline == Deadline::Now {
        // The owner must have confirmed the right before it can be tried.
        let _ = mailbox.status(finding);
    }
    let message = Message::new(body).with_id(arguments.id).with_tag(arguments.tag);
    mailbox.send(message, deadline).map_err(|error| Failure::unsent(error.reason, &name))?;
    if arguments.json {
        let _ = output::json(&Sent { ok: true, name: &name, bytes })?;
    }
    Ok(ExitCode::SUCCESS)
}
