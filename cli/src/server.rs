//! Finding the bootstrap server, and starting one where a verb needs it.
//!
//! A server that is started for a verb is a process of its own: `pillarbox
//! boot`, in a session of its own, with no standard streams, ended by itself
//! some seconds after its last connection. There is at most one: several verbs
//! may start one at once, the lock in the socket's directory lets one of them
//! through, and the others find that they are not needed.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pillarbox::bootstrap::{Bootstrap, BootstrapError, Presence, SOCKET_VARIABLE, socket_path};
use pillarbox::{Deadline, ReceiveRight};

use crate::argument::absolute;
use crate::failure::{Failure, Kind};
use crate::output;

/// How long a server on this machine may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// How long starting one may take.
const STARTING: Duration = Duration::from_secs(10);

/// How long a started server stays without connections.
const IDLE_EXIT: &str = "5s";

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    given: Option<PathBuf>,
}

impl Place {
    /// The socket that was named, else what our parent gave us, else the usual
    /// place.
    pub(crate) fn new(given: Option<PathBuf>) -> Self {
        Place { given: given.map(|path| absolute(&path)) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.given.clone().unwrap_or_else(|| absolute(&socket_path()))
    }

    /// Lets a program we start find the same server.
    pub(crate) fn tell(&self, command: &mut Command) {
        if let Some(path) = &self.given {
            command.env(SOCKET_VARIABLE, path);
        }
    }

    fn connect(&self, deadline: Deadline) -> Result<Bootstrap, BootstrapError> {
        let greeting = Deadline::after(match deadline.left() {
            Some(left) => left.min(GREETING),
            None => GREETING,
        });
        match &self.given {
            Some(path) => Bootstrap::at(path, greeting),
            None => pillarbox::bootstrap(greeting),
        }
    }

    /// The server, if it runs.
    pub(crate) fn reach(&self, deadline: Deadline) -> Result<Bootstrap, Failure> {
        self.is_safe()?;
        self.connect(deadline).map_err(|error| Failure::bootstrap(error, &self.path()))
    }

    /// The usual place lies where anybody may make directories: one that is not
    /// ours may hold a server that is not what it seems. A socket that was named
    /// is its namer's choice.
    fn is_safe(&self) -> Result<(), Failure> {
        let is_named = std::env::var_os(SOCKET_VARIABLE).is_some_and(|path| !path.is_empty());
        if self.given.is_some() || is_named {
            return Ok(());
        }
        let path = self.path();
        let Some(directory) = path.parent() else { return Ok(()) };
        // What is not there is not unsafe.
        let Ok(about) = std::fs::symlink_metadata(directory) else { return Ok(()) };
        let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
        if owner == own && about.is_dir() {
            return Ok(());
        }
        let shown = directory.display();
        Err(Failure::new(Kind::Refused, format!("{shown} is not a directory of ours"))
            .because(format!("it belongs to user {owner}, and we are user {own}"))
            .hint("name a socket of your own with --socket or PILLARBOX_SOCKET"))
    }

    /// Checks `port` in under `name`, with a server started for it if need be.
    pub(crate) fn check_in(&self, name: &str, port: &ReceiveRight) -> Result<Presence, Failure> {
        let deadline = Deadline::after(STARTING);
        loop {
            let server = self.reach_or_start(deadline)?;
            let mut presence = Presence::new(server, self.path())
                .map_err(|error| Failure::bootstrap(error, &self.path()))?;
            match presence.check_in(name, port, deadline) {
                Ok(()) => return Ok(presence),
                // It ended between our look and our question, being idle.
                Err(BootstrapError::Died) if !deadline.has_passed() => {}
                Err(error) => return Err(Failure::bootstrap(error, &self.path())),
            }
        }
    }

    fn reach_or_start(&self, deadline: Deadline) -> Result<Bootstrap, Failure> {
        self.is_safe()?;
        let path = self.path();
        let mut started: Option<Started> = None;
        let mut pause = Duration::from_millis(1);
        loop {
            match self.connect(deadline) {
                Ok(server) => {
                    if let Some(started) = started {
                        started.let_go();
                    }
                    return Ok(server);
                }
                Err(BootstrapError::NoServer(_) | BootstrapError::Died) => {}
                Err(error) => return Err(Failure::bootstrap(error, &path)),
            }
            if deadline.has_passed() {
                return Err(Failure::new(
                    Kind::Deadline,
                    format!("the server started at {} did not come up in time", path.display()),
                )
                .hint(format!(
                    "start it by hand and see: pillarbox boot --socket {}",
                    path.display()
                )));
            }
            // One that found another in its way has ended; if that other ends
            // too, being idle, it is our turn again.
            let running = match &mut started {
                Some(started) => started.is_running(&path)?,
                None => false,
            };
            if !running && started.take().is_none() {
                started = Some(Started::start(&path)?);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// A server we started.
#[derive(Debug)]
struct Started {
    child: Child,
}

impl Started {
    fn start(path: &Path) -> Result<Self, Failure> {
        let unstarted =
            |error: std::io::Error| Failure::system("a bootstrap server cannot be started", error);
        let program = std::env::current_exe().map_err(unstarted)?;
        let mut command = Command::new(program);
        command
            .arg("boot")
            .arg("--socket")
            .arg(path)
            .args(["--detached", "--idle-exit", IDLE_EXIT])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn().map_err(unstarted)?;
        Ok(Started { child })
    }

    /// Whether it runs. One that has failed is told with its own words.
    fn is_running(&mut self, path: &Path) -> Result<bool, Failure> {
        let status = self
            .child
            .try_wait()
            .map_err(|error| Failure::system("the started server cannot be watched", error))?;
        let Some(status) = status else { return Ok(true) };
        if status.success() {
            return Ok(false);
        }
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        let mut lines = words.lines().map(|line| {
            line.trim_start().trim_start_matches("pillarbox: ").trim_start_matches("cause: ")
        });
        let failure = Failure::new(
            Kind::Refused,
            format!("no bootstrap server could be started at {}", path.display()),
        );
        let failure = match lines.next() {
            Some(why) => failure.because(why.to_owned()),
            None => failure.because(format!("it ended with {status}")),
        };
        Err(match lines.find_map(|line| line.strip_prefix("hint: ")) {
            Some(hint) => failure.hint(hint),
            None => failure,
        })
    }

    /// It is on its own now; somebody must still see it end.
    fn let_go(mut self) {
        drop(self.child.stderr.take());
        let watch = std::thread::Builder::new().name("pillarbox-boot".to_owned());
        if let Err(error) = watch.spawn(move || self.child.wait()) {
            output::say(&format!("the started server will not be seen to end: {error}"));
        }
    }
}
