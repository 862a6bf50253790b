//! A server in a process of its own, which listens in a test's place.

use std::path::PathBuf;
use std::process::Command;

use boot::Server;
use boot::socket::prepare;
use pillarbox::bootstrap::Bootstrap;
use pillarbox::{Capacity, Message, Spawn};
use rustix::process::Signal;

use super::{Place, Reaped, acting, command, given, long, signal, task};

/// Where the server of a part listens.
pub(crate) const PATH: &str = "PILLARBOX_TEST_PATH";

/// Where the servers of a place listen.
pub(crate) fn path(place: &Place) -> PathBuf {
    place.path().join("boot.sock")
}

/// The path that this part was told.
pub(crate) fn told_path() -> PathBuf {
    std::env::var_os(PATH).expect("a part is told where").into()
}

/// A client of whichever server runs there.
pub(crate) fn at(place: &Place) -> Bootstrap {
    Bootstrap::at(path(place), long()).expect("a server runs there")
}

/// A command that acts `part` and knows where.
pub(crate) fn part(name: &str, place: &Place) -> Command {
    let mut command = command(name);
    command.env(PATH, path(place));
    command
}

/// Serves there as `part`, if this process was started to.
pub(crate) fn serve_if_acting(part: &str, declared: impl FnOnce(Server) -> Server) {
    if acting(part) {
        let locked = prepare(told_path()).expect("the place is free");
        let server = declared(Server::new(&task()).expect("there is a task"));
        let server = server.listen(locked.path()).expect("nobody listens there");
        let server = server.keeps(&locked).expect("there is a descriptor");
        given("told").send(Message::new("listening"), long()).expect("the test listens");
        server.serve();
    }
}

/// Starts a part that serves there, and waits until it listens.
pub(crate) fn start(name: &str, place: &Place) -> Reaped {
    let told = task().port(Capacity::Bounded(1));
    let to = told.make_send().expect("there is a task");
    let server = Spawn::new(part(name, place)).right("told", to);
    let server = Reaped(server.spawn().expect("it is started"));
    assert_eq!(told.receive(long()).expect("it says so").body(), b"listening");
    server
}

/// Kills one, and waits until the kernel has let its place go.
pub(crate) fn kill(mut server: Reaped) {
    signal(server.pid(), Signal::KILL);
    server.0.wait().expect("it is ours");
}
