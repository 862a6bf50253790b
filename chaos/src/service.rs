//! A service that is killed again and again while clients use its queue.
//!
//! | module     | idea                                                    |
//! |------------|---------------------------------------------------------|
//! | [`worker`] | the service: writes down what it does, then answers     |
//! | [`client`] | calls and messages without an answer, each with a number |
//! | [`ledger`] | what the service did, held against what was sent        |
//!
//! The queue is one that a bootstrap server keeps. What is checked: each call is
//! answered once, with its own answer; each message that was accepted was worked on;
//! those of one client were, for the first time, in the order sent; and what was worked
//! on before says that it may be a replay.

pub(crate) mod client;
mod ledger;
pub(crate) mod worker;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use boot::Server;
use boot::admin::{Admin, ServicePhase};
use boot::service::ServiceFile;
use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Spawn, Task};
use rustix::process::{Pid, Signal, kill_process};

use self::ledger::Ledger;
use crate::chance::Chance;

/// The queue.
pub(crate) const QUEUE: &str = "chaos.jobs";

/// The right a client asks on whether to go on.
pub(crate) const GO_ON: &str = "go-on";

/// The variable that names the ledger's file, to the service.
pub(crate) const LEDGER: &str = "PILLARBOX_CHAOS_LEDGER";

/// How long nothing may happen before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills a service under load, and checks every call.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How often it is killed.
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// Clients at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// Where chance begins; another each time where none is given.
    #[arg(long)]
    seed: Option<u64>,
}

/// A step that failed, as a violation.
fn failed(what: &'static str) -> impl Fn(Box<dyn std::error::Error>) -> String {
    move |error| format!("{what}: {error}")
}

/// Runs it to its end.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let seed = options.seed.unwrap_or_else(|| crate::log::now_ns() % 1_000_000);
    let path = std::env::temp_dir().join(format!("pillarbox-chaos-{}.ledger", std::process::id()));
    let done = load(options, seed, &path);
    let ledger = Ledger::read(&path);
    // It is the last that is left of us.
    let _ = std::fs::remove_file(&path);
    let replay = format!("chaos service --kills {} --seed {seed}", options.kills);
    let (sent, starts) = done.map_err(|what| format!("{what}\nagain: {replay}"))?;
    let ledger = ledger.map_err(|error| format!("the ledger cannot be read: {error}"))?;
    let replays = ledger.check(&sent).map_err(|what| format!("{what}\nagain: {replay}"))?;
    let (calls, messages) =
        sent.iter().fold((0, 0), |sum, sent| (sum.0 + sent.calls, sum.1 + sent.messages));
    println!(
        "{} kills, {starts} starts, {} clients: {calls} calls answered, {messages} messages \
         worked on, {replays} replays told; seed {seed}",
        options.kills, options.clients,
    );
    Ok(())
}

/// What a client has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) client: u64,
    pub(crate) calls: u64,
    pub(crate) messages: u64,
}

/// Loads the service and kills it. Returns what was sent, and how often it started.
fn load(options: &Options, seed: u64, ledger: &Path) -> Result<(Vec<Sent>, u64), String> {
    let task = Task::current().map_err(|error| failed("no task")(error.into()))?;
    let own = std::env::current_exe().map_err(|error| failed("no program")(error.into()))?;
    let text = format!(
        "program = {own:?}\narguments = [\"service-worker\", \"--seed={seed}\"]\n\
         queues = [{QUEUE:?}]\nqueue_messages = 64\nthrottle = \"1ms\"\nback_off = \"1ms\"\n\
         back_off_most = \"5ms\"\n[environment]\n{LEDGER} = {:?}\n",
        ledger.display().to_string(),
    );
    let file = ServiceFile::read(&text).map_err(|wrong| format!("{wrong:?}"))?;
    let serving = Server::new(&task)
        .map_err(|error| failed("no server")(error.into()))?
        .service("worker", file)
        .map_err(|error| failed("no service")(error.into()))?
        .start()
        .map_err(|error| failed("no thread")(error.into()))?;
    let names = Bootstrap::new(serving.right().clone());
    let admin = Admin::new(&names);
    let asked = task.port(Capacity::Bounded(256));
    let mut clients = Clients::start(options.clients, seed, &own, &names, &asked)?;
    let mut killer = Killer { left: options.kills, chance: Chance::of(seed, 1), last: 0 };
    let mut sent = Vec::new();
    let mut quiet = Instant::now();
    while sent.len() < clients.0.len() {
        if killer.left > 0 {
            killer.look(&admin)?;
        }
        // sleep: chance decides when the next look for somebody to kill is
        let soon = Deadline::after(killer.chance.micros(4_000));
        let Ok(mut question) = asked.receive(soon) else {
            clients.look()?;
            if quiet.elapsed() > PATIENCE {
                let report = admin.services(Deadline::after(PATIENCE));
                return Err(format!("nothing happened for {PATIENCE:?}: {report:?}"));
            }
            continue;
        };
        quiet = Instant::now();
        let numbers: Vec<u64> = String::from_utf8_lossy(question.body())
            .split(' ')
            .filter_map(|number| number.parse().ok())
            .collect();
        let [client, calls, messages] = numbers[..] else {
            return Err("a client makes no sense".to_owned());
        };
        let goes_on = killer.left > 0;
        if !goes_on {
            sent.push(Sent { client, calls, messages });
        }
        let answer = if goes_on { "go" } else { "stop" };
        let _ = question.reply(Message::new(answer), Deadline::after(PATIENCE));
    }
    clients.end()?;
    let services = admin
        .services(Deadline::after(PATIENCE))
        .map_err(|error| failed("the server does not answer")(error.into()))?;
    let starts = services.first().map_or(0, |service| service.starts);
    let _ = serving.stop();
    Ok((sent, starts))
}

/// Kills the service, whoever it is, a moment after it was started.
struct Killer {
    left: u64,
    chance: Chance,
    last: u64,
}

impl Killer {
    fn look(&mut self, admin: &Admin) -> Result<(), String> {
        let services = admin
            .services(Deadline::after(PATIENCE))
            .map_err(|error| failed("the server does not answer")(error.into()))?;
        let Some(service) = services.into_iter().next() else { return Ok(()) };
        // Some die before they have checked in, most after.
        let ready = service.phase == ServicePhase::Up || self.chance.one_in(16);
        if service.starts == self.last || !ready {
            return Ok(());
        }
        let Some(pid) = service.pid.and_then(Pid::from_raw) else { return Ok(()) };
        // sleep: it is to have done something, and how much is chance
        std::thread::sleep(self.chance.micros(8_000));
        // It may have ended by itself; it is not reaped before this task's server knows.
        if kill_process(pid, Signal::KILL).is_ok() {
            self.last = service.starts;
            self.left -= 1;
        }
        Ok(())
    }
}

/// The clients' processes.
struct Clients(Vec<Child>);

impl Clients {
    fn start(
        count: u64,
        seed: u64,
        own: &Path,
        names: &Bootstrap,
        asked: &ReceiveRight,
    ) -> Result<Self, String> {
        let mut clients = Clients(Vec::new());
        for number in 0..count {
            let mut command = Command::new(own);
            command
                .args(["service-client", &format!("--number={number}"), &format!("--seed={seed}")])
                .stdin(Stdio::null());
            let go_on = asked.make_send().map_err(|error| failed("no right")(error.into()))?;
            let child = Spawn::new(command)
                .right(BOOTSTRAP, names.right().clone())
                .right(GO_ON, go_on)
                .spawn()
                .map_err(|error| failed("no client")(error.into()))?;
            clients.0.push(child);
        }
        Ok(clients)
    }

    /// Whether one has ended badly.
    fn look(&mut self) -> Result<(), String> {
        for client in &mut self.0 {
            if let Ok(Some(status)) = client.try_wait()
                && !status.success()
            {
                return Err(format!("a client ended with {status}"));
            }
        }
        Ok(())
    }

    /// Waits until all have ended.
    fn end(&mut self) -> Result<(), String> {
        for client in &mut self.0 {
            let status = client.wait().map_err(|error| failed("no end")(error.into()))?;
            if !status.success() {
                return Err(format!("a client ended with {status}"));
            }
        }
        Ok(())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &mut self.0 {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}
