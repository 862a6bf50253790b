//! What must hold, whenever a server is killed.

use std::collections::HashMap;
use std::fmt;

use super::parts::{JOURNAL, QUEUE};
use super::world::{Who, World};
use crate::admin::{Admin, AdminError};
use crate::audit::Attempt;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every wait ends: with an answer, a reason, or the news that the server is gone.
    WaitsEnd,
    /// No name is held by two.
    OneHolder,
    /// No program is started twice for one activation.
    OneStart,
    /// No message that a queue has accepted is lost without a word, or handled twice
    /// without one.
    NothingLost,
    /// The audit says what happened.
    Audit,
}

/// It did not hold.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) kind: Kind,
    what: String,
}

impl Violation {
    pub(super) fn new(kind: Kind, what: impl Into<String>) -> Violation {
        Violation { kind, what: what.into() }
    }

    /// The same, of another promise.
    pub(super) fn of(self, kind: Kind) -> Violation {
        Violation { kind, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.kind, self.what)
    }
}

/// What was asked, and decided, since the server that was there first in this line of
/// successors.
#[derive(Debug, Default)]
pub(super) struct History {
    asked: Vec<(Attempt, String)>,
    decided: Vec<(Attempt, String, bool)>,
    holders: HashMap<String, Who>,
    /// A successor has taken over, to which some are sent to ask again.
    went_on: bool,
}

impl History {
    /// A server knows nothing of one that was killed before it.
    pub(super) fn begins_anew(&mut self) {
        *self = History::default();
    }

    pub(super) fn goes_on(&mut self) {
        self.went_on = true;
    }

    pub(super) fn asks(&mut self, attempt: Attempt, name: &str) {
        // Who lists the names is not in the audit.
        if attempt == Attempt::Services {
            return;
        }
        self.asked.push((attempt, name.to_owned()));
    }

    pub(super) fn decided(&mut self, attempt: Attempt, name: &str, granted: bool) {
        if attempt == Attempt::Services {
            return;
        }
        self.decided.push((attempt, name.to_owned(), granted));
    }

    /// A task was told that it has the name.
    pub(super) fn has(&mut self, who: Who, name: &str) -> Result<(), Violation> {
        match self.holders.insert(name.to_owned(), who) {
            Some(other) if other != who => {
                let what = format!("{name} was given to {who:?}, and {other:?} has it");
                Err(Violation::new(Kind::OneHolder, what))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_free(&mut self, name: &str) {
        self.holders.remove(name);
    }
}

/// A line of the journal.
enum Line<'a> {
    Started { life: &'a str, name: &'a str },
    Handled { message: &'a str, redelivered: u32 },
}

fn lines(journal: &str) -> impl Iterator<Item = Line<'_>> {
    journal.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["started", life, name] => Line::Started { life, name },
            ["handled", message, redelivered] => {
                Line::Handled { message, redelivered: redelivered.parse().unwrap() }
            }
            _ => panic!("{line:?} is no line of a journal"),
        }
    })
}

impl World {
    fn journal(&self) -> String {
        std::fs::read_to_string(self.place.path().join(JOURNAL)).unwrap_or_default()
    }

    /// No server has started this program more often than that.
    pub(super) fn started_at_most(&self, name: &str, most: usize) -> Result<(), Violation> {
        let mut by_life: HashMap<String, usize> = HashMap::new();
        for line in lines(&self.journal()) {
            if let Line::Started { life, name: started } = line
                && started == name
            {
                *by_life.entry(life.to_owned()).or_default() += 1;
            }
        }
        match by_life.iter().find(|(_, starts)| **starts > most) {
            Some((life, starts)) => {
                let what = format!("server {life} has started {name} {starts} times, not {most}");
                Err(Violation::new(Kind::OneStart, what))
            }
            None => Ok(()),
        }
    }

    /// Each message that was answered was handled, and twice only where it was said to be
    /// handed out again.
    pub(super) fn all_handled(&self, answered: &[String]) -> Result<(), Violation> {
        let journal = self.journal();
        let lost = |what: String| Err(Violation::new(Kind::NothingLost, what));
        for answered in answered {
            let handled: Vec<u32> = lines(&journal)
                .filter_map(|line| match line {
                    Line::Handled { message, redelivered } if message == answered => {
                        Some(redelivered)
                    }
                    _ => None,
                })
                .collect();
            if handled.is_empty() {
                return lost(format!("{answered} of {QUEUE} was answered and never handled"));
            }
            if handled.iter().filter(|redelivered| **redelivered == 0).count() > 1 {
                return lost(format!("{answered} was handled twice, and not said to be again"));
            }
        }
        Ok(())
    }

    /// What the server has kept of what it decided is what was told.
    pub(super) fn audit_is_true(&mut self) -> Result<(), Violation> {
        let admin = Admin::new(&self.names(Who::One));
        let mut times: HashMap<(Attempt, String, bool), u64> = HashMap::new();
        let mut last = 0;
        loop {
            let page = match admin.audit(last, self.patience()) {
                Ok(page) => page,
                // The victim was killed by this very question: nobody is left to ask.
                Err(AdminError::Died) => return self.is_over("the audit"),
                Err(other) => return Err(Violation::new(Kind::WaitsEnd, other.to_string())),
            };
            for entry in page.entries {
                last = last.max(entry.number);
                *times.entry((entry.attempt, entry.name, entry.granted)).or_default() +=
                    entry.times;
            }
            if !page.more {
                break;
            }
        }
        let count = |what: &(Attempt, String, bool)| times.get(what).copied().unwrap_or(0);
        for decided in &self.history.decided {
            let told = self.history.decided.iter().filter(|one| *one == decided).count();
            if count(decided) < told as u64 {
                let what = format!("{decided:?} was told {told} times, kept {}", count(decided));
                return Err(Violation::new(Kind::Audit, what));
            }
        }
        for (attempt, name) in &self.history.asked {
            let asked = self.history.asked.iter().filter(|(a, n)| (a, n) == (attempt, name));
            let (asked, mut kept) = (asked.count() as u64, 0);
            for granted in [true, false] {
                kept += count(&(*attempt, name.clone(), granted));
            }
            // Who is sent to the successor asks again by itself.
            if kept > asked && !self.history.went_on {
                let what = format!("{attempt:?} of {name:?} was asked {asked} times, kept {kept}");
                return Err(Violation::new(Kind::Audit, what));
            }
        }
        Ok(())
    }
}
