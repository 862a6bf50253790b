//! Calls of two tasks that somebody looks at, beside calls that nobody sees.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pillarbox::kernel::Kernel;
use pillarbox::{Deadline, Task};

use super::server::{LOOK, Pair, given, patience};
use crate::child::{Casting, Child, Stage};
use crate::clock::back_to_back;
use crate::figure::Slice;
use crate::place::Cores;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of who looks.
pub(super) const LOOKS: &str = "looks";

/// Whom it looks at.
const WATCHED: [&str; 2] = ["client", "server"];

/// Calls, with a look at both ends in each slice.
struct Seen {
    // Before the pair, whose task it is a child of.
    observer: Child,
    pair: Pair,
    /// What the server had read when it was looked at last.
    told: u64,
}

/// Calls, and nobody looks.
struct Unseen(Pair);

impl Contender for Seen {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        self.observer.line.say(0)?;
        let slice = back_to_back(span, || self.pair.call())?;
        let told = self.observer.line.hear()?;
        ensure!(told > self.told, "who looks does not see what goes on");
        self.told = told;
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.pair.server]
    }
}

impl Contender for Unseen {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        back_to_back(span, || self.0.call())
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

/// Looks at both at each word of the parent's, as `pillarbox top` does, and says how
/// much the server has read.
pub(super) fn look(stage: &mut Stage) -> Result<()> {
    // It is where the kernel puts it, as any program that looks on.
    Cores::here()?.pin(None)?;
    let task = Task::current()?;
    let mut watched = Vec::new();
    for name in WATCHED {
        watched.push(Kernel::new(given(&task, name)?));
    }
    while stage.line.hear().is_ok() {
        let mut read = 0;
        for kernel in &watched {
            read = kernel.counts(0, &[], patience())?.frames_read;
        }
        stage.line.say(read)?;
    }
    Ok(())
}

pub(super) fn call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let pair = Pair::new(row.place)?;
    let mut answer = pair.post.call(pillarbox::Message::new("").with_id(LOOK), Deadline::Never)?;
    let server = answer.take_rights().pop().and_then(|right| right.into_send().ok());
    let rights = [pair.task.looking()?, server.context("the server lets nobody look")?];
    let casting = Casting::of(LOOKS, row.place);
    let observer = casting.start_from(&pair.task, WATCHED.into_iter().zip(rights))?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Seen { observer, pair, told: 0 }),
        Entrant::new("call nobody sees", Side::Limit, Unseen(Pair::new(row.place)?)),
    ])
}
