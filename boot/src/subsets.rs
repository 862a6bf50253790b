//! Restricted bootstrap rights: each is a port of its own, and what it leads to.
//!
//! A request is known to be restricted by the port it came to, which nobody can choose. A
//! flood of them fills that port, and nobody else's. When nobody can send there any more,
//! the port is dropped, and what it led to is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pillarbox::{Member, ReceiveRight, Revoker, SendRight, TaskId};

use crate::limits::{SUBSETS, SUBSETS_PER_TASK};

/// By whose authority a restricted right leads anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// By that of the task that made it: this process, as of then.
    Maker(i32),
    /// The rules decide for each who asks, as ever.
    Rules,
}

/// A name that is listed.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// What it stands for.
    pub(crate) name: String,
    /// Where the right to it was narrowed: that one.
    pub(crate) right: Option<SendRight>,
    /// What ends that right.
    pub(crate) revoker: Option<Arc<Revoker>>,
    /// It may be checked in under, too, by who else may.
    pub(crate) provides: bool,
}

/// What a restricted right leads to.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) by: By,
    /// By what each is called there, in order.
    pub(crate) names: BTreeMap<String, Listing>,
}

#[derive(Debug)]
pub(crate) struct Subset {
    pub(crate) port: ReceiveRight,
    pub(crate) member: Member,
    pub(crate) view: Arc<View>,
    /// Who is charged; nobody for what a file declares.
    pub(crate) maker: Option<TaskId>,
}

/// All of them, by their ports.
#[derive(Debug, Default)]
pub(crate) struct Subsets {
    all: HashMap<u64, Subset>,
    of_task: HashMap<TaskId, usize>,
    made: usize,
}

impl Subsets {
    /// Whether this task may make one more.
    pub(crate) fn has_room(&self, maker: TaskId) -> bool {
        let own = self.of_task.get(&maker).copied().unwrap_or(0);
        self.made < SUBSETS && own < SUBSETS_PER_TASK
    }

    pub(crate) fn add(
        &mut self,
        port: ReceiveRight,
        member: Member,
        view: View,
        maker: Option<TaskId>,
    ) {
        if let Some(maker) = maker {
            self.made += 1;
            *self.of_task.entry(maker).or_default() += 1;
        }
        self.all.insert(port.id(), Subset { port, member, view: Arc::new(view), maker });
    }

    /// What each leads to.
    pub(crate) fn views(&self) -> impl Iterator<Item = &View> {
        self.all.values().map(|subset| &*subset.view)
    }

    /// What requests to this port lead to; nothing for the server's own.
    pub(crate) fn view(&self, port: u64) -> Option<&Arc<View>> {
        self.all.get(&port).map(|subset| &subset.view)
    }

    /// The port.
    pub(crate) fn port(&self, port: u64) -> Option<&ReceiveRight> {
        self.all.get(&port).map(|subset| &subset.port)
    }

    /// These names are granted by who made a right no more: none lists them, and what was
    /// narrowed for one is revoked.
    pub(crate) fn close(&mut self, names: &[String]) {
        for subset in self.all.values_mut() {
            let is_closed = |listing: &Listing| names.contains(&listing.name);
            if subset.view.by == By::Rules || !subset.view.names.values().any(is_closed) {
                continue;
            }
            let (closed, left): (BTreeMap<_, _>, _) =
                subset.view.names.clone().into_iter().partition(|(_, one)| is_closed(one));
            subset.view = Arc::new(View { by: subset.view.by, names: left });
            for revoker in closed.into_values().filter_map(|listing| listing.revoker) {
                revoker.revoke();
            }
        }
    }

    /// All of them, which are another server's now.
    pub(crate) fn take_all(&mut self) -> Vec<Subset> {
        std::mem::take(self).all.into_values().collect()
    }

    /// Nobody can send there any more.
    pub(crate) fn remove(&mut self, port: u64) {
        let Some(subset) = self.all.remove(&port) else { return };
        let Some(maker) = subset.maker else { return };
        self.made -= 1;
        if let Some(count) = self.of_task.get_mut(&maker) {
            *count -= 1;
            if *count == 0 {
                self.of_task.remove(&maker);
            }
        }
    }
}
