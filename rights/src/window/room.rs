//! Who is told once that there is room.

use std::hash::Hash;

use super::Window;

impl<K: Copy + Eq + Hash> Window<K> {
    /// A holder, or a sender of our own under any name, wants to hear once that
    /// there is room. It reserves none.
    pub fn watch(&mut self, holder: K) {
        if !self.watching.contains(&holder) {
            self.watching.push(holder);
        }
    }

    /// Whether anybody is to hear of room.
    pub(crate) const fn is_watched(&self) -> bool {
        !self.watching.is_empty()
    }

    /// Whether a message of `holder` would find a place now.
    fn has_room(&self, holder: &K) -> bool {
        let first = self.beside == 0 && self.asking.is_empty();
        self.open
            || self.holders.get(holder).is_some_and(|entry| entry.unused() > 0)
            || first
                && (self.free() > 0
                    || self.promised > 0 && self.holders.values().any(|entry| entry.reserve() > 0))
    }

    /// Who is to hear of room now, once.
    #[must_use = "who is told once must be told"]
    pub fn tell_room(&mut self) -> Vec<K> {
        if self.watching.is_empty() {
            return Vec::new();
        }
        let (told, wait) = std::mem::take(&mut self.watching)
            .into_iter()
            .partition(|holder| self.has_room(holder));
        self.watching = wait;
        told
    }
}
