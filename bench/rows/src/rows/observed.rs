//! Calls of two tasks that somebody looks at, beside the same while nobody does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
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

/// Calls of one pair, with a look at both ends in each slice or without.
struct Calls {
    scene: Rc<Scene>,
    seen: bool,
}

/// A pair, and who looks at it. Both contenders have the same: two pairs differ by more
/// than a look costs, for as long as they live.
struct Scene {
    // Before the pair, whose task it is a child of.
    observer: RefCell<Child>,
    pair: Pair,
    /// What the server had read when it was looked at last.
    told: Cell<u64>,
}

impl Contender for Calls {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let scene = &self.scene;
        let mut observer = scene.observer.borrow_mut();
        if self.seen {
            observer.line.say(0)?;
        }
        let slice = back_to_back(span, || scene.pair.call())?;
        if self.seen {
            let told = observer.line.hear()?;
            ensure!(told > scene.told.replace(told), "who looks does not see what goes on");
        }
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.scene.pair.server]
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
    let (observer, told) = (RefCell::new(observer), Cell::new(0));
    let scene = Rc::new(Scene { observer, pair, told });
    let calls = |seen| Calls { scene: Rc::clone(&scene), seen };
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, calls(true)),
        Entrant::new("call nobody sees", Side::Limit, calls(false)),
    ])
}
