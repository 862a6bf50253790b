//! The life of tasks: how long a start takes, and how soon a death is told.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use boot::Server;
use pillarbox::bootstrap::{BOOTSTRAP, bootstrap};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Task};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use super::server::{BODY, SMALL, given, hello, patience};
use crate::child::{Casting, Child, Stage};
use crate::clock::{now_ns, sample, sampled};
use crate::figure::Slice;
use crate::place::Place;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of who is killed.
pub(super) const DIES: &str = "victim";
/// The part of a service with a name.
pub(super) const NAMED: &str = "service";
/// The part of who starts clients of it.
pub(super) const LAUNCHES: &str = "launcher";
/// The part of a client that starts, calls once, and says when it was answered.
pub(super) const STARTS: &str = "starter";

/// The name of the service.
const NAME: &str = "bench.echo";

struct Deaths {
    task: Task,
    inbox: ReceiveRight,
    notices: ReceiveRight,
    /// How long a stopped task must not be taken for dead: in a full run, once.
    stop: Option<Duration>,
    victim: Option<Child>,
}

impl Deaths {
    /// A task of another process, of whose death we are to be told.
    fn victim(&self) -> Result<(Child, SendRight)> {
        let parent = self.inbox.make_send()?;
        let casting = Casting::of(DIES, Place::Anywhere);
        let child = casting.start_from(&self.task, [("parent", parent)])?;
        let post = hello(&self.inbox)?;
        post.notify_dead(self.notices.make_send_once()?)?;
        Ok((child, post))
    }

    /// Nanoseconds from the kernel's hang-up, as a thread that sleeps on the same
    /// process sees it, to the notice.
    fn sample(&mut self) -> Result<u32> {
        let (child, _post) = self.victim()?;
        if let Some(span) = self.stop.take() {
            child.signal(Signal::STOP)?;
            ensure!(
                self.notices.receive(Deadline::after(span)).is_err(),
                "a task that was only stopped was told dead"
            );
            child.signal(Signal::CONT)?;
        }
        let ready = Barrier::new(2);
        let sample = thread::scope(|scope| -> Result<u32> {
            let hung_up = scope.spawn(|| {
                let socket = child.line.socket();
                ready.wait();
                poll(&mut [PollFd::new(&socket, PollFlags::HUP)], None).map(|_| Instant::now())
            });
            ready.wait();
            // Until that thread sleeps where it is to be woken.
            thread::sleep(Duration::from_micros(500));
            child.signal(Signal::KILL)?;
            let notice = self.notices.receive(patience())?;
            let told = Instant::now();
            ensure!(notice.notification().is_some(), "another message came");
            let hung_up = hung_up.join().map_err(|_| anyhow!("a thread panicked"))??;
            Ok(sample(told.saturating_duration_since(hung_up)))
        })?;
        self.victim = Some(child);
        Ok(sample)
    }
}

impl Contender for Deaths {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        sampled(span, || self.sample())
    }

    fn children(&self) -> Vec<&Child> {
        self.victim.iter().collect()
    }
}

impl Drop for Deaths {
    fn drop(&mut self) {
        self.task.close();
    }
}

/// Gives the parent a right and waits for its end.
pub(super) fn die(_: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    let inbox = task.port(Capacity::Bounded(1));
    let parent = given(&task, "parent")?;
    parent.send(Message::new("").with_right(inbox.make_send()?), patience())?;
    while inbox.receive(Deadline::Never).is_ok() {}
    Ok(())
}

/// Stopped tasks are watched for so long in a full run.
const FULL: Duration = Duration::from_secs(10);

pub(super) fn deaths(_: &Row, effort: &Effort) -> Result<Vec<Entrant>> {
    let task = Task::new();
    let (inbox, notices) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let stop = (effort.idle >= FULL).then_some(FULL);
    let ours = Deaths { task, inbox, notices, stop, victim: None };
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

/// A start costs the more, the more memory its parent has touched. So the parent is a
/// process of its own, whatever the rows before have left in ours.
struct Starts(Child);

impl Contender for Starts {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        sampled(span, || {
            self.0.line.say(1)?;
            let took = self.0.line.hear().context("the client was not answered")?;
            Ok(u32::try_from(took).unwrap_or(u32::MAX))
        })
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0]
    }
}

pub(super) fn starts(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let mut parent = Casting::of(LAUNCHES, Place::Anywhere).start()?;
    parent.line.hear().context("the service did not check in")?;
    Ok(vec![Entrant::new("pillarbox", Side::Ours, Starts(parent))])
}

/// Is the bootstrap server of a service, and starts a client whenever it is told to.
pub(super) fn launch(stage: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    let serving = Server::new(&task)?.start()?;
    let casting = Casting::of(NAMED, Place::Anywhere);
    let mut service = casting.start_from(&task, [(BOOTSTRAP, serving.right().clone())])?;
    service.line.hear().context("the service did not check in")?;
    stage.line.say(1)?;
    while stage.line.hear().is_ok() {
        let begun = now_ns();
        let right = serving.right().clone();
        let casting = Casting::of(STARTS, Place::Anywhere);
        let mut client = casting.start_from(&task, [(BOOTSTRAP, right)])?;
        let answered = client.line.hear().context("the client was not answered")?;
        stage.line.say(answered.saturating_sub(begun))?;
    }
    Ok(())
}

/// Checks in under a name and answers.
pub(super) fn serve(stage: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    let echo = task.port(Capacity::Bounded(16));
    bootstrap(patience())?.check_in(NAME, &echo, patience())?;
    stage.line.say(1)?;
    loop {
        let mut request = echo.receive(Deadline::Never)?;
        let answer = Message::new(request.body());
        request.reply(answer, Deadline::Never)?;
    }
}

/// Finds the service, calls it, and says when.
pub(super) fn start(stage: &mut Stage) -> Result<()> {
    let echo = bootstrap(patience())?.look_up(NAME, patience())?;
    let answer = echo.call(Message::new(BODY), patience())?;
    let answered = now_ns();
    ensure!(answer.body().len() == SMALL, "another answer came back");
    stage.line.say(answered)
}
