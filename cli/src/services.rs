//! What there is to say of declared services: a table for people, objects for
//! programs.

use boot::admin::{ServicePhase, ServiceReport};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::table::table;

/// The object `ls --services --json` prints for each.
#[derive(Serialize)]
struct Row<'a> {
    service: &'a str,
    names: &'a [String],
    state: &'static str,
    pid: Option<i32>,
    restarts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    back_off_ms: Option<u64>,
    last_end: Option<&'a str>,
}

/// Prints what each is doing.
pub(crate) fn print(services: &[ServiceReport], json: bool) -> Result<(), Failure> {
    if !json {
        let _ = output::bytes(&[as_table(services).as_bytes()])?;
        return Ok(());
    }
    for service in services {
        if output::json(&row(service))? == Reader::Gone {
            break;
        }
    }
    Ok(())
}

fn row(service: &ServiceReport) -> Row<'_> {
    Row {
        service: &service.label,
        names: &service.names,
        state: state(&service.phase),
        pid: service.pid,
        restarts: service.starts.saturating_sub(1),
        back_off_ms: match service.phase {
            ServicePhase::BackingOff { left_ms } => Some(left_ms),
            _ => None,
        },
        last_end: service.last_end.as_deref(),
    }
}

const fn state(phase: &ServicePhase) -> &'static str {
    match phase {
        ServicePhase::Down => "on-demand",
        ServicePhase::Stopped => "stopped",
        ServicePhase::BackingOff { .. } => "backing-off",
        ServicePhase::Starting => "starting",
        ServicePhase::Up => "running",
        ServicePhase::Ending => "ending",
        _ => "unknown",
    }
}

fn as_table(services: &[ServiceReport]) -> String {
    let head = ["SERVICE", "STATE", "PID", "RESTARTS", "LAST END"];
    let rows = services.iter().map(|service| {
        [
            service.label.clone(),
            state(&service.phase).to_owned(),
            service.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            service.starts.saturating_sub(1).to_string(),
            service.last_end.clone().unwrap_or("-".to_owned()),
        ]
    });
    table(head, 2..4, rows)
}
