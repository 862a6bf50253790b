//! The processes of a world: servers, successors, and the services they start. Each is a
//! test of this binary that does nothing unless it was started to.

use std::fs::OpenOptions;
use std::io::Write;

use pillarbox::bootstrap::{BootstrapError, NameState};
use pillarbox::shared::SharedReader;
use pillarbox::{Bootstrap, Capacity, Deadline, Limits, Message, ReceiveRight, Task};

use super::family::placed::told_path;
use super::family::{acting, file_of, given, long, parents_server, queue_file, task};
use super::world::Life;
use crate::Server;
use crate::service::ServiceFile;
use crate::socket::prepare;

pub(super) const SERVER: &str = "killed::parts::server_part";
pub(super) const SUCCESSOR: &str = "killed::parts::successor_part";
const PLAIN: &str = "killed::parts::plain_part";
const FAILS: &str = "killed::parts::failing_part";
const LATE: &str = "killed::parts::late_part";
const WORKER: &str = "killed::parts::worker_part";

/// A service that is there when it is looked up, one that never is, one that waits for
/// [`GO`], and a queue whose reader does.
pub(super) const PLAIN_NAME: &str = "plain.name";
pub(super) const FAILING_NAME: &str = "failing.name";
pub(super) const LATE_NAME: &str = "late.name";
pub(super) const QUEUE: &str = "queue.name";

/// A name that is put there for those who wait for it.
pub(super) const GO: &str = "go";

/// What may lie in the queues of a server that is to be replaced.
pub(super) const QUEUED_BYTES: usize = 64 * 1024;

/// What has happened in a world, written by its services, who outlive no line of it.
pub(super) const JOURNAL: &str = "journal";

/// What every server of a world provides.
fn declared(mut server: Server) -> Server {
    let quick = "throttle = \"1ms\"\nback_off = \"1ms\"\nback_off_most = \"1ms\"";
    for (label, text) in [
        ("plain", file_of(PLAIN, &[PLAIN_NAME], quick)),
        ("fails", file_of(FAILS, &[FAILING_NAME], quick)),
        ("late", file_of(LATE, &[LATE_NAME], quick)),
        ("queue", queue_file(WORKER, QUEUE, quick)),
    ] {
        let file = ServiceFile::read(&text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        server = server.service(label, file).unwrap();
    }
    server
}

#[test]
fn server_part() {
    if !acting(SERVER) {
        return;
    }
    let limits = Limits { own_queued_bytes: QUEUED_BYTES as u64, ..Limits::default() };
    let locked = prepare(told_path()).unwrap();
    let server = declared(Server::new(&Task::new_with(limits)).unwrap());
    let server = server.listen(locked.path()).unwrap().keeps(&locked).unwrap();
    given("told").send(Message::new("listening"), long()).unwrap();
    server.serve();
}

/// Takes the place of the server there, or says why not.
#[test]
fn successor_part() {
    if !acting(SUCCESSOR) {
        return;
    }
    let told = given("told");
    let tell = |what: String| told.send(Message::new(what), long());
    // It may have been killed before we were there.
    let Ok(before) = Bootstrap::at(told_path(), long()) else { return };
    let mut server = declared(Server::new(&task()).unwrap());
    match server.take_over(&before, long()) {
        Ok(locked) => {
            let _ = tell("listening".to_owned());
            server.serve();
            drop(locked);
        }
        Err(error) => drop(tell(error.to_string())),
    }
}

/// Writes a line into the journal, in one piece.
fn note(what: &str) {
    let path = told_path().with_file_name(JOURNAL);
    let mut journal = OpenOptions::new().append(true).create(true).open(path).unwrap();
    journal.write_all(format!("{what}\n").as_bytes()).unwrap();
}

fn started(name: &str) {
    note(&format!("started {} {name}", Life::told()));
}

/// Answers with its number, as long as there is a server.
fn serve(port: &ReceiveRight, server: &Bootstrap) {
    if server.right().notify_dead(port.make_send_once().unwrap()).is_err() {
        return;
    }
    while let Ok(mut request) = port.receive(Deadline::Never) {
        if request.notification().is_some() {
            return;
        }
        let answer = Message::new(std::process::id().to_string());
        let _ = request.reply(answer, long());
    }
}

#[test]
fn plain_part() {
    if acting(PLAIN) {
        started(PLAIN_NAME);
        let port = task().port(Capacity::Bounded(16));
        let server = parents_server();
        if server.check_in(PLAIN_NAME, &port, long()).is_ok() {
            serve(&port, &server);
        }
    }
}

#[test]
fn failing_part() {
    if acting(FAILS) {
        started(FAILING_NAME);
    }
}

/// Waits for [`GO`]. False where its server is gone.
fn is_let_go(server: &Bootstrap) -> bool {
    let mut watch = server.watch(GO).unwrap();
    loop {
        match watch.next(Deadline::Never) {
            Ok(NameState::Free) => {}
            Ok(_) => return true,
            // It was killed when the place was another's already, which is asked then.
            Err(BootstrapError::Died) if !server.right().is_dead() => {}
            Err(_) => return false,
        }
    }
}

#[test]
fn late_part() {
    if acting(LATE) {
        started(LATE_NAME);
        let port = task().port(Capacity::Bounded(16));
        let server = parents_server();
        if is_let_go(&server) && server.check_in(LATE_NAME, &port, long()).is_ok() {
            serve(&port, &server);
        }
    }
}

/// What a message is called.
fn first_word(body: &str) -> &str {
    body.split(' ').next().unwrap_or_default()
}

/// Notes each message that it is handed, then answers it. It attends again where its queue
/// has gone on to another server.
#[test]
fn worker_part() {
    if !acting(WORKER) {
        return;
    }
    started(QUEUE);
    let server = parents_server();
    if !is_let_go(&server) {
        return;
    }
    while let Ok(right) = server.attend(QUEUE, long()) {
        let Ok(mut jobs) = SharedReader::attach(&task(), right, 2, long()) else { continue };
        while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
            let body = String::from_utf8_lossy(job.message().body()).into_owned();
            note(&format!("handled {} {}", first_word(&body), job.redelivered()));
            let _ = job.reply(Message::new(first_word(&body).to_owned()), long());
        }
    }
}
