//! One run from one seed.

use crate::fault::Fault;
use crate::world::{Figures, Violation, World};

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Tasks, at least two.
    pub tasks: usize,
    /// Steps before the run is wound down.
    pub steps: u64,
}

impl Default for Size {
    fn default() -> Self {
        Size { tasks: 5, steps: 3000 }
    }
}

/// A run that broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// After which step.
    pub step: u64,
    /// What was seen.
    pub violation: Violation,
}

/// Runs one seed. With a `fault` the simulated tasks break that rule.
///
/// # Errors
/// The first violation, after which the run is not gone on with.
pub fn run(seed: u64, size: Size, fault: Option<Fault>) -> Result<Figures, Failure> {
    play(&mut World::new(seed, size.tasks.max(2), fault), seed, size)
}

/// The same, with what everybody said, heard and received, a line each, and where it
/// failed what was in every port then.
pub fn run_traced(
    seed: u64,
    size: Size,
    fault: Option<Fault>,
) -> (Result<Figures, Failure>, Vec<String>) {
    let mut world = World::new(seed, size.tasks.max(2), fault);
    world.trace = Some(Vec::new());
    let ended = play(&mut world, seed, size);
    if ended.is_err() {
        world.tell_ports();
    }
    (ended, world.trace.unwrap_or_default())
}

fn play(world: &mut World, seed: u64, size: Size) -> Result<Figures, Failure> {
    world.begin();
    for step in 0..size.steps {
        world.step();
        world.figures.steps += 1;
        world.check();
        if let Some(violation) = world.violation.take() {
            return Err(Failure { seed, step, violation });
        }
    }
    world.wind_down();
    match world.violation.take() {
        Some(violation) => Err(Failure { seed, step: size.steps, violation }),
        None => Ok(world.figures),
    }
}
