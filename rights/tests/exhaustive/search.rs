//! Walks every sequence up to a length, and each state once.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

/// A world in which things can happen.
pub(crate) trait World: Clone {
    /// What can happen.
    type Operation: Copy + Debug;

    /// What can happen next.
    fn possible(&self) -> Vec<Self::Operation>;

    /// Lets it happen. What must never be is an error.
    fn apply(&mut self, operation: Self::Operation) -> Result<(), String>;

    /// Takes the census.
    fn census(&self) -> Result<(), String>;

    /// Runs until nothing more can happen, and looks how it ended.
    fn settle(self) -> Result<(), String>;

    /// What tells this state from every other, where that can be said.
    fn fingerprint(&self) -> Option<u128>;
}

/// How much further than the default, by the environment.
pub(crate) fn deeper() -> u32 {
    std::env::var("PILLARBOX_DEEPER").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What a search went through.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) sequences: u128,
    pub(crate) states: u64,
}

/// How far exactly, by the environment: for `cargo xtask exhaustive`.
fn asked() -> Option<u32> {
    std::env::var("PILLARBOX_OPS").ok().and_then(|text| text.parse().ok())
}

/// Walks and says how far; a violation ends the test with the sequence.
pub(crate) fn search<W: World>(name: &str, world: &W, depth: u32) {
    let depth = asked().unwrap_or(depth);
    match look(world, depth) {
        Ok(walked) => println!(
            "{name}: every sequence of up to {depth} operations: {} sequences through {} states",
            walked.sequences, walked.states
        ),
        Err(violation) => panic!("{name}: {violation}"),
    }
}

/// Walks; a violation comes back with the sequence that leads to it.
pub(crate) fn look<W: World>(world: &W, depth: u32) -> Result<Walked, String> {
    let mut walk =
        Walk { known: HashMap::new(), seen: HashSet::new(), path: Vec::new(), states: 0 };
    let sequences = walk.from(world, depth)?;
    Ok(Walked { sequences, states: walk.states })
}

struct Walk<O> {
    /// How many sequences go on from a state, by how much longer they may be.
    known: HashMap<(u128, u32), u128>,
    seen: HashSet<u128>,
    path: Vec<O>,
    states: u64,
}

impl<O: Copy + Debug> Walk<O> {
    fn from<W: World<Operation = O>>(&mut self, world: &W, left: u32) -> Result<u128, String> {
        let name = world.fingerprint().map(|print| (print, left));
        if let Some(name) = name
            && let Some(&sequences) = self.known.get(&name)
        {
            return Ok(sequences);
        }
        if name.is_none_or(|(print, _)| self.seen.insert(print)) {
            self.states += 1;
            world.census().map_err(|what| format!("{what}, after {:?}", self.path))?;
            world
                .clone()
                .settle()
                .map_err(|what| format!("at the end: {what}, after {:?}", self.path))?;
        }
        let mut sequences = 1;
        if left > 0 {
            for operation in world.possible() {
                self.path.push(operation);
                let mut next = world.clone();
                next.apply(operation).map_err(|what| format!("{what}, in {:?}", self.path))?;
                sequences += self.from(&next, left - 1)?;
                self.path.pop();
            }
        }
        if let Some(name) = name {
            self.known.insert(name, sequences);
        }
        Ok(sequences)
    }
}
