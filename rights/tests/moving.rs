//! Every interleaving of a move.
//!
//! An old owner, a new one and an importer with a send right and a send-once
//! right. Each takes its next small step, in every order there is, and each may be
//! killed between any two of them. Lanes, boards and the bag are memory: what was
//! written stays readable when its writer is dead.
//!
//! What the machines of [`rights::moving`] do not decide, the model does as the
//! library must: it is the model of their use.

#![allow(clippy::print_stdout, reason = "it tells how far it went")]

#[path = "moving/importer.rs"]
mod importer;
#[path = "moving/new_owner.rs"]
mod new_owner;
#[path = "moving/old_owner.rs"]
mod old_owner;

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

use rights::moving::{Followers, Following, Leaving, Next};

/// Messages the importer sends in all.
const MESSAGES: u8 = 2;

/// How often the old owner tries.
const MARKS: u8 = 2;

/// Which right of the importer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Held {
    Send,
    Once,
}

/// What the importer writes about a right, in either lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Word {
    /// Message number so and so, on the send right.
    Message(u8),
    /// The same once more, since a dead old owner had not read it.
    Again(u8),
    /// The one message of the send-once right.
    OnceMessage,
    /// The send-once right was dropped.
    Dropped,
    /// The send right goes home.
    Release,
    /// I have followed: the right at the old owner is let go.
    Done(Held),
    /// To the new owner: the right was mine, and so many I sent on it.
    Claim(Held, u8),
}

/// What the new owner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Joined(Held, u8),
    Unknown(Held),
}

/// What the old owner writes into the bag after the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Forwarded {
    Message(u8),
    OnceMessage,
    OnceDropped,
    Ended(Held),
}

/// What the slot on the old owner's board says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Slot {
    #[default]
    Live,
    Moved,
    Dead,
}

/// A lane: what was written, how far it was read, how far that was announced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Lane<T> {
    written: Vec<T>,
    read: usize,
    freed: usize,
}

impl<T: Copy> Lane<T> {
    fn next(&self) -> Option<T> {
        self.written.get(self.read).copied()
    }
}

/// What ends a promise, and how often it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Ends(u8);

/// The importer and one of its rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Right {
    following: Following,
    /// Still in its space.
    held: bool,
    /// Messages sent on it to the old owner.
    sent: u8,
    /// What it must still say to the new owner, in order.
    again: Vec<Word>,
    /// The slot was seen alive: the next message goes to the old owner.
    aimed: bool,
}

impl Default for Right {
    fn default() -> Self {
        let following = Following::Idle;
        Right { following, held: true, sent: 0, again: Vec::new(), aimed: false }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    old_alive: bool,
    new_alive: bool,
    importer_alive: bool,
    kills_left: u8,
    /// Which rules are broken on purpose.
    fault: Fault,

    // The old owner.
    leaving: Leaving,
    slot: Slot,
    queue: Vec<u8>,
    /// Messages of the importer that came to it before the move.
    arrived: u8,
    sender_at_old: bool,
    once_at_old: bool,
    buried_new: bool,
    marks_left: u8,
    /// How often it said *look*.
    looks: u8,
    buried_importer_old: bool,

    // Memory between them.
    to_old: Lane<Word>,
    to_new: Lane<Word>,
    from_new: Lane<Answer>,
    committed: bool,
    bag_queue: Vec<u8>,
    bag_once_out: bool,
    bag_sender_out: bool,
    bag_arrived: u8,
    bag: Vec<Forwarded>,

    // The new owner.
    adopted: bool,
    followers: Followers<Held>,
    bag_read: usize,
    port: Vec<u8>,
    buried_old: bool,
    buried_importer: bool,
    sender_joined: bool,
    once_joined: bool,

    // The importer.
    send: Right,
    once: Right,
    next_message: u8,
    first_message: u8,
    knows_old_dead: bool,
    looks_seen: u8,

    // What users saw.
    taken: Vec<u8>,
    ends: Ends,
}

/// One rule broken, to see that the model sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Fault {
    #[default]
    None,
    /// The space in the lane is freed before the bag has what was in it.
    FreedTooEarly,
    /// A claim is answered though messages are still on their way.
    JoinedTooEarly,
    /// A refusal is believed though it came before the old owner's death.
    RefusalBelieved,
    /// The importer sends everything again that its lane shows.
    AllSentAgain,
    /// What the old owner heard of a right's end it keeps to itself.
    EndUntold,
    /// The commit comes before the marks.
    CommitBeforeMarks,
    /// The new owner answers before it has read what the old one's lane shows.
    AnsweredBlindly,
    /// The old owner marks the slots, publishes, and says nothing.
    CommitUnsaid,
    /// The importer keeps its right at the old owner after it has followed.
    OldSlotKept,
}

impl World {
    fn new(held: Held, kills: u8, fault: Fault) -> Self {
        let mut world = World {
            old_alive: true,
            new_alive: true,
            importer_alive: true,
            kills_left: kills,
            fault,
            leaving: Leaving::Here,
            slot: Slot::Live,
            queue: Vec::new(),
            arrived: 0,
            sender_at_old: true,
            once_at_old: true,
            buried_new: false,
            marks_left: MARKS,
            looks: 0,
            buried_importer_old: false,
            to_old: Lane { written: Vec::new(), read: 0, freed: 0 },
            to_new: Lane { written: Vec::new(), read: 0, freed: 0 },
            from_new: Lane { written: Vec::new(), read: 0, freed: 0 },
            committed: false,
            bag_queue: Vec::new(),
            bag_once_out: false,
            bag_sender_out: false,
            bag_arrived: 0,
            bag: Vec::new(),
            adopted: false,
            followers: Followers::default(),
            bag_read: 0,
            port: Vec::new(),
            buried_old: false,
            buried_importer: false,
            sender_joined: false,
            once_joined: false,
            send: Right::default(),
            once: Right::default(),
            next_message: 1,
            first_message: 1,
            knows_old_dead: false,
            looks_seen: 0,
            taken: Vec::new(),
            ends: Ends::default(),
        };
        // The right the importer does not have.
        match held {
            Held::Send => {
                world.once_at_old = false;
                world.once.held = false;
                world.ends.0 = 1;
            }
            Held::Once => {
                world.sender_at_old = false;
                world.send.held = false;
                world.next_message = MESSAGES + 1;
                world.first_message = MESSAGES + 1;
            }
        }
        world
    }

    fn right(&mut self, held: Held) -> &mut Right {
        match held {
            Held::Send => &mut self.send,
            Held::Once => &mut self.once,
        }
    }

    /// Every world one step further, with the name of the step.
    fn steps(&self) -> Vec<(&'static str, World)> {
        let mut all = Vec::new();
        let mut add = |name: &'static str, step: fn(&mut World) -> bool| {
            let mut world = self.clone();
            if step(&mut world) {
                all.push((name, world));
            }
        };
        if self.kills_left > 0 {
            add("old owner killed", |w| w.kill(|w| &mut w.old_alive));
            add("new owner killed", |w| w.kill(|w| &mut w.new_alive));
            add("importer killed", |w| w.kill(|w| &mut w.importer_alive));
        }
        if self.old_alive {
            add("old owner reads", World::old_reads);
            add("old owner frees", World::old_frees);
            add("old owner receives", World::old_receives);
            add("old owner marks", World::old_marks);
            add("old owner commits", World::old_commits);
            add("old owner takes the marks back", World::old_unmarks);
            add("old owner buries the new", World::old_buries_new);
            add("old owner buries the importer", World::old_buries_importer);
        }
        if self.new_alive {
            add("new owner adopts", World::new_adopts);
            add("new owner reads the bag", World::new_reads_bag);
            add("new owner reads the importer", World::new_reads_importer);
            add("new owner buries the old", World::new_buries_old);
            add("new owner buries the importer", World::new_buries_importer);
            add("new owner looks for followers", World::new_looks_for_followers);
        }
        if self.importer_alive {
            add("importer aims", |w| w.importer_aims(Held::Send));
            add("importer aims once", |w| w.importer_aims(Held::Once));
            add("importer sends", World::importer_sends);
            add("importer sends once", |w| w.importer_ends_once(Word::OnceMessage));
            add("importer drops once", |w| w.importer_ends_once(Word::Dropped));
            add("importer lets go", World::importer_lets_go);
            add("importer claims", |w| w.importer_claims(Held::Send));
            add("importer claims once", |w| w.importer_claims(Held::Once));
            add("importer reads", World::importer_reads);
            add("importer says again", World::importer_says_again);
            add("importer learns of the old owner's death", World::importer_learns);
            add("importer learns of the new owner's death", World::importer_orphaned);
            add("importer looks", World::importer_looks);
        }
        all
    }

    fn kill(&mut self, who: fn(&mut World) -> &mut bool) -> bool {
        self.kills_left -= 1;
        std::mem::replace(who(self), false)
    }

    // ---- what must hold ------------------------------------------------------------

    /// What users took, and will take, of the importer's messages.
    fn received(&self) -> Vec<u8> {
        let queue = if self.new_alive && self.adopted { &self.port } else { &self.queue };
        self.taken.iter().chain(queue).copied().collect()
    }

    fn port_lives(&self) -> bool {
        if self.committed { self.new_alive } else { self.old_alive }
    }

    fn check(&self) -> Result<(), String> {
        let received = self.received();
        if received.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("order or doubling: {received:?}"));
        }
        if self.ends.0 > 1 {
            return Err("a promise ended twice".into());
        }
        for right in [&self.send, &self.once] {
            if right.following == Following::Dead && right.held && self.port_lives() {
                return Err("a right was found dead while its port lives".into());
            }
        }
        Ok(())
    }

    /// Nobody has a step left: everything must have come to its end.
    fn check_end(&self) -> Result<(), String> {
        if !self.port_lives() {
            for right in [&self.send, &self.once] {
                let settled = right.following.next(self.knows_old_dead) == Next::Dead
                    || (self.slot == Slot::Live && self.knows_old_dead);
                if self.importer_alive && right.held && !settled {
                    return Err(format!("nobody says that the port is dead: {right:?}"));
                }
            }
            return Ok(());
        }
        let accepted = self.next_message - self.first_message;
        let both_died = !self.old_alive && !self.importer_alive;
        let received = self.received();
        if received.len() != usize::from(accepted) && !both_died {
            return Err(format!("{accepted} accepted, received {received:?}"));
        }
        if self.committed && !self.followers.is_empty() {
            return Err("a right that has ended is still counted".into());
        }
        let gone = !self.importer_alive || !self.once.held;
        if gone && self.ends.0 != 1 {
            return Err("a promise was neither kept nor broken".into());
        }
        if self.importer_alive && self.committed {
            for right in [&self.send, &self.once] {
                if right.held && right.following != Following::Joined {
                    return Err(format!("a right never followed: {right:?}"));
                }
            }
        }
        if !self.importer_alive && self.committed && (self.sender_joined || self.once_joined) {
            return Err("the rights of a dead task are still counted".into());
        }
        Ok(())
    }
}

/// Which rights the importer begins with. Both at once would be the product of
/// the two, and they have nothing to do with one another.
const BOTH_KINDS: [Held; 2] = [Held::Send, Held::Once];

/// The steps that led somewhere, the last first.
#[derive(Debug)]
struct Path {
    step: &'static str,
    before: Option<Rc<Path>>,
}

fn told(what: &str, path: Option<&Rc<Path>>) -> String {
    let mut steps: Vec<&str> =
        std::iter::successors(path, |path| path.before.as_ref()).map(|path| path.step).collect();
    steps.reverse();
    format!("{what}, after: {}", steps.join("; "))
}

/// Walks every interleaving. Returns how many worlds there were. Worlds are told
/// apart by a hash of 64 bits: that two of a few million share one is a chance of
/// one in millions.
fn walk(held: Held, kills: u8, fault: Fault) -> Result<usize, String> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = HashSet::new();
    let first = World::new(held, kills, fault);
    seen.insert(hasher.hash_one(&first));
    let mut stack: Vec<(World, Option<Rc<Path>>)> = vec![(first, None)];
    while let Some((world, path)) = stack.pop() {
        world.check().map_err(|what| told(&what, path.as_ref()))?;
        let steps = world.steps();
        // Killing is always possible: it does not count as a way on.
        if steps.iter().all(|(name, _)| name.ends_with("killed")) {
            world.check_end().map_err(|what| told(&what, path.as_ref()))?;
        }
        for (step, next) in steps {
            if seen.insert(hasher.hash_one(&next)) {
                stack.push((next, Some(Rc::new(Path { step, before: path.clone() }))));
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn nothing_is_lost_doubled_or_turned_round_whoever_dies() {
    for held in BOTH_KINDS {
        for kills in 0..=2 {
            match walk(held, kills, Fault::None) {
                Ok(worlds) => println!("{held:?}, {kills} killed: {worlds} worlds"),
                Err(what) => panic!("{held:?}, {kills} killed: {what}"),
            }
        }
    }
}

#[test]
fn every_broken_rule_is_seen() {
    for fault in [
        Fault::FreedTooEarly,
        Fault::JoinedTooEarly,
        Fault::RefusalBelieved,
        Fault::AllSentAgain,
        Fault::EndUntold,
        Fault::CommitBeforeMarks,
        Fault::AnsweredBlindly,
        Fault::CommitUnsaid,
        Fault::OldSlotKept,
    ] {
        let found = BOTH_KINDS
            .into_iter()
            .find_map(|held| (0..=2).find_map(|kills| walk(held, kills, fault).err()));
        assert!(found.is_some(), "{fault:?} went unseen");
    }
}
