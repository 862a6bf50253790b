//! A receive right inside its own queue, which nobody could ever receive from.

use std::sync::Arc;

use crate::message::{Message, Right};
use crate::port::{PortCore, ReceiveRight};
use crate::wait::parking::lock;

impl PortCore {
    /// This port, those that lie in its queue or will, those in theirs, and so on.
    pub(crate) fn with_all_inside(self: &Arc<Self>) -> Vec<Arc<PortCore>> {
        let mut seen = vec![Arc::clone(self)];
        let mut next = 0;
        while let Some(port) = seen.get(next).map(Arc::clone) {
            next += 1;
            for inner in lock(port.state()).ports_inside() {
                if !seen.iter().any(|known| known.id == inner.id) {
                    seen.push(inner);
                }
            }
        }
        seen
    }

    /// Whether `sought` lies in the queue of this port, or in that of a port that
    /// does.
    fn holds(self: &Arc<Self>, sought: &PortCore) -> bool {
        self.with_all_inside().iter().any(|port| port.is_same(sought))
    }
}

impl PortCore {
    /// How deep ports lie in the queue of this one, this one counted; not looked for
    /// beyond `most`.
    pub(crate) fn depth(self: &Arc<Self>, most: usize) -> usize {
        let (mut level, mut depth) = (vec![Arc::clone(self)], 0);
        while !level.is_empty() && depth <= most {
            depth += 1;
            level = level.iter().flat_map(|port| lock(port.state()).ports_inside()).collect();
        }
        depth
    }
}

impl Message {
    /// The ports whose receive rights it brings.
    pub(crate) fn ports(&self) -> impl Iterator<Item = Arc<PortCore>> {
        self.rights.iter().filter_map(|right| match right {
            Right::Receive(right) => Some(Arc::clone(right.core())),
            Right::Send(_) | Right::SendOnce(_) => None,
        })
    }

    /// Takes out every receive right that would lie in its own queue, once this
    /// message is in that of `port`: who drops it ends its port. In its place the
    /// message has the receive right of a port that has ended.
    #[must_use = "the ports that were taken out end with this"]
    pub(crate) fn break_circles(&mut self, port: &PortCore) -> Vec<ReceiveRight> {
        let mut ended = Vec::new();
        for right in &mut self.rights {
            if let Right::Receive(inner) = right
                && inner.core().holds(port)
            {
                let empty = ReceiveRight::ended(&port.task);
                ended.push(std::mem::replace(inner, empty));
            }
        }
        ended
    }
}
