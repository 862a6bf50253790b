//! `pillarbox call`: one message, one reply.
//!
//! The exit code is the command's own where a command ran, so that `pillarbox
//! call sort` in a script is as good as `sort`. Our own failures have codes that
//! few commands use; `--json` tells the two apart for certain.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use pillarbox::Message;
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::failure::{Failure, Kind};
use crate::output;
use crate::reply::Reply;
use crate::server::Place;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
The body is FILE, or standard input where FILE is `-` or left out; left out at
a terminal, the body is empty. Without --deadline a call waits as long as it
takes; the death of the service ends it. A command that was called runs to its
end even if the caller leaves.

Examples:
  echo hello | pillarbox call upper
  pillarbox call sha256 README.md
  pillarbox call upper README.md --json --deadline 2s | jq -r .stdout

JSON: {\"ok\":true,\"exit_code\":0,\"stdout\":\"HELLO\\n\",\"stdout_encoding\":\"utf-8\",
  \"stderr\":\"\",\"stderr_encoding\":\"utf-8\",\"latency_ns\":61250}, or
  {\"ok\":false,\"error\":\"no-such-name\",\"exit_code\":64,\"message\":…,\"causes\":[…],\"hint\":…}.
  What is not UTF-8 is base64, and its encoding says so.

Exit codes:
  that of the command; 128+n where signal n ended it; and of our own
  1   the system refused (memory, descriptors, a full disk)
  2   a wrong argument, or a file that cannot be read
  64  nobody has the name
  65  no bootstrap server is running
  66  no answer before the deadline
  67  the service died before it answered
  68  the service refused, or dropped the request";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service
    name: OsString,
    /// The body of the message; `-` is standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    patience: Patience,
    /// Print one object with the result
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Answer {
    ok: bool,
    exit_code: u8,
    stdout: String,
    stdout_encoding: &'static str,
    stderr: String,
    stderr_encoding: &'static str,
    latency_ns: u64,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let name = argument::name(&arguments.name)?;
    let body = argument::body(arguments.file.as_deref())?;
    // Reading the body is not waiting for the service.
    let deadline = arguments.patience.or_never();
    let finding = arguments.patience.to_find();
    let server = place.reach(finding)?;
    let service =
        server.look_up(&name, finding).map_err(|error| Failure::bootstrap(error, &place.path()))?;
    let begun = Instant::now();
    let answer =
        service.call(Message::new(body), deadline).map_err(|error| Failure::call(error, &name))?;
    let latency_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if answer.is_body_lost() {
        return Err(Failure::new(Kind::System, format!("the reply of {name} cannot be mapped"))
            .hint("raise the limits on descriptors or memory (ulimit -n, ulimit -v)"));
    }
    let (code, stdout, stderr) = match Reply::read(&answer) {
        Reply::Ended { code, stdout, stderr } => (code, stdout, stderr),
        Reply::Refused(reason) => {
            let reason = String::from_utf8_lossy(reason).into_owned();
            return Err(
                Failure::new(Kind::Refused, format!("{name} refused the call")).because(reason)
            );
        }
    };
    if arguments.json {
        let (stdout, stdout_encoding) = output::encode(stdout);
        let (stderr, stderr_encoding) = output::encode(stderr);
        let _ = output::json(&Answer {
            ok: true,
            exit_code: code,
            stdout,
            stdout_encoding,
            stderr,
            stderr_encoding,
            latency_ns,
        })?;
    } else {
        let _ = output::bytes(&[stdout])?;
        output::errors(stderr);
    }
    Ok(ExitCode::from(code))
}
