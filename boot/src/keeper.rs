//! The loop: one message after the other, and never a wait for anybody.
//!
//! Every notification the library makes here is only a bell: that a port is
//! gone, that a child has ended, that we should stop. What happened is read from
//! the state, so a bell too many costs a look. What a peer *says* is a
//! notification is a request like any other, and a bad one.

mod choosing;
mod handing;
mod inheriting;
mod looking;
mod managing;
mod narrowing;
mod queueing;
mod reloading;
mod starting;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pillarbox::bootstrap::{Answer, Refused, Request, decode_request};
use pillarbox::{
    Deadline, Identity, Listening, Member, Message, Notification, PortSet, ReceiveError,
    ReceiveRight, SendOnceRight, SendRight, Task, TaskId, check_name,
};

use crate::Server;
use crate::admin;
use crate::answers::Answers;
use crate::audit::{Attempt, Audit};
use crate::authority::{Caller, Ground, Verdict, may_check_in};
use crate::cgroup::Cgroups;
use crate::event::Listener;
use crate::expected::Expected;
use crate::limits::REQUEST_BYTES;
use crate::logs::Logs;
use crate::names::Names;
use crate::orders::Orders;
use crate::program::{Program, ProgramId};
use crate::pulse::Pulse;
use crate::queues::{self, Queues};
use crate::reaper::Reaper;
use crate::seen::Seen;
use crate::server::Source;
use crate::step::{self, Rule, Step};
use crate::stopper::{Ended, Stopper};
use crate::subsets::{Subsets, View};
use crate::succession::Place;
use crate::supervision::{Doing, Due};
use crate::waits::Waits;
use crate::watches::Watches;
use handing::Leaving;
use narrowing::Pass;
use queueing::Attending;

/// Messages that are read before a bell is followed, where they keep coming:
/// many deaths at once cost one look.
const LOOK_AFTER: u32 = 64;

/// A server that runs. The fields are dropped in this order: nobody comes any
/// more, who waits is told, the port ends, then the children.
#[derive(Debug)]
pub(crate) struct Keeper {
    listening: Vec<Listening>,
    waits: Waits,
    watches: Watches,
    answers: Answers,
    set: PortSet,
    subsets: Subsets,
    port: ReceiveRight,
    member: Option<Member>,
    names: Names,
    programs: Vec<Program>,
    queues: Queues,
    attending: Vec<Attending>,
    orders: Orders,
    audit: Audit,
    /// The programs that run, by what names their processes among tasks.
    running: HashMap<u64, ProgramId>,
    seen: Seen,
    logs: Logs,
    reaper: Reaper,
    right: SendRight,
    task: Task,
    stopper: Stopper,
    idle: Option<Idle>,
    pulse: Option<Pulse>,
    told: Option<Listener>,
    source: Option<Source>,
    children: u64,
    bell: Option<u32>,
    ended: Option<Ended>,
    /// Who is to take our place.
    leaving: Option<Leaving>,
    /// What the restricted rights led to that were sent to it, by their ports.
    packed: HashMap<u64, Arc<View>>,
    /// Who had it before us.
    before: Option<TaskId>,
    expected: Expected,
    place: Option<Place>,
    owned: Vec<PathBuf>,
    cgroups: Result<Cgroups, String>,
}

impl Keeper {
    pub(crate) fn new(server: Server) -> Self {
        let Server { task, port, right, stopper, names, queues, programs, listening, .. } = server;
        let (set, subsets) = (task.port_set(), Subsets::default());
        // It fails only in a forked child, where nothing is received either.
        let member = set.add(&port).ok();
        let mut keeper = Keeper {
            member,
            listening,
            watches: Watches::default(),
            set,
            subsets,
            waits: Waits::default(),
            answers: Answers::default(),
            port,
            names,
            programs,
            queues,
            attending: Vec::new(),
            orders: Orders::default(),
            audit: Audit::default(),
            running: HashMap::new(),
            seen: Seen::default(),
            logs: Logs::default(),
            reaper: Reaper::default(),
            right,
            task,
            stopper,
            idle: server.idle_exit.map(Idle::new),
            pulse: server.pulse,
            told: server.told,
            source: server.source,
            children: 0,
            bell: None,
            ended: None,
            leaving: None,
            packed: HashMap::new(),
            before: None,
            expected: Expected::default(),
            place: server.place,
            owned: server.owned,
            cgroups: server.cgroups,
        };
        if let Some(inherited) = server.inherited {
            keeper.inherit(inherited);
        }
        server.shut.iter().for_each(|why| keeper.tell_shut(why));
        keeper
    }

    pub(crate) fn run(mut self) -> Ended {
        self.do_what_is_due(Instant::now());
        loop {
            step::before(Step::Wait);
            match self.set.receive(self.deadline()) {
                Ok((member, message)) => self.take(member.port(), message),
                Err(ReceiveError::Deadline) => self.look(),
                Err(_) => return Ended::Forked,
            }
            self.do_what_is_due(Instant::now());
            if self.stopper.is_asked() {
                self.ended = Some(Ended::Stopped);
            }
            if let Some(ended) = self.ended {
                for path in self.owned.drain(..) {
                    step::before(Step::Close);
                    // Somebody may have removed it already.
                    let _ = std::fs::remove_file(path);
                }
                self.listening.clear();
                return ended;
            }
        }
    }

    /// How long the next message may take.
    fn deadline(&self) -> Deadline {
        if self.bell.is_some() {
            return Deadline::Now;
        }
        let idle = self.idle.as_ref().map(|idle| idle.next);
        let pulse = self.pulse.as_ref().map(Pulse::next);
        let leaves = self.leaving.as_ref().map(|leaving| leaving.until);
        let comes = self.expected.until();
        let dues = [self.waits.next_due(), self.answers.next_due(), idle, pulse, leaves, comes];
        let mut first = dues.into_iter().flatten().min();
        for program in &self.programs {
            match program.supervision.due() {
                Due::Never => {}
                Due::Now => return Deadline::Now,
                Due::At(due) => first = Some(first.map_or(due, |first| first.min(due))),
            }
        }
        first.map_or(Deadline::Never, Deadline::At)
    }

    fn do_what_is_due(&mut self, now: Instant) {
        for reply in self.waits.take_late(now) {
            self.answers.refuse(Some(reply), Refused::Deadline);
        }
        self.answers.retry(now);
        self.reaper.forget(&self.expected.take_late(now));
        for name in self.names.take_changed() {
            self.tell_watchers(&name);
        }
        self.look_after_queues(now);
        for id in 0..self.programs.len() {
            self.supervise(ProgramId(id), now);
        }
        if let Some(pulse) = &mut self.pulse {
            pulse.turn(now);
        }
        if let Some(idle) = &mut self.idle
            && idle.next <= now
            && idle.is_over(now, self.task.peers().is_empty() && !self.queues.hold_anything())
        {
            self.ended = Some(Ended::Idle);
        }
        if self.leave(now) {
            // The queues go on, and their bell may have been rung and heard already.
            self.do_what_is_due(now);
        }
    }

    /// Takes what has come to this port: our own, or that of a restricted right.
    fn take(&mut self, port: u64, message: Message) {
        step::before(Step::Take);
        let bell = if message.sender().is_some() {
            self.take_request(port, message);
            self.bell
        } else {
            match message.completion() {
                // The queues are looked after in any case.
                Some(queues::NEWS) => self.bell,
                Some(over) if self.subsets.port(over).is_some() => {
                    // Not where the request was taken back.
                    if message.notification() == Some(Notification::NoSenders) {
                        self.subset_is_over(over);
                    }
                    self.bell
                }
                _ => Some(self.bell.unwrap_or(0)),
            }
        };
        match bell {
            Some(passed) if passed >= LOOK_AFTER => self.look(),
            bell => self.bell = bell.map(|passed| passed + 1),
        }
    }

    fn take_request(&mut self, port: u64, mut message: Message) {
        let Some(sender) = message.sender() else { return };
        let reply = message.take_reply();
        if self.before == Some(sender.task) {
            // It came through the server before us, and nobody knows who has sent it.
            return self.ask_again(&message, reply);
        }
        let caller = self.caller(port, sender);
        if message.id() == admin::ID {
            self.manage(message, &caller, reply);
        } else {
            self.answer(message, &caller, reply);
        }
    }

    /// Who has sent a message: what the kernel says of it, and what our files say of the
    /// program it is, if we have started it.
    fn caller(&self, port: u64, sender: Identity) -> Caller {
        let view = self.subsets.view(port).cloned();
        let stranger = Caller { view, ..Caller::stranger(sender, self.task.identity().uid) };
        let id = self.running.get(&sender.task.process).copied();
        match id.and_then(|id| self.programs.get(id.0)) {
            Some(program) => Caller {
                program: id,
                service: program.label.clone(),
                entitlements: Arc::clone(&program.entitlements),
                ..stranger
            },
            None => stranger,
        }
    }

    // ---- requests ------------------------------------------------------------

    fn answer(&mut self, mut message: Message, caller: &Caller, reply: Option<SendOnceRight>) {
        let (mut asked, looking) = match read(&mut message) {
            Ok((request, right, looking)) => (Ok((request, right)), looking),
            Err(reason) => (Err(reason), None),
        };
        let pass = match &mut asked {
            Ok((request, _)) => {
                self.choose(request, caller);
                match self.pass(request, caller) {
                    Ok(pass) => pass,
                    Err(reason) => return self.answers.refuse(reply, reason),
                }
            }
            Err(_) => Pass::default(),
        };
        let outcome = match asked {
            Ok((Request::CheckIn { name }, Some(right))) => self.check_in(&name, right, caller),
            Ok((Request::Register { name }, Some(right))) => {
                self.hold(&name, Attempt::Register, right, caller)
            }
            Ok((Request::Unregister { name }, None)) => self.unregister(&name, caller),
            Ok((Request::LookUp { name, start, wait_ns }, None)) => {
                let patience = start.then_some(wait_ns);
                self.look_up(&name, patience, caller, pass, reply);
                return;
            }
            Ok((Request::Watch { name, known }, None)) => {
                self.watch(&name, known, caller, &pass, reply);
                return;
            }
            Ok((Request::Subset { names }, None)) => {
                self.subset(&names, caller, reply);
                return;
            }
            Ok((Request::Attend { name }, None)) => {
                self.see_child(looking, caller);
                self.attend(&name, caller, reply);
                return;
            }
            Ok((Request::List { after }, None)) => {
                self.list(after.as_deref(), caller, reply);
                return;
            }
            Ok((Request::Stop, None)) => self.stop(caller),
            Ok(_) => Err(Refused::BadRequest),
            Err(reason) => Err(reason),
        };
        if let (Ok(()), Some(looking)) = (&outcome, looking) {
            self.seen.note(looking, caller.who);
        }
        match outcome {
            Ok(()) => self.answers.send(reply, &Answer::Done),
            Err(reason) => self.answers.refuse(reply, reason),
        }
    }

    fn check_in(&mut self, name: &str, right: SendRight, caller: &Caller) -> Result<(), Refused> {
        // Ready is who reads the port, and nobody else can say so.
        if !right.is_dead() && right.owner() != Some(caller.who.task) {
            return self.decided(caller, Attempt::CheckIn, name, Err(Ground::Owner));
        }
        self.hold(name, Attempt::CheckIn, right, caller)
    }

    /// Keeps what was decided for the audit.
    fn decided(
        &mut self,
        caller: &Caller,
        attempt: Attempt,
        name: &str,
        verdict: Verdict,
    ) -> Result<(), Refused> {
        if step::holds(Rule::DecisionsAreKept) {
            self.audit.note(caller, attempt, name, &verdict);
        }
        verdict.map(|_| ()).map_err(|ground| ground.refusal())
    }

    fn hold(
        &mut self,
        name: &str,
        attempt: Attempt,
        right: SendRight,
        caller: &Caller,
    ) -> Result<(), Refused> {
        let verdict = self.may_take(name, caller);
        self.decided(caller, attempt, name, verdict)?;
        let program = self.names.get(name).and_then(|known| known.program);
        if right.is_dead() {
            // It was ready, and ended before we heard of it.
            self.names.free(name);
            return Ok(());
        }
        if self.names.hold(name, right.clone(), caller.who)?
            && let Ok(bell) = self.port.make_send_once()
        {
            step::before(Step::Arm);
            // It fails only in a forked child, which does not come here.
            let _ = right.notify_dead(bell);
        }
        if let Some(id) = program.filter(|_| program == caller.program) {
            self.is_ready(id, name);
        }
        for reply in self.waits.take(name) {
            self.send_right(Some(reply), right.clone());
        }
        Ok(())
    }

    /// A program has checked in.
    fn is_ready(&mut self, id: ProgramId, name: &str) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        program.checked_in(name);
        if program.supervision.doing(Instant::now()) == Doing::Up {
            self.orders.up(id, program.supervision.starts());
        }
    }

    /// Whether the caller may put a right under `name`.
    fn may_take(&mut self, name: &str, caller: &Caller) -> Verdict {
        let Some(known) = self.names.get(name) else {
            return may_check_in(None, None, name, caller);
        };
        if known.queue.is_some() {
            return Err(Ground::Queue);
        }
        let ground = may_check_in(known.guard.as_deref(), known.program, name, caller)?;
        let other = known.holder.as_ref().filter(|holder| !holder.is(caller.who.task));
        let Some(holder) = other else { return Ok(ground) };
        let other = holder.who;
        // Who has followed the port of the server before us is linked with us soon.
        let is_expected = holder.expected.is_some_and(|until| Instant::now() < until);
        let lives = is_expected
            || other.task == self.task.identity().task
            || self.task.peers().iter().any(|peer| peer.identity().task == other.task);
        if lives && step::holds(Rule::OneHolder) {
            Err(Ground::Held(other.pid))
        } else {
            Ok(ground)
        }
    }

    fn unregister(&mut self, name: &str, caller: &Caller) -> Result<(), Refused> {
        let holder = self.names.get(name).and_then(|known| known.holder.as_ref());
        let own = holder.ok_or(Refused::NoSuchName)?.is(caller.who.task);
        let verdict = if own { Ok(Ground::Holder) } else { Err(Ground::Holder) };
        self.decided(caller, Attempt::Unregister, name, verdict)?;
        self.names.free(name);
        Ok(())
    }

    fn stop(&mut self, caller: &Caller) -> Result<(), Refused> {
        self.decided(caller, Attempt::End, "", caller.may_order())?;
        self.ended = Some(Ended::Stopped);
        Ok(())
    }
}

/// A request, the right it is about, and one to look at who asks.
type Asked = (Request, Option<SendRight>, Option<SendRight>);

/// Reads a request, and the rights that came with it.
fn read(message: &mut Message) -> Result<Asked, Refused> {
    let long = message.body().len() > REQUEST_BYTES;
    if long || message.is_body_lost() || !message.descriptors().is_empty() {
        return Err(Refused::BadRequest);
    }
    let request = decode_request(message)?;
    match &request {
        Request::CheckIn { name }
        | Request::Register { name }
        | Request::Unregister { name }
        | Request::Attend { name }
        | Request::Watch { name, .. }
        | Request::LookUp { name, .. }
        | Request::List { after: Some(name) } => {
            check_name(name.as_bytes()).map_err(|_| Refused::BadName)?;
        }
        _ => {}
    }
    // How many the request is about, and may come in all.
    let (about, most) = match &request {
        Request::CheckIn { .. } | Request::Register { .. } => (1, 2),
        Request::Attend { .. } => (0, 1),
        _ => (0, 0),
    };
    let rights = message.take_rights();
    if rights.len() < about || rights.len() > most {
        return Err(Refused::BadRequest);
    }
    let mut rights = rights.into_iter().map(pillarbox::Right::into_send);
    let mut next = || rights.next().transpose().map_err(|_| Refused::BadRequest);
    let right = if about > 0 { next()? } else { None };
    Ok((request, right, next()?))
}

/// When there has been nobody long enough.
#[derive(Debug)]
struct Idle {
    span: Duration,
    /// Since when there has been nobody, as far as was looked.
    since: Option<Instant>,
    next: Instant,
}

impl Idle {
    fn new(span: Duration) -> Self {
        let now = Instant::now();
        // A span the clock cannot say never ends; a year is as good.
        let span = span.min(Duration::from_secs(365 * 24 * 3600));
        Idle { span, since: Some(now), next: now + span }
    }

    /// Notes whether anybody is there, and when to look again.
    fn is_over(&mut self, now: Instant, nobody: bool) -> bool {
        if !nobody {
            self.since = None;
            self.next = now + (self.span / 8).max(Duration::from_millis(1));
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.next = since + self.span;
        self.next <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_over_a_span_after_the_last_look_that_found_somebody() {
        let span = Duration::from_secs(8);
        let mut idle = Idle::new(span);
        let start = idle.next - span;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!idle.is_over(at(1), false));
        assert_eq!(idle.next, at(2));
        assert!(!idle.is_over(at(2), true));
        assert_eq!(idle.next, at(10));
        assert!(!idle.is_over(at(9), true));
        assert!(idle.is_over(at(10), true));
    }

    #[test]
    fn another_user_does_not_stop_the_server() {
        let task = Task::new();
        let mut keeper = Keeper::new(Server::new(&task).unwrap());
        let own = task.identity();
        let other = keeper.caller(0, Identity { uid: own.uid + 1, ..own });
        let told = keeper.stop(&other).unwrap_err().to_string();
        assert_eq!(told, format!("not allowed: orders are for user {}", own.uid));
        assert_eq!(keeper.ended, None);
        assert_eq!(keeper.stop(&keeper.caller(0, own)), Ok(()));
        assert_eq!(keeper.ended, Some(Ended::Stopped));
    }
}
