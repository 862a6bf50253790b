//! A guest: a service that is given a right and uses it.
//!
//! It has never heard of the counter whose right it gets, has no name to look it
//! up by, and no link with it before the first use.

use std::process::ExitCode;

use anyhow::{Context, Result};
use pillarbox::{Capacity, Deadline, Message};

use super::ask::{self, Asker, VISIT, Visit, WHO};
use super::clock::{now_ns, patience};

/// Serves until the parent is gone.
pub(super) fn run(name: &str) -> Result<ExitCode> {
    let (task, server) = ask::join_the_tree()?;
    let inbox = task.port(Capacity::Bounded(4));
    server.right().notify_dead(inbox.make_send_once()?)?;
    server.check_in(name, &inbox, patience())?;
    loop {
        let mut request = inbox.receive(Deadline::Never)?;
        if ask::parent_is_gone(&request) {
            return Ok(ExitCode::SUCCESS);
        }
        match request.id() {
            VISIT => {
                let found = visit(&mut request);
                ask::answer(&mut request, found);
            }
            WHO => ask::answer_who(&task, &mut request),
            // Dropped without an answer, which tells whoever asked.
            _ => {}
        }
    }
}

/// Calls whomever the right in the message leads to, twice.
fn visit(request: &mut Message) -> Result<Visit> {
    let right = request.take_rights().pop().context("no right came with the message")?;
    let right = right.into_send().ok().context("the right is of another kind")?;
    let started = now_ns();
    let (asker, owner) = ask::ask::<Asker>(&right, Message::new("").with_id(WHO))?;
    let met = now_ns();
    let _ = ask::ask::<Asker>(&right, Message::new("").with_id(WHO))?;
    Ok(Visit {
        answered_by: owner.pid,
        asked_by: asker.pid,
        first_ns: met - started,
        second_ns: now_ns() - met,
    })
}
