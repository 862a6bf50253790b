//! A place with a server in it, two tasks that stay, and what both were told.

use std::process::ExitStatus;

use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap, BootstrapError, Refused};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Right, SendRight, Spawn, Task};

use super::check::{History, Kind, Violation};
use super::family::placed::{kill, part, path};
use super::family::{Place, Reaped, task};
use super::parts::{SERVER, SUCCESSOR};
use super::plan::{BREAKS, KILL_AT, LAST_STEP, STEPS};
use super::{Plan, Victim};
use crate::audit::Attempt;
use crate::step::Step;

/// The variable that tells a process which server it comes from.
const LIFE: &str = "PILLARBOX_TEST_LIFE";

/// Servers of a world are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Life(pub(super) u32);

impl Life {
    /// That of this process.
    pub(super) fn told() -> u32 {
        std::env::var(LIFE).unwrap().parse().unwrap()
    }
}

/// Which of the two tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    One,
    Two,
}

/// A task that outlives every server, and puts its names there again.
#[derive(Debug)]
struct Party {
    task: Task,
    names: Bootstrap,
    held: Vec<(String, ReceiveRight)>,
}

/// What a successor has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Serves,
    Refuses(String),
    /// It was killed.
    Nothing,
}

/// The world.
#[derive(Debug)]
pub(super) struct World {
    pub(super) place: Place,
    plan: Plan,
    server: Reaped,
    pub(super) life: Life,
    /// Grows with each that is started where none is; a successor goes on with a line.
    pub(super) line: u32,
    parties: [Party; 2],
    pub(super) history: History,
}

/// Starts a process that serves there. None where it did not come so far as to say so.
fn start(name: &str, place: &Place, life: Life, plan: Plan, dies: bool) -> (Reaped, Said) {
    let mut command = part(name, place);
    command.env(LIFE, life.0.to_string());
    if dies {
        let (kind, number) = plan.at;
        let number = number.map(|number| number.to_string()).unwrap_or_default();
        command.env(KILL_AT, format!("{kind:?} {number}"));
    }
    if let Some(rule) = plan.broken {
        command.env(BREAKS, format!("{rule:?}"));
    }
    let told = task().port(Capacity::Bounded(2));
    let to = told.make_send().unwrap();
    told.notify_no_senders(told.make_send_once().unwrap()).unwrap();
    let server = Reaped(Spawn::new(command).right("told", to).spawn().unwrap());
    let word = told.receive(plan.patience()).unwrap();
    let said = match String::from_utf8_lossy(word.body()) {
        _ if word.notification().is_some() => Said::Nothing,
        word if word == "listening" => Said::Serves,
        word => Said::Refuses(word.into_owned()),
    };
    (server, said)
}

fn connect(task: &Task, place: &Place, plan: Plan) -> Result<Bootstrap, Violation> {
    let offered = task.connect(path(place), plan.patience());
    let right = offered.ok().and_then(|mut offered| offered.remove(BOOTSTRAP));
    match right.map(Right::into_send) {
        Some(Ok(right)) => Ok(Bootstrap::new(right)),
        other => Err(Violation::new(Kind::WaitsEnd, format!("nobody serves there: {other:?}"))),
    }
}

impl World {
    pub(super) fn new(plan: Plan) -> Result<World, Violation> {
        let (place, life) = (Place::new(), Life(1));
        let (server, said) = start(SERVER, &place, life, plan, plan.victim == Victim::First);
        assert_eq!(said, Said::Serves);
        let mut world = World {
            parties: [(); 2].map(|()| {
                let task = Task::new();
                // Of no use until it is connected, and another's then.
                let names = task.port(Capacity::Bounded(1)).make_send().unwrap();
                Party { task, names: Bootstrap::new(names), held: Vec::new() }
            }),
            place,
            plan,
            server,
            life,
            line: 1,
            history: History::default(),
        };
        world.connect_all()?;
        Ok(world)
    }

    /// The bootstrap right of a task.
    pub(super) fn names(&self, who: Who) -> Bootstrap {
        self.parties[who as usize].names.clone()
    }

    /// Until when something is waited for.
    pub(super) fn patience(&self) -> Deadline {
        self.plan.patience()
    }

    /// A port of a task's.
    pub(super) fn port(&self, who: Who) -> ReceiveRight {
        self.parties[who as usize].task.port(Capacity::Bounded(16))
    }

    /// The port behind a name that a task has.
    pub(super) fn held(&self, who: Who, name: &str) -> Option<&ReceiveRight> {
        let held = self.parties[who as usize].held.iter();
        held.rev().find(|(held, _)| held == name).map(|(_, port)| port)
    }

    fn connect_all(&mut self) -> Result<(), Violation> {
        for party in &mut self.parties {
            match connect(&party.task, &self.place, self.plan) {
                Ok(names) => party.names = names,
                // It was killed before anybody was there.
                Err(violation) => return self.next_after(&violation.to_string()),
            }
        }
        Ok(())
    }

    fn has_ended(&mut self) -> Option<ExitStatus> {
        self.server.0.try_wait().unwrap()
    }

    /// Waits until the server has ended, of which somebody was told that it has.
    pub(super) fn is_over(&mut self, told: &str) -> Result<(), Violation> {
        let end = self.patience();
        while self.has_ended().is_none() {
            if end.has_passed() {
                let what = format!("{told}, and the server runs");
                return Err(Violation::new(Kind::WaitsEnd, what));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// As [`World::is_over`], and then starts the next.
    pub(super) fn next_after(&mut self, told: &str) -> Result<(), Violation> {
        self.is_over(told)?;
        self.next()
    }

    /// Starts the next server, where there is none any more: all connect to it, and put
    /// their names there again.
    pub(super) fn next(&mut self) -> Result<(), Violation> {
        self.line += 1;
        self.life = Life(self.life.0 + 1);
        let (server, said) = start(SERVER, &self.place, self.life, self.plan, false);
        assert_eq!(said, Said::Serves);
        self.server = server;
        self.history.begins_anew();
        self.connect_all()?;
        for who in [Who::One, Who::Two] {
            let held = std::mem::take(&mut self.parties[who as usize].held);
            for (name, port) in held {
                self.put(who, Attempt::Register, &name, port)?
                    .map_err(|why| Violation::new(Kind::OneHolder, format!("{name}: {why}")))?;
            }
        }
        Ok(())
    }

    /// Asks as a task of the two until there is an answer, of whichever server.
    pub(super) fn ask<T>(
        &mut self,
        who: Who,
        (attempt, name): (Attempt, &str),
        mut ask: impl FnMut(&Bootstrap, Deadline) -> Result<T, BootstrapError>,
    ) -> Result<Result<T, Refused>, Violation> {
        loop {
            self.history.asks(attempt, name);
            let answered = ask(&self.names(who), self.patience());
            match self.answered((attempt, name), answered)? {
                Some(answer) => return Ok(answer),
                None => self.next()?,
            }
        }
    }

    /// Takes down what was answered. None where the server was killed before it was.
    pub(super) fn answered<T>(
        &mut self,
        (attempt, name): (Attempt, &str),
        answered: Result<T, BootstrapError>,
    ) -> Result<Option<Result<T, Refused>>, Violation> {
        let about = format!("{attempt:?} of {name:?}");
        match answered {
            Ok(answer) => {
                self.history.decided(attempt, name, true);
                Ok(Some(Ok(answer)))
            }
            Err(BootstrapError::Refused { reason: Refused::Deadline, .. }) => {
                Err(Violation::new(Kind::WaitsEnd, format!("{about}: for ever")))
            }
            Err(BootstrapError::Refused { reason, .. }) => {
                match &reason {
                    Refused::NotAllowed(_) | Refused::InUse => {
                        self.history.decided(attempt, name, false);
                    }
                    Refused::NotStarted(_) => self.history.decided(attempt, name, true),
                    _ => {}
                }
                Ok(Some(Err(reason)))
            }
            Err(BootstrapError::Died) => {
                self.is_over(&format!("{about} was told of a death"))?;
                Ok(None)
            }
            Err(other) => Err(Violation::new(Kind::WaitsEnd, format!("{about}: {other}"))),
        }
    }

    /// Puts a right to a port under a name.
    pub(super) fn put(
        &mut self,
        who: Who,
        attempt: Attempt,
        name: &str,
        port: ReceiveRight,
    ) -> Result<Result<(), Refused>, Violation> {
        let done = self.ask(who, (attempt, name), |names, deadline| match attempt {
            Attempt::CheckIn => names.check_in(name, &port, deadline),
            _ => names.register(name, port.make_send().unwrap(), deadline),
        })?;
        if done.is_ok() {
            self.history.has(who, name)?;
            self.parties[who as usize].held.push((name.to_owned(), port));
        }
        Ok(done)
    }

    /// Frees a name.
    pub(super) fn free(&mut self, who: Who, name: &str) -> Result<(), Violation> {
        let freed = self.ask(who, (Attempt::Unregister, name), |names, deadline| {
            names.unregister(name, deadline)
        })?;
        match freed {
            // It was freed, and the server killed before it had said so: that the name is
            // there again is the doing of who has it.
            Ok(()) => {}
            Err(why) => return Err(Violation::new(Kind::OneHolder, format!("{name}: {why}"))),
        }
        self.history.is_free(name);
        self.parties[who as usize].held.retain(|(held, _)| held != name);
        Ok(())
    }

    /// Looks a name up, and checks that it leads to the port that this task has under it.
    pub(super) fn leads_to(
        &mut self,
        who: Who,
        name: &str,
        right: &SendRight,
    ) -> Result<(), Violation> {
        let sent = right.send(Message::new("for you"), self.patience());
        let port = self.held(who, name).expect("it was put there");
        let came = sent.is_ok() && port.receive(self.patience()).is_ok();
        let what = || format!("{name} does not lead to {who:?}, who has it");
        if came { Ok(()) } else { Err(Violation::new(Kind::OneHolder, what())) }
    }

    /// Has a successor take the place, and waits until it is clear whose it is.
    pub(super) fn hand_over(&mut self) -> Result<(), Violation> {
        let next = Life(self.life.0 + 1);
        let dies = self.plan.victim == Victim::Successor;
        let (successor, said) = start(SUCCESSOR, &self.place, next, self.plan, dies);
        let serves = match said {
            Said::Serves => true,
            Said::Refuses(why)
                if why.ends_with("more lies in its queues than it may hand on at once") =>
            {
                false
            }
            Said::Refuses(why) => {
                // Else it knows that the other is dead.
                self.is_over(&why)?;
                false
            }
            Said::Nothing => false,
        };
        if serves {
            self.is_over("a successor serves")?;
            self.server = successor;
            self.life = next;
            self.history.goes_on();
            return Ok(());
        }
        kill(successor);
        // Who has been handed everything ends with who died with it; it is asked, which
        // waits for that.
        let asked = self.names(Who::One).list(self.patience());
        match asked {
            Ok(_) => Ok(()),
            Err(BootstrapError::Died) => self.next_after("a list was told of a death"),
            Err(other) => Err(Violation::new(Kind::WaitsEnd, format!("a list: {other}"))),
        }
    }

    /// Waits until the victim takes a step of this kind, or has been killed before.
    pub(super) fn takes(&self, step: Step) -> Result<(), Violation> {
        let end = self.patience();
        while !self.killed() && !self.steps().contains(&step) {
            if end.has_passed() {
                return Err(Violation::new(Kind::WaitsEnd, format!("it never came to {step:?}")));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// The kinds of steps that the victim has taken.
    pub(super) fn steps(&self) -> Vec<Step> {
        let steps = std::fs::read_to_string(self.place.path().join(STEPS)).unwrap_or_default();
        let all = Step::ALL.iter().copied();
        all.filter(|step| steps.lines().any(|line| line == format!("{step:?}"))).collect()
    }

    /// Whether the victim was killed. It may have come to fewer steps of that kind.
    pub(super) fn killed(&self) -> bool {
        self.place.path().join(LAST_STEP).exists()
    }
}
