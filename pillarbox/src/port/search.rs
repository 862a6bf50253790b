//! Receiving by choice: the first message of which the receiver says so.
//!
//! User code never runs under the port's lock: a message somebody's predicate
//! looks at is lent out of the queue meanwhile, and others pass it by.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use rights::queue::Scan;

use super::after::After;
use super::receive::taken_out;
use super::state::Wants;
use super::{PortCore, ReceiveRight};
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::link::Link;
use crate::message::Message;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// How far one who chooses has come, and where it waits.
#[derive(Debug, Default)]
pub(crate) struct Search {
    scan: Scan,
    /// The link whose end makes it look.
    link: Option<Arc<Link>>,
    at_link: bool,
}

impl Search {
    /// One that ends with this link, too.
    pub(crate) fn until_gone(link: Option<Arc<Link>>) -> Self {
        Search { link, ..Search::default() }
    }

    fn stand_at_link(&mut self, waiter: &Arc<Waiter>) {
        if let Some(link) = &self.link
            && !std::mem::replace(&mut self.at_link, true)
        {
            link.add_waiter(waiter);
        }
    }

    /// Waits at its link no more.
    pub(crate) fn leave_link(&mut self, waiter: &Arc<Waiter>) {
        if let Some(link) = &self.link
            && std::mem::take(&mut self.at_link)
        {
            link.remove_waiter(waiter);
        }
    }
}

/// How a search ends.
#[derive(Debug)]
pub(crate) enum Found {
    /// With a message.
    Message(Box<Message>),
    /// With nothing: what is not there now never comes.
    Over,
    /// With what the predicate panicked with, to be brought out of the wait.
    Panic(Box<dyn Any + Send>),
}

impl Found {
    /// The message; `None` where the search is over. Panics as the predicate did.
    pub(crate) fn resume(self) -> Option<Message> {
        match self {
            Found::Message(message) => Some(*message),
            Found::Over => None,
            Found::Panic(panic) => resume_unwind(panic),
        }
    }
}

impl PortCore {
    /// Looks at what came since the last pass, one message after the other.
    fn search(&self, scan: &mut Scan, wanted: &mut impl FnMut(&Message) -> bool) -> Option<Found> {
        lock(&self.state).queue.begin_pass(scan);
        loop {
            let mut lent = lock(&self.state).queue.lend_next(scan)?;
            lent.message_mut().pulses = lent.pulses();
            // Who looks at its rights may copy them.
            lent.message_mut().pass_inside();
            let answer = catch_unwind(AssertUnwindSafe(|| wanted(lent.message())));
            let mut after = After::default();
            let found = match answer {
                Ok(true) => {
                    let mut state = lock(&self.state);
                    let message = state.keep(lent, self.task.now_ns(), &mut after);
                    Some(Found::Message(Box::new(message)))
                }
                Ok(false) => {
                    lock(&self.state).give_back(lent, &mut after);
                    None
                }
                Err(panic) => {
                    lock(&self.state).give_back(lent, &mut after);
                    Some(Found::Panic(panic))
                }
            };
            after.run();
            if found.is_some() {
                return found;
            }
        }
    }

    /// Takes the first message of which `wanted` says so, or waits at the port and
    /// at the link of the search. Ends with nothing once `over` says that what is
    /// not there now never comes.
    pub(crate) fn poll_search(
        &self,
        search: &mut Search,
        wanted: &mut impl FnMut(&Message) -> bool,
        over: impl Fn() -> bool,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Found> {
        if !std::mem::replace(waiting, true) {
            let mut after = After::default();
            let now_ns = self.task.now_ns();
            lock(&self.state).join_receivers(waiter, Wants::Search, now_ns, &mut after);
            after.run();
        }
        search.stand_at_link(waiter);
        // First whether it is over, then what there is.
        let over = over();
        let found = match self.search(&mut search.scan, wanted) {
            None if over => Found::Over,
            // It may be polled again, and goes on where it was: it waits on.
            Some(Found::Panic(panic)) => return Some(Found::Panic(panic)),
            found => found?,
        };
        search.leave_link(waiter);
        self.leave_receivers(waiter, waiting);
        Some(match found {
            Found::Message(message) => Found::Message(Box::new(taken_out(*message))),
            other => other,
        })
    }
}

impl ReceiveRight {
    /// Takes the first message of which `wanted` says so, and leaves the others
    /// as they are.
    ///
    /// No message is shown to `wanted` twice in one call: what came before it
    /// began is shown in the order of the queue, then what comes, as it comes.
    /// While `wanted` looks at a message, other threads pass that message by;
    /// then it is back in its place. `wanted` may do anything, receive from the
    /// same port too. Where it panics the message is back in its place before
    /// the panic goes on.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive`].
    ///
    /// # Errors
    /// As [`ReceiveRight::receive`].
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive_id`]. What was there when the deadline came is
    /// still looked at.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(2));
    /// let post = inbox.make_send()?;
    /// post.send(Message::new("short"), Deadline::Never)?;
    /// post.send(Message::new("a longer one"), Deadline::Never)?;
    /// let long = inbox.receive_where(|message| message.body().len() > 8, Deadline::Never)?;
    /// assert_eq!(long.body(), b"a longer one");
    /// assert_eq!(inbox.receive(Deadline::Never)?.body(), b"short");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_where(
        &self,
        wanted: impl FnMut(&Message) -> bool,
        deadline: Deadline,
    ) -> Result<Message, ReceiveError> {
        self.core.task.check().map_err(|_| ReceiveError::Forked)?;
        let found = self.core.search_until(Search::default(), wanted, || false, deadline);
        found.flatten().ok_or(ReceiveError::Deadline)
    }
}

impl PortCore {
    /// Searches until `deadline`: the message, or `Some(None)` where it is over.
    pub(crate) fn search_until(
        &self,
        search: Search,
        mut wanted: impl FnMut(&Message) -> bool,
        over: impl Fn() -> bool,
        deadline: Deadline,
    ) -> Option<Option<Message>> {
        let leave = |(mut search, mut waiting): (Search, bool)| {
            if waiting {
                let waiter = Waiter::mine();
                search.leave_link(&waiter);
                self.leave_receivers(&waiter, &mut waiting);
            }
        };
        let (held, found) = shm::jump::held((search, false), leave, |(search, waiting)| {
            self.task.wait(deadline, None, |waiter| {
                self.poll_search(search, &mut wanted, &over, waiter, waiting)
            })
        });
        leave(held);
        found.map(Found::resume)
    }
}
