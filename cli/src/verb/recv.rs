//! `pillarbox recv`: a mailbox in the terminal.
//!
//! Without `--follow` the mailbox is a rendezvous: a sender waits until we take
//! its message, so that none is accepted which nobody will print. One sender may
//! slip through: one that used its turn so late that another had been given it.
//! Such a message is counted when we end. With `--follow` the mailbox is a queue.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, Task};
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::failure::{Failure, Kind};
use crate::output::{self, Reader};
use crate::server::Place;
use crate::standing::Standing;

/// Messages that wait while one is printed.
const QUEUE: u32 = 1024;

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
A single message is printed byte for byte, so `recv NAME > FILE` is exact. With
--count above one, with --follow, and at a terminal, a newline follows each body
that does not end in one, so that messages stay apart; for exact bodies of many
messages use --json. Where no bootstrap server runs, one is started, which ends
5 s after its last connection. A receiver that is called drops the request: the
caller is told.

Examples:
  pillarbox recv inbox > report.pdf
  pillarbox recv news --follow
  pillarbox recv jobs --count 3 --json | jq -r .body

JSON, one object for each message: {\"pid\":812,\"uid\":1000,\"id\":0,\"tag\":0,
  \"length\":18,\"encoding\":\"utf-8\",\"body\":\"the build is done\\n\"}. What is not UTF-8 is
  base64. The pid and uid are the kernel's word about the sender.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The name of the mailbox
    name: OsString,
    /// End after this many messages
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "follow",
          value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Go on for ever
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    patience: Patience,
    /// Print one object for each message
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Received {
    pid: Option<i32>,
    uid: Option<u32>,
    id: i32,
    tag: u64,
    length: usize,
    encoding: &'static str,
    body: String,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let name = argument::name(&arguments.name)?;
    let task =
        Task::current().map_err(|error| Failure::system("there is no task to receive", error))?;
    let capacity = if arguments.follow { Capacity::Bounded(QUEUE) } else { Capacity::Rendezvous };
    let mailbox = Arc::new(task.port(capacity));
    let standing = Standing::keep(&name, &mailbox, place.check_in(&name, &mailbox)?)?;
    let deadline = arguments.patience.or_never();
    let apart = arguments.follow || arguments.count > 1 || output::is_terminal();
    let mut left = arguments.count;
    while arguments.follow || left > 0 {
        let message = mailbox.receive(deadline).map_err(|error| {
            Failure::new(Kind::Deadline, format!("no message came for {name}")).because(error)
        })?;
        if message.sender().is_none() {
            if message.notification() == Some(Notification::NoSenders) && standing.is_over() {
                return Err(Failure::new(
                    Kind::Died,
                    format!("nobody can send to {name} any more"),
                )
                .because("the bootstrap server is gone, and nobody else holds a right"));
            }
            continue;
        }
        left = left.saturating_sub(1);
        if print(&message, arguments.json, apart)? == Reader::Gone {
            break;
        }
    }
    tell_lost(&mailbox, &name);
    Ok(ExitCode::SUCCESS)
}

/// Says what was accepted and is not printed.
fn tell_lost(mailbox: &ReceiveRight, name: &str) {
    let mut lost = 0;
    // Only what lies there: to wait would be to invite the next.
    while mailbox.status().queued > 0
        && let Ok(message) = mailbox.receive(Deadline::Now)
    {
        // Who waits for a reply is told by the library.
        lost += u64::from(message.sender().is_some() && message.reply_right().is_none());
    }
    if lost > 0 {
        output::say(&format!("{lost} more came for {name} and are lost"));
    }
}

fn print(message: &Message, json: bool, apart: bool) -> Result<Reader, Failure> {
    if message.is_body_lost() {
        return Err(Failure::new(Kind::System, "the body of a message cannot be mapped")
            .hint("raise the limits on descriptors or memory (ulimit -n, ulimit -v)"));
    }
    let body = message.body();
    if json {
        let (text, encoding) = output::encode(body);
        return output::json(&Received {
            pid: message.sender().map(|sender| sender.pid),
            uid: message.sender().map(|sender| sender.uid),
            id: message.id(),
            tag: message.tag(),
            length: body.len(),
            encoding,
            body: text,
        });
    }
    let end: &[u8] = if apart && !body.ends_with(b"\n") { b"\n" } else { b"" };
    output::bytes(&[body, end])
}
