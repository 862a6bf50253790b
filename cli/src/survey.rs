//! What every owner says of its port, asked of all at once.
//!
//! The library of an owner answers, whatever its own threads are doing. An owner
//! that is stopped does not, and keeps nobody waiting: all are asked in the same
//! span of time, one thread for each owner, and what has not come by then is not
//! known.

use std::collections::HashMap;

use pillarbox::bootstrap::{Bootstrap, Service, ServiceState};
use pillarbox::{Deadline, PortStatus, SendRight, StatusError, TaskId};

use crate::asking::Asking;
use crate::failure::Failure;
use crate::server::Place;

/// The most threads that ask.
const ASKERS: usize = 1024;

/// One name, and what is known of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) service: Service,
    pub(crate) owner: Option<TaskId>,
    pub(crate) port: Asked,
}

/// What an owner said of its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This.
    Told(PortStatus),
    /// Nothing in time.
    Silent,
    /// It is gone.
    Dead,
    /// Nobody was asked: the service does not run.
    Nobody,
}

/// Every name, with nobody asked.
pub(crate) fn names(
    server: &Bootstrap,
    place: &Place,
    deadline: Deadline,
) -> Result<Vec<(Service, Option<SendRight>)>, Failure> {
    server.list(deadline).map_err(|error| Failure::bootstrap(error, &place.path()))
}

/// Asks the owners of all these names.
pub(crate) fn ask(names: Vec<(Service, Option<SendRight>)>) -> Vec<Found> {
    let asking = Asking::of_a_list();
    let mut found: Vec<Found> = Vec::with_capacity(names.len());
    let mut owners: HashMap<_, Vec<(usize, Option<i32>, SendRight)>> = HashMap::new();
    for (place, (service, right)) in names.into_iter().enumerate() {
        let owner = right.as_ref().and_then(SendRight::owner);
        let running = service.state == ServiceState::Running;
        let port = if running { Asked::Silent } else { Asked::Nobody };
        if let Some(right) = right {
            owners.entry(owner).or_default().push((place, service.pid, right));
        }
        found.push(Found { service, owner, port });
    }
    std::thread::scope(|scope| {
        let askers: Vec<_> = owners
            .into_values()
            .take(ASKERS)
            .filter_map(|ports| {
                let ask = move || -> Vec<(usize, Asked)> {
                    let silent = |asked: &Asked| *asked == Asked::Silent;
                    let told = |(place, pid, right)| {
                        (place, asking.ask(pid, |until| one(&right, until), silent))
                    };
                    ports.into_iter().map(told).collect()
                };
                // Without a thread, what that owner says stays unknown.
                std::thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, ask).ok()
            })
            .collect();
        for asker in askers {
            for (place, port) in asker.join().unwrap_or_default() {
                if let Some(found) = found.get_mut(place) {
                    found.port = port;
                }
            }
        }
    });
    found
}

fn one(right: &SendRight, deadline: Deadline) -> Asked {
    match right.status(deadline) {
        // Our own question holds a right: it is not what was asked about.
        Ok(status) => {
            Asked::Told(PortStatus { senders: status.senders.saturating_sub(1), ..status })
        }
        Err(StatusError::Dead) => Asked::Dead,
        Err(_) => Asked::Silent,
    }
}

/// What the service is doing, in one word.
pub(crate) const fn state(service: &Service) -> &'static str {
    match service.state {
        ServiceState::Running => "running",
        ServiceState::Starting => "starting",
        ServiceState::OnDemand => "on-demand",
        _ => "unknown",
    }
}

/// A number that may be unknown, for people.
pub(crate) fn number(asked: Asked, choose: impl Fn(&PortStatus) -> u64) -> String {
    match asked {
        Asked::Told(status) => match choose(&status) {
            u64::MAX => "unbounded".to_owned(),
            number => number.to_string(),
        },
        Asked::Silent => "?".to_owned(),
        Asked::Dead | Asked::Nobody => "-".to_owned(),
    }
}

/// A number that may be unknown, for programs.
pub(crate) fn json_number(asked: Asked, choose: impl Fn(&PortStatus) -> u64) -> Option<u64> {
    match asked {
        Asked::Told(status) => Some(choose(&status)).filter(|number| *number != u64::MAX),
        Asked::Silent | Asked::Dead | Asked::Nobody => None,
    }
}
