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
//! | the bootstrap server | who holds a right still calls; when nobody holds    |
//! |                      | one any more, nothing can reach us, and we end      |

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, Task, interface};
use serde::Serialize;

use crate::argument;
use crate::failure::{Failure, Kind};
use crate::keeper::Keeper;
use crate::output;
use crate::reply;
use crate::run::{Program, code};
use crate::server::Place;
use crate::stream::Stream;

/// Messages that wait for a worker.
const QUEUE: u32 = 128;

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

Where no bootstrap server runs, one is started, which ends 5 s after its last
connection. If the server dies, those who hold a right still call; serve ends
with code 67 when nobody does.

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
    let port = task.port(Capacity::Bounded(QUEUE));
    let _server = place.check_in(&name, &port)?;
    let unwatched = |error| Failure::system("the mailbox cannot be watched", error);
    port.notify_no_senders(port.make_send_once().map_err(unwatched)?).map_err(unwatched)?;
    ready(arguments, &name)?;
    let service = Service {
        name: &name,
        port: &port,
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
                if message.notification() == Some(Notification::NoSenders) {
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
            let answer = self.answer(&message, stream.as_mut());
            if message.reply_right().is_some() {
                // The caller may be gone, or not take it; that is its own affair.
                let _ = message.reply(answer, Deadline::after(REPLYING));
            }
        }
        // The next worker sees it too.
        self.wake_one();
    }

    fn answer(&self, message: &Message, stream: Option<&mut Stream<'_>>) -> Message {
        if message.is_body_lost() {
            return reply::refused(
                "the body could not be mapped: too little memory or descriptors",
            );
        }
        // Who asks what we understand wants no run.
        if interface::LIBRARY_IDS.contains(&message.id()) {
            return reply::refused("it runs a program, and has no interface");
        }
        // A run that nobody keeps would outlive us.
        if self.keeper.lock().unwrap_or_else(PoisonError::into_inner).is_gone() {
            let what = "the keeper of the runs was killed";
            self.end_with(Failure::new(Kind::System, what));
            return reply::refused(what);
        }
        let answer = match stream {
            Some(stream) => stream.exchange(message.body()),
            None => self.run_once(message.body()),
        };
        answer.unwrap_or_else(|error| {
            reply::refused(&format!("{} could not be started: {error}", self.program.name()))
        })
    }

    fn run_once(&self, input: &[u8]) -> std::io::Result<Message> {
        Ok(match self.program.start()?.finish(input) {
            Ok((status, said)) => reply::ended(code(status), said.stdout, said.stderr),
            Err(error) => reply::refused(&error.to_string()),
        })
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
