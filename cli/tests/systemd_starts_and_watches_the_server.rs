//! systemd hands over a socket, is told how the server does, and reads its lines; and
//! its units come and go with two commands.
//!
//! What systemd does is done here as its manual pages say: a socket as descriptor 3, and
//! `LISTEN_PID` of the process itself; a socket of datagrams for what it is told.

mod house;

use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use house::{House, LONG, Running, is_installed, skipped, wait_until};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;

/// A socket of packets that listens at `path`, as systemd makes one.
fn bound(path: &Path) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let kind = SocketType::SEQPACKET;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 16).unwrap();
    socket
}

/// `pillarbox WORDS` with `socket` as descriptor 3 and these variables, which a shell
/// sets since only then its number is known: `$$`.
fn handed(house: &House, socket: Option<OwnedFd>, variables: &str, words: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_pillarbox");
    let handing = if socket.is_some() { "exec 3<&0 0</dev/null; " } else { "" };
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("{handing}{variables} exec {program} {words}"))
        .env("PILLARBOX_SOCKET", house.socket())
        .stdin(socket.map_or_else(Stdio::null, Stdio::from));
    command
}

/// The same with a file as its standard input.
fn handed_as(house: &House, file: OwnedFd, variables: &str, words: &str) -> Command {
    let mut command = handed(house, None, variables, words);
    command.stdin(Stdio::from(file));
    command
}

const FOR_IT: &str = "LISTEN_PID=$$ LISTEN_FDS=1";

/// What is told to the place that `NOTIFY_SOCKET` names.
struct Systemd {
    hears: UnixDatagram,
}

impl Systemd {
    fn new(hears: UnixDatagram) -> Self {
        hears.set_read_timeout(Some(LONG)).unwrap();
        Systemd { hears }
    }

    /// Waits until this line is told.
    fn wait(&self, line: &str) {
        let mut space = [0; 4096];
        loop {
            let length = self.hears.recv(&mut space).unwrap();
            let told = std::str::from_utf8(&space[..length]).unwrap();
            if told.lines().any(|told| told == line) {
                return;
            }
        }
    }
}

#[test]
fn who_waits_at_a_handed_socket_is_answered_by_the_server_that_is_started_for_it() {
    let house = House::new();
    let socket = bound(&house.socket());
    // It has connected, and speaks, before there is a server.
    let first = house.start(["ls", "--json"]);
    let mut server = Running::of(handed(&house, Some(socket), FOR_IT, "boot --json"));
    assert!(server.wait_line().contains(house.socket().to_str().unwrap()));
    let told = first.end();
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end_status().code(), Some(0));
    // It is systemd's, and the next caller waits at it again.
    assert!(house.socket().exists());
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}

#[test]
fn a_socket_that_is_meant_for_another_process_is_not_taken() {
    let house = House::new();
    let other = bound(&house.path("other.sock"));
    let variables = "LISTEN_PID=1 LISTEN_FDS=1";
    let mut server = Running::of(handed(&house, Some(other), variables, "boot --json"));
    assert!(server.wait_line().contains(house.socket().to_str().unwrap()));
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    std::fs::remove_file(house.path("other.sock")).unwrap();
    house.close();
}

#[test]
fn a_handed_socket_of_another_kind_is_refused_with_what_to_write() {
    let house = House::new();
    let stream = UnixListener::bind(house.path("stream.sock")).unwrap();
    let nameless = {
        let name = SocketAddr::from_abstract_name(house.path("x").as_os_str().as_encoded_bytes());
        UnixListener::bind_addr(&name.unwrap()).unwrap()
    };
    for (socket, word) in [(OwnedFd::from(stream), "packets"), (nameless.into(), "no path")] {
        let told = Running::of(handed(&house, Some(socket), FOR_IT, "boot")).end();
        told.fails(2, word);
        assert!(told.stderr.contains("ListenSequentialPacket="), "{told:?}");
    }
    std::fs::remove_file(house.path("stream.sock")).unwrap();
    house.close();
}

#[test]
fn it_is_told_of_readiness_of_work_and_of_the_end() {
    let house = House::new();
    let path = house.path("notify");
    let abstract_name = format!("pillarbox-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    for (manager, named) in [
        (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (UnixDatagram::bind_addr(&address).unwrap(), format!("@{abstract_name}")),
    ] {
        let manager = Systemd::new(manager);
        let variables = format!("NOTIFY_SOCKET={named} WATCHDOG_PID=$$ WATCHDOG_USEC=50000");
        let mut server = Running::of(handed(&house, None, &variables, "boot --json"));
        manager.wait("READY=1");
        server.wait_line();
        // As long as it answers: again and again.
        for _ in 0..3 {
            manager.wait("WATCHDOG=1");
        }
        server.signal(Signal::TERM);
        manager.wait("STOPPING=1");
        assert_eq!(server.end_status().code(), Some(0));
    }
    std::fs::remove_file(&path).unwrap();
    house.close();
}

#[test]
fn a_watchdog_that_is_not_for_it_hears_nothing_and_a_stopped_server_neither() {
    let house = House::new();
    let path = house.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let named = path.to_str().unwrap();
    let variables = format!("NOTIFY_SOCKET={named} WATCHDOG_PID=1 WATCHDOG_USEC=1000");
    let mut server = Running::of(handed(&house, None, &variables, "boot --json"));
    server.wait_line();
    // It has answered, so its loop has turned.
    assert_eq!(house.run(["ls"]).code, Some(0));
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    server.end_status();
    manager.set_nonblocking(true).unwrap();
    let mut space = [0; 4096];
    while let Ok(length) = manager.recv(&mut space) {
        assert!(!space[..length].starts_with(b"WATCHDOG"));
    }
    std::fs::remove_file(&path).unwrap();
    house.close();
}

#[test]
fn services_are_not_told_what_systemd_said_to_the_server() {
    let house = House::new();
    std::fs::create_dir(house.path("services")).unwrap();
    let said = house.path("said");
    let text = format!(
        "program = \"/bin/sh\"\narguments = [\"-c\", \"env > {}.new; mv {0}.new {0}\"]\n\
         names = [\"x\"]\nstart = \"at-start\"\n",
        said.display()
    );
    house.file("services/x.toml", text.as_bytes());
    let notify = house.path("notify");
    let manager = Systemd::new(UnixDatagram::bind(&notify).unwrap());
    let variables = format!(
        "NOTIFY_SOCKET={} WATCHDOG_PID=$$ WATCHDOG_USEC=9000000 {FOR_IT}",
        notify.display()
    );
    let words = format!("boot --services {}", house.path("services").display());
    let socket = bound(&house.socket());
    let server = Running::of(handed(&house, Some(socket), &variables, &words));
    manager.wait("READY=1");
    wait_until("the service has written", || said.exists());
    let environment = std::fs::read_to_string(&said).unwrap();
    for name in ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"] {
        assert!(!environment.contains(name), "{name}: {environment}");
    }
    assert!(environment.contains("PILLARBOX_SOCKET="), "the rest is: {environment}");
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    server.end_status();
    for path in [notify, said, house.socket(), house.path("services/x.toml")] {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::remove_dir(house.path("services")).unwrap();
    house.close();
}

#[test]
fn lines_for_the_journal_say_how_grave_they_are() {
    let house = House::new();
    std::fs::create_dir(house.path("services")).unwrap();
    let text = "program = \"/bin/false\"\nnames = [\"x\"]\nstart = \"at-start\"\n";
    house.file("services/x.toml", text.as_bytes());
    house.file("services/wrong.toml", b"program = 1");
    let log = house.path("log");
    let file = std::fs::File::create(&log).unwrap();
    let stat = rustix::fs::fstat(file.as_fd()).unwrap();
    let variables = format!("JOURNAL_STREAM={}:{}", stat.st_dev, stat.st_ino);
    let words = format!("boot --services {}", house.path("services").display());
    let words = format!("{words} 2>&0");
    let server = Running::of(handed_as(&house, file.into(), &variables, &words));
    let lines = || std::fs::read_to_string(&log).unwrap();
    wait_until("the failure is told", || lines().contains("<4>x: it ended before it checked in"));
    let told = lines();
    assert!(told.contains("<6>x was started as process"), "{told}");
    assert!(told.contains("wrong.toml:1:11: `program` is a text"), "{told}");
    assert!(told.contains("<5>pillarbox: keeping names at"), "{told}");
    assert!(told.lines().all(|line| line.starts_with('<')), "{told}");
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    server.end_status();
    std::fs::remove_file(&log).unwrap();
    std::fs::remove_dir_all(house.path("services")).unwrap();
    house.close();
}

#[test]
fn the_real_activator_starts_it() {
    if !is_installed("systemd-socket-activate") {
        skipped("systemd-socket-activate is not installed");
        return;
    }
    let house = House::new();
    let mut command = Command::new("systemd-socket-activate");
    command
        .args(["--seqpacket", "-l"])
        .arg(house.socket())
        .arg("-E")
        .arg(format!("PILLARBOX_SOCKET={}", house.socket().display()))
        .args([env!("CARGO_BIN_EXE_pillarbox"), "boot", "--json"])
        .env("PILLARBOX_SOCKET", house.socket())
        .stdin(Stdio::null());
    let mut server = Running::of(command);
    wait_until("it listens", || house.socket().exists());
    assert_eq!(house.run(["ls"]).code, Some(0));
    assert!(server.wait_line().contains(house.socket().to_str().unwrap()));
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    server.end_status();
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}

#[test]
fn units_are_written_and_removed_and_nobody_elses_is_touched() {
    let house = House::new();
    let units = house.path("units");
    let at = units.to_str().unwrap();
    let told = house.run(["install", "--directory", at]);
    assert!(told.code == Some(2) && told.stderr.contains("--user|--system"), "{told:?}");
    for whose in ["--user", "--system"] {
        let told = house.run(["install", whose, "--directory", at, "--json"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        assert_eq!(told.json()["written"].as_array().unwrap().len(), 2);
        // Once more: they are ours.
        assert_eq!(house.run(["install", whose, "--directory", at]).code, Some(0));
        verify(&house, whose);
        let told = house.run(["uninstall", whose, "--directory", at, "--json"]);
        assert_eq!(told.json()["removed"].as_array().unwrap().len(), 2, "{told:?}");
        let told = house.run(["uninstall", whose, "--directory", at, "--json"]);
        assert_eq!(told.json()["removed"].as_array().unwrap().len(), 0, "{told:?}");
    }
    // Another's file is neither replaced nor removed, and nothing beside it is made.
    let other = units.join("pillarbox.service");
    std::fs::write(&other, "[Service]\n").unwrap();
    house.run(["install", "--user", "--directory", at]).fails(68, "was not written by");
    house.run(["uninstall", "--user", "--directory", at]).fails(68, "was not written by");
    assert_eq!(std::fs::read(&other).unwrap(), b"[Service]\n");
    assert_eq!(std::fs::read_dir(&units).unwrap().count(), 1);
    std::fs::remove_dir_all(&units).unwrap();
    house.close();
}

#[test]
fn the_users_units_lie_where_the_users_systemd_looks() {
    let house = House::new();
    let config = house.path("config");
    for verb in ["install", "uninstall"] {
        let mut command = house.command([verb, "--user"]);
        command.env("XDG_CONFIG_HOME", &config);
        assert!(command.status().unwrap().success());
        let there = config.join("systemd/user/pillarbox.socket").exists();
        assert_eq!(there, verb == "install");
    }
    std::fs::remove_dir_all(&config).unwrap();
    house.close();
}

/// Has systemd say what it makes of them.
fn verify(house: &House, whose: &str) {
    if !is_installed("systemd-analyze") {
        skipped("systemd-analyze is not installed");
        return;
    }
    std::fs::create_dir(house.path("units/run")).unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args([whose, "verify"]).env("XDG_RUNTIME_DIR", house.path("units/run"));
    for name in ["pillarbox.socket", "pillarbox.service"] {
        command.arg(house.path("units").join(name));
    }
    let told = command.output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("pillarbox")).collect();
    assert!(told.status.success() && ours.is_empty(), "{said}");
    std::fs::remove_dir_all(house.path("units/run")).unwrap();
}

#[test]
fn a_killed_server_is_started_again_at_the_socket_that_was_kept() {
    let house = House::new();
    std::fs::create_dir(house.path("services")).unwrap();
    let own = env!("CARGO_BIN_EXE_pillarbox");
    for (name, kept, kind) in [("upper", "", "names"), ("kept", "\"--kept\", ", "queues")] {
        let words = format!("[\"serve\", {kept}{name:?}, \"--\", \"tr\", \"a-z\", \"A-Z\"]");
        let text = format!("program = {own:?}\narguments = {words}\n{kind} = [{name:?}]\n");
        house.file(&format!("services/{name}.toml"), text.as_bytes());
    }
    let words = format!("boot --json --services {}", house.path("services").display());
    // systemd has the socket, and gives each server that it starts a copy.
    let socket = bound(&house.socket());
    let start = || Running::of(handed(&house, Some(socket.try_clone().unwrap()), FOR_IT, &words));
    let mut server = start();
    server.wait_line();
    let lower = house.serve(&["lower", "--", "tr", "A-Z", "a-z"]);
    for _ in 0..3 {
        for name in ["upper", "kept"] {
            assert_eq!(house.call(name, b"grey").text(), "GREY");
        }
        server.kill();
        // Nobody is refused meanwhile: who comes waits.
        let waits = house.start(["ls", "--json"]);
        server = start();
        server.wait_line();
        let told = waits.end();
        assert_eq!(told.code, Some(0), "{told:?}");
        // What is declared is there from the start, and what was registered comes by itself.
        wait_until("it is back", || house.names().iter().any(|name| name.contains("lower")));
        assert_eq!(house.call("lower", b"GREY").text(), "grey");
    }
    lower.kill();
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    server.end_status();
    // Those of the dead servers end when they hear that another is started for their names.
    wait_until("nobody is left", || house.processes().is_empty());
    std::fs::remove_dir_all(house.path("services")).unwrap();
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}
