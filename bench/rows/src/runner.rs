//! The runner: every contender of a row in turn, slice by slice, round by round.
//!
//! The machine drifts by more than what is compared, for minutes at a time. So no
//! contender is measured and then the next: all of them take a short slice in each
//! round, and what is compared is compared within the round.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::child::Child;
use crate::figure::{Series, Slice};
use crate::place::{Cores, Place, cpu_ns};
use crate::report::Measured;
use crate::row::Row;

/// Somebody who does what a row measures: we, a limit, a peer.
pub trait Contender {
    /// Works for about `span`, at least one operation, and says what it saw.
    ///
    /// # Errors
    /// It cannot.
    fn slice(&mut self, span: Duration) -> Result<Slice>;

    /// The processes besides this one that take part.
    fn children(&self) -> Vec<&Child> {
        Vec::new()
    }
}

/// What stands beside ours in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Pillarbox.
    Ours,
    /// What the machine can do. Of several the best counts.
    Limit,
    /// What one would pick instead.
    Peer,
    /// A peer that counts as a limit as well.
    PeerAndLimit,
}

/// A contender with its name.
pub struct Entrant {
    name: String,
    side: Side,
    contender: Box<dyn Contender>,
}

impl Entrant {
    /// A contender.
    pub fn new(name: &str, side: Side, contender: impl Contender + 'static) -> Entrant {
        Entrant { name: name.to_owned(), side, contender: Box::new(contender) }
    }
}

impl std::fmt::Debug for Entrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrant").field("name", &self.name).field("side", &self.side).finish()
    }
}

/// How much time is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How long a slice is.
    pub slice: Duration,
    /// How many rounds there are.
    pub rounds: usize,
    /// How long nothing must happen where idleness is measured.
    pub idle: Duration,
    /// How many links, ports or rights there are where memory is measured: this is
    /// multiplied by what the row says.
    pub scale: usize,
}

impl Effort {
    /// For the command `pillarbox bench`: all rows under 20 s.
    pub const SHORT: Effort = Effort {
        slice: Duration::from_millis(8),
        rounds: 7,
        idle: Duration::from_secs(2),
        scale: 1,
    };
    /// For `--quick`: all rows under 40 s.
    pub const QUICK: Effort = Effort {
        slice: Duration::from_millis(12),
        rounds: 9,
        idle: Duration::from_secs(2),
        scale: 1,
    };
    /// Where nothing is said.
    pub const USUAL: Effort = Effort {
        slice: Duration::from_millis(25),
        rounds: 25,
        idle: Duration::from_secs(5),
        scale: 4,
    };
    /// For `--full`.
    pub const FULL: Effort = Effort {
        slice: Duration::from_millis(50),
        rounds: 81,
        idle: Duration::from_secs(10),
        scale: 50,
    };
}

/// Peers of rows that another package brings.
#[derive(Clone, Copy)]
pub struct Peer {
    /// What it is called.
    pub name: &'static str,
    /// Its row.
    pub row: &'static str,
    /// Whether it is the row's limit as well.
    pub side: Side,
    /// Whether it always runs, or only where peers were asked for.
    pub always: bool,
    /// Makes it ready.
    pub make: fn(&Row, &Effort) -> Result<Box<dyn Contender>>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("name", &self.name).field("row", &self.row).finish()
    }
}

/// One row, measured.
///
/// # Errors
/// Why it could not be.
pub(crate) fn measure(row: &'static Row, effort: &Effort, peers: &[Peer]) -> Result<Measured> {
    let cores = Cores::here()?;
    // A task looks at its making whether it may spin.
    let early = if row.place == Place::OneCore { Some(0) } else { None };
    cores.pin(early)?;
    let mut entrants = (row.make)(row, effort)?;
    let mut missing = Vec::new();
    for peer in peers {
        cores.pin(early)?;
        match (peer.make)(row, effort) {
            Ok(contender) => {
                entrants.push(Entrant { name: peer.name.to_owned(), side: peer.side, contender });
            }
            Err(error) => missing.push((peer.name.to_owned(), format!("{error:#}"))),
        }
    }
    cores.pin(row.place.client())?;
    let ran = run(row, effort, &mut entrants, &mut missing);
    let names: Vec<_> =
        entrants.iter().map(|entrant| (entrant.name.clone(), entrant.side)).collect();
    drop(entrants);
    cores.pin(None)?;
    Measured::of(row, names.into_iter().zip(ran?).collect(), missing)
}

/// All rounds. A peer that fails leaves the row, and the row says why.
fn run(
    row: &Row,
    effort: &Effort,
    entrants: &mut Vec<Entrant>,
    missing: &mut Vec<(String, String)>,
) -> Result<Vec<Series>> {
    let mut series = vec![Series::default(); entrants.len()];
    // The first slice of each is not counted: caches, lanes and pages are cold.
    let warm = usize::from(!row.once);
    let rounds = if row.once { 1 } else { effort.rounds };
    for round in 0..warm + rounds {
        let mut at = 0;
        while at < entrants.len() {
            // Nobody always follows the same one.
            let whose = (at + round) % entrants.len();
            let entrant = &mut entrants[whose];
            let span = if round < warm { effort.slice / 4 } else { effort.slice };
            let before = entrant.cpu_ns();
            match entrant.contender.slice(span) {
                Ok(slice) if round >= warm => {
                    let used = entrant.cpu_ns().saturating_sub(before);
                    let value = slice.read(row.unit.reading());
                    let value = value.with_context(|| format!("{} saw nothing", entrant.name))?;
                    series[whose].add(slice, value, used);
                }
                Ok(_) => {}
                Err(error) if entrant.side == Side::Ours || entrant.side == Side::Limit => {
                    return Err(error.context(entrant.name.clone()));
                }
                Err(error) => {
                    missing.push((entrant.name.clone(), format!("{error:#}")));
                    entrants.remove(whose);
                    series.remove(whose);
                    continue;
                }
            }
            at += 1;
        }
    }
    for series in &mut series {
        series.samples.sort_unstable();
    }
    Ok(series)
}

impl Entrant {
    /// Of this process and the contender's children.
    fn cpu_ns(&self) -> u64 {
        let children = self.contender.children();
        cpu_ns(std::process::id()) + children.iter().map(|child| child.cpu_ns()).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Goal, State, Unit};
    use anyhow::bail;

    /// Takes so long for each operation, or fails after so many slices.
    struct Steady(u32, usize);

    impl Contender for Steady {
        fn slice(&mut self, _: Duration) -> Result<Slice> {
            if self.1 == 0 {
                bail!("it has had enough");
            }
            self.1 -= 1;
            Ok(Slice { operations: 3, samples: vec![self.0; 3], ..Slice::default() })
        }
    }

    fn row(name: &'static str) -> Row {
        Row {
            name,
            unit: Unit::Nanoseconds,
            about: "steady",
            limit: "steadier",
            goal: Goal::RatioAtMost(1.5),
            state: State::Local,
            place: Place::Anywhere,
            once: false,
            make: |_, _| Ok(Vec::new()),
        }
    }

    const EFFORT: Effort = Effort { rounds: 4, ..Effort::QUICK };

    #[test]
    fn everybody_has_a_slice_in_each_round() {
        let mut entrants = vec![
            Entrant::new("ours", Side::Ours, Steady(10, 99)),
            Entrant::new("bare", Side::Limit, Steady(5, 99)),
            Entrant::new("other", Side::Peer, Steady(20, 3)),
        ];
        let mut missing = Vec::new();
        let series = run(&row("x"), &EFFORT, &mut entrants, &mut missing).unwrap();
        // The warm-up is not counted, and who failed has left the row.
        assert_eq!(series.iter().map(|one| one.values.len()).collect::<Vec<_>>(), [4, 4]);
        assert_eq!(series[0].operations, 12);
        assert_eq!(missing, [("other".to_owned(), "it has had enough".to_owned())]);
    }

    #[test]
    fn a_row_without_ours_or_its_limit_is_not_measured() {
        for side in [Side::Ours, Side::Limit] {
            let mut entrants = vec![Entrant::new("it", side, Steady(1, 2))];
            assert!(run(&row("x"), &EFFORT, &mut entrants, &mut Vec::new()).is_err());
        }
    }
}
