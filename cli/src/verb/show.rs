//! `pillarbox show`: everything known of one name, or of one process.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::Duration;

use pillarbox::SendRight;
use pillarbox::bootstrap::{Bootstrap, Service};
use pillarbox::interface::{self, ClientError};
use pillarbox::typed::TypedSendFailure;
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::asking::Asking;
use crate::failure::{Failure, Kind};
use crate::output::{self, Reader};
use crate::server::Place;
use crate::survey::{self, Asked, Found, json_number, number};
use crate::verb::tree;
use crate::watch::{self, Depth, Watched};

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
A number that is also a name is taken as the name. Name, state, pid and uid are
the bootstrap server's word, which has it from the kernel; the queue is the
owner's word, given within 200 ms (2 s if it runs) or shown as `?`, and so is who holds rights to it
and who waits, where the owner may be looked at: `pillarbox tree` tells more.
Program and command are advisory: they are what /proc says now, and a process can
change its command.

With --interface the service is asked what it understands, which starts it if it
does not run yet. The answer is the service's own word.

Examples:
  pillarbox show com.example.upper
  pillarbox show 812 --json
  pillarbox show org.example.calculator --interface --json | jq .methods[].name

JSON, one object for each name: as `ls --long --json`, and \"task\", \"executable\",
  \"command\", and where the owner may be looked at \"waiting_senders\" and
  \"waiting_receivers\". With --interface: \"name\" and \"version\" of the interface,
  \"documentation\", \"methods\", \"reserved\".";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A name, or the pid of a process that has names
    #[arg(value_name = "NAME|PID")]
    what: OsString,
    #[command(flatten)]
    patience: Patience,
    /// Ask the service for its methods and what they carry, and print those
    #[arg(long)]
    interface: bool,
    /// Print one object for each name
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    state: &'static str,
    pid: Option<i32>,
    uid: Option<u32>,
    task: Option<String>,
    answered: bool,
    queued: Option<u64>,
    capacity: Option<u64>,
    senders: Option<u64>,
    #[serde(flatten)]
    seen: Option<Waiting>,
    executable: Option<String>,
    command: Option<String>,
}

/// Who waits at the port, by its owner's word.
#[derive(Clone, Debug, Serialize)]
struct Waiting {
    waiting_senders: u64,
    waiting_receivers: u64,
    /// Those of them that are named, and who holds a right to it.
    #[serde(skip)]
    who: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let what = argument::name(&arguments.what)?;
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(deadline)?;
    let mut names = survey::names(&server, place, deadline)?;
    if names.iter().any(|(service, _)| service.name == what) {
        names.retain(|(service, _)| service.name == what);
    } else if let Ok(pid) = what.parse::<i32>() {
        names.retain(|(service, _)| service.pid == Some(pid));
    } else {
        names.clear();
    }
    if names.is_empty() {
        return Err(Failure::new(Kind::NoSuchName, format!("nobody has the name {what}"))
            .hint("`pillarbox ls --long` lists the names and processes there are"));
    }
    if arguments.interface {
        return interfaces(arguments, names, &server, place);
    }
    // Only the server's own user may look at tasks: others see less.
    let seen =
        watch::everybody(place, Depth::Rights, Asking::of_a_list, deadline).unwrap_or_default();
    for (at, found) in survey::ask(names).iter().enumerate() {
        let waiting = waiting(found, &seen);
        let reader = if arguments.json {
            output::json(&shown(found, waiting))?
        } else {
            let gap: &[u8] = if at == 0 { b"" } else { b"\n" };
            output::bytes(&[gap, lines(found, waiting).as_bytes()])?
        };
        if reader == Reader::Gone {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what each of these services understands.
fn interfaces(
    arguments: &Arguments,
    names: Vec<(Service, Option<SendRight>)>,
    server: &Bootstrap,
    place: &Place,
) -> Result<ExitCode, Failure> {
    let deadline = arguments.patience.or(USUAL);
    for (at, (Service { name, .. }, right)) in names.into_iter().enumerate() {
        let right = match right {
            Some(right) => right,
            None => server
                .look_up(&name, deadline)
                .map_err(|error| Failure::bootstrap(error, &place.path()))?,
        };
        let protocol =
            interface::describe(&right, deadline).map_err(|error| not_described(error, &name))?;
        let gap = if at == 0 { "" } else { "\n" };
        let reader = if arguments.json {
            output::text(&protocol.to_json())?
        } else {
            output::bytes(&[gap.as_bytes(), protocol.to_markdown().as_bytes()])?
        };
        if reader == Reader::Gone {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why `name` did not say what it understands.
fn not_described(error: ClientError, name: &str) -> Failure {
    match error {
        ClientError::Unsent { reason: TypedSendFailure::Unsent(reason), .. } => {
            Failure::unsent(reason, name)
        }
        ClientError::Deadline => {
            Failure::new(Kind::Deadline, format!("{name} did not answer before the deadline"))
                .hint("a receiver that is no server of an interface may never answer")
        }
        ClientError::Died => Failure::new(Kind::Died, format!("{name} died before it answered")),
        other => Failure::new(Kind::Refused, format!("{name} does not say what it understands"))
            .because(other)
            .hint("what `pillarbox serve` runs, and other plain mailboxes, have no interface"),
    }
}

/// Who waits at the port of this name, if its owner may be looked at and says so.
fn waiting(found: &Found, seen: &[Watched]) -> Option<Waiting> {
    let owner = found.owner?;
    let task = seen.iter().find(|task| task.task == owner)?;
    let name = &found.service.name;
    let ports = tree::ports(task, task.told()?);
    let port = ports.into_iter().find(|port| port.has_name(name))?;
    let waits = port.waiting.iter().map(|who| format!("{}: waits for a place", who.text()));
    Some(Waiting {
        waiting_senders: port.waiting_senders,
        waiting_receivers: port.waiting_receivers,
        who: port.holders.iter().map(tree::Held::text).chain(waits).collect(),
    })
}

fn shown(found: &Found, seen: Option<Waiting>) -> Shown<'_> {
    let Found { service, owner, port } = found;
    Shown {
        name: &service.name,
        state: survey::state(service),
        pid: service.pid,
        uid: service.uid,
        task: owner.map(|task| task.to_string()),
        answered: matches!(port, Asked::Told(_)),
        queued: json_number(*port, |port| port.queued),
        capacity: json_number(*port, |port| port.capacity),
        senders: json_number(*port, |port| port.senders),
        seen,
        executable: service.pid.and_then(executable),
        command: service.pid.and_then(command),
    }
}

fn lines(found: &Found, seen: Option<Waiting>) -> String {
    let shown = shown(found, seen);
    let unknown = || "?".to_owned();
    let mut lines = format!("name        {}\nstate       {}\n", shown.name, shown.state);
    if let Some(pid) = shown.pid {
        let uid = shown.uid.map_or_else(unknown, |uid| uid.to_string());
        lines.push_str(&format!("pid         {pid}\nuid         {uid}\n"));
        lines.push_str(&format!("task        {}\n", shown.task.unwrap_or_else(unknown)));
        let of = |choose: fn(&pillarbox::PortStatus) -> u64| number(found.port, choose);
        lines.push_str(&format!(
            "queue       {} of {}\nsenders     {}\n",
            of(|port| port.queued),
            of(|port| port.capacity),
            of(|port| port.senders),
        ));
        if let Some(waiting) = &shown.seen {
            let Waiting { waiting_senders, waiting_receivers, who } = waiting;
            lines.push_str(&format!(
                "waiting     {waiting_senders} senders, {waiting_receivers} receivers\n"
            ));
            for (at, who) in who.iter().enumerate() {
                lines.push_str(&format!("{:<12}{who}\n", if at == 0 { "rights" } else { "" }));
            }
        }
        let program = shown.executable.unwrap_or_else(unknown);
        let command = shown.command.unwrap_or_else(unknown);
        lines.push_str(&format!("program     {program}  (advisory)\n"));
        lines.push_str(&format!("command     {command}  (advisory)\n"));
    }
    lines
}

fn executable(pid: i32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

fn command(pid: i32) -> Option<String> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = words.strip_suffix(&[0]).unwrap_or(&words);
    let words: Vec<String> = words
        .split(|byte| *byte == 0)
        .map(|word| {
            let word = OsString::from_vec(word.to_vec()).to_string_lossy().into_owned();
            // It is the process's own text: it shall not garble ours.
            let plain =
                !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control());
            if plain { word } else { format!("{word:?}") }
        })
        .collect();
    Some(words.join(" "))
}
