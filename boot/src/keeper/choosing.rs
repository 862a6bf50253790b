//! Look-ups that take a range of versions or instances.

use std::time::Instant;

use pillarbox::bootstrap::Request;

use super::Keeper;
use crate::authority::{Caller, may_look_up};
use crate::names::Name;
use crate::supervision::Doing;
use crate::versions::Wanted;

impl Keeper {
    /// Has a look-up of a range be one of the name it finds, among those the caller may
    /// look up. A text that somebody has as a name is that.
    pub(super) fn choose(&mut self, request: &mut Request, caller: &Caller) {
        let Request::LookUp { name, .. } = request else { return };
        let Some(wanted) = Wanted::read(name) else { return };
        let is_name = match &caller.view {
            None => self.names.get(name).is_some(),
            Some(view) => view.names.contains_key(name),
        };
        if is_name {
            return;
        }
        // What nobody has any more and nobody starts is about to be forgotten.
        let is_there = |known: &Name| known.program.is_some() || self.runs(known);
        let may = |name: &str, known: &Name| {
            is_there(known) && may_look_up(known.guard.as_deref(), name, caller).is_ok()
        };
        let chosen = match &caller.view {
            None => {
                let names = self.names.beginning(wanted.base());
                let mine = names.filter(|(name, known)| may(name, known));
                wanted.choose(mine.map(|(name, known)| (name, self.runs(known))))
            }
            Some(view) => wanted.choose(view.names.iter().filter_map(|(alias, listing)| {
                let known = self.names.known(&listing.name).filter(|known| is_there(known))?;
                let verdict = listing
                    .pass(view.by)
                    .or(|| may_look_up(known.guard.as_deref(), &listing.name, caller));
                verdict.ok().map(|_| (alias.as_str(), self.runs(known)))
            })),
        };
        if let Some(chosen) = chosen.map(str::to_owned) {
            *name = chosen;
        }
    }

    /// Whether somebody has the name; of a queue, whether its service runs.
    fn runs(&self, known: &Name) -> bool {
        if known.queue.is_none() {
            return known.holder.as_ref().is_some_and(|holder| !holder.right.is_dead());
        }
        let program = known.program.and_then(|id| self.programs.get(id.0));
        program.is_some_and(|program| program.supervision.doing(Instant::now()) == Doing::Up)
    }
}
