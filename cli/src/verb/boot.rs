//! `pillarbox boot`: the bootstrap server, in the foreground.
//!
//! Ctrl-C and SIGTERM end it in order: the programs it started are ended and
//! the socket file is removed. SIGHUP has it read its service files anew; where it has
//! a terminal the signal tells of the end of that, and ends it. After `kill -9` the file stays, and the next
//! server replaces it.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use boot::admin::{Admin, Reloaded};
use boot::cgroup::Cgroups;
use boot::service::{self, Found, Problem};
use boot::socket::{Locked, SocketError};
use boot::{Ended, Event, Server, TakeOverError};
use pillarbox::bootstrap::{Bootstrap, BootstrapError};
use pillarbox::{Deadline, LinkError, Task};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::argument::{self, Patience};
use crate::failure::{Failure, Kind, is_no_path};
use crate::output;
use crate::server::Place;
use crate::systemd::{self, Handed, Level};
use crate::verb::check;

/// How long a server may take to end.
const USUAL: Duration = Duration::from_secs(5);

/// How long a server may take to hand on what it has.
const REPLACING: Duration = Duration::from_secs(30);

/// Events that wait for the journal.
const EVENTS: usize = 256;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
`serve` and `recv` start a server themselves where none runs; by hand it is
started to be there longer, or elsewhere. The directory of the socket is made
where it is missing; it must be ours with mode 0700, because who may enter it may
connect.

Services are declared in files (see `pillarbox check`): those of each DIR of
--services, or where none is named those of $XDG_CONFIG_HOME/pillarbox/services
(~/.config/…) and /etc/pillarbox/services. What is wrong in a file is said, and
the others are provided all the same. A file, and its directory, must be ours or
root's and writable by nobody else.

--reload, or SIGHUP to a server without a terminal, has it read these files anew: what
runs goes on; a changed file counts from the next start on (`restart` brings it), of
names and rules at once; a service whose file is gone is ended, with its queues; a file
with a mistake changes nothing.

--replace takes the place of the server that runs there, which ends: what it had goes on
here, names, services that run, queues with what is in them; nobody has to connect anew.
SIGUSR2 has a server start its successor itself, from the program as it is installed now
and with the same arguments. Where none runs --replace is as if it were not there.

Where a cgroup (version 2) is delegated to the server, as a unit with Delegate= has it,
the server moves into `server` below it, and services whose files say [cgroup] into
leaves of their own. `doctor` says whether that is so.

systemd starts it where `pillarbox install` has said so: it hands over the socket,
and is told when the server is ready and that it answers. The socket is systemd's
then: --stop ends the server, and the next caller starts another.

A second server for a live socket is refused; the socket file of a dead
one is replaced. Ctrl-C ends the server in order. Services go on with those who
hold a right to them.

Examples:
  pillarbox boot
  pillarbox boot --services ./services
  pillarbox boot --socket /run/user/1000/work/boot.sock
  PILLARBOX_SOCKET=/run/user/1000/work/boot.sock pillarbox ls
  pillarbox boot --reload
  pillarbox boot --replace --services ./services
  pillarbox boot --stop

JSON, one object when ready: {\"ok\":true,\"socket\":\"/run/…/boot.sock\",\"pid\":812,
  \"services\":[\"upper\"],\"wrong\":[]};
  with --stop, when it has ended: {\"ok\":true,\"stopped\":\"/run/…/boot.sock\"};
  with --reload: {\"ok\":true,\"added\":[],\"changed\":[\"upper\"],\"gone\":[],\"wrong\":[]}.

Exit codes:
  0   it was ended, or --stop has ended it, or another has replaced it
  1   the system refused (memory, descriptors, a thread)
  2   a wrong argument, not a path for a socket, a DIR that cannot be read, or a
      mistake in a file that --reload has read
  65  --stop, --reload: no bootstrap server is running
  66  --stop, --reload: it was not done before the deadline (5 s); --replace: 30 s
  68  another server is there, the directory is not ours alone, or --stop, --reload or
      --replace is not allowed";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End the server that runs there
    #[arg(long)]
    stop: bool,
    /// Have the server that runs there read its service files anew
    #[arg(long, conflicts_with = "stop")]
    reload: bool,
    #[command(flatten)]
    patience: Patience,
    /// Take the place of the server that runs there, with all it has
    #[arg(long, conflicts_with_all = ["stop", "reload"])]
    replace: bool,
    /// Provide the services that are declared in DIR, and nowhere else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stop", "reload"])]
    services: Vec<PathBuf>,
    /// Print one object when ready
    #[arg(long)]
    pub(crate) json: bool,
    /// End this long after the last connection
    #[arg(long, hide = true, value_parser = argument::span, value_name = "DURATION")]
    idle_exit: Option<Duration>,
    /// Leave the terminal; not to be needed is success
    #[arg(long, hide = true)]
    detached: bool,
}

/// The objects `--json` prints.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Ready {
        ok: bool,
        socket: String,
        pid: u32,
        services: Vec<String>,
        wrong: Vec<String>,
    },
    Stopped {
        ok: bool,
        stopped: String,
    },
    Reloaded {
        ok: bool,
        added: Vec<String>,
        changed: Vec<String>,
        gone: Vec<String>,
        wrong: Vec<String>,
    },
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    match arguments {
        Arguments { stop: true, .. } => stop(arguments, place),
        Arguments { reload: true, .. } => reload(arguments, place),
        _ => serve(arguments, place),
    }
}

fn serve(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    if arguments.detached {
        // One that leads a group already cannot; then it has left, too.
        let _ = rustix::process::setsid();
    }
    // Before anybody can connect, so that no signal finds us half ready.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2])
        .map_err(|error| Failure::system("signals cannot be waited for", error))?;
    // Found once: a new version lies at the same path.
    let own = std::env::current_exe()
        .map_err(|error| Failure::system("this program cannot be found", error))?;
    let Provided { server, services, wrong } = provide(new_server()?, &arguments.services, &own)?;
    let mut server = watched(server)?.bounded(Cgroups::enter());
    if let Some(span) = arguments.idle_exit {
        server = server.idle_exit(span);
    }
    let taken = if arguments.replace { take_over(&mut server, arguments, place)? } else { None };
    let (server, locked) = match taken {
        Some(locked) => (server, locked),
        None => {
            let handed = systemd::handed()?;
            let prepared = match &handed {
                Some(Handed { path, .. }) => boot::socket::lock(path),
                None => boot::socket::prepare(place.path()),
            };
            let locked = match prepared {
                Err(SocketError::InUse(_)) if arguments.detached => return Ok(ExitCode::SUCCESS),
                prepared => prepared.map_err(unprepared)?,
            };
            let server = listen(server, &locked, handed.map(|handed| handed.socket))?;
            let server = server
                .keeps(&locked)
                .map_err(|error| Failure::system("no descriptor is to be had", error))?;
            (server, locked)
        }
    };
    let stopper = server.stopper();
    let admin = Admin::new(&Bootstrap::new(server.right().clone()));
    let handle = signals.handle();
    let socket = locked.path().display().to_string();
    if arguments.json {
        let _ = output::json(&Told::Ready {
            ok: true,
            socket,
            pid: std::process::id(),
            services,
            wrong,
        })?;
    } else if !arguments.detached {
        output::say(&format!("keeping names at {socket}"));
    }
    std::thread::scope(|scope| {
        let watch = std::thread::Builder::new().name("signals".to_owned());
        let watching = watch.spawn_scoped(scope, || {
            for signal in signals.forever() {
                if signal == SIGHUP && !has_terminal() {
                    tell_reloaded(&admin);
                    continue;
                }
                if signal == SIGUSR2 {
                    start_successor(&own);
                    continue;
                }
                systemd::say(&[systemd::STOPPING]);
                stopper.stop();
                break;
            }
        });
        if let Err(error) = watching {
            return Err(Failure::system("signals cannot be waited for", error));
        }
        let status = format!("STATUS=keeping names at {}", locked.path().display());
        systemd::say(&[systemd::READY, &status]);
        let ended = server.serve();
        handle.close();
        match ended {
            // The manager looks to that one from now on.
            Ended::Replaced { pid } => systemd::say(&[&format!("MAINPID={pid}")]),
            _ => systemd::say(&[systemd::STOPPING]),
        }
        if ended == Ended::SuccessorDied {
            return Err(Failure::new(Kind::System, "the server that took the place has died")
                .hint("services run on; start another server at the same socket"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Takes the place of the server that runs there. None where none does, or it died before
/// it was replaced.
fn take_over(
    server: &mut Server,
    arguments: &Arguments,
    place: &Place,
) -> Result<Option<Locked>, Failure> {
    let deadline = arguments.patience.or(REPLACING);
    let before = match Bootstrap::at(place.path(), deadline) {
        Ok(before) => before,
        Err(BootstrapError::NoServer(_)) => return Ok(None),
        Err(error) => return Err(Failure::bootstrap(error, &place.path())),
    };
    match server.take_over(&before, deadline) {
        Ok(Some(locked)) => Ok(Some(locked)),
        // It had no lock to give: this is ours then.
        Ok(None) => boot::socket::lock(place.path()).map(Some).map_err(unprepared),
        Err(TakeOverError::Died) => Ok(None),
        Err(TakeOverError::Refused(error)) => Err(Failure::admin(error, "all", &place.path())),
        Err(TakeOverError::Deadline) => {
            Err(Failure::new(Kind::Deadline, "the server was not replaced before the deadline"))
        }
        Err(error) => Err(Failure::system("the server could not be replaced", error)),
    }
}

/// Starts a server that takes our place, as we were started. Where it does not come to
/// that, we go on.
fn start_successor(own: &Path) {
    let mut command = Command::new(own);
    command.args(std::env::args_os().skip(1));
    if std::env::args_os().all(|argument| argument != "--replace") {
        command.arg("--replace");
    }
    // Both are said to a process of another number.
    command.env_remove("WATCHDOG_PID").env_remove("LISTEN_PID").stdin(Stdio::null());
    let unstarted = |error| output::say(&format!("no successor could be started: {error}"));
    match command.spawn() {
        Ok(mut child) => {
            let watch = std::thread::Builder::new().name("successor".to_owned());
            // It outlives us, or says itself why it has ended.
            let watching = watch.spawn(move || child.wait());
            if let Err(error) = watching {
                unstarted(error);
            }
        }
        Err(error) => unstarted(error),
    }
}

/// Has the server tell a watchdog that it does its work, and the journal what it does.
fn watched(server: Server) -> Result<Server, Failure> {
    let server = match systemd::watchdog() {
        Some(span) => server.pulse(span, || systemd::say(&[systemd::WATCHDOG])),
        None => server,
    };
    if !systemd::is_journal() {
        return Ok(server);
    }
    // The journal may be slow, and nobody's request waits for it: what there is no room
    // for is left out.
    let (tells, told) = std::sync::mpsc::sync_channel::<(Level, String)>(EVENTS);
    let write = move || told.iter().for_each(|(level, event)| output::log(level, &event));
    std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(write)
        .map_err(|error| Failure::system("the journal cannot be written", error))?;
    Ok(server.tell(move |event| {
        let level = match event {
            Event::Shut { .. } => Level::Error,
            Event::NotStarted { .. }
            | Event::Lost { .. }
            | Event::Unbounded { .. }
            | Event::Ended { was_ready: false, .. } => Level::Warning,
            _ => Level::Info,
        };
        let _ = tells.try_send((level, event.to_string()));
    }))
}

fn unready(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::system("the bootstrap server cannot be started", error.into())
}

fn new_server() -> Result<Server, Failure> {
    let task = Task::current().map_err(unready)?;
    Server::new(&task).map_err(unready)
}

fn listen(server: Server, locked: &Locked, handed: Option<OwnedFd>) -> Result<Server, Failure> {
    let was_handed = handed.is_some();
    let listening = match handed {
        Some(socket) => server.listen_at(socket),
        None => server.listen(locked.path()),
    };
    listening.map_err(|error| match error {
        LinkError::InUse(path) => {
            Failure::new(Kind::Refused, format!("something lies at {}", path.display()))
        }
        LinkError::System(error) if was_handed && error.kind() == ErrorKind::InvalidInput => {
            Failure::usage("the socket that was handed over is not one of packets")
                .because(error)
                .hint("the socket unit says ListenSequentialPacket=")
        }
        LinkError::System(error) if is_no_path(&error) => {
            Failure::usage(format!("{} is not a path for a socket", locked.path().display()))
                .because(error)
        }
        other => unready(other),
    })
}

/// A server, and what it was told to provide.
struct Provided {
    server: Server,
    services: Vec<String>,
    /// Files that are not believed.
    wrong: Vec<String>,
}

/// The service files there are. This program confines those that want it.
fn find(directories: &[PathBuf], own: &Path) -> std::io::Result<Vec<Found>> {
    let mut found = service::find(directories)?;
    for found in &mut found {
        let file = std::mem::replace(&mut found.file, Err(Vec::new()));
        found.file = file.map(|file| file.confined_by(own));
    }
    Ok(found)
}

/// Provides every service that is declared; what is wrong with one is said.
fn provide(mut server: Server, named: &[PathBuf], own: &Path) -> Result<Provided, Failure> {
    for directory in named {
        if !directory.is_dir() {
            return Err(Failure::usage(format!("{} is not a directory", directory.display()))
                .hint("--services names a directory with files that end with .toml"));
        }
    }
    let named: Vec<PathBuf> = named.iter().map(|path| argument::absolute(path)).collect();
    let directories = if named.is_empty() { service::directories() } else { named };
    let own = own.to_path_buf();
    let found = find(&directories, &own).map_err(|error| {
        Failure::new(Kind::Usage, "the service files cannot be read").because(error)
    })?;
    server = server.reload_from(move || find(&directories, &own));
    let (mut services, mut wrong) = (Vec::new(), Vec::new());
    for Found { path, label, file, .. } in found {
        let shown = path.display().to_string();
        let file = match file {
            Ok(file) => file,
            Err(problems) => {
                problems.iter().for_each(|problem| check::tell(&shown, problem));
                wrong.push(shown);
                continue;
            }
        };
        if let Some(why) = server.refuses(&file) {
            check::tell(&shown, &Problem::new(1, 1, why.to_string(), "leave one of them out"));
            wrong.push(shown);
            continue;
        }
        server = server
            .service(&label, file)
            .map_err(|error| Failure::system("a service cannot be provided", error))?;
        services.push(label);
    }
    Ok(Provided { server, services, wrong })
}

/// Whether there is a terminal whose end the signal may tell of.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Reads the service files anew because of a signal, and says what came of it.
fn tell_reloaded(admin: &Admin) {
    systemd::say(&["RELOADING=1", &systemd::now()]);
    match admin.reload(Deadline::after(USUAL)) {
        Ok(reloaded) => {
            reloaded.wrong.iter().for_each(|wrong| output::line(wrong));
            output::say(&summary(&reloaded));
        }
        Err(error) => output::say(&format!("the service files were not read: {error}")),
    }
    systemd::say(&[systemd::READY]);
}

fn summary(reloaded: &Reloaded) -> String {
    let Reloaded { added, changed, gone, .. } = reloaded;
    let part = |what: &str, services: &[String]| {
        (!services.is_empty()).then(|| format!("{what}: {}", services.join(", ")))
    };
    let parts = [part("added", added), part("changed", changed), part("gone", gone)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join("; ") }
}

fn reload(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(deadline)?;
    let reloaded = Admin::new(&server)
        .reload(deadline)
        .map_err(|error| Failure::admin(error, "all", &place.path()))?;
    let ok = reloaded.wrong.is_empty();
    if arguments.json {
        let Reloaded { added, changed, gone, wrong, .. } = reloaded;
        let _ = output::json(&Told::Reloaded { ok, added, changed, gone, wrong })?;
    } else {
        reloaded.wrong.iter().for_each(|wrong| output::line(wrong));
        output::say(&summary(&reloaded));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(Kind::Usage.code()) })
}

fn unprepared(error: SocketError) -> Failure {
    let kind = match &error {
        SocketError::NotAPath(_) | SocketError::NotASocket(_) => Kind::Usage,
        SocketError::NotMade { .. } | SocketError::NotADirectory(_) => Kind::Usage,
        SocketError::NotOurs { .. } | SocketError::Open { .. } | SocketError::InUse(_) => {
            Kind::Refused
        }
        _ => Kind::System,
    };
    // What happened comes before the colon, what to do about it after.
    let text = error.to_string();
    match (&error, text.split_once(": ")) {
        (SocketError::NotMade { .. } | SocketError::System { .. }, _) | (_, None) => {
            Failure::new(kind, text).because(error)
        }
        (_, Some((what, cure))) => Failure::new(kind, what).hint(cure),
    }
}

fn stop(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let deadline = arguments.patience.or(USUAL);
    let path = place.path();
    let server = place.reach(deadline)?;
    match server.stop(deadline) {
        // It may be gone before its answer is.
        Ok(()) | Err(BootstrapError::Died) => {}
        Err(error) => return Err(Failure::bootstrap(error, &path)),
    }
    drop(server);
    // Not asked by connecting: where systemd keeps the socket, that would start the next.
    while !boot::socket::is_free(&path).map_err(unprepared)? {
        if deadline.has_passed() {
            return Err(Failure::new(
                Kind::Deadline,
                format!("the bootstrap server at {} has not ended yet", path.display()),
            ));
        }
        // sleep: the end of a lock is told to nobody who does not wait for the lock itself
        std::thread::sleep(Duration::from_millis(5));
    }
    let stopped = path.display().to_string();
    if arguments.json {
        let _ = output::json(&Told::Stopped { ok: true, stopped })?;
    } else {
        output::say(&format!("the bootstrap server at {stopped} has ended"));
    }
    Ok(ExitCode::SUCCESS)
}
