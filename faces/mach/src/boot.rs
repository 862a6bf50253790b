//! Names for rights, by way of the bootstrap server.

use std::time::Duration;

use pillarbox::bootstrap::{Bootstrap, BootstrapError, Refused};
use pillarbox::{Capacity, Deadline, Right, SendRight};

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

/// Makes a service's port, and has it found under `name`.
pub(crate) fn check_in(boot: Name, own: Name, name: &str) -> Result<Name, Code> {
    let server = server(boot, own)?;
    refuse_active(&server, name)?;
    let port = with(|space| space.task.port(Capacity::Bounded(QLIMIT)));
    // The name is the server's to free when the port ends.
    server.check_in(name, &port, Deadline::after(PATIENCE)).map_err(|error| as_code(&error))?;
    port.set_make_sends(0);
    with(|space| {
        let held = Space::port_of(port);
        space.put_new(None, held).ok_or(KERN_NO_SPACE)
    })
}

/// A name that somebody has is nobody's to take, also where it is our own.
fn refuse_active(server: &Bootstrap, name: &str) -> Result<(), Code> {
    match server.look_up_running(name, Deadline::after(PATIENCE)) {
        Ok(right) if !right.is_dead() => Err(BOOTSTRAP_SERVICE_ACTIVE),
        _ => Ok(()),
    }
}

/// A send right to a service.
pub(crate) fn look_up(boot: Name, own: Name, name: &str) -> Result<Name, Code> {
    let right = server(boot, own)?
        .look_up(name, Deadline::after(PATIENCE))
        .map_err(|error| as_code(&error))?;
    confirm(&right);
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
pub(crate) fn register(boot: Name, own: Name, name: &str, right: Name) -> Code {
    let server = match server(boot, own) {
        Ok(server) => server,
        Err(code) => return code,
    };
    let taken = with(|space| space.take(right, disposition::COPY_SEND));
    let done = match taken {
        Ok(Taken::Right(Right::Send(right))) => {
            if let Err(code) = refuse_active(&server, name) {
                return code;
            }
            server.register(name, right, Deadline::after(PATIENCE))
        }
        Ok(Taken::Null) => server.unregister(name, Deadline::after(PATIENCE)),
        Ok(_) | Err(NotTaken::Name | NotTaken::Right | NotTaken::Disposition) => {
            return SEND_INVALID_RIGHT;
        }
    };
    match done {
        Ok(()) => KERN_SUCCESS,
        Err(error) => as_code(&error),
    }
}

/// Whether a service is there: 1 if its port is somebody's, 2 if it is started when
/// it is asked for.
pub(crate) fn status(boot: Name, own: Name, name: &str) -> Result<i32, Code> {
    use pillarbox::bootstrap::ServiceState;
    let names = server(boot, own)?.list(Deadline::after(PATIENCE));
    let names = names.map_err(|error| as_code(&error))?;
    let found = names.into_iter().find(|(service, _)| service.name == name);
    match found.ok_or(BOOTSTRAP_UNKNOWN_SERVICE)?.0.state {
        ServiceState::OnDemand => Ok(2),
        _ => Ok(1),
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
