//! What was taken back stays taken back, and nothing is used more often than it
//! is good for (I10).

use crate::task::{PortState, TaskNumber};
use crate::world::{Violation, World};

impl World {
    pub(super) fn terms_hold(&self) -> Result<(), Violation> {
        for (me, task) in self.tasks.iter().enumerate() {
            if !task.honest() || !task.alive {
                continue;
            }
            for (&port, state) in task.ports.iter().filter(|(_, state)| state.alive) {
                facets_of(me, port, state).map_err(|what| Violation { invariant: "I10", what })?;
            }
        }
        Ok(())
    }
}

fn facets_of(me: TaskNumber, port: u32, state: &PortState) -> Result<(), String> {
    let facets = &state.facets;
    for mail in state.queue.iter().filter(|mail| mail.facet != 0 && mail.number != 0) {
        if let Some(before) = facets.before.get(&mail.facet)
            && !before.contains(&mail.number)
        {
            return Err(format!(
                "message {} entered port {port} of task {me} after its right had ended",
                mail.number
            ));
        }
    }
    for (facet, most) in &facets.most {
        let entered = facets.entered.get(facet).copied().unwrap_or(0);
        if entered > *most {
            return Err(format!(
                "{entered} messages entered port {port} of task {me} on a right for {most}"
            ));
        }
    }
    for (&facet, parent) in &facets.parents {
        if !facets.counts(*parent) && facets.counts(facet) {
            return Err(format!(
                "a right to port {port} of task {me} outlives what it was made from"
            ));
        }
    }
    Ok(())
}
