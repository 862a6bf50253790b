//! Names for rights, by way of the bootstrap server.

use std::time::Duration;

use pillarbox::bootstrap::{Bootstrap, BootstrapError, Refused, ServiceState};
use pillarbox::{Capacity, Deadline, ReceiveRight, Right, SendRight, hold_in_wait};

use crate::codes::*;
use crate::names::{NULL, Name, is_valid};
use crate::space::{NotTaken, QLIMIT, Space, Taken};
use crate::with;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn as_code(error: &BootstrapError) -> Code {
    match error {
        BootstrapError::Refused { reason, .. } => match reason {
            Refused::InUse => BOOTSTRAP_SERVICE_ACTIVE,
            Refused::NotAllowed(_) => BOOTSTRAP_NOT_PRIVILEGED,
            Refused::NoRoom => BOOTSTRAP_NO_MEMORY,
            _ => BOOTSTRAP_UNKNOWN_SERVICE,
        },
        // Without a server there are no names.
        _ => BOOTSTRAP_UNKNOWN_SERVICE,
    }
}

/// The server that a bootstrap port stands for.
fn server(port: Name, own: Name) -> Result<Bootstrap, Code> {
    if !is_valid(port) {
        return Err(SEND_INVALID_DEST);
    }
    let kept = with(|space| -> Result<_, Code> {
        if port != own {
            let right = space.copied(port).ok_or(SEND_INVALID_DEST)?;
            return Ok(Some(Bootstrap::new((*right).clone())));
        }
        if let Some(right) = &space.bootstrap {
            return Ok(Some(Bootstrap::new(right.clone())));
        }
        Ok(space.server.clone())
    })?;
    if let Some(server) = kept.filter(|server| !server.right().is_dead()) {
        return Ok(server);
    }
    let found = pillarbox::bootstrap(Deadline::after(PATIENCE)).map_err(|error| as_code(&error))?;
    with(|space| space.server = Some(found.clone()));
    Ok(found)
}

/// Asks the server that a bootstrap port stands for.
fn ask<R>(
    (boot, own): (Name, Name),
    what: impl FnOnce(&Bootstrap, Deadline) -> Result<R, BootstrapError>,
) -> Result<R, Code> {
    let ask = |server: &mut Bootstrap| what(server, Deadline::after(PATIENCE));
    let (_, answered) = hold_in_wait(server(boot, own)?, drop, ask);
    answered.map_err(|error| as_code(&error))
}

/// Makes a service's port, and has it found under `name`.
pub(crate) fn check_in(boot: Name, own: Name, name: &str) -> Result<Name, Code> {
    server(boot, own)?;
    if let Some(port) = with(|space| space.created.remove(name)) {
        // Whoever looked it up meanwhile has a right to this port.
        return Ok(with(|space| space.give_receive(port, None)));
    }
    let server = (boot, own);
    if is_active(server, name)? {
        return Err(BOOTSTRAP_SERVICE_ACTIVE);
    }
    let port = checked_in(server, name)?;
    port.set_make_sends(0);
    with(|space| {
        let held = Space::port_of(port);
        space.put_new(None, held).ok_or(KERN_NO_SPACE)
    })
}

/// Makes a service's port, to be had by the first of this task that checks in, and a send
/// right to it.
pub(crate) fn create(boot: Name, own: Name, name: &str) -> Result<Name, Code> {
    let server = (boot, own);
    if is_active(server, name)? {
        return Err(BOOTSTRAP_SERVICE_ACTIVE);
    }
    let port = checked_in(server, name)?;
    let right = port.make_send().map_err(|_| KERN_FAILURE)?;
    port.set_make_sends(0);
    Ok(with(|space| {
        space.created.insert(name.to_owned(), port);
        space.give_send(right)
    }))
}

/// A new port, found under `name`. The name is the server's to free when the port ends.
fn checked_in(server: (Name, Name), name: &str) -> Result<ReceiveRight, Code> {
    let port = with(|space| space.task.port(Capacity::Bounded(QLIMIT)));
    let (port, asked) = hold_in_wait(port, drop, |port| {
        ask(server, |server, deadline| server.check_in(name, port, deadline))
    });
    asked.map(|()| port)
}

/// Whether somebody has a name. It is nobody's to take then, also where it is our own.
fn is_active(server: (Name, Name), name: &str) -> Result<bool, Code> {
    let found = ask(server, |server, deadline| Ok(server.look_up_running(name, deadline)))?;
    Ok(found.is_ok_and(|right| !right.is_dead()))
}

/// A send right to a service.
pub(crate) fn look_up(boot: Name, own: Name, name: &str) -> Result<Name, Code> {
    let right = ask((boot, own), |server, deadline| server.look_up(name, deadline))?;
    let (right, ()) = hold_in_wait(right, drop, |right| confirm(right));
    Ok(with(|space| space.give_send(right)))
}

/// Waits until the owner has said that the right is ours: till then nobody knows
/// whether it leads where another leads.
fn confirm(right: &SendRight) {
    if right.port_id().is_none() {
        let _ = right.status(Deadline::after(Duration::from_millis(500)));
    }
}

/// Has a right found under a name, or nothing any more.
pub(crate) fn register(boot: Name, own: Name, name: &str, right: Name) -> Result<(), Code> {
    server(boot, own)?;
    let server = (boot, own);
    match with(|space| space.take(right, disposition::COPY_SEND)) {
        Ok(Taken::Right(Right::Send(right))) => {
            let register = |right: &mut SendRight| match is_active(server, name)? {
                true => Err(BOOTSTRAP_SERVICE_ACTIVE),
                false => {
                    ask(server, |server, deadline| server.register(name, right.clone(), deadline))
                }
            };
            hold_in_wait(right, drop, register).1
        }
        Ok(Taken::Null) => ask(server, |server, deadline| server.unregister(name, deadline)),
        Ok(_) | Err(NotTaken::Name | NotTaken::Right | NotTaken::Disposition) => {
            Err(SEND_INVALID_RIGHT)
        }
    }
}

/// What there is by these names: the name, the process that serves it, and its state.
pub(crate) fn all(boot: Name, own: Name) -> Result<Vec<(String, String, i32)>, Code> {
    let names = ask((boot, own), |server, deadline| server.list(deadline))?;
    Ok(names
        .into_iter()
        .map(|(service, _)| {
            let process = service.pid.map(|pid| pid.to_string()).unwrap_or_default();
            let state = state(service.state);
            (service.name, process, state)
        })
        .collect())
}

/// 1 if the port is somebody's, 2 if the service is started when it is asked for.
fn state(state: ServiceState) -> i32 {
    match state {
        ServiceState::OnDemand => 2,
        _ => 1,
    }
}

/// Whether a service is there, and how.
pub(crate) fn status(boot: Name, own: Name, name: &str) -> Result<i32, Code> {
    let created = with(|space| space.created.contains_key(name));
    let found = all(boot, own)?.into_iter().find(|(service, ..)| service == name);
    match found.ok_or(BOOTSTRAP_UNKNOWN_SERVICE)? {
        // Nobody has checked in yet.
        _ if created => Ok(0),
        (.., state) => Ok(state),
    }
}

/// The bootstrap port of a task: a further reference to it.
pub(crate) fn port_of_task(own: Name) -> Name {
    with(|space| {
        if let Some(right) = space.bootstrap.clone() {
            return space.give_send(right);
        }
        match space.change_urefs(own, 1) {
            true => own,
            false => NULL,
        }
    })
}
