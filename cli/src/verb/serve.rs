//! `pillarbox serve`: any program becomes a service.
//!
//! Each message is one run of the command: its body is the standard input, the
//! standard output is the reply; exit status and standard error reach the
//! caller with it (`reply.rs` says how). A message that asks for no reply is a
//! run too, whose output is dropped. With `--stream` one run answers many
//! messages, line by line (`stream.rs`).
//!
//! | what ends            | what happens                                        |
//! |----------------------|-----------------------------------------------------|
//! | the caller           | its run goes on to its end                          |
//! | we, however          | all runs are killed (`keeper.rs`); callers are told |
//! | the bootstrap server | who holds a right still calls; the name is checked  |
//! |                      | in at the next server; where none comes and nobody  |
//! |                      | holds a right, nothing can reach us, and we end     |

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pillarbox::shared::SharedReader;
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, Task, interface};
use serde::Serialize;

use crate::argument;
use crate::failure::{Failure, Kind};
use crate::keeper::Keeper;
use crate::output;
use crate::reply;
use crate::run::{Program, code};
use crate::server::Place;
use crate::standing::Standing;
use crate::stream::Stream;

/// Messages that wait for a worker.
const QUEUE: u32 = 128;

/// How long the server may take until it lets a queue be read.
const ATTENDING: Duration = Duration::from_secs(30);

/// How long a caller may have no room for its reply.
const REPLYING: Duration = Duration::from_secs(10);

/// The most workers: each is a thread and a process.
const WORKERS: i64 = 1024;

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
Every message is one run of CMD: the body is its standard input, its standard
output is the reply, its exit code and standard error reach the caller. A
message that asks for no reply is a run too; its output is dropped. A caller
that leaves does not end its run. When serve ends, by Ctrl-C or kill -9, so do
its runs, and callers are told at once.

With --stream each worker keeps one CMD running: the lines of a body are written
to it, and exactly as many lines are read back. CMD must answer each line with
one line and not hold it back: `jq --unbuffered -c .x`, `sed -u`, `grep
--line-buffered`, or `stdbuf -oL CMD`. If it ends in the middle, that caller is
refused and the next one finds a new CMD.

With --kept NAME is a queue that the bootstrap server keeps for a declared service
(`queues` in its file), and this is that service. What was not answered when it ended
is run again by its successor, so CMD must bear to be run twice.

Where no bootstrap server runs, one is started, which ends 5 s after its last
connection. If the server dies, those who hold a right still call, and the name is
checked in at the next server there; serve ends with code 67 when none has come for 5 s
and nobody holds a right.

Examples:
  pillarbox serve upper -- tr a-z A-Z
  pillarbox serve sha256 --workers 4 -- sha256sum
  pillarbox serve names --stream -- jq --unbuffered -r .name

JSON, one object when ready: {\"ok\":true,\"name\":\"upper\",\"pid\":812,\"workers\":1}.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The name of the service
    name: OsString,
    /// Run at most N at a time
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=WORKERS))]
    workers: u32,
    /// Keep CMD running and exchange lines
    #[arg(long)]
    stream: bool,
    /// Read a queue that the server keeps for this service
    #[arg(long)]
    kept: bool,
    /// Print one object when ready
    #[arg(long)]
    pub(crate) json: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Ready<'a> {
    ok: bool,
    name: &'a str,
    pid: u32,
    workers: u32,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let name = argument::name(&arguments.name)?;
    let keeper = Keeper::start()?;
    let program = Program::find(&arguments.command, place, keeper.group())?;
    let task =
        Task::current().map_err(|error| Failure::system("there is no task to serve", error))?;
    if arguments.kept {
        return kept(arguments, place, &name, &task, keeper, &program);
    }
    let port = Arc::new(task.port(Capacity::Bounded(QUEUE)));
    let standing = Standing::keep(&name, &port, place.check_in(&name, &port)?)?;
    ready(arguments, &name)?;
    let service = Service {
        name: &name,
        port: &port,
        standing: &standing,
        program: &program,
        stream: arguments.stream,
        keeper: Mutex::new(keeper),
        end: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        for _ in 1..arguments.workers {
            let worker = std::thread::Builder::new().name("worker".to_owned());
            if let Err(error) = worker.spawn_scoped(scope, || service.work()) {
                service.end_with(Failure::system("a worker cannot be started", error));
            }
        }
        service.work();
    });
    let end = service.end.into_inner().unwrap_or_else(PoisonError::into_inner);
    end.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Serves a queue that the server keeps.
fn kept(
    arguments: &Arguments,
    place: &Place,
    name: &str,
    task: &Task,
    keeper: Keeper,
    program: &Program,
) -> Result<ExitCode, Failure> {
    let server = place.reach(Deadline::after(ATTENDING))?;
    let queue = Queue { program, stream: arguments.stream, keeper: Mutex::new(keeper) };
    let mut begun = false;
    loop {
        let deadline = Deadline::after(ATTENDING);
        let right = match server.attend(name, deadline) {
            Ok(right) => right,
            // The queue is there no more.
            Err(_) if begun => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(Failure::bootstrap(error, &place.path())),
        };
        let mut readers = Vec::new();
        for _ in 0..arguments.workers {
            // Each holds one message at a time: what it has not begun is another's.
            let reader =
                SharedReader::attach(task, right.clone(), 1, deadline).map_err(|error| {
                    Failure::new(Kind::Refused, "the queue is not to be read").because(error)
                })?;
            readers.push(reader);
        }
        if !std::mem::replace(&mut begun, true) {
            ready(arguments, name)?;
        }
        work(&queue, readers)?;
        // Where the server lives on, the queue has gone on to its successor.
        if server.right().is_dead() {
            return Err(Failure::new(Kind::Died, format!("nobody can reach {name} any more"))
                .because("the bootstrap server is gone, which kept the queue"));
        }
    }
}

/// Reads a queue with all its readers, until it ends.
fn work(queue: &Queue<'_>, mut readers: Vec<SharedReader>) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        let last = readers.pop();
        for reader in readers {
            let worker = std::thread::Builder::new().name("worker".to_owned());
            match worker.spawn_scoped(scope, || queue.work(reader)) {
                Ok(worker) => workers.push(worker),
                // Its reader is gone with it; the others do its work.
                Err(error) => output::say(&format!("a worker cannot be started: {error}")),
            }
        }
        let mut ended = last.map_or(Ok(()), |reader| queue.work(reader));
        for worker in workers {
            ended = ended.and(worker.join().unwrap_or(Ok(())));
        }
        ended
    })
}

fn ready(arguments: &Arguments, name: &str) -> Result<(), Failure> {
    let pid = std::process::id();
    if arguments.json {
        let _ = output::json(&Ready { ok: true, name, pid, workers: arguments.workers })?;
    } else {
        output::say(&format!("serving {name}"));
    }
    Ok(())
}

/// What the workers share.
#[derive(Debug)]
struct Service<'a> {
    name: &'a str,
    port: &'a ReceiveRight,
    standing: &'a Standing,
    program: &'a Program,
    stream: bool,
    keeper: Mutex<Keeper>,
    /// Why all of it ends.
    end: Mutex<Option<Failure>>,
}

impl Service<'_> {
    fn work(&self) {
        let mut stream = self.stream.then(|| Stream::new(self.program));
        while let Ok(mut message) = self.port.receive(Deadline::Never) {
            if self.is_ending() {
                break;
            }
            if message.sender().is_none() {
                let unsent = message.notification() == Some(Notification::NoSenders);
                if unsent && self.standing.is_over() {
                    self.end_with(
                        Failure::new(
                            Kind::Died,
                            format!("nobody can reach {} any more", self.name),
                        )
                        .because("the bootstrap server is gone, and nobody else holds a right"),
                    );
                    break;
                }
                continue;
            }
            let answer = match answer(self.program, &self.keeper, &message, stream.as_mut()) {
                Ok(answer) => answer,
                Err(Unkept) => {
                    self.end_with(Failure::new(Kind::System, UNKEPT));
                    reply::refused(UNKEPT)
                }
            };
            if message.reply_right().is_some() {
                // The caller may be gone, or not take it; that is its own affair.
                let _ = message.reply(answer, Deadline::after(REPLYING));
            }
        }
        // The next worker sees it too.
        self.wake_one();
    }

    fn is_ending(&self) -> bool {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn end_with(&self, failure: Failure) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.wake_one();
    }

    /// A message of our own, so that a worker looks up.
    fn wake_one(&self) {
        if let Ok(bell) = self.port.make_send_once() {
            let _ = bell.send(Message::default(), Deadline::Never);
        }
    }
}

/// What the workers of a queue share.
#[derive(Debug)]
struct Queue<'a> {
    program: &'a Program,
    stream: bool,
    keeper: Mutex<Keeper>,
}

impl Queue<'_> {
    /// Works until the queue has ended here, or the keeper of the runs.
    fn work(&self, mut reader: SharedReader) -> Result<(), Failure> {
        let mut stream = self.stream.then(|| Stream::new(self.program));
        while let Ok(Some(delivery)) = reader.receive(Deadline::Never) {
            let message = delivery.message();
            let wanted = message.reply_right().is_some();
            let Ok(answer) = answer(self.program, &self.keeper, message, stream.as_mut()) else {
                // It goes back, to be run by our successor.
                return Err(Failure::new(Kind::System, UNKEPT));
            };
            // Where the server cannot be told it goes back, too.
            if wanted {
                let _ = delivery.reply(answer, Deadline::after(REPLYING));
            } else {
                let _ = delivery.acknowledge(Deadline::after(REPLYING));
            }
        }
        Ok(())
    }
}

/// The keeper of the runs was killed: a run would outlive us.
#[derive(Debug)]
struct Unkept;

const UNKEPT: &str = "the keeper of the runs was killed";

/// Runs the program for a message.
fn answer(
    program: &Program,
    keeper: &Mutex<Keeper>,
    message: &Message,
    stream: Option<&mut Stream<'_>>,
) -> Result<Message, Unkept> {
    if message.is_body_lost() {
        let why = "the body could not be mapped: too little memory or descriptors";
        return Ok(reply::refused(why));
    }
    // Who asks what we understand wants no run.
    if interface::LIBRARY_IDS.contains(&message.id()) {
        return Ok(reply::refused("it runs a program, and has no interface"));
    }
    if keeper.lock().unwrap_or_else(PoisonError::into_inner).is_gone() {
        return Err(Unkept);
    }
    let answer = match stream {
        Some(stream) => stream.exchange(message.body()),
        None => run_once(program, message.body()),
    };
    Ok(answer.unwrap_or_else(|error| {
        reply::refused(&format!("{} could not be started: {error}", program.name()))
    }))
}

fn run_once(program: &Program, input: &[u8]) -> std::io::Result<Message> {
    Ok(match program.start()?.finish(input) {
        Ok((status, said)) => reply::ended(code(status), said.stdout, said.stderr),
        Err(error) => reply::refused(&error.to_string()),
    })
}
