//! The socket, the server that runs, and its version.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use boot::admin::Admin;
use pillarbox::{Bootstrap, Deadline};

use super::{Look, State, cgroup};
use crate::server::Place;

/// How long the server may take for each answer.
const USUAL: Duration = Duration::from_secs(2);

/// The longest path of a socket.
const PATH_BYTES: usize = 107;

pub(super) fn looks(place: &Place) -> Vec<Look> {
    let path = place.path();
    let mut looks = vec![
        Look::ok("version", format!("pillarbox {}", env!("CARGO_PKG_VERSION"))),
        directory(&path),
    ];
    let socket = socket(&path);
    let there = socket.state == State::Ok;
    looks.push(socket);
    let server = if there { server(place, &mut looks) } else { None };
    looks.push(cgroup::look(server));
    looks
}

/// Who may connect is decided by the directory.
fn directory(path: &Path) -> Look {
    const LOOK: &str = "directory";
    if path.as_os_str().as_bytes().len() > PATH_BYTES {
        let found = format!("{} is longer than {PATH_BYTES} bytes", path.display());
        return Look::bad(LOOK, found, "name a shorter one with PILLARBOX_SOCKET");
    }
    let Some(directory) = path.parent() else {
        let found = format!("{} is in no directory", path.display());
        return Look::bad(LOOK, found, "name a file in a directory with PILLARBOX_SOCKET");
    };
    let shown = directory.display();
    let about = match fs::symlink_metadata(directory) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Look::ok(LOOK, format!("{shown} is made when a server starts"));
        }
        Err(error) => return Look::unknown(LOOK, format!("{shown}: {error}")),
    };
    let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
    let mode = about.mode() & 0o7777;
    if !about.is_dir() {
        return Look::bad(LOOK, format!("{shown} is no directory"), "name the directory itself");
    }
    if owner != own {
        let found = format!("{shown} belongs to user {owner}, and we are user {own}");
        return Look::bad(LOOK, found, "name a socket of your own with PILLARBOX_SOCKET");
    }
    if mode & 0o077 != 0 {
        let found = format!("{shown} has mode {mode:04o}: others may reach what is in it");
        return Look::bad(LOOK, found, format!("chmod 700 {shown}"));
    }
    Look::ok(LOOK, format!("{shown} is ours alone"))
}

fn socket(path: &Path) -> Look {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_socket() => Look::ok("socket", shown.to_string()),
        Ok(_) => Look::bad("socket", format!("{shown} is no socket"), format!("rm {shown}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Look::note(
            "socket",
            format!("{shown} is not there: no server runs"),
            "nothing: `pillarbox serve` starts one, or `pillarbox boot`",
        ),
        Err(error) => Look::unknown("socket", format!("{shown}: {error}")),
    }
}

/// Looks at the server, and returns its number if it says it.
fn server(place: &Place, looks: &mut Vec<Look>) -> Option<i32> {
    let server = match place.reach(Deadline::after(USUAL)) {
        Ok(server) => server,
        Err(failure) => {
            let told = failure.told();
            let cure = told.hint.unwrap_or("start another").to_owned();
            looks.push(Look::bad("server", told.message.to_owned(), cure));
            return None;
        }
    };
    let (look, pid) = program(&server);
    looks.push(look);
    let admin = Admin::new(&server);
    match admin.services(Deadline::after(USUAL)) {
        Ok(services) => {
            let failed = services.iter().filter(|service| {
                matches!(service.phase, boot::admin::ServicePhase::BackingOff { .. })
            });
            let failed: Vec<&str> = failed.map(|service| service.label.as_str()).collect();
            looks.push(if failed.is_empty() {
                Look::ok("services", format!("{} declared, none held back", services.len()))
            } else {
                let found = format!("held back after failing: {}", failed.join(" "));
                Look::note("services", found, "pillarbox ls --services, and pillarbox logs")
            });
        }
        Err(error) => looks.push(Look::unknown("services", error.to_string())),
    }
    pid
}

/// Whether the server is the program that is installed here.
fn program(server: &Bootstrap) -> (Look, Option<i32>) {
    let owner = server.right().owner();
    let seen = match Admin::new(server).seen(Deadline::after(USUAL)) {
        Ok(seen) => seen,
        Err(error) => {
            let look = Look::note(
                "server",
                format!("it runs, and does not say who it is: {error}"),
                "nothing, where it is another user's; else restart it: it may be an older version",
            );
            return (look, None);
        }
    };
    let own = seen.iter().find(|task| {
        let pillarbox::kernel::Identity { process, number, .. } = task.identity;
        owner == Some(pillarbox::TaskId { process, number })
    });
    let Some(pid) = own.map(|task| task.identity.pid) else {
        return (Look::unknown("server", "it runs"), None);
    };
    let (Ok(its), Ok(ours)) = (fs::read_link(format!("/proc/{pid}/exe")), std::env::current_exe())
    else {
        return (Look::ok("server", format!("pid {pid}")), Some(pid));
    };
    (compare(pid, &its, &ours), Some(pid))
}

fn compare(pid: i32, its: &Path, ours: &Path) -> Look {
    let restart = "pillarbox boot --stop: the next that is needed starts anew";
    if its.as_os_str().as_bytes().ends_with(b" (deleted)") {
        let found = format!("pid {pid} runs a program that has been replaced since");
        return Look::note("server", found, restart);
    }
    if its != ours {
        let found = format!("pid {pid} is {}, and this is {}", its.display(), ours.display());
        return Look::note("server", found, restart);
    }
    Look::ok("server", format!("pid {pid}, the program that this is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_another_version_is_told() {
        let here = Path::new("/usr/bin/pillarbox");
        assert_eq!(compare(7, here, here).state, State::Ok);
        let replaced = compare(7, Path::new("/usr/bin/pillarbox (deleted)"), here);
        assert!(replaced.state == State::Note && replaced.found.contains("replaced"));
        assert_eq!(compare(7, Path::new("/opt/pillarbox"), here).state, State::Note);
    }
}
