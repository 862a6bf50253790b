//! Where the ports are, as far as the logs tell: with a task, or on their way to
//! one in a letter.
//!
//! | record   | written by   | says                                            |
//! |----------|--------------|-------------------------------------------------|
//! | `MOVING` | the old task | a letter with the receive right is about to go  |
//! | `MOVED`  | the old task | it was accepted                                 |
//! | `BACK`   | the old task | it was not: the port is here as before          |
//! | `TOOK`   | the new task | the letter came, the port is here               |
//!
//! Each way of a port has a number, so that logs may be read in any order. Who was
//! killed between the first record and the second may have sent the letter or not.

use std::collections::HashMap;

use super::letter::PortId;

/// Where a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    With(u32),
    /// In a letter to a port; its sender may be dead without having sent it.
    OnItsWay {
        from: u32,
        to: PortId,
        accepted: bool,
    },
}

/// The ways of one port.
#[derive(Debug)]
struct Journey {
    /// How many ways it has come.
    ways: u64,
    place: Place,
    /// Who had it, and gave it away or was about to.
    left: Vec<u32>,
    /// The ports it went in a letter to. It lay in their queues, and went with them.
    through: Vec<PortId>,
}

/// Where all ports are, and which tasks are over.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those that ever moved.
    journeys: HashMap<PortId, Journey>,
    /// When a life was killed, or had nothing left.
    over: HashMap<u32, u64>,
    killed: HashMap<u32, u64>,
    ended: HashMap<PortId, u64>,
}

impl Places {
    /// A life was killed, at this time or a little later.
    pub(super) fn killed(&mut self, life: u32, time_ns: u64) {
        self.over.insert(life, time_ns);
        self.killed.insert(life, time_ns);
    }

    /// A life has nothing left.
    pub(super) fn done(&mut self, life: u32, time_ns: u64) {
        self.over.insert(life, time_ns);
    }

    /// Its receiver ends the port.
    pub(super) fn ended(&mut self, port: PortId, time_ns: u64) {
        self.ended.insert(port, time_ns);
    }

    fn journey(&mut self, port: PortId) -> &mut Journey {
        let place = Place::With(port.life());
        self.journeys.entry(port).or_insert_with(|| Journey {
            ways: 0,
            place,
            left: Vec::new(),
            through: Vec::new(),
        })
    }

    /// A letter with the port is about to go, or was accepted.
    pub(super) fn goes(&mut self, life: u32, port: PortId, to: PortId, way: u64, accepted: bool) {
        let journey = self.journey(port);
        if !journey.left.contains(&life) {
            journey.left.push(life);
        }
        if !journey.through.contains(&to) {
            journey.through.push(to);
        }
        if way > journey.ways {
            journey.place = Place::OnItsWay { from: life, to, accepted };
        }
    }

    /// The letter came back.
    pub(super) fn came_back(&mut self, life: u32, port: PortId, way: u64) {
        let journey = self.journey(port);
        if way > journey.ways {
            journey.place = Place::With(life);
        }
    }

    /// The letter came.
    pub(super) fn took(&mut self, life: u32, port: PortId, way: u64) {
        let journey = self.journey(port);
        if way > journey.ways {
            journey.ways = way;
            journey.place = Place::With(life);
        }
    }

    /// Whether a port could be seen dead at this time.
    pub(super) fn is_over(&self, port: PortId, by_ns: u64) -> bool {
        if self.ended.get(&port).is_some_and(|end| *end <= by_ns) {
            return true;
        }
        let gone = |life: &u32| self.over.get(life).is_some_and(|end| *end <= by_ns);
        match self.journeys.get(&port).map(|journey| journey.place) {
            None => gone(&port.life()),
            Some(Place::With(life)) => gone(&life),
            // A port only goes into one that is older, or never goes anywhere. A letter
            // that a dead former task had to pass on is gone with what was in it.
            Some(Place::OnItsWay { from, to, accepted }) => {
                self.is_over(to, by_ns)
                    || self.left_one_over(to, by_ns)
                    || (!accepted && gone(&from))
            }
        }
    }

    /// Whether one of those who gave the port away was over by then, or gave away one it
    /// lay in: what that may still take is the matter of decision 11.
    pub(super) fn left_one_over(&self, port: PortId, by_ns: u64) -> bool {
        let killed = |life: &u32| self.over.get(life).is_some_and(|end| *end <= by_ns);
        self.way_of(port).iter().any(|(_, journey)| journey.left.iter().any(killed))
    }

    /// The journey of the port, of those it lay in, and so on.
    fn way_of(&self, port: PortId) -> Vec<(PortId, &Journey)> {
        let mut way: Vec<(PortId, &Journey)> = Vec::new();
        let mut next = vec![port];
        while let Some(port) = next.pop() {
            if way.iter().any(|(known, _)| *known == port) {
                continue;
            }
            let Some(journey) = self.journeys.get(&port) else { continue };
            next.extend(&journey.through);
            way.push((port, journey));
        }
        way
    }

    /// Whose port it is that was not ended though its task lived to the end.
    pub(super) fn never_ended(&self, port: PortId) -> Option<u32> {
        if self.ended.contains_key(&port) {
            return None;
        }
        let killed = |life: &u32| self.killed.contains_key(life);
        match self.journeys.get(&port).map(|journey| journey.place) {
            None => Some(port.life()).filter(|life| !killed(life)),
            Some(Place::With(life)) => Some(life).filter(|life| !killed(life)),
            Some(Place::OnItsWay { from, to, accepted }) => {
                let went = accepted || !killed(&from);
                let lost = self.is_over(to, u64::MAX) || self.left_one_over(to, u64::MAX);
                (went && !lost).then_some(from)
            }
        }
    }

    /// All that is known of a port, and who was over when this was seen.
    pub(super) fn tell(&self, port: PortId, by_ns: u64) -> String {
        let way = self.way_of(port);
        let mut over: Vec<u32> = way
            .iter()
            .flat_map(|(_, journey)| &journey.left)
            .filter(|life| self.over.get(life).is_some_and(|end| *end <= by_ns))
            .copied()
            .collect();
        over.sort_unstable();
        over.dedup();
        format!("{way:x?}, of them over {over:x?}, ended {:?}", self.ended.get(&port))
    }

    /// Ports that ever moved.
    pub(super) fn moved(&self) -> impl Iterator<Item = PortId> {
        self.journeys.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: PortId = PortId::new(1, 1);
    const MAIN: PortId = PortId::new(2, 0);

    #[test]
    fn a_port_that_went_is_not_dead_with_who_gave_it() {
        let mut places = Places::default();
        places.goes(1, PORT, MAIN, 1, false);
        places.goes(1, PORT, MAIN, 1, true);
        places.killed(1, 5);
        assert!(!places.is_over(PORT, 9));
        assert!(places.left_one_over(PORT, 9) && !places.left_one_over(PORT, 4));
        places.took(2, PORT, 1);
        assert!(!places.is_over(PORT, 9));
        places.killed(2, 7);
        assert!(places.is_over(PORT, 7) && !places.is_over(PORT, 6));
    }

    #[test]
    fn one_that_may_not_have_gone_may_be_dead() {
        let mut places = Places::default();
        places.goes(1, PORT, MAIN, 1, false);
        assert!(!places.is_over(PORT, 9));
        places.killed(1, 5);
        assert!(places.is_over(PORT, 5));
        places.took(2, PORT, 1);
        assert!(!places.is_over(PORT, 9));
    }

    #[test]
    fn one_that_lies_in_a_port_ends_with_it() {
        let mut places = Places::default();
        places.goes(1, PORT, MAIN, 1, true);
        places.ended(MAIN, 6);
        assert!(places.is_over(PORT, 6) && !places.is_over(PORT, 5));
    }

    #[test]
    fn one_in_a_letter_that_a_dead_task_had_to_pass_on_may_be_dead() {
        let (mut places, way) = (Places::default(), PortId::new(2, 1));
        places.goes(2, way, MAIN, 1, true);
        places.took(3, way, 1);
        places.goes(1, PORT, way, 1, true);
        assert!(!places.is_over(PORT, 9) && places.never_ended(PORT) == Some(1));
        places.killed(2, 5);
        assert!(places.is_over(PORT, 5) && !places.is_over(PORT, 4));
        assert_eq!(places.never_ended(PORT), None);
        places.took(3, PORT, 1);
        assert!(!places.is_over(PORT, 9));
    }

    #[test]
    fn one_that_went_in_the_queue_of_another_may_have_lost_what_took_that() {
        let (mut places, way) = (Places::default(), PortId::new(2, 1));
        // It lies in a port that goes from its task to a third.
        places.goes(1, PORT, way, 1, true);
        places.goes(2, way, MAIN, 1, true);
        places.took(3, way, 1);
        places.took(3, PORT, 1);
        assert!(!places.left_one_over(PORT, 9));
        places.killed(2, 5);
        assert!(places.left_one_over(PORT, 5) && !places.left_one_over(PORT, 4));
    }

    #[test]
    fn logs_may_be_read_in_any_order() {
        let mut places = Places::default();
        places.took(3, PORT, 2);
        places.took(2, PORT, 1);
        places.goes(2, PORT, PortId::new(3, 0), 2, true);
        places.goes(1, PORT, MAIN, 1, true);
        places.killed(2, 4);
        assert!(!places.is_over(PORT, 9) && places.left_one_over(PORT, 4));
        assert_eq!(places.never_ended(PORT), Some(3));
        places.ended(PORT, 8);
        assert_eq!(places.never_ended(PORT), None);
    }

    #[test]
    fn one_that_came_back_is_where_it_was() {
        let mut places = Places::default();
        places.goes(1, PORT, MAIN, 1, false);
        places.came_back(1, PORT, 1);
        places.ended(MAIN, 2);
        assert!(!places.is_over(PORT, 9));
        places.done(1, 3);
        assert!(places.is_over(PORT, 3));
    }
}
