//! `pillarbox start`, `stop` and `restart`: orders about declared services.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use boot::admin::{Admin, Order};
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::failure::Failure;
use crate::output;
use crate::server::Place;

/// How long a service may take.
const USUAL: Duration = Duration::from_secs(60);

/// The end of `--help` of all three, before the exit codes.
pub(crate) const HELP: &str = "\
NAME is what the service is called, which is the name of its file without .toml,
or a name it provides. `start` waits until it has checked in, `stop` until it has
ended, `restart` for one after the other; without --deadline, 60 s. One that was
stopped stays so until `start`: look-ups are refused. `start` tries at once, also
where the service has failed and is held back.

Examples:
  pillarbox start upper
  pillarbox stop upper --deadline 10s
  pillarbox restart upper --json

JSON, one object when it is done: {\"ok\":true,\"service\":\"upper\",\"done\":\"started\"}.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service
    name: OsString,
    #[command(flatten)]
    patience: Patience,
    /// Print one object when it is done
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    ok: bool,
    service: &'a str,
    done: &'a str,
}

pub(crate) fn run(order: Order, arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let service = argument::name(&arguments.name)?;
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(arguments.patience.to_find())?;
    let admin = Admin::new(&server);
    admin
        .order(order, &service, deadline)
        .map_err(|error| Failure::admin(error, &service, &place.path()))?;
    let done = match order {
        Order::Stop => "stopped",
        Order::Restart => "restarted",
        _ => "started",
    };
    if arguments.json {
        let _ = output::json(&Done { ok: true, service: &service, done })?;
    } else {
        output::say(&format!("{service} was {done}"));
    }
    Ok(ExitCode::SUCCESS)
}
