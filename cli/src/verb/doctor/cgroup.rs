//! Which limits of services are in force, and by what.

use std::fs;
use std::path::Path;

use boot::cgroup::{Controller, NotDelegated, Subtree};

use super::Look;

const LOOK: &str = "cgroup";

/// Those of each process are in force always.
const EACH: &str = "limits of services are those of each process (setrlimit)";

/// What to do where none is delegated.
const DELEGATE: &str = "for files that say [cgroup], run the server as a unit with \
                        Delegate=memory pids cpu: see `pillarbox install`";

/// Looks at the server of this number; where none runs, at one that we would start.
pub(super) fn look(server: Option<i32>) -> Look {
    let found = match server {
        Some(pid) => Subtree::of(pid),
        None => Subtree::own(),
    };
    let subtree = match found {
        Ok(subtree) => subtree,
        Err(NotDelegated::None) => {
            return Look::ok(LOOK, format!("{EACH}; no cgroup of version 2 is to be seen"));
        }
        Err(why) => return Look::note(LOOK, format!("{EACH}; {why}"), DELEGATE),
    };
    let place = subtree.path();
    let shown = place.display();
    if server.is_some_and(|pid| !subtree.is_entered_by(pid)) {
        let found = format!("{EACH}; {shown} is delegated, and the server does not use it");
        return Look::note(LOOK, found, "restart the server: it may be an older version");
    }
    let given = subtree.controllers();
    let all = bounds(place);
    if given == Controller::ALL {
        return Look::ok(
            LOOK,
            format!("{EACH}, and those of [cgroup] for all of one in {shown}{all}"),
        );
    }
    let lacking = Controller::ALL.iter().filter(|one| !given.contains(one));
    let lacking: Vec<&str> = lacking.map(|one| one.name()).collect();
    let lacking = lacking.join(", ");
    let found =
        format!("{EACH}, and of [cgroup], in {shown}, all but what is not offered: {lacking}{all}");
    Look::note(LOOK, found, "add what is lacking to Delegate= of the unit")
}

/// What bounds all together.
fn bounds(place: &Path) -> String {
    let bound = |file: &str| {
        let most = fs::read_to_string(place.join(file)).ok()?;
        let most = most.trim();
        (!most.starts_with("max")).then(|| format!("; all together: {file} {most}"))
    };
    ["memory.max", "pids.max", "cpu.max"].into_iter().filter_map(bound).collect()
}
