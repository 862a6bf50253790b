//! Rights that come with a link: what a parent gives its child, and a listener
//! its callers.

use std::collections::HashMap;
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
    waiters: Vec<Arc<Waiter>>,
}

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
        let place = welcomes.came.entry(sender.task).or_default();
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
        after.drop_later(message);
        Ok(())
    }

    /// Waits for the rights that come with the link to `peer`.
    pub(crate) fn wait_welcome<T>(
        &self,
        peer: TaskId,
        deadline: Deadline,
        mut choose: impl FnMut(&mut HashMap<TaskId, HashMap<String, Right>>) -> Option<T>,
    ) -> Option<T> {
        let found = self.wait(deadline, None, |waiter| {
            let mut welcomes = lock(&self.welcomes);
            forget(&mut welcomes.waiters, waiter);
            if let Some(found) = choose(&mut welcomes.came) {
                return Some(Some(found));
            }
            if self.link_with(peer).is_none_or(|link| link.is_dead()) {
                return Some(None);
            }
            welcomes.waiters.push(Arc::clone(waiter));
            None
        });
        forget(&mut lock(&self.welcomes).waiters, &Waiter::mine());
        found.flatten()
    }
}
