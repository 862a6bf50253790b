//! What is asked of a server, of each kind.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use pillarbox::bootstrap::{Bootstrap, BootstrapError, Listed, NameState, Refused};
use pillarbox::{Deadline, Message, ReceiveRight, SendFailure, SendRight};
use rustix::process::{Pid, Signal, kill_process};

use super::check::{Kind, Violation};
use super::family::wait_dead;
use super::parts::{FAILING_NAME, GO, LATE_NAME, PLAIN_NAME, QUEUE, QUEUED_BYTES};
use super::world::{Life, Who, World};
use crate::admin::{Admin, AdminError, Order};
use crate::audit::Attempt;
use crate::step::Step;

type Held = Result<(), Violation>;

const MINE: &str = "mine";
const YOURS: &str = "yours";

/// Why a request was not answered as it had to be.
fn other<T: std::fmt::Debug>(kind: Kind, what: &str, came: T) -> Held {
    Err(Violation::new(kind, format!("{what}: {came:?}")))
}

/// Looks up a name that somebody has.
fn find(world: &mut World, who: Who, name: &str) -> Result<SendRight, Violation> {
    let found = world.ask(who, (Attempt::LookUp, name), |names, deadline| {
        names.look_up_running(name, deadline)
    })?;
    found.map_err(|why| Violation::new(Kind::OneHolder, format!("{name}: {why}")))
}

fn put(world: &mut World, who: Who, attempt: Attempt, name: &str) -> Result<Held, Violation> {
    let port = world.port(who);
    let done = world.put(who, attempt, name, port)?;
    Ok(done.map_err(|why| Violation::new(Kind::OneHolder, format!("{name}: {why}"))))
}

/// A task is refused what the other has.
fn refused(world: &mut World, who: Who, name: &str) -> Held {
    let port = world.port(who);
    match world.put(who, Attempt::Register, name, port)? {
        Err(Refused::InUse) => Ok(()),
        came => other(Kind::OneHolder, "a name that somebody has", came),
    }
}

pub(super) fn names(world: &mut World) -> Held {
    put(world, Who::One, Attempt::Register, MINE)??;
    refused(world, Who::Two, MINE)?;
    put(world, Who::Two, Attempt::CheckIn, YOURS)??;
    let right = find(world, Who::Two, MINE)?;
    world.leads_to(Who::One, MINE, &right)?;
    let listed = world
        .ask(Who::One, (Attempt::Services, ""), |names, deadline| names.list(deadline))?
        .map_err(|why| Violation::new(Kind::WaitsEnd, format!("a list: {why}")))?;
    let names: Vec<&str> = listed.iter().map(|(service, _)| service.name.as_str()).collect();
    assert_eq!(names, [FAILING_NAME, LATE_NAME, MINE, PLAIN_NAME, QUEUE, YOURS]);
    let not_mine = world.ask(Who::One, (Attempt::Unregister, YOURS), |names, deadline| {
        names.unregister(YOURS, deadline)
    })?;
    if !matches!(not_mine, Err(Refused::NotAllowed(_))) {
        return other(Kind::OneHolder, "another's name", not_mine);
    }
    world.free(Who::One, MINE)?;
    put(world, Who::Two, Attempt::Register, MINE)??;
    let right = find(world, Who::One, MINE)?;
    world.leads_to(Who::Two, MINE, &right)
}

/// Asks in a thread, since the answer comes after what happens meanwhile.
struct Asks<T> {
    /// What the audit keeps of it.
    about: Option<(Attempt, &'static str)>,
    life: Life,
    thread: JoinHandle<Result<T, BootstrapError>>,
}

impl<T: Send + 'static> Asks<T> {
    fn new(
        world: &mut World,
        who: Who,
        about: Option<(Attempt, &'static str)>,
        ask: impl FnOnce(&Bootstrap, Deadline) -> Result<T, BootstrapError> + Send + 'static,
    ) -> Self {
        if let Some((attempt, name)) = about {
            world.history.asks(attempt, name);
        }
        let (names, deadline) = (world.names(who), world.patience());
        let thread = std::thread::spawn(move || ask(&names, deadline));
        Asks { about, life: world.life, thread }
    }

    /// The answer. None where its server was killed: the next one runs then.
    fn answer(self, world: &mut World) -> Result<Option<Result<T, Refused>>, Violation> {
        let answered = self.thread.join().unwrap();
        let same = world.life == self.life;
        let Some(about) = self.about.filter(|_| same) else {
            return match answered {
                Ok(answer) => Ok(Some(Ok(answer))),
                Err(BootstrapError::Died) => {
                    if same {
                        world.next_after("an answer that was waited for")?;
                    }
                    Ok(None)
                }
                Err(BootstrapError::Refused { reason, .. }) if reason != Refused::Deadline => {
                    Ok(Some(Err(reason)))
                }
                Err(other) => Err(Violation::new(Kind::WaitsEnd, other.to_string())),
            };
        };
        let answer = world.answered(about, answered)?;
        if answer.is_none() {
            world.next()?;
        }
        Ok(answer)
    }
}

pub(super) fn watch(world: &mut World) -> Held {
    for taken in [true, false] {
        let about = (Attempt::Watch, MINE);
        let watch = |names: &Bootstrap, deadline| {
            let mut watch = names.watch(MINE)?;
            let state = watch.next(deadline)?;
            Ok((watch, state))
        };
        let (mut known, before) = world
            .ask(Who::Two, about, watch)?
            .map_err(|why| Violation::new(Kind::WaitsEnd, format!("a watch: {why}")))?;
        if (before == NameState::Free) != taken {
            return other(Kind::WaitsEnd, "a watch", before);
        }
        // Each wait is a question, of which the audit keeps the first.
        let news = Asks::new(world, Who::Two, None, move |_, deadline| known.next(deadline));
        if taken {
            put(world, Who::One, Attempt::Register, MINE)??;
        } else {
            world.free(Who::One, MINE)?;
        }
        let after = match news.answer(world)? {
            Some(after) => after,
            None => world.ask(Who::Two, about, watch)?.map(|(_, state)| state),
        };
        match after {
            Ok(NameState::Taken { .. }) if taken => {}
            Ok(NameState::Free) if !taken => {}
            came => return other(Kind::WaitsEnd, "a watch", came),
        }
    }
    Ok(())
}

pub(super) fn subset(world: &mut World) -> Held {
    put(world, Who::One, Attempt::Register, MINE)??;
    let mut tries = 0;
    loop {
        let made = world.ask(Who::Two, (Attempt::Subset, MINE), |names, deadline| {
            names.subset(&[Listed::new(MINE).called("its")], deadline)
        })?;
        let narrow = made.map_err(|why| Violation::new(Kind::WaitsEnd, why.to_string()))?;
        world.history.asks(Attempt::LookUp, MINE);
        world.history.asks(Attempt::LookUp, MINE);
        let (found, hidden) =
            (narrow.look_up("its", world.patience()), narrow.look_up(MINE, world.patience()));
        drop(narrow);
        match (found, hidden) {
            (Ok(right), Err(BootstrapError::Refused { reason: Refused::NotAllowed(_), .. })) => {
                world.leads_to(Who::One, MINE, &right)?;
                break;
            }
            (Err(BootstrapError::Died), _) | (_, Err(BootstrapError::Died)) if tries == 0 => {
                world.next_after("a restricted right")?;
                tries += 1;
            }
            came => return other(Kind::WaitsEnd, "a restricted right", came),
        }
    }
    // The last right to it is gone.
    world.takes(Step::Forget)?;
    find(world, Who::Two, MINE).map(drop)
}

/// Looks a service up, and asks it for its number: both again where it ends meanwhile,
/// since its server was killed.
fn service(world: &mut World) -> Result<(i32, SendRight), Violation> {
    let end = world.patience();
    while !end.has_passed() {
        let found = world.ask(Who::One, (Attempt::LookUp, PLAIN_NAME), |names, deadline| {
            names.look_up(PLAIN_NAME, deadline)
        })?;
        let Ok(right) = found else { continue };
        if let Ok(answer) = right.call(Message::new(""), world.patience()) {
            return Ok((String::from_utf8_lossy(answer.body()).parse().unwrap(), right));
        }
    }
    Err(Violation::new(Kind::WaitsEnd, "no service came to answer"))
}

pub(super) fn activation(world: &mut World) -> Held {
    let look_up =
        |names: &Bootstrap, deadline: Deadline| names.look_up(PLAIN_NAME, deadline).map(drop);
    let about = (Attempt::LookUp, PLAIN_NAME);
    let all = [Who::One, Who::Two, Who::One].map(|who| Asks::new(world, who, Some(about), look_up));
    for one in all {
        match one.answer(world)? {
            Some(Ok(())) | None => {}
            Some(came) => return other(Kind::WaitsEnd, "a look-up", came),
        }
    }
    let (first, right) = service(world)?;
    world.started_at_most(PLAIN_NAME, 1)?;
    // It may have ended with its server.
    let _ = kill_process(Pid::from_raw(first).unwrap(), Signal::KILL);
    wait_dead(&right);
    let (second, _) = service(world)?;
    if second == first {
        return other(Kind::OneHolder, "a service that was killed", second);
    }
    world.started_at_most(PLAIN_NAME, 2)?;
    // One that ends at once is told to all who wait, with the reason.
    for _ in 0..2 {
        let told = world.ask(Who::Two, (Attempt::LookUp, FAILING_NAME), |names, deadline| {
            names.look_up(FAILING_NAME, deadline).map(drop)
        })?;
        if !matches!(told, Err(Refused::NotStarted(_))) {
            return other(Kind::WaitsEnd, "one that ends at once", told);
        }
    }
    world.started_at_most(FAILING_NAME, 2)
}

/// Gives an order, of the next server too where one is killed before it is done.
fn order(world: &mut World, order: Order) -> Held {
    let attempt = match order {
        Order::Start => Attempt::Start,
        Order::Stop => Attempt::Stop,
        _ => Attempt::Restart,
    };
    world.history.asks(attempt, "plain");
    match Admin::new(&world.names(Who::One)).order(order, "plain", world.patience()) {
        Ok(()) => world.history.decided(attempt, "plain", true),
        Err(AdminError::Died) => {
            world.next_after("an order")?;
            return self::order(world, order);
        }
        Err(came) => return other(Kind::WaitsEnd, "an order", came),
    }
    Ok(())
}

pub(super) fn orders(world: &mut World) -> Held {
    order(world, Order::Start)?;
    let (first, _) = service(world)?;
    world.started_at_most(PLAIN_NAME, 1)?;
    order(world, Order::Restart)?;
    let (second, _) = service(world)?;
    if second == first {
        return other(Kind::OneHolder, "a service that was restarted", second);
    }
    world.started_at_most(PLAIN_NAME, 2)?;
    order(world, Order::Stop)?;
    let life = world.life;
    let told = world.ask(Who::Two, (Attempt::LookUp, PLAIN_NAME), |names, deadline| {
        names.look_up(PLAIN_NAME, deadline).map(drop)
    })?;
    match told {
        Err(Refused::NotStarted(_)) => {}
        // The next server was not told to stop anything.
        Ok(()) if world.life != life => {}
        came => return other(Kind::OneStart, "one that is stopped", came),
    }
    order(world, Order::Start)?;
    world.started_at_most(PLAIN_NAME, 3)
}

/// Messages that were sent to the queue, and are answered or told of.
struct Calls {
    answers: ReceiveRight,
    /// What each is, by its number, and in which line of servers it was sent.
    open: BTreeMap<u64, (String, u32)>,
    sent: u64,
    answered: Vec<String>,
}

impl Calls {
    fn new(world: &World) -> Calls {
        let answers = world.port(Who::Two);
        Calls { answers, open: BTreeMap::new(), sent: 0, answered: Vec::new() }
    }

    /// Has the queue accept a message.
    fn send(&mut self, world: &mut World, what: &str) -> Held {
        loop {
            let found = world.ask(Who::Two, (Attempt::LookUp, QUEUE), |names, deadline| {
                names.look_up(QUEUE, deadline)
            })?;
            let right = found.map_err(|why| Violation::new(Kind::NothingLost, why.to_string()))?;
            self.sent += 1;
            // What is sent again is another message.
            let (name, rest) = what.split_at(1);
            let message = Message::new(format!("{name}{} {rest}", self.sent));
            let line = world.line;
            match right.start_call_to(message, &self.answers, self.sent, world.patience()) {
                Ok(_) => {
                    self.open.insert(self.sent, (what.to_owned(), line));
                    return Ok(());
                }
                Err(error) if error.reason == SendFailure::Dead => {
                    world.next_after("a queue")?;
                }
                Err(error) => return other(Kind::NothingLost, "a queue", error.reason),
            }
        }
    }

    /// Waits until each is answered. One that is told of is sent again, and may only be
    /// where its server is gone.
    fn settle(mut self, world: &mut World) -> Held {
        while !self.open.is_empty() {
            let Ok(came) = self.answers.receive(world.patience()) else {
                return other(Kind::NothingLost, "neither answered nor told", self.open);
            };
            let number = came.completion().unwrap_or(0);
            let Some((what, line)) = self.open.remove(&number) else {
                return other(Kind::NothingLost, "answered twice", number);
            };
            if came.notification().is_none() {
                self.answered.push(String::from_utf8_lossy(came.body()).into_owned());
                continue;
            }
            if line == world.line {
                let told = format!("a message of {QUEUE}");
                world.next_after(&told).map_err(|why| why.of(Kind::NothingLost))?;
            }
            self.send(world, &what)?;
        }
        world.all_handled(&self.answered)
    }
}

pub(super) fn queue(world: &mut World) -> Held {
    let mut calls = Calls::new(world);
    for what in ["a", "b", "c"] {
        calls.send(world, what)?;
    }
    put(world, Who::One, Attempt::Register, GO)??;
    calls.send(world, "d")?;
    calls.settle(world)?;
    world.started_at_most(QUEUE, 1)
}

pub(super) fn end(world: &mut World) -> Held {
    put(world, Who::One, Attempt::Register, MINE)??;
    let asked = world.names(Who::One).stop(world.patience());
    match asked {
        Ok(()) | Err(BootstrapError::Died) => {}
        Err(came) => return other(Kind::WaitsEnd, "the end", came),
    }
    world.is_over("a server was told to end")?;
    world.next()?;
    let right = find(world, Who::Two, MINE)?;
    world.leads_to(Who::One, MINE, &right)
}

/// A look-up waits, messages lie in a queue, somebody has a name, and another holds a
/// restricted right. Then the place is handed over.
pub(super) fn hand_over(world: &mut World) -> Held {
    replaced(world, 1)
}

/// The same, where more lies in the queue than can be handed on.
pub(super) fn failed_hand_over(world: &mut World) -> Held {
    replaced(world, QUEUED_BYTES / 2)
}

fn replaced(world: &mut World, length: usize) -> Held {
    put(world, Who::One, Attempt::Register, MINE)??;
    let narrow = world.ask(Who::Two, (Attempt::Subset, MINE), |names, deadline| {
        names.subset(&[Listed::new(MINE).called("its")], deadline)
    })?;
    let narrow = narrow.map_err(|why| Violation::new(Kind::WaitsEnd, why.to_string()))?;
    let line = world.line;
    let late_about = (Attempt::LookUp, LATE_NAME);
    let look_up = |names: &Bootstrap, deadline| names.look_up(LATE_NAME, deadline).map(drop);
    let late = Asks::new(world, Who::Two, Some(late_about), look_up);
    let mut calls = Calls::new(world);
    for what in ["a", "b", "c"] {
        calls.send(world, &format!("{what}{}", "-".repeat(length)))?;
    }
    world.hand_over()?;
    refused(world, Who::Two, MINE)?;
    let right = find(world, Who::Two, MINE)?;
    world.leads_to(Who::One, MINE, &right)?;
    world.history.asks(Attempt::LookUp, MINE);
    match narrow.look_up("its", world.patience()) {
        Ok(right) => world.leads_to(Who::One, MINE, &right)?,
        Err(BootstrapError::Died) if line != world.line => {}
        Err(BootstrapError::Died) => world.next_after("a restricted right")?,
        came => return other(Kind::WaitsEnd, "a restricted right", came),
    }
    put(world, Who::One, Attempt::Register, GO)??;
    let found = match late.answer(world)? {
        Some(found) => found,
        None => world.ask(Who::Two, late_about, look_up)?,
    };
    if let Err(came) = found {
        return other(Kind::WaitsEnd, "a look-up over a hand-over", came);
    }
    calls.settle(world)?;
    world.started_at_most(LATE_NAME, 1)?;
    world.started_at_most(QUEUE, 1)
}
