//! `pillarbox ls`: the names there are.

use std::process::ExitCode;
use std::time::Duration;

use boot::admin::Admin;
use serde::Serialize;

use crate::argument::Patience;
use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::server::Place;
use crate::services;
use crate::survey::{self, Asked, Found, json_number, number};
use crate::table::table;

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
With --long each owner is asked about its port, all at once; what one that is
stopped does not answer within 200 ms, or one that runs within 2 s, is shown as
`?`. SENDERS counts the tasks that hold
a right, the bootstrap server among them, this question not. A service that has
no process yet has `-`. With --services the services that are declared in files
are listed, whatever they are doing. --deadline is for the server; without it, 5 s.

Examples:
  pillarbox ls
  pillarbox ls --long
  pillarbox ls --services
  pillarbox ls --json | jq -r 'select(.state == \"running\").name'

JSON, one object for each name: {\"name\":\"upper\",\"state\":\"running\",\"pid\":812,
  \"uid\":1000}, and with --long \"answered\", \"queued\", \"capacity\" (null: unbounded or
  unknown) and \"senders\"; with --services, {\"service\":\"upper\",\"names\":[\"upper\"],
  \"state\":\"backing-off\",\"pid\":null,\"restarts\":3,\"back_off_ms\":280,\"last_end\":\"…\"}.
  A state is on-demand, starting, running, ending, stopped or backing-off.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Ask each owner about its port
    #[arg(long, short)]
    long: bool,
    /// List declared services, and what each is doing
    #[arg(long, conflicts_with = "long")]
    services: bool,
    #[command(flatten)]
    patience: Patience,
    /// Print one object for each name
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    state: &'static str,
    pid: Option<i32>,
    uid: Option<u32>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    port: Option<Port>,
}

#[derive(Serialize)]
struct Port {
    answered: bool,
    queued: Option<u64>,
    capacity: Option<u64>,
    senders: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(deadline)?;
    if arguments.services {
        let services = Admin::new(&server)
            .services(deadline)
            .map_err(|error| Failure::admin(error, "the services", &place.path()))?;
        services::print(&services, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let names = survey::names(&server, place, deadline)?;
    let found: Vec<Found> = if arguments.long {
        survey::ask(names)
    } else {
        let unasked = |(service, _)| Found { service, owner: None, port: Asked::Nobody };
        names.into_iter().map(unasked).collect()
    };
    if arguments.json {
        for found in &found {
            if output::json(&row(found, arguments.long))? == Reader::Gone {
                break;
            }
        }
    } else if arguments.long {
        let _ = output::bytes(&[as_table(&found).as_bytes()])?;
    } else {
        for found in &found {
            if output::text(&found.service.name)? == Reader::Gone {
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(found: &Found, long: bool) -> Row<'_> {
    let Found { service, port, .. } = found;
    Row {
        name: &service.name,
        state: survey::state(service),
        pid: service.pid,
        uid: service.uid,
        port: long.then(|| Port {
            answered: matches!(port, Asked::Told(_)),
            queued: json_number(*port, |port| port.queued),
            capacity: json_number(*port, |port| port.capacity),
            senders: json_number(*port, |port| port.senders),
        }),
    }
}

fn as_table(found: &[Found]) -> String {
    let head = ["NAME", "STATE", "PID", "UID", "QUEUED", "CAPACITY", "SENDERS"];
    let rows = found.iter().map(|Found { service, port, .. }| {
        [
            service.name.clone(),
            survey::state(service).to_owned(),
            service.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            service.uid.map_or("-".to_owned(), |uid| uid.to_string()),
            number(*port, |port| port.queued),
            number(*port, |port| port.capacity),
            number(*port, |port| port.senders),
        ]
    });
    table(head, 2..7, rows)
}
