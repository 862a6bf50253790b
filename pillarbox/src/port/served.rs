//! A port whose messages the library itself takes.

use std::sync::Arc;

use super::PortCore;
use super::after::After;
use super::receive::taken_out;
use super::state::Wants;
use crate::message::Message;
use crate::wait::parking::lock;

impl PortCore {
    /// The library takes what comes, from now on.
    pub(crate) fn be_served(self: &Arc<Self>) {
        lock(&self.state).served = Some(Arc::downgrade(self));
    }

    /// Whether the caller is to serve the port. If so it goes on until nothing is
    /// left.
    pub(crate) fn begin_serving(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).serving, true)
    }

    /// The next message to serve. With none the caller serves no more; who brings
    /// one after that sees so under the same lock.
    pub(crate) fn next_to_serve(&self) -> Option<Message> {
        let mut after = After::default();
        let next = {
            let mut state = lock(&self.state);
            let next = state.take(Wants::Any, self.task.now_ns(), &mut after);
            state.serving = next.is_some();
            next
        };
        after.run();
        next.map(taken_out)
    }
}
