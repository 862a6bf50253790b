//! The counters: names that are looked up, and the processes that have them now.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pillarbox::bootstrap::{BootstrapError, Refused};
use pillarbox::{Bootstrap, CallError, Message, SendRight};

use super::ask;
use super::clock::{now_ns, patience};
use super::story::Started;

/// A service that is alive, as far as we know.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) right: SendRight,
    pub(super) started: Started,
}

/// A name for a counter.
#[derive(Debug)]
struct Place {
    name: String,
    now: Mutex<Option<Service>>,
}

/// All names for counters.
#[derive(Debug)]
pub(super) struct Counters<'a> {
    server: &'a Bootstrap,
    places: Vec<Place>,
    /// Who was started in the place of somebody dead.
    successors: Mutex<Vec<Started>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Counters<'a> {
    /// Looks all names up at once, so that the programs start side by side.
    pub(super) fn start(server: &'a Bootstrap) -> Result<(Self, Vec<Started>)> {
        let names = ask::counter_names();
        let found: Vec<Service> = std::thread::scope(|scope| {
            let look_ups: Vec<_> =
                names.iter().map(|name| scope.spawn(|| find(server, name))).collect();
            look_ups
                .into_iter()
                .map(|look_up| look_up.join().map_err(|_| anyhow!("a look-up panicked"))?)
                .collect::<Result<_>>()
        })?;
        let started = found.iter().map(|counter| counter.started.clone()).collect();
        let place = |(name, counter)| Place { name, now: Mutex::new(Some(counter)) };
        let places = names.into_iter().zip(found).map(place).collect();
        Ok((Counters { server, places, successors: Mutex::default() }, started))
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The counter that has this name now. One that has died is replaced: its
    /// name is looked up anew.
    pub(super) fn now(&self, place: usize) -> Result<Service> {
        let place = self.places.get(place).context("there is no such counter")?;
        let mut now = lock(&place.now);
        if let Some(counter) = &*now {
            return Ok(counter.clone());
        }
        let counter = find(self.server, &place.name)?;
        lock(&self.successors).push(counter.started.clone());
        Ok(now.insert(counter).clone())
    }

    /// This one is dead.
    pub(super) fn forget(&self, dead: &Service) {
        for place in &self.places {
            let mut now = lock(&place.now);
            if now.as_ref().is_some_and(|counter| counter.started.pid == dead.started.pid) {
                *now = None;
            }
        }
    }

    /// Who was started first in the place of somebody dead.
    pub(super) fn successor(&self) -> Option<Started> {
        lock(&self.successors).first().cloned()
    }
}

/// Looks a service up, which starts it if it is not running, and asks it who it
/// is, by the kernel's word.
///
/// Right after a death the server may not have heard of it, and give the dead
/// one's right again: then we ask again. We also do if the program was killed
/// before it was ready, once.
pub(super) fn find(server: &Bootstrap, name: &str) -> Result<Service> {
    let until = patience();
    let asked = now_ns();
    let mut failed = false;
    loop {
        let right = match server.look_up(name, until) {
            Ok(right) => right,
            Err(BootstrapError::Refused { reason: Refused::NotStarted(_), .. }) if !failed => {
                failed = true;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match right.call(Message::new("").with_id(ask::WHO), until) {
            Ok(answer) => {
                let pid = answer.sender().context("an answer has a sender")?.pid;
                let ready_ns = now_ns() - asked;
                let started = Started { name: name.to_owned(), pid, ready_ns };
                return Ok(Service { right, started });
            }
            Err(CallError::Died | CallError::Unsent(_)) if !until.has_passed() => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(anyhow!(error).context(name.to_owned())),
        }
    }
}
