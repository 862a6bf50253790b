//! `pillarbox install` and `uninstall`: units for systemd.
//!
//! Two files: a socket, which systemd binds, and a service, which it starts when
//! somebody connects. Only a file that says in its first line that it was written here
//! is replaced or removed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::argument;
use crate::failure::{Failure, Kind};
use crate::output;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Writes two units, pillarbox.socket and pillarbox.service: with --user into
$XDG_CONFIG_HOME/systemd/user (~/.config/systemd/user), with --system into
/etc/systemd/system. systemd then keeps the socket, starts the server when somebody
connects, starts it again when it has failed or does not answer its watchdog, and
keeps what it says in the journal. The user's server is found by every verb; that of
the system lies at /run/pillarbox/boot.sock and is root's alone: name it with --socket.

Nothing is started. A file of that name that was not written here is left alone.

Examples:
  pillarbox install --user
  systemctl --user daemon-reload
  systemctl --user enable --now pillarbox.socket
  journalctl --user -u pillarbox

JSON, one object: {\"ok\":true,\"written\":[\"~/.config/…/pillarbox.socket\",…]}.

Exit codes:
  0   both are written
  2   neither --user nor --system is said, or a directory cannot be written
  68  a file of that name is somebody else's";

/// The end of `--help` of `uninstall`.
pub(crate) const UNHELP: &str = "\
Removes the units that `pillarbox install` has written, and no others. It is no
failure where there are none. A server that runs goes on until it is stopped.

Examples:
  systemctl --user disable --now pillarbox.socket pillarbox.service
  pillarbox uninstall --user
  systemctl --user daemon-reload

JSON, one object: {\"ok\":true,\"removed\":[\"~/.config/…/pillarbox.socket\",…]}.

Exit codes:
  0   none is there any more
  2   neither --user nor --system is said, or a file cannot be removed
  68  a file of that name is somebody else's";

/// The first line of what is written here.
const MARK: &str = "# Written by `pillarbox install`; `pillarbox uninstall` removes it.\n";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// Not there but in DIR, as who makes a package does
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print one object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// For this user's systemd
    #[arg(long)]
    user: bool,
    /// For the system's
    #[arg(long)]
    system: bool,
}

/// The objects `--json` prints.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Written { ok: bool, written: Vec<String> },
    Removed { ok: bool, removed: Vec<String> },
}

pub(crate) fn install(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let directory = directory(arguments)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::system("this program cannot be found", error))?;
    let units = units(&program)?;
    // None is written where one cannot be.
    for (name, _) in &units {
        is_ours(&directory.join(name))?;
    }
    let failed = |error| {
        let what = format!("nothing can be written into {}", directory.display());
        Failure::new(Kind::Usage, what).because(error)
    };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let mut written = Vec::new();
    for (name, text) in units {
        let path = directory.join(name);
        write(&path, &text).map_err(failed)?;
        written.push(path.display().to_string());
    }
    if arguments.json {
        let _ = output::json(&Told::Written { ok: true, written })?;
    } else {
        written.iter().for_each(|path| output::say(&format!("{path} is written")));
        let user = if arguments.whose.user { " --user" } else { "" };
        output::say(&format!(
            "now: systemctl{user} daemon-reload && systemctl{user} enable --now pillarbox.socket"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn uninstall(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let directory = directory(arguments)?;
    let paths = ["pillarbox.socket", "pillarbox.service"].map(|name| directory.join(name));
    let mut removed = Vec::new();
    let there = [is_ours(&paths[0])?, is_ours(&paths[1])?];
    for (path, there) in paths.iter().zip(there) {
        if there {
            let shown = path.display().to_string();
            std::fs::remove_file(path).map_err(|error| {
                Failure::new(Kind::Usage, format!("{shown} cannot be removed")).because(error)
            })?;
            removed.push(shown);
        }
    }
    if arguments.json {
        let _ = output::json(&Told::Removed { ok: true, removed })?;
    } else {
        removed.iter().for_each(|path| output::say(&format!("{path} is removed")));
    }
    Ok(ExitCode::SUCCESS)
}

fn directory(arguments: &Arguments) -> Result<PathBuf, Failure> {
    if let Some(directory) = &arguments.directory {
        return Ok(argument::absolute(directory));
    }
    if arguments.whose.system {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    config.map(|config| config.join("systemd/user")).ok_or_else(|| {
        Failure::usage("where this user's units lie is not known")
            .hint("set HOME, or name a place with --directory")
    })
}

/// Whether it is there. One that was not written here is not touched.
fn is_ours(path: &Path) -> Result<bool, Failure> {
    match std::fs::read(path) {
        Ok(text) if text.starts_with(MARK.as_bytes()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Ok(_) => {
            let what = format!("{} was not written by `pillarbox install`", path.display());
            Err(Failure::new(Kind::Refused, what).hint("move it away first"))
        }
        Err(error) => {
            let what = format!("{} cannot be read", path.display());
            Err(Failure::new(Kind::Usage, what).because(error))
        }
    }
}

/// Writes it beside its place first: systemd never reads half of one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = std::fs::File::create_new(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn units(program: &Path) -> Result<[(&'static str, String); 2], Failure> {
    let program = quoted(program)?;
    let socket = format!(
        "{MARK}[Unit]\n\
         Description=Names of mailboxes (Pillarbox)\n\
         Documentation=https://github.com/pillarbox/pillarbox\n\n\
         [Socket]\n\
         ListenSequentialPacket=%t/pillarbox/boot.sock\n\
         SocketMode=0600\n\
         DirectoryMode=0700\n\
         PassCredentials=yes\n\
         RemoveOnStop=yes\n\n\
         [Install]\n\
         WantedBy=sockets.target\n"
    );
    // The services are in the server's group of processes, so they end with it; it is
    // told first, and ends them as their files say. It may divide that group, for services
    // that say [cgroup].
    let service = format!(
        "{MARK}[Unit]\n\
         Description=The bootstrap server of Pillarbox\n\
         Documentation=https://github.com/pillarbox/pillarbox\n\
         Requires=pillarbox.socket\n\
         After=pillarbox.socket\n\n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} --socket %t/pillarbox/boot.sock boot\n\
         ExecReload={program} --socket %t/pillarbox/boot.sock boot --reload\n\
         Restart=on-failure\n\
         WatchdogSec=30s\n\
         KillMode=mixed\n\
         Delegate=memory pids cpu\n"
    );
    Ok([("pillarbox.socket", socket), ("pillarbox.service", service)])
}

/// A path as a unit has it: nothing in it means anything but itself.
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let Some(text) = text else {
        let what = format!("{} is no path that a unit can name", path.display());
        return Err(Failure::usage(what).hint("install the program where its path is plain text"));
    };
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '%' | '$' => quoted.extend([letter, letter]),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_itself_in_a_unit() {
        let of = |path: &str| quoted(Path::new(path)).ok();
        assert_eq!(of("/usr/bin/pillarbox").unwrap(), "\"/usr/bin/pillarbox\"");
        assert_eq!(of("/a b/\"c\"/$d/%e\\").unwrap(), "\"/a b/\\\"c\\\"/$$d/%%e\\\\\"");
        assert_eq!(of("/a\nExecStop=b"), None);
    }
}
