//! `pillarbox run`: a program with a namespace of its own.

use std::ffi::OsString;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use pillarbox::bootstrap::Listed;
use pillarbox::check_name;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::argument::Patience;
use crate::door::Door;
use crate::failure::Failure;
use crate::server::Place;

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`.
pub(crate) const HELP: &str = "\
The program, and every program it starts, finds a bootstrap server with the names of
--only and no others, each as NAME or, where =ALIAS is said, as that. It may look them
up as we may now; it puts no names there, gives no orders, and what it asks for and is
not listed stands in `pillarbox audit`. Without --only it finds no name at all.

It is kept from nothing else: a program of our user that opens the socket of the server
by its path, or traces us, is as free as we are. What must not do so is started as
another user, or in a sandbox that does not show the socket. Once `run` has ended,
what its program has left behind finds no server.

Examples:
  pillarbox run --only upper -- sh -c 'echo hello | pillarbox call upper'
  pillarbox run --only com.example.printer=printer --only upper -- ./guest
  pillarbox run -- pillarbox ls

Exit codes:
  that of the program, or 128+n where signal n has ended it, or where it was not started:
  1   the system refused (memory, descriptors, a socket)
  2   a wrong argument, or no such program
  65  no bootstrap server is running
  66  it did not answer before the deadline (5 s)
  68  it refused: we may not look up one of the names ourselves";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A name it finds, and what it is called there; may be said again
    #[arg(long, value_name = "NAME[=ALIAS]", value_parser = listed)]
    only: Vec<Listed>,
    #[command(flatten)]
    patience: Patience,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Reads a name, and what it is called.
fn listed(text: &str) -> Result<Listed, String> {
    let (name, alias) = text.rsplit_once('=').unwrap_or((text, text));
    for name in [name, alias] {
        check_name(name.as_bytes()).map_err(|error| format!("not a valid name: {error}"))?;
    }
    Ok(Listed::new(name).called(alias))
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let [program, words @ ..] = arguments.command.as_slice() else {
        return Err(Failure::usage("no command was given"));
    };
    let deadline = arguments.patience.or(USUAL);
    let server = place.reach(deadline)?;
    let few = server
        .subset(&arguments.only, deadline)
        .map_err(|error| Failure::bootstrap(error, &place.path()))?;
    let door = Door::open(&few)?;
    let mut command = Command::new(program);
    command.args(words);
    door.tell(&mut command);
    // Before there is a child: what comes then is for it.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])
        .map_err(|error| Failure::system("signals cannot be waited for", error))?;
    let shown = program.to_string_lossy();
    let mut child = command
        .spawn()
        .map_err(|error| Failure::usage(format!("{shown} cannot be started")).because(error))?;
    pass_on(signals, &child)?;
    let status = child
        .wait()
        .map_err(|error| Failure::system(format!("{shown} cannot be waited for"), error))?;
    Ok(ExitCode::from(crate::run::code(status)))
}

/// Tells the child to end when we are told to. A terminal tells both of us of Ctrl-C.
fn pass_on(mut signals: Signals, child: &Child) -> Result<(), Failure> {
    let unwatched = |error| Failure::system("the program cannot be told of signals", error);
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .map_err(|error| unwatched(std::io::Error::from(error)))?;
    let told = move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => continue,
            };
            // It may have ended.
            let _ = pidfd_send_signal(&process, signal);
        }
    };
    let thread = std::thread::Builder::new().name("pillarbox-run".to_owned());
    thread.spawn(told).map(|_| ()).map_err(unwatched)
}
