//! Every interleaving of spilling.
//!
//! A sender holds three rights to one unbounded port: a send right, a facet of it,
//! and a send-once right. Its lane is short and the owner's window shorter. Each
//! takes its next small step, in every order there is, and the sender may be killed
//! between any two of them. Lane and spills are memory: what was written stays
//! readable when its writer is dead. Sending is several steps, and so is a look at
//! all spills: reading what the page shows, what was offered, and each spill.
//!
//! What the machines of [`rights::spill`] do not decide, the model does as the
//! library must: it is the model of their use.

#![allow(clippy::print_stdout, reason = "it tells how far it went")]

#[path = "spill/owner.rs"]
mod owner;
#[path = "spill/sender.rs"]
mod sender;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

use rights::spill::{Incoming, Outgoing};

/// Messages the sender sends in all: five were walked once, 3.4 million worlds.
const MESSAGES: u8 = 4;

/// Messages the lane holds: none, where it is full of others'.
const LANES: [usize; 2] = [1, 0];

/// Spilled messages of one slot that the owner's queue holds.
const WINDOW: usize = 1;

/// The sender's rights, all to the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Slot {
    Send,
    Facet,
    Once,
}

/// What the sender writes into its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Frame {
    /// Message number so and so, on this right.
    Message(Slot, u8),
    /// All up to this number was spilled before what follows.
    Mark(u64),
    /// The right goes home.
    Release(Slot),
}

/// A message in a spill: its number, and how many frames of the lane came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Spilled {
    number: u64,
    after: u64,
    message: u8,
}

/// How far the owner has come with a look at all spills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Looking {
    /// What the sender had shown before.
    shown: Option<u64>,
    /// The spills it has still to look at, once it knows which there are.
    left: Option<VecDeque<Slot>>,
}

/// A message in the owner's queue, and whether it is charged to a spill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Queued {
    message: u8,
    of: Option<Slot>,
}

/// A frame of the lane that waits for spilled messages before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    frame: Frame,
    until: u64,
}

/// What is left to do of a message that is being spilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sending {
    /// Its memory was offered.
    Write(Slot),
    /// It is written: whoever reads the memory finds it.
    Publish,
    /// The lane is published.
    Show,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    fault: Fault,
    kills_left: u8,
    messages_left: u8,

    // The sender.
    alive: bool,
    out: Outgoing<Slot>,
    held_rights: [bool; 3],
    behind: Vec<Slot>,
    sent: u8,
    read_back: usize,
    /// A message is being sent: what the lane holds or what is spilled is not shown
    /// yet, and nothing else is done.
    sending: Option<Sending>,

    // Memory between them.
    lane_holds: usize,
    lane: Vec<Frame>,
    /// Frames of it that are published.
    published: usize,
    /// Memory that was offered on the socket.
    offered: Vec<Slot>,
    spills: BTreeMap<Slot, Vec<Spilled>>,
    /// How many spilled messages the sender has shown in its page.
    shown: u64,
    back: Vec<(Slot, u64)>,

    // The owner.
    read: usize,
    inn: Incoming<Slot, u8>,
    /// Up to where all spills were looked at, and a look that is not over: until then
    /// it does nothing else.
    seen: u64,
    looking: Option<Looking>,
    /// How many of each spill were taken.
    taken: BTreeMap<Slot, usize>,
    held: Vec<Held>,
    queue: Vec<Queued>,
    released: Vec<Slot>,
    buried: bool,

    // What the user saw.
    received: Vec<u8>,
    broken: Option<&'static str>,
}

/// One rule broken, to see that the model sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Fault {
    #[default]
    None,
    /// A spilled message is taken before what the lane held when it was sent.
    TakenTooEarly,
    /// A message goes by the lane though its slot has spilled ones.
    LaneWhileSpilled,
    /// What comes in the lane is not held for what was spilled before it.
    NotHeld,
    /// A right goes home though spilled messages go to it.
    ReleasedTooEarly,
    /// The mark is written after what it must come before.
    MarkedLate,
    /// The sender hears that messages were taken when they were only seen.
    EmptiedEarly,
    /// Two spills to one port are taken for spills to two.
    PortsConfused,
    /// A dead sender's spills are not read.
    DeadForgotten,
    /// Spilled messages are taken whatever waits.
    WindowIgnored,
    /// What is held is let go when the first of those before it has come.
    HeldTooShort,
    /// A right goes home while what came on it is held.
    ReleaseNotHeld,
    /// What one spill shows is taken though another was looked at before.
    NotLooked,
    /// What was shown is read when all spills were looked at, not before.
    ShownReadLate,
    /// What was offered is read before what was shown, not after.
    OffersReadEarly,
}

impl World {
    fn new(messages: u8, kills: u8, lane_holds: usize, fault: Fault) -> Self {
        World {
            fault,
            kills_left: kills,
            messages_left: messages,
            alive: true,
            out: Outgoing::default(),
            held_rights: [true; 3],
            behind: Vec::new(),
            sent: 0,
            read_back: 0,
            sending: None,
            lane_holds,
            lane: Vec::new(),
            published: 0,
            offered: Vec::new(),
            spills: BTreeMap::new(),
            shown: 0,
            back: Vec::new(),
            read: 0,
            inn: Incoming::default(),
            seen: 0,
            looking: None,
            taken: BTreeMap::new(),
            held: Vec::new(),
            queue: Vec::new(),
            released: Vec::new(),
            buried: false,
            received: Vec::new(),
            broken: None,
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
        if self.alive {
            add("goes on sending", World::goes_on_sending);
        }
        if self.alive && self.sending.is_none() {
            add("sends", |w| w.sends(Slot::Send));
            add("sends on the facet", |w| w.sends(Slot::Facet));
            add("sends once", |w| w.sends(Slot::Once));
            add("lets go", |w| w.lets_go(Slot::Send));
            add("lets go of the facet", |w| w.lets_go(Slot::Facet));
            add("hears", World::hears);
        }
        if self.alive && self.kills_left > 0 {
            add("sender killed", World::is_killed);
        }
        if self.looking.is_some() {
            add("owner goes on looking", World::owner_goes_on_looking);
        } else {
            add("owner looks", World::owner_looks);
            add("owner reads", World::owner_reads);
            add("owner takes", World::owner_takes);
            add("owner buries", World::owner_buries);
        }
        add("owner receives", World::owner_receives);
        all
    }

    // ---- what must hold ------------------------------------------------------------

    fn check(&self) -> Result<(), String> {
        if let Some(broken) = self.broken {
            return Err(broken.into());
        }
        let queued = self.queue.iter().map(|queued| queued.message);
        let all: Vec<u8> = self.received.iter().copied().chain(queued).collect();
        if all.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("order or doubling: {all:?}"));
        }
        for slot in [Slot::Send, Slot::Facet] {
            let here = self.queue.iter().filter(|queued| queued.of == Some(slot)).count();
            if here > WINDOW && !self.buried {
                return Err("more was taken of a spill than the window allows".into());
            }
        }
        Ok(())
    }

    /// Nobody has a step left: everything must have come to its end.
    fn check_end(&self) -> Result<(), String> {
        if self.received.len() != usize::from(self.sent) || !self.held.is_empty() {
            return Err(format!("{} accepted, received {:?}", self.sent, self.received));
        }
        if self.alive && !self.out.is_empty() {
            return Err("the sender never heard that all was taken".into());
        }
        if self.alive && !self.behind.is_empty() {
            return Err("a right never went home".into());
        }
        Ok(())
    }
}

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
fn walk(messages: u8, kills: u8, lane_holds: usize, fault: Fault) -> Result<usize, String> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = HashSet::new();
    let first = World::new(messages, kills, lane_holds, fault);
    seen.insert(hasher.hash_one(&first));
    let mut stack: Vec<(World, Option<Rc<Path>>)> = vec![(first, None)];
    while let Some((world, path)) = stack.pop() {
        world.check().map_err(|what| told(&what, path.as_ref()))?;
        let steps = world.steps();
        // Nobody must send or let go, and killing is always possible.
        if steps.iter().all(|(name, _)| {
            name.starts_with("sends") || name.starts_with("lets go") || name.ends_with("killed")
        }) {
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

/// How the sender may be placed: killed or not, with a lane of its own or not.
fn ways() -> impl Iterator<Item = (u8, usize)> {
    LANES.into_iter().flat_map(|lane_holds| [(0, lane_holds), (1, lane_holds)])
}

#[test]
fn what_is_spilled_is_neither_lost_nor_turned_round_whoever_dies() {
    for (kills, lane_holds) in ways() {
        match walk(MESSAGES, kills, lane_holds, Fault::None) {
            Ok(worlds) => println!("{kills} killed, lane of {lane_holds}: {worlds} worlds"),
            Err(what) => panic!("{kills} killed, lane of {lane_holds}: {what}"),
        }
    }
}

#[test]
fn every_broken_rule_is_seen() {
    for fault in [
        Fault::TakenTooEarly,
        Fault::LaneWhileSpilled,
        Fault::NotHeld,
        Fault::ReleasedTooEarly,
        Fault::MarkedLate,
        Fault::EmptiedEarly,
        Fault::PortsConfused,
        Fault::DeadForgotten,
        Fault::WindowIgnored,
        Fault::HeldTooShort,
        Fault::ReleaseNotHeld,
        Fault::NotLooked,
        Fault::ShownReadLate,
        Fault::OffersReadEarly,
    ] {
        let found =
            ways().find_map(|(kills, lane_holds)| walk(MESSAGES, kills, lane_holds, fault).err());
        let Some(found) = found else { panic!("{fault:?} went unseen") };
        println!("{fault:?}: {found}");
    }
}
