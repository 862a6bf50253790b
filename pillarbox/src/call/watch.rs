//! Who is told that an answer is wanted no more.

use rights::reply::ReplyState;

use crate::message::Notification;
use crate::port::After;
use crate::right::SendOnceRight;

/// What the holder of a reply right wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The caller asks for an end, or is gone.
    Withdrawn,
    /// The caller is gone.
    Unwanted,
}

/// What is to be told, once each.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    withdrawn: Option<SendOnceRight>,
    unwanted: Option<SendOnceRight>,
}

impl Watch {
    /// Replaces an earlier request of the kind.
    pub(crate) fn set(&mut self, news: News, to: SendOnceRight, after: &mut After) {
        let place = match news {
            News::Withdrawn => &mut self.withdrawn,
            News::Unwanted => &mut self.unwanted,
        };
        if let Some(before) = place.replace(to) {
            after.let_go(before);
        }
    }

    /// Tells what `state` makes true.
    pub(crate) fn see(&mut self, state: ReplyState, after: &mut After) {
        if state != ReplyState::Wanted
            && let Some(to) = self.withdrawn.take()
        {
            after.fire(to, Notification::Withdrawn);
        }
        if state.is_gone()
            && let Some(to) = self.unwanted.take()
        {
            after.fire(to, Notification::Unwanted);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.withdrawn.is_none() && self.unwanted.is_none()
    }

    /// The reply right has been used or has gone elsewhere.
    pub(crate) fn let_go(self, after: &mut After) {
        for to in self.withdrawn.into_iter().chain(self.unwanted) {
            after.let_go(to);
        }
    }
}
