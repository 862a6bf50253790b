//! The parent: the bootstrap server of a private tree.
//!
//! It is told in code which program provides which name, and starts it when the
//! name is first looked up. It reads nothing of FILE. The client asks it for
//! what only a parent can do: kill a child, start a stranger, add up the memory
//! of all.

use std::fs::File;
use std::path::Path;
use std::process::{Child, ExitCode};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use pillarbox::bootstrap::BOOTSTRAP;
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Spawn, Task};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::ask::{self, FORGE, GUEST_NAME, KILL, Kill, MEMORY, Memory, PARENT, Target};
use super::clock::now_ns;
use super::peak::{Peak, Resident};
use super::{Role, children, forger, source};

/// How often the memory of all is added up.
const SAMPLE: Duration = Duration::from_millis(20);

/// How long a killed child may take to die. Its memory has to be freed first.
const DEATH: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// What the waiting thread says of the client. No peer can send it: nobody else
/// of this task has the right to.
const CLIENT_ENDED: i32 = i32::MIN;

/// Runs the demo.
pub(super) fn run(path: &Path, json: bool) -> Result<ExitCode> {
    let file = match source::open(path) {
        Ok(file) => file,
        Err(unreadable) => return Ok(unreadable.tell(json)),
    };
    let ended = with_tree(path, file, json);
    // On every way out: nothing of ours outlives us.
    children::end_all();
    ended
}

fn with_tree(path: &Path, file: File, json: bool) -> Result<ExitCode> {
    let task = Task::current()?;
    let program = std::env::current_exe().context("this program does not find itself")?;
    let mut server = boot::Server::new(&task)?;
    let counters = ask::counter_names().into_iter().map(|name| (name, Role::Counter));
    let guest = (GUEST_NAME.to_owned(), Role::Guest);
    for (name, role) in counters.chain([guest]) {
        let (program, own) = (program.clone(), name.clone());
        server = server.on_demand(&name, move || {
            let mut command = role.command(&program);
            command.args(["--name", &own]);
            command
        })?;
    }
    let serving = server.start()?;

    let inbox = task.port(Capacity::Bounded(4));
    let mut command = Role::Client.command(&program);
    command.arg(path).stdin(file);
    if json {
        command.arg("--json");
    }
    let client = Spawn::new(command)
        .right(BOOTSTRAP, serving.right().clone())
        .right(PARENT, inbox.make_send()?)
        .spawn()?;
    let watch = Watch::start();
    let waiting = wait_for(client, inbox.make_send()?);
    serve(&inbox, &watch, &program)?;
    waiting.join().map_err(|_| anyhow!("the waiting thread panicked"))?
}

/// Waits for the client in a thread, and says so to `inbox`.
fn wait_for(mut client: Child, inbox: SendRight) -> JoinHandle<Result<ExitCode>> {
    std::thread::spawn(move || {
        let ended = client.wait();
        let told = inbox.send(Message::new("").with_id(CLIENT_ENDED), Deadline::Never);
        let status = ended?;
        told?;
        let code = status.code().with_context(|| format!("the client has ended: {status}"))?;
        Ok(ExitCode::from(u8::try_from(code)?))
    })
}

/// Does what the client asks for, until it has ended.
fn serve(inbox: &ReceiveRight, watch: &Watch, program: &Path) -> Result<()> {
    let own = std::process::id();
    loop {
        let mut request = inbox.receive(Deadline::Never)?;
        let is_ours = request.sender().is_some_and(|sender| sender.pid.unsigned_abs() == own);
        match request.id() {
            CLIENT_ENDED if is_ours => return Ok(()),
            KILL => {
                let killed = kill(&request, watch);
                ask::answer(&mut request, killed);
            }
            FORGE => {
                let target = serde_json::from_slice::<Target>(request.body());
                let hired =
                    target.map_err(Into::into).and_then(|target| forger::hire(program, &target));
                ask::answer(&mut request, hired);
            }
            MEMORY => ask::answer(&mut request, Ok(watch.memory())),
            // Dropped without an answer, which tells whoever asked.
            _ => {}
        }
    }
}

/// Kills a child with SIGKILL and watches it die.
fn kill(request: &Message, watch: &Watch) -> Result<Kill> {
    let pid: i32 = serde_json::from_slice(request.body())?;
    let asker = request.sender().context("a request has a sender")?;
    let process = Pid::from_raw(pid).context("this is no pid")?;
    // Whatever the pid named before: from here on it is this process.
    let process = rustix::process::pidfd_open(process, PidfdFlags::empty())?;
    let ours = children::pids().contains(&pid.unsigned_abs());
    ensure!(ours && pid != asker.pid, "process {pid} is not one to kill");
    watch.sample();
    let resident_bytes = Resident::of(pid.unsigned_abs())?.now_bytes;
    let sent_ns = now_ns();
    rustix::process::pidfd_send_signal(&process, Signal::KILL)?;
    let mut polled = [PollFd::new(&process, PollFlags::IN)];
    let dead = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&DEATH)))?;
    let dead_ns = now_ns();
    ensure!(dead == 1, "process {pid} does not die");
    Ok(Kill { resident_bytes, sent_ns, dead_ns })
}

/// Adds up the memory of all processes, again and again.
#[derive(Debug)]
struct Watch {
    peak: Arc<Mutex<Sum>>,
    /// Dropped at the end, which the sampling thread sees.
    _over: Sender<()>,
}

#[derive(Debug)]
struct Sum {
    peak: Peak,
    processes: usize,
    samples: u64,
}

impl Watch {
    fn start() -> Watch {
        let (over, ending) = mpsc::channel();
        let peak = Arc::new(Mutex::new(Sum { peak: Peak::new(), processes: 0, samples: 0 }));
        let watch = Watch { peak: Arc::clone(&peak), _over: over };
        std::thread::spawn(move || {
            while ending.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                sample(&peak);
            }
        });
        watch
    }

    fn sample(&self) {
        sample(&self.peak);
    }

    fn memory(&self) -> Memory {
        self.sample();
        let sum = self.peak.lock().unwrap_or_else(PoisonError::into_inner);
        Memory {
            peak_bytes: sum.peak.sampled_bytes(),
            sum_of_peaks_bytes: sum.peak.marks_bytes(),
            processes: sum.processes,
            samples: sum.samples,
        }
    }
}

fn sample(sum: &Mutex<Sum>) {
    let mut pids = children::pids();
    pids.push(std::process::id());
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    // Where /proc cannot be read there is no figure, and the rest goes on.
    if sum.peak.sample(&pids).is_ok() {
        sum.processes = sum.processes.max(pids.len());
        sum.samples += 1;
    }
}
