//! Names are an index and a generation; none is used twice.

use abi::{Offence, Slot};

/// The table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of rights is full: {limit} entries")]
pub struct TableFull {
    /// How many entries it may have.
    pub limit: u32,
}

/// Values under names that are never used twice.
#[derive(Clone, Debug)]
pub struct Table<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    limit: u32,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    /// An empty table of at most `limit` entries.
    pub const fn new(limit: u32) -> Self {
        Table { entries: Vec::new(), free: Vec::new(), limit }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps `value` under a new name.
    ///
    /// # Errors
    /// [`TableFull`]; the value is dropped, so look first where that matters.
    pub fn insert(&mut self, value: T) -> Result<Slot, TableFull> {
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            entry.value = Some(value);
            return Ok(Slot { index, generation: entry.generation });
        }
        let index = self.entries.len() as u32;
        if index >= self.limit {
            return Err(TableFull { limit: self.limit });
        }
        self.entries.push(Entry { generation: 1, value: Some(value) });
        Ok(Slot { index, generation: 1 })
    }

    /// The value under `slot`.
    ///
    /// # Errors
    /// [`Offence::NeverExported`] for an index no entry ever had,
    /// [`Offence::GenerationStale`] for a name from another life of its slot.
    pub fn get(&self, slot: Slot) -> Result<&T, Offence> {
        let entry = self.entries.get(slot.index as usize).ok_or(Offence::NeverExported)?;
        match &entry.value {
            Some(value) if entry.generation == slot.generation => Ok(value),
            _ => Err(Offence::GenerationStale),
        }
    }

    /// The value under `slot`, to change.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn get_mut(&mut self, slot: Slot) -> Result<&mut T, Offence> {
        let entry = self.entries.get_mut(slot.index as usize).ok_or(Offence::NeverExported)?;
        match &mut entry.value {
            Some(value) if entry.generation == slot.generation => Ok(value),
            _ => Err(Offence::GenerationStale),
        }
    }

    /// Takes the value out and ends the name.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn remove(&mut self, slot: Slot) -> Result<T, Offence> {
        self.get(slot)?;
        let entry = self.entries.get_mut(slot.index as usize).ok_or(Offence::NeverExported)?;
        let value = entry.value.take().ok_or(Offence::GenerationStale)?;
        // A slot whose generations are used up is retired, not wrapped.
        if let Some(next) = entry.generation.checked_add(1) {
            entry.generation = next;
            self.free.push(slot.index);
        }
        Ok(value)
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let slot = Slot { index: index as u32, generation: entry.generation };
            entry.value.as_ref().map(|value| (slot, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_used_twice() {
        let mut table = Table::new(2);
        let first = table.insert('a').unwrap();
        assert_eq!(table.remove(first), Ok('a'));
        let second = table.insert('b').unwrap();
        assert_eq!(first.index, second.index);
        assert_ne!(first.generation, second.generation);
        assert_eq!(table.get(first), Err(Offence::GenerationStale));
        assert_eq!(table.get(Slot { index: 9, generation: 1 }), Err(Offence::NeverExported));
        table.insert('c').unwrap();
        assert_eq!(table.insert('d'), Err(TableFull { limit: 2 }));
        assert_eq!(table.iter().count(), 2);
    }
}
