//! Places that were asked for and lie unused while others wait.

use std::hash::Hash;

use abi::limits;

use super::Window;

impl<K: Copy + Eq + Hash> Window<K> {
    /// Whether a place that lies unused is in somebody's way. It is also in that of
    /// who wants to hear of room: asking, that one would get it.
    fn anyone_waits(&self) -> bool {
        self.own_waiting > 0 || self.beside > 0 || !self.asking.is_empty() || self.is_watched()
    }

    /// Writes off what was asked for and left unused too long while others wait.
    /// What is free then is to be handed out.
    pub fn write_off(&mut self, now_ns: u64) {
        // Where whoever comes may enter, no place is in anybody's way.
        if self.open || !self.anyone_waits() {
            return;
        }
        self.oldest = None;
        for entry in self.holders.values_mut() {
            let Some(since) = entry.asked_since else {
                continue;
            };
            if since.saturating_add(limits::GRANT_IDLE_NS) <= now_ns {
                let lost = entry.ready();
                entry.written_off += lost;
                entry.asked_since = None;
                self.promised -= lost;
            } else {
                self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
            }
        }
    }

    /// When there may be something to write off, if ever: early rather than
    /// late.
    #[must_use = "somebody must look again at that time"]
    pub fn next_expiry(&self) -> Option<u64> {
        if self.open || !self.anyone_waits() {
            return None;
        }
        self.oldest.map(|since| since.saturating_add(limits::GRANT_IDLE_NS))
    }
}
