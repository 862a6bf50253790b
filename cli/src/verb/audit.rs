//! `pillarbox audit`: what the server granted and refused, to whom, and by which rule.

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use boot::admin::Admin;
use boot::audit::{Attempt, Entry};
use pillarbox::Deadline;
use serde::Serialize;

use crate::argument::Patience;
use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::server::Place;

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
What the server granted and refused, one line each, the oldest first: when, to whom,
what, and by which rule of which service file. It keeps the last 1024 grants and the
last 1024 refusals in memory; the same again is counted (`x3`). Who floods it pushes out
entries of its own user. With --follow it goes on with what comes, until Ctrl-C, or
until --deadline has passed; without --follow, --deadline is for the server (5 s).

Only the user whose server it is may read it.

Examples:
  pillarbox audit --refused
  pillarbox audit --follow
  pillarbox audit --json | jq -r 'select(.granted | not).rule'

JSON, one object for each: {\"number\":7,\"at_ms\":1790000000000,\"granted\":false,
  \"attempt\":\"look-up\",\"name\":\"com.example.keys\",\"rule\":\"…\",\"pid\":812,\"uid\":1000,
  \"gid\":1000,\"service\":\"app\",\"times\":1}. An attempt is look-up, check-in, register,
  unregister, attend, watch, subset, services, start, stop, restart, logs, audit, look or
  end.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Print refusals only
    #[arg(long)]
    refused: bool,
    #[command(flatten)]
    patience: Patience,
    /// Print one object for each
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Row<'a> {
    number: u64,
    at_ms: u64,
    granted: bool,
    attempt: &'static str,
    name: &'a str,
    rule: &'a str,
    pid: i32,
    uid: u32,
    gid: u32,
    service: Option<&'a str>,
    times: u64,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(deadline)?;
    let admin = Admin::new(&server);
    let failed = |error| Failure::admin(error, "the audit", &place.path());
    let mut last = 0;
    let mut lost = 0;
    loop {
        let told = admin.audit(last, deadline).map_err(failed)?;
        lost = told.lost.max(lost);
        if lost > 0 && last == 0 {
            output::say(&format!("{lost} entries before these are not kept"));
        }
        last = told.entries.last().map_or(last, |entry| entry.number);
        if print(arguments, &told.entries)? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
        if !told.more {
            break;
        }
    }
    if !arguments.follow {
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = arguments.patience.or_never();
    loop {
        let told = match admin.next_audit(last, deadline) {
            Ok(told) => told,
            Err(boot::admin::AdminError::Deadline) if deadline != Deadline::Never => {
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(failed(error)),
        };
        last = told.entries.last().map_or(last, |entry| entry.number);
        if print(arguments, &told.entries)? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn print(arguments: &Arguments, entries: &[Entry]) -> Result<Reader, Failure> {
    for entry in entries.iter().filter(|entry| !(arguments.refused && entry.granted)) {
        let reader =
            if arguments.json { output::json(&row(entry))? } else { output::text(&line(entry))? };
        if reader == Reader::Gone {
            return Ok(reader);
        }
    }
    Ok(Reader::There)
}

fn row(entry: &Entry) -> Row<'_> {
    Row {
        number: entry.number,
        at_ms: entry.at_ms,
        granted: entry.granted,
        attempt: attempt(entry.attempt),
        name: &entry.name,
        rule: &entry.rule,
        pid: entry.pid,
        uid: entry.uid,
        gid: entry.gid,
        service: entry.service.as_deref(),
        times: entry.times,
    }
}

fn line(entry: &Entry) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(entry.at_ms)).unwrap_or(UNIX_EPOCH);
    let at = humantime::format_rfc3339_millis(at);
    let outcome = if entry.granted { "granted" } else { "REFUSED" };
    let times = if entry.times > 1 { format!(" x{}", entry.times) } else { String::new() };
    let space = if entry.name.is_empty() { "" } else { " " };
    let service = entry.service.as_ref().map_or(String::new(), |one| format!(", service {one}"));
    format!(
        "{at} {outcome} {}{space}{}{times}: process {}, user {}, group {}{service}: {}",
        attempt(entry.attempt),
        entry.name,
        entry.pid,
        entry.uid,
        entry.gid,
        entry.rule
    )
}

const fn attempt(attempt: Attempt) -> &'static str {
    match attempt {
        Attempt::LookUp => "look-up",
        Attempt::CheckIn => "check-in",
        Attempt::Register => "register",
        Attempt::Unregister => "unregister",
        Attempt::Attend => "attend",
        Attempt::Watch => "watch",
        Attempt::Subset => "subset",
        Attempt::Services => "services",
        Attempt::Start => "start",
        Attempt::Stop => "stop",
        Attempt::Restart => "restart",
        Attempt::Logs => "logs",
        Attempt::Audit => "audit",
        Attempt::Look => "look",
        Attempt::End => "end",
        Attempt::Reload => "reload",
        Attempt::Replace => "replace",
        _ => "other",
    }
}
