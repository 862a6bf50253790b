//! `pillarbox logs`: what a service has said.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use boot::admin::Admin;
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::failure::Failure;
use crate::output;
use crate::server::Place;

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
What a declared service has written to standard output and standard error, in the
order written, of all its runs: the last `log_bytes` of it that its file says, which
are 64 KiB where it says nothing. The server keeps it in memory; it ends with the
server.

Examples:
  pillarbox logs upper
  pillarbox logs upper --json | jq -r .text

JSON, one object: {\"ok\":true,\"service\":\"upper\",\"text\":\"…\",\"text_encoding\":\"utf-8\",
  \"lost\":0}; `lost` counts the bytes before that, which are not kept.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service
    name: OsString,
    #[command(flatten)]
    patience: Patience,
    /// Print one object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Said<'a> {
    ok: bool,
    service: &'a str,
    text: String,
    text_encoding: &'static str,
    lost: u64,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let service = argument::name(&arguments.name)?;
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(deadline)?;
    let log = Admin::new(&server)
        .log(&service, deadline)
        .map_err(|error| Failure::admin(error, &service, &place.path()))?;
    if arguments.json {
        let (text, text_encoding) = output::encode(&log.bytes);
        let said = Said { ok: true, service: &service, text, text_encoding, lost: log.lost };
        let _ = output::json(&said)?;
    } else {
        if log.lost > 0 {
            output::say(&format!("{} bytes before this are not kept", log.lost));
        }
        let _ = output::bytes(&[&log.bytes])?;
    }
    Ok(ExitCode::SUCCESS)
}
