//! Names for rights: the calls `bootstrap_…`, and `netname_…` of older systems.

use pillarbox::hold_in_wait;

use super::tasks::text;
use super::{code, guarded, memory, own_names, put};
use crate::codes::*;
use crate::names::Name;
use crate::{boot, port, with};

/// The most bytes of a service's name, its end among them.
const NAME_BYTES: usize = 128;

/// Does something about a service by its name, if it is one.
fn service<R>(name: *const u8, act: impl FnOnce(&str) -> Result<R, Code>) -> Result<R, Code> {
    let name = text(name, NAME_BYTES).ok_or(KERN_INVALID_ADDRESS)?;
    let name = String::from_utf8(name).map_err(|_| BOOTSTRAP_UNKNOWN_SERVICE)?;
    hold_in_wait(name, drop, |name| act(name)).1
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_check_in(boot: Name, name: *const u8, port: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        let made = service(name, |name| boot::check_in(boot, own_names().1, name));
        code(made.and_then(|made| {
            put(port, made).inspect_err(|_| {
                with(|space| port::mod_refs(space, made, right::RECEIVE, -1));
            })
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_look_up(boot: Name, name: *const u8, port: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        let found = service(name, |name| boot::look_up(boot, own_names().1, name));
        code(found.and_then(|found| put(port, found)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_register(boot: Name, name: *const u8, right: Name) -> Code {
    guarded(KERN_FAILURE, || {
        code(service(name, |name| boot::register(boot, own_names().1, name, right)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_status(boot: Name, name: *const u8, active: *mut i32) -> Code {
    guarded(KERN_FAILURE, || {
        let status = service(name, |name| boot::status(boot, own_names().1, name));
        code(status.and_then(|status| put(active, status)))
    })
}

// ---- the newer calls ---------------------------------------------------------------------

/// The name is found by who names the process too.
const PER_PROCESS: u64 = 1;

/// Names that belong to one process are not offered: a name is a name to everybody.
fn flagged(flags: u64, act: impl FnOnce() -> Code) -> Code {
    if flags & PER_PROCESS != 0 { BOOTSTRAP_NOT_PRIVILEGED } else { act() }
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_register2(boot: Name, name: *const u8, right: Name, flags: u64) -> Code {
    flagged(flags, || bootstrap_register(boot, name, right))
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_check_in2(boot: Name, name: *const u8, to: *mut Name, flags: u64) -> Code {
    flagged(flags, || bootstrap_check_in(boot, name, to))
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_look_up2(
    boot: Name,
    name: *const u8,
    port: *mut Name,
    _pid: libc::pid_t,
    flags: u64,
) -> Code {
    flagged(flags, || bootstrap_look_up(boot, name, port))
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_look_up3(
    boot: Name,
    name: *const u8,
    port: *mut Name,
    pid: libc::pid_t,
    _instance: *const u8,
    flags: u64,
) -> Code {
    bootstrap_look_up2(boot, name, port, pid, flags)
}

/// One more reference to the same bootstrap port: every server is its own parent here, and
/// none gives more to who is privileged.
fn same(boot: Name, to: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        code(
            with(|space| match space.copied(boot) {
                Some(_) if space.change_urefs(boot, 1) => Ok(()),
                _ => Err(SEND_INVALID_DEST),
            })
            .and_then(|()| {
                put(to, boot).inspect_err(|_| {
                    let _ = with(|space| space.change_urefs(boot, -1));
                })
            }),
        )
    })
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_parent(boot: Name, parent: *mut Name) -> Code {
    same(boot, parent)
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_unprivileged(boot: Name, to: *mut Name) -> Code {
    same(boot, to)
}

/// Programs are started by who wrote their service files, not by who asks.
#[unsafe(no_mangle)]
extern "C" fn bootstrap_create_server(
    _boot: Name,
    _command: *const u8,
    _uid: u32,
    _on_demand: i32,
    _server: *mut Name,
) -> Code {
    BOOTSTRAP_NOT_PRIVILEGED
}

/// Names that only some find, and that others make, need a server of their own.
#[unsafe(no_mangle)]
extern "C" fn bootstrap_subset(_boot: Name, _requestor: Name, _subset: *mut Name) -> Code {
    BOOTSTRAP_NOT_PRIVILEGED
}

/// A name whose port this task keeps until it checks in.
#[unsafe(no_mangle)]
extern "C" fn bootstrap_create_service(boot: Name, name: *const u8, port: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        let made = service(name, |name| boot::create(boot, own_names().1, name));
        code(made.and_then(|made| put(port, made)))
    })
}

/// Names as programs keep them, each in as many bytes.
fn as_names(names: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; names.len() * NAME_BYTES];
    for (to, name) in bytes.chunks_exact_mut(NAME_BYTES).zip(names) {
        // The last byte stays zero.
        let most = name.len().min(NAME_BYTES - 1);
        to.iter_mut().zip(name.bytes().take(most)).for_each(|(to, byte)| *to = byte);
    }
    bytes
}

/// Every name, who serves it, and whether it is there: three arrays of the caller's.
#[unsafe(no_mangle)]
extern "C" fn bootstrap_info(
    boot: Name,
    names: *mut u64,
    names_count: *mut u32,
    servers: *mut u64,
    servers_count: *mut u32,
    states: *mut u64,
    states_count: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let all = match boot::all(boot, own_names().1) {
            Ok(all) => all,
            Err(code) => return code,
        };
        let called: Vec<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
        let serving: Vec<&str> = all.iter().map(|(_, server, _)| server.as_str()).collect();
        let state: Vec<u8> = all.iter().flat_map(|(.., state)| state.to_ne_bytes()).collect();
        let arrays = [
            (as_names(&called), names, names_count),
            (as_names(&serving), servers, servers_count),
            (state, states, states_count),
        ];
        let mut made = Vec::new();
        let written = arrays.into_iter().try_for_each(|(bytes, to, count)| {
            let address = match bytes.is_empty() {
                true => 0,
                false => memory::allocate_filled(&bytes).ok_or(KERN_RESOURCE_SHORTAGE)?,
            };
            made.push((address, bytes.len()));
            put(to, address)?;
            put(count, all.len() as u32)
        });
        if written.is_err() {
            for (address, size) in made {
                memory::release(address, size);
            }
        }
        code(written)
    })
}

// ---- older systems -------------------------------------------------------------------------

/// The bootstrap port that stands for the server of these names.
fn name_server(server: Name) -> Name {
    // Programs pass what they read before anything was called.
    if server == 0 { own_names().1 } else { server }
}

/// The port that may take a name back which this task has checked in.
fn signature(name: &str) -> Option<Name> {
    with(|space| space.signed.get(name).copied())
}

#[unsafe(no_mangle)]
extern "C" fn netname_check_in(server: Name, name: *const u8, mark: Name, right: Name) -> Code {
    let (server, own) = (name_server(server), own_names().1);
    let done = |name: &str| {
        if !crate::names::is_valid(right) {
            return Err(NETNAME_INVALID_PORT);
        }
        match signature(name) {
            Some(before) if before != mark => return Err(NETNAME_NOT_YOURS),
            Some(_) => drop(boot::register(server, own, name, 0)),
            None => {}
        }
        boot::register(server, own, name, right).map_err(|code| match code {
            BOOTSTRAP_SERVICE_ACTIVE | BOOTSTRAP_NOT_PRIVILEGED => NETNAME_NOT_YOURS,
            code => code,
        })?;
        with(|space| space.signed.insert(name.to_owned(), mark));
        Ok(())
    };
    guarded(KERN_FAILURE, || code(netname(name, done)))
}

#[unsafe(no_mangle)]
extern "C" fn netname_check_out(server: Name, name: *const u8, mark: Name) -> Code {
    let (server, own) = (name_server(server), own_names().1);
    let done = |name: &str| {
        match signature(name) {
            None => return Err(NETNAME_NOT_CHECKED_IN),
            Some(before) if before != mark => return Err(NETNAME_NOT_YOURS),
            Some(_) => {}
        }
        with(|space| space.signed.remove(name));
        boot::register(server, own, name, 0).map_err(unknown)
    };
    guarded(KERN_FAILURE, || code(netname(name, done)))
}

/// What older systems say of a name that is not there.
const fn unknown(code: Code) -> Code {
    if code == BOOTSTRAP_UNKNOWN_SERVICE { NETNAME_NOT_CHECKED_IN } else { code }
}

#[unsafe(no_mangle)]
extern "C" fn netname_look_up(
    server: Name,
    host: *const u8,
    name: *const u8,
    port: *mut Name,
) -> Code {
    guarded(KERN_FAILURE, || {
        let Some(host) = text(host, HOST_BYTES) else { return KERN_INVALID_ADDRESS };
        // Only this machine's names are here; every machine may be asked about with a star.
        if !host.is_empty() && host != b"*" && host != host_name() {
            return NETNAME_NO_SUCH_HOST;
        }
        drop(host);
        let (server, own) = (name_server(server), own_names().1);
        let found = netname(name, |name| boot::look_up(server, own, name).map_err(unknown));
        code(found.and_then(|found| put(port, found)))
    })
}

/// The most bytes of a name of older systems, and of what a server says of itself.
const HOST_BYTES: usize = 80;

fn netname<R>(name: *const u8, act: impl FnOnce(&str) -> Result<R, Code>) -> Result<R, Code> {
    let name = text(name, HOST_BYTES).ok_or(KERN_INVALID_ADDRESS)?;
    let name = String::from_utf8(name).map_err(|_| NETNAME_NOT_CHECKED_IN)?;
    hold_in_wait(name, drop, |name| act(name)).1
}

/// The name of this machine.
fn host_name() -> Vec<u8> {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim_end().as_bytes().to_vec())
        .unwrap_or_default()
}

#[unsafe(no_mangle)]
extern "C" fn netname_version(_server: Name, version: *mut u8) -> Code {
    guarded(KERN_FAILURE, || {
        let text = concat!("Pillarbox ", env!("CARGO_PKG_VERSION"), "\0");
        if memory::write(version as u64, text.as_bytes()) {
            KERN_SUCCESS
        } else {
            KERN_INVALID_ADDRESS
        }
    })
}
