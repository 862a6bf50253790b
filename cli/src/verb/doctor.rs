//! `pillarbox doctor`: what is not as it should be here, and what to do about it.
//!
//! | file         | part                                                  |
//! |--------------|-------------------------------------------------------|
//! | this one     | the verb, and how a look is told                      |
//! | `system.rs`  | the kernel and limits                                 |
//! | `cgroup.rs`  | which limits of services are in force                 |
//! | `session.rs` | the socket, the server that runs, and its version     |

mod cgroup;
mod session;
mod system;

use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::server::Place;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Looks at this machine and this session: the version of the kernel and what it can do,
the limits that a user of Pillarbox runs into first, which limits of services are
in force and by what, who may reach the server's socket, and whether the server that
runs is the program that is installed. Nothing is changed, and no server is started.

Each look ends in `ok`, in `note` where something is worth knowing, in `bad` where
something does not work or will not, or in `unknown` where it could not be seen.

Examples:
  pillarbox doctor
  pillarbox doctor --json | jq -r 'select(.state == \"bad\").cure'

JSON, one object for each look: {\"look\":\"descriptors\",\"state\":\"ok\",\"found\":\"…\",
  \"cure\":null}.

Exit codes:
  0   nothing is bad
  1   something is
  2   a wrong argument";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print one object for each look
    #[arg(long)]
    pub(crate) json: bool,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Note,
    Bad,
    Unknown,
}

/// What was looked at, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Look {
    look: &'static str,
    state: State,
    found: String,
    cure: Option<String>,
}

impl Look {
    fn ok(look: &'static str, found: impl Into<String>) -> Look {
        Look { look, state: State::Ok, found: found.into(), cure: None }
    }

    fn note(look: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Look {
        Look { look, state: State::Note, found: found.into(), cure: Some(cure.into()) }
    }

    fn bad(look: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Look {
        Look { look, state: State::Bad, found: found.into(), cure: Some(cure.into()) }
    }

    fn unknown(look: &'static str, found: impl Into<String>) -> Look {
        Look { look, state: State::Unknown, found: found.into(), cure: None }
    }
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let looks: Vec<Look> = system::looks().into_iter().chain(session::looks(place)).collect();
    for look in &looks {
        let reader = if arguments.json { output::json(look)? } else { output::text(&line(look))? };
        if reader == Reader::Gone {
            break;
        }
    }
    let bad = looks.iter().any(|look| look.state == State::Bad);
    Ok(ExitCode::from(u8::from(bad)))
}

fn line(look: &Look) -> String {
    let state = match look.state {
        State::Ok => "ok",
        State::Note => "note",
        State::Bad => "bad",
        State::Unknown => "unknown",
    };
    let mut line = format!("{state:<8}{:<14}{}", look.look, look.found);
    if let Some(cure) = &look.cure {
        line.push_str(&format!("\n{:22}do: {cure}", ""));
    }
    line
}
