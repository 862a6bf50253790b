//! Orders about services, and who waits until they are done.

use pillarbox::SendOnceRight;

use crate::admin::{Order, Told, answer};
use crate::answers::at_once;
use crate::limits::ORDERS_WAITING;
use crate::program::ProgramId;
use crate::step::{self, Step};

#[derive(Debug)]
struct Waiting {
    program: ProgramId,
    wants: Wants,
    reply: SendOnceRight,
}

/// What an order is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    /// The end of the child that runs.
    Down,
    /// The start of this number, or a later one, has checked in.
    Up(u64),
}

/// Who waits for an order of theirs.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    waiting: Vec<Waiting>,
}

impl Orders {
    /// Lets one wait for what it has ordered: the end of the child, or the start of
    /// this number. It is told that there is no room where there is none.
    pub(crate) fn add(
        &mut self,
        program: ProgramId,
        order: Order,
        start: u64,
        reply: SendOnceRight,
    ) {
        if self.waiting.len() >= ORDERS_WAITING {
            self.waiting.retain(|waiting| !waiting.reply.state().is_gone());
        }
        if self.waiting.len() >= ORDERS_WAITING {
            tell(reply, &Told::NoRoom);
            return;
        }
        let wants = if order == Order::Stop { Wants::Down } else { Wants::Up(start) };
        self.waiting.push(Waiting { program, wants, reply });
    }

    /// A program has checked in for the start of this number.
    pub(crate) fn up(&mut self, program: ProgramId, start: u64) {
        self.over(program, |wants| {
            matches!(wants, Wants::Up(wanted) if wanted <= start).then_some(Told::Done)
        });
    }

    /// The child of this number has ended, or was not started, for this reason.
    pub(crate) fn down(&mut self, program: ProgramId, start: u64, reason: &str) {
        self.over(program, |wants| match wants {
            Wants::Down => Some(Told::Done),
            Wants::Up(wanted) if wanted <= start => Some(Told::NotStarted(reason.to_owned())),
            Wants::Up(_) => None,
        });
    }

    /// The next server goes on with all of them: who waits is told to ask it.
    pub(crate) fn go_on_elsewhere(&mut self) {
        for waiting in self.waiting.drain(..) {
            tell(waiting.reply, &Told::GoesOn);
        }
    }

    fn over(&mut self, program: ProgramId, told: impl Fn(Wants) -> Option<Told>) {
        let over =
            |waiting: &mut Waiting| waiting.program == program && told(waiting.wants).is_some();
        let over: Vec<Waiting> = self.waiting.extract_if(.., over).collect();
        for waiting in over {
            if let Some(told) = told(waiting.wants) {
                tell(waiting.reply, &told);
            }
        }
    }
}

/// Tells one; who has no room finds its answer dropped, and is told so.
pub(crate) fn tell(reply: SendOnceRight, told: &Told) {
    step::before(Step::Answer);
    let _ = reply.send(answer(told), at_once());
}
