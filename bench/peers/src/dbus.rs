//! zbus: D-Bus from process to process over a socket pair, and through a daemon of our
//! own, with the runtime it brings itself.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rows::{Casting, Child, Part, Peer, Row, Stage};
use zbus::{Connection, Guid, block_on, connection};

use crate::calls::{BODY, Caller, peer};

const ECHOES: &str = "dbus-echo";
const SERVES: &str = "dbus-serve";

const PATH: &str = "/bench/echo";
const INTERFACE: &str = "bench.Echo";
/// The server's name at the daemon.
const NAME: &str = "bench.Server";

struct Echo;

#[zbus::interface(name = "bench.Echo")]
impl Echo {
    fn echo(&self, body: Vec<u8>) -> Vec<u8> {
        body
    }
}

/// A call with our body, to a name or to whoever is at the other end.
fn call(connection: &Connection, name: Option<&str>) -> Result<()> {
    let request = (&BODY[..],);
    let answer = block_on(connection.call_method(name, PATH, Some(INTERFACE), "Echo", &request))?;
    let body: Vec<u8> = answer.body().deserialize()?;
    ensure!(body == BODY, "another body came back");
    Ok(())
}

struct Zbus {
    connection: Connection,
    server: Child,
}

impl Caller for Zbus {
    fn meet(row: &Row) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let server = Casting::of(ECHOES, row.place).descriptor(&theirs).start()?;
        drop(theirs);
        let connection = block_on(connection::Builder::unix_stream(ours).p2p().build())?;
        Ok(Zbus { connection, server })
    }

    fn call(&mut self) -> Result<()> {
        call(&self.connection, None)
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let socket = UnixStream::from(stage.descriptors.pop().context("no socket")?);
    let builder = connection::Builder::unix_stream(socket).server(Guid::generate()).p2p();
    let _connection = block_on(builder.serve_at(PATH, Echo).build())?;
    // It serves on a thread of its own, until the parent has gone.
    while stage.line.hear().is_ok() {}
    Ok(())
}

/// A daemon of our own, that ends with us.
struct Daemon {
    process: std::process::Child,
    address: String,
}

impl Daemon {
    fn start() -> Result<Daemon> {
        let mut command = Command::new("dbus-daemon");
        let socket = format!("--address=unix:dir={}", std::env::temp_dir().display());
        command.args(["--session", "--nofork", "--nopidfile", "--print-address=1", &socket]);
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = piped.spawn().context("no dbus-daemon here")?;
        let mut daemon = Daemon { process, address: String::new() };
        let told = daemon.process.stdout.take().context("it has no output")?;
        BufReader::new(told).read_line(&mut daemon.address)?;
        daemon.address.truncate(daemon.address.trim_end().len());
        if daemon.address.is_empty() {
            bail!("the dbus-daemon here does not start");
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let path = self.address.strip_prefix("unix:path=").and_then(|rest| rest.split(',').next());
        let _ = path.map(std::fs::remove_file);
    }
}

/// Through a daemon, which reads and writes each message once more.
struct ThroughDaemon {
    connection: Connection,
    server: Child,
    _daemon: Daemon,
}

impl Caller for ThroughDaemon {
    fn meet(row: &Row) -> Result<Self> {
        let daemon = Daemon::start()?;
        let mut server = Casting::of(SERVES, row.place).argument(&daemon.address).start()?;
        server.line.hear().context("the server has no name")?;
        let connection = block_on(connection::Builder::address(&*daemon.address).build())?;
        Ok(ThroughDaemon { connection, server, _daemon: daemon })
    }

    fn call(&mut self) -> Result<()> {
        call(&self.connection, Some(NAME))
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn serve(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let address = stage.arguments.first().context("no daemon")?;
    let builder = connection::Builder::address(&**address).name(NAME);
    let _connection = block_on(builder.serve_at(PATH, Echo).build())?;
    stage.line.say(1)?;
    while stage.line.hear().is_ok() {}
    Ok(())
}

pub(crate) const PEERS: &[Peer] = &[
    peer::<Zbus>("zbus", "call-awake"),
    peer::<Zbus>("zbus", "call-asleep-two-cores"),
    peer::<Zbus>("zbus", "call-asleep-one-core"),
    peer::<ThroughDaemon>(DAEMON, "call-awake"),
    peer::<ThroughDaemon>(DAEMON, "call-asleep-two-cores"),
    peer::<ThroughDaemon>(DAEMON, "call-asleep-one-core"),
];

const DAEMON: &str = "zbus through dbus-daemon";

pub(crate) const PARTS: &[Part] =
    &[Part { name: ECHOES, act: echo }, Part { name: SERVES, act: serve }];
