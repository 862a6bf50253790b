//! A program that provides names when they are asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Instant;

use pillarbox::bootstrap::{BOOTSTRAP, Listed, SOCKET_VARIABLE};
use pillarbox::{SendRight, Spawn, Task, process_of};

use crate::cgroup::{Bounded, Leaf};
use crate::queues::QueueId;
use crate::running::Running;
use crate::service::ServiceFile;
use crate::supervision::{End, Rules, Supervision};

/// Which program of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProgramId(pub(crate) usize);

/// A process that was started, not reaped yet.
struct Started {
    number: u64,
    child: Running,
    /// What names its process among tasks.
    process: u64,
    /// Which names it has checked in so far.
    checked_in: BTreeSet<String>,
    /// The cgroup it is in, where that is its own.
    leaf: Option<Leaf>,
}

/// What a process is started with.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) task: &'a Task,
    pub(crate) right: &'a SendRight,
    /// Children count from 1.
    pub(crate) number: u64,
    /// Where the server listens.
    pub(crate) place: Option<&'a Path>,
    /// What it speaks into, if that is kept.
    pub(crate) log: Option<PipeWriter>,
    pub(crate) bounded: Bounded,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Reaped {
    /// Which names it had checked in.
    pub(crate) checked_in: BTreeSet<String>,
    /// What named its process among tasks.
    pub(crate) process: u64,
    pub(crate) reason: String,
}

/// A program, and the child that runs it now.
pub(crate) struct Program {
    command: Box<dyn FnMut(Option<File>) -> Result<Command, String> + Send>,
    /// What a service is called that was declared in a file.
    pub(crate) label: Option<Arc<str>>,
    /// What its file entitles it to.
    pub(crate) entitlements: Arc<[String]>,
    /// All that its bootstrap right leads to beside its own names, where its file says so.
    pub(crate) only: Option<Vec<Listed>>,
    /// That right, once there is one.
    pub(crate) restricted: Option<SendRight>,
    /// The names it provides, those of its queues among them.
    pub(crate) names: Vec<String>,
    /// Queues that are kept for it.
    pub(crate) queues: Vec<QueueId>,
    pub(crate) supervision: Supervision,
    started: Option<Started>,
    /// Its children lead a process group, which ends with them.
    leads: bool,
    /// What of what it says is kept, where anything is.
    pub(crate) log_bytes: Option<usize>,
    /// What declares it, where a file does.
    pub(crate) file: Option<Arc<ServiceFile>>,
    /// Its file is gone: it ends, and is not started again.
    pub(crate) withdrawn: bool,
}

impl fmt::Debug for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Program")
            .field("names", &self.names)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl Program {
    pub(crate) fn new(
        names: Vec<String>,
        mut command: impl FnMut() -> Command + Send + 'static,
    ) -> Self {
        Program {
            command: Box::new(move |_| Ok(command())),
            label: None,
            entitlements: Arc::default(),
            only: None,
            restricted: None,
            names,
            queues: Vec::new(),
            supervision: Supervision::new(Rules::default()),
            started: None,
            leads: false,
            log_bytes: None,
            file: None,
            withdrawn: false,
        }
    }

    /// One that was declared in a file.
    pub(crate) fn declared(label: String, file: ServiceFile, queues: Vec<QueueId>) -> Self {
        let file = Arc::new(file);
        Program {
            label: Some(label.into()),
            entitlements: file.entitlements.clone().into(),
            only: file.only.clone(),
            restricted: None,
            names: file.all_names().cloned().collect(),
            queues,
            supervision: Supervision::new(file.rules.clone()),
            log_bytes: Some(file.log_bytes),
            file: Some(Arc::clone(&file)),
            command: Box::new(move |door| file.command(door)),
            started: None,
            leads: true,
            withdrawn: false,
        }
    }

    /// Its file says something else now. The child that runs is what it was started as.
    pub(crate) fn declare_anew(&mut self, file: ServiceFile, queues: Vec<QueueId>) {
        let file = Arc::new(file);
        self.entitlements = file.entitlements.clone().into();
        self.names = file.all_names().cloned().collect();
        // The next child sees what the file lists now.
        self.only = file.only.clone();
        self.restricted = None;
        self.queues = queues;
        self.supervision.rule_by(file.rules.clone());
        self.log_bytes = Some(file.log_bytes);
        self.file = Some(Arc::clone(&file));
        self.command = Box::new(move |door| file.command(door));
    }

    /// What it is called in a log: its label, else the first of its names.
    pub(crate) fn called(&self) -> &str {
        self.label.as_deref().or(self.names.first().map(String::as_str)).unwrap_or_default()
    }

    /// The child that runs it.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.started.as_ref().and_then(|started| started.child.pid())
    }

    /// What names the process of that child among tasks.
    pub(crate) fn process(&self) -> Option<u64> {
        self.started.as_ref().map(|started| started.process)
    }

    /// Whether the child that runs it is the one with this number.
    pub(crate) fn is_child(&self, number: u64) -> bool {
        self.started.as_ref().is_some_and(|started| started.number == number)
    }

    /// The leaf it is started in, and its door. What is not in force is said in its log;
    /// where its file demands it, it is not started.
    fn enter(
        &mut self,
        bounded: Bounded,
        log: Option<&PipeWriter>,
    ) -> Result<(Option<Leaf>, Option<File>), String> {
        let reason = bounded.reason();
        let (leaf, door) = bounded.leaf.unzip();
        let Some(reason) = reason else { return Ok((leaf, door)) };
        if self.is_bound() {
            leaf.into_iter().for_each(Leaf::remove);
            return Err(self.not_started(&format!("it cannot be bounded: {reason}")));
        }
        if let Some(mut log) = log {
            // Its pipe is new, and has room for a line.
            let _ = writeln!(log, "pillarbox: it is not bounded as its file says: {reason}");
        }
        Ok((leaf, door))
    }

    /// Whether it is started within the bounds of its file or not at all.
    pub(crate) fn is_bound(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_bound())
    }

    /// Starts it with the bootstrap right, and with the path of the server in its
    /// environment: there it finds the next one, should this one be killed. `watch` is
    /// told of the child before anything else happens to it.
    pub(crate) fn start(
        &mut self,
        start: Start<'_>,
        watch: impl FnOnce(&Child) -> std::io::Result<()>,
    ) -> Result<(), String> {
        let Start { task, right, number, place, log, bounded } = start;
        let (leaf, door) = self.enter(bounded, log.as_ref())?;
        let mut command = match (self.command)(door) {
            Ok(command) => command,
            Err(reason) => {
                leaf.into_iter().for_each(Leaf::remove);
                return Err(self.not_started(&reason));
            }
        };
        if self.only.is_some() {
            // No server listens here: what it starts finds none, and not all of our names.
            command.env(SOCKET_VARIABLE, "/dev/null");
        } else if let Some(place) = place
            && !command.get_envs().any(|(name, value)| name == SOCKET_VARIABLE && value.is_some())
        {
            // It may be started elsewhere.
            command.env(SOCKET_VARIABLE, std::path::absolute(place).unwrap_or_default());
        }
        if self.leads {
            command.process_group(0);
        }
        if let Some(output) = log {
            match output.try_clone() {
                Ok(errors) => command.stdout(output).stderr(errors),
                Err(error) => {
                    leaf.into_iter().for_each(Leaf::remove);
                    return Err(self.not_started(&no_log(&error)));
                }
            };
        }
        let started = Spawn::new(command)
            .right(BOOTSTRAP, right.clone())
            .spawn_in(task)
            .map_err(|error| error.reason.to_string())
            .and_then(|child| match watch(&child).and_then(|()| process_of(&child)) {
                Ok(process) => Ok((child, process)),
                // Nobody would hear of its end.
                Err(error) => {
                    let mut child = Running::Child(child);
                    child.kill(self.leads);
                    let _ = child.reap();
                    Err(format!("its process could not be watched: {error}"))
                }
            });
        let now = Instant::now();
        match started {
            Ok((child, process)) => {
                let checked_in = BTreeSet::new();
                let child = Running::Child(child);
                self.started = Some(Started { number, child, process, checked_in, leaf });
                self.supervision.started(now);
                Ok(())
            }
            Err(reason) => {
                leaf.into_iter().for_each(Leaf::remove);
                Err(self.not_started(&reason))
            }
        }
    }

    /// It was not started. Returns the reason.
    pub(crate) fn not_started(&mut self, reason: &str) -> String {
        self.supervision.not_started(reason, Instant::now());
        reason.to_owned()
    }

    /// Its child has checked in `name`.
    pub(crate) fn checked_in(&mut self, name: &str) {
        if let Some(started) = &mut self.started {
            started.checked_in.insert(name.to_owned());
            self.supervision.checked_in(started.checked_in.len() >= self.names.len());
        }
    }

    /// It runs on, and is another server's now.
    pub(crate) fn let_go(&mut self) {
        self.started = None;
    }

    /// The process that runs it was started by the server before this one.
    pub(crate) fn adopt(
        &mut self,
        number: u64,
        child: Running,
        process: u64,
        checked_in: BTreeSet<String>,
        leaf: Option<Leaf>,
    ) {
        self.started = Some(Started { number, child, process, checked_in, leaf });
    }

    /// The process that runs it, what names it among tasks, and what it has checked in.
    pub(crate) fn running(&self) -> Option<(&Running, u64, &BTreeSet<String>)> {
        let started = self.started.as_ref()?;
        Some((&started.child, started.process, &started.checked_in))
    }

    /// What it is known by to the server after this one: its label, or its names.
    pub(crate) fn key(&self) -> (Option<&str>, &[String]) {
        match self.label.as_deref() {
            Some(label) => (Some(label), &[]),
            None => (None, &self.names),
        }
    }

    /// Whether its children lead a process group.
    pub(crate) const fn leads(&self) -> bool {
        self.leads
    }

    /// One that is declared no more, and runs until it has been ended.
    pub(crate) fn left_over(label: Option<String>, leads: bool) -> Self {
        let none = |_| Err("it is declared no more".to_owned());
        let mut program = Program::new(Vec::new(), || Command::new("/dev/null"));
        program.command = Box::new(none);
        program.label = label.map(Into::into);
        (program.leads, program.withdrawn) = (leads, true);
        program
    }

    /// Whether its child has checked in `name`.
    pub(crate) fn has_checked_in(&self, name: &str) -> bool {
        self.started.as_ref().is_some_and(|started| started.checked_in.contains(name))
    }

    /// Tells its child to end.
    pub(crate) fn terminate(&self) {
        if let Some(started) = &self.started {
            started.child.terminate();
        }
    }

    /// Kills its child.
    pub(crate) fn kill(&mut self) {
        if let Some(started) = &mut self.started {
            started.child.kill(self.leads);
            started.leaf.iter().for_each(Leaf::kill);
        }
    }

    /// Reaps the child, which has ended, and ends what it has left behind.
    pub(crate) fn reap(&mut self) -> Option<Reaped> {
        let mut started = self.started.take()?;
        if self.leads {
            started.child.kill(true);
        }
        let (status, success) = started.child.reap();
        started.leaf.take().into_iter().for_each(Leaf::remove);
        let was_ready = !started.checked_in.is_empty();
        let end = End { status: &status, success, was_ready };
        let reason = self.supervision.ended(end, Instant::now());
        let Started { checked_in, process, .. } = started;
        Some(Reaped { checked_in, process, reason })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(started) = &mut self.started {
            started.child.kill(self.leads);
            let _ = started.child.reap();
            started.leaf.take().into_iter().for_each(Leaf::remove_now);
        }
    }
}

/// Why there is no pipe for what a child says.
pub(crate) fn no_log(error: &std::io::Error) -> String {
    format!("there is no pipe for what it says: {error}")
}
