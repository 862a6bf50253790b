//! Rights that come with a link: what a parent gives its child, and a listener
//! its callers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use abi::{Offence, TaskId};

use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::greeting;
use crate::message::{Message, Right};
use crate::port::After;
use crate::wait::parking::lock;
use crate::wait::{Waiter, forget};

/// Rights that came with a link.
#[derive(Debug, Default)]
pub(crate) struct Welcomes {
    came: HashMap<TaskId, HashMap<String, Right>>,
    /// To calls of ours, each its own.
    offered: HashMap<TaskId, VecDeque<HashMap<String, Right>>>,
    waiters: Vec<Arc<Waiter>>,
}

/// Welcomes of one listener that may wait for the call they answer.
const OFFERS: usize = 8;

impl TaskCore {
    /// The first message on a link: named rights.
    pub(crate) fn welcomed(&self, message: Message, after: &mut After) -> Result<(), Offence> {
        let Some(sender) = message.sender else { return Err(Offence::NeverExported) };
        let named = match greeting::decode_names(message.body()) {
            Ok(names) if names.len() == message.rights.len() => names,
            Ok(_) => {
                after.drop_later(message);
                return Err(Offence::FrameTruncated);
            }
            Err(offence) => {
                after.drop_later(message);
                return Err(offence);
            }
        };
        let mut message = message;
        let rights = named.into_iter().zip(message.take_rights());
        let mut welcomes = lock(&self.welcomes);
        let mut unwanted = HashMap::new();
        let place = if message.id == greeting::TO_CALLER {
            let offers = welcomes.offered.entry(sender.task).or_default();
            if offers.len() < OFFERS {
                offers.push_back(HashMap::new());
                offers.back_mut().unwrap_or(&mut unwanted)
            } else {
                &mut unwanted
            }
        } else {
            welcomes.came.entry(sender.task).or_default()
        };
        for (name, right) in rights {
            if place.contains_key(&name) || place.len() >= abi::limits::MESSAGE_RIGHTS {
                after.drop_later(Message::new(Vec::new()).with_right(right));
            } else {
                place.insert(name, right);
            }
        }
        for waiter in welcomes.waiters.drain(..) {
            after.wake(waiter);
        }
        message.rights.extend(unwanted.into_values());
        after.drop_later(message);
        Ok(())
    }

    /// A link has ended: who waits for rights over it looks again.
    pub(crate) fn wake_unwelcomed(&self, after: &mut After) {
        for waiter in lock(&self.welcomes).waiters.drain(..) {
            after.wake(waiter);
        }
    }

    /// Waits for what the listener `peer` gives to a call of ours.
    pub(crate) fn wait_offer(
        &self,
        peer: TaskId,
        deadline: Deadline,
    ) -> Option<HashMap<String, Right>> {
        self.wait_welcomes(peer, deadline, |welcomes| welcomes.offered.get_mut(&peer)?.pop_front())
    }

    /// Waits for the rights that come with the link to `peer`.
    pub(crate) fn wait_welcome<T>(
        &self,
        peer: TaskId,
        deadline: Deadline,
        mut choose: impl FnMut(&mut HashMap<TaskId, HashMap<String, Right>>) -> Option<T>,
    ) -> Option<T> {
        self.wait_welcomes(peer, deadline, |welcomes| choose(&mut welcomes.came))
    }

    fn wait_welcomes<T>(
        &self,
        peer: TaskId,
        deadline: Deadline,
        mut choose: impl FnMut(&mut Welcomes) -> Option<T>,
    ) -> Option<T> {
        let look = |waiter: &Arc<Waiter>| self.look_for(peer, waiter, &mut choose);
        let found = self.wait(deadline, None, look);
        self.forget_unwelcomed(&Waiter::mine());
        found.flatten()
    }

    /// One look: `Some(None)` where nothing comes any more.
    fn look_for<T>(
        &self,
        peer: TaskId,
        waiter: &Arc<Waiter>,
        choose: &mut impl FnMut(&mut Welcomes) -> Option<T>,
    ) -> Option<Option<T>> {
        let mut welcomes = lock(&self.welcomes);
        forget(&mut welcomes.waiters, waiter);
        if let Some(found) = choose(&mut welcomes) {
            return Some(Some(found));
        }
        if self.link_with(peer).is_none_or(|link| link.is_dead()) {
            return Some(None);
        }
        welcomes.waiters.push(Arc::clone(waiter));
        None
    }

    /// One look for the rights that came with the link to `peer`.
    pub(crate) fn look_for_welcome<T>(
        &self,
        peer: TaskId,
        waiter: &Arc<Waiter>,
        choose: impl Fn(&mut HashMap<String, Right>) -> T,
    ) -> Option<Option<T>> {
        self.look_for(peer, waiter, &mut |welcomes| welcomes.came.get_mut(&peer).map(&choose))
    }

    /// This one waits for none any more.
    pub(crate) fn forget_unwelcomed(&self, waiter: &Arc<Waiter>) {
        forget(&mut lock(&self.welcomes).waiters, waiter);
    }
}
