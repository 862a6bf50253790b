//! The hostile peer: one link after another, each with a story of its own.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use abi::TaskId;
use abi::page::{BOARD_AT, CHANGE_AT, GRANTED_AT, HEAD_AT, LANE_AT, SLEEP_AT, TAIL_AT, WANT_AT};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use shm::socket::Received;

use super::answerer::Answerer;
use super::link::{Greeted, LANE, Linked, Memory, connect, greet, hello};
use super::live::Live;
use super::mover::Mover;
use super::story::Story;
use crate::chance::Chance;
use crate::log::Log;

/// Counters in the enemy's log.
pub(super) mod counter {
    pub(crate) const FRAMES: usize = 0;
    pub(crate) const LINKS: usize = 1;
    pub(crate) const ENDED: usize = 2;
    pub(crate) const PACKETS: usize = 3;
    pub(crate) const GREETINGS: usize = 4;
    pub(crate) const HANGS: usize = 5;
    /// Not counted by it: whoever started it says that it is enough.
    pub(crate) const ENOUGH: usize = 6;
}

/// One hostile process.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the victim listens.
    #[arg(long)]
    path: PathBuf,
    /// Where chance begins.
    #[arg(long)]
    seed: u64,
    /// The victim's process, and which task of it.
    #[arg(long)]
    process: u64,
    #[arg(long)]
    number: u64,
    /// The user it becomes before anything else; zero for whose it is.
    #[arg(long)]
    user: u32,
}

struct Enemy {
    path: PathBuf,
    victim: TaskId,
    chance: Chance,
    log: Log,
    counts: [u64; 6],
}

/// Goes on until it is told that it is enough.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let log = Log::of_parent().map_err(|error| error.to_string())?;
    if options.user > 0 {
        // It has one thread yet.
        let user = Uid::from_raw(options.user);
        set_thread_res_uid(user, user, user).map_err(|error| format!("no other user: {error}"))?;
    }
    let mut enemy = Enemy {
        path: options.path.clone(),
        victim: TaskId { process: options.process, number: options.number },
        chance: Chance::new(options.seed),
        log,
        counts: [0; 6],
    };
    while enemy.log.get(counter::ENOUGH) == 0 {
        let done = match enemy.chance.below(24) {
            0 => enemy.bad_greeting(),
            1 => enemy.bad_words(),
            2 => enemy.packets(),
            3 => enemy.talk(),
            4 | 5 => enemy.moves(),
            6 => enemy.answers(),
            _ => enemy.story(),
        };
        if let Err(what) = done {
            enemy.add(counter::HANGS, 1);
            return Err(what);
        }
    }
    Ok(())
}

impl Enemy {
    fn add(&mut self, counter: usize, more: u64) {
        if let Some(count) = self.counts.get_mut(counter) {
            *count += more;
            self.log.set(counter, *count);
        }
    }

    fn wrong_one_in(&mut self) -> u64 {
        [2, 30, 300, 3000, 0, 0, 0, 0][self.chance.place(8)]
    }

    fn new_story(&mut self) -> Story {
        let wrong = self.wrong_one_in();
        let mut story = Story::new(Chance::new(self.chance.next()), wrong, self.victim);
        story.hoards = self.chance.one_in(6);
        story
    }

    /// Memory full of frames, shown at once.
    fn story(&mut self) -> Result<(), String> {
        let mut story = self.new_story();
        let room = 8 * (1 + self.chance.below(u64::from(LANE) / 8)) as usize;
        let room = if self.chance.one_in(3) { room } else { LANE as usize };
        let mut lane = Vec::with_capacity(LANE as usize);
        let mut ends = Vec::new();
        loop {
            let before = lane.len();
            story.next(&mut lane);
            if lane.len() > room {
                lane.truncate(before);
                break;
            }
            ends.push(lane.len() as u64);
        }
        let memory = Memory::with_lane(&lane);
        self.show(&memory, &ends, lane.len() as u64)
    }

    fn show(&mut self, memory: &Memory, ends: &[u64], head: u64) -> Result<(), String> {
        let fd = memory.sealed().map_err(|error| format!("no memory: {error}"))?;
        let number = self.chance.next();
        let Greeted::Linked(link, _) = greet(&self.path, &hello(number), fd)? else {
            self.add(counter::GREETINGS, 1);
            return Ok(());
        };
        self.add(counter::LINKS, 1);
        let over = link.wait_until_read(head)?;
        let read = link.page.tail();
        self.add(counter::ENDED, u64::from(over));
        self.add(counter::FRAMES, ends.iter().filter(|end| **end <= read).count() as u64);
        Ok(())
    }

    /// A page whose words are anything.
    fn bad_words(&mut self) -> Result<(), String> {
        let mut story = self.new_story();
        let mut lane = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..64 {
            story.next(&mut lane);
            ends.push(lane.len() as u64);
        }
        lane.truncate(LANE as usize);
        let mut memory = Memory::with_lane(&lane);
        for _ in 0..1 + self.chance.below(6) {
            let at = match self.chance.below(3) {
                0 => BOARD_AT + 8 * self.chance.place(64),
                1 => Memory::WORDS[self.chance.place(Memory::WORDS.len())],
                _ => [TAIL_AT, GRANTED_AT, SLEEP_AT, CHANGE_AT, WANT_AT][self.chance.place(5)],
            };
            memory.set(at, story.number());
        }
        if self.chance.one_in(8) {
            memory.0.truncate(LANE_AT);
        }
        // What it does not show nobody reads.
        let shown = memory.get(HEAD_AT).min(lane.len() as u64);
        self.show(&memory, &ends, shown)
    }

    /// First packets that are none.
    fn bad_greeting(&mut self) -> Result<(), String> {
        let mut held = Vec::new();
        for _ in 0..1 + self.chance.below(20) {
            let socket = connect(&self.path)?;
            self.add(counter::GREETINGS, 1);
            let mut packet = hello(self.chance.next()).encode().to_vec();
            match self.chance.below(5) {
                0 => {}
                1 => packet.truncate(self.chance.place(packet.len())),
                2 => packet.resize(packet.len() + self.chance.place(200), 1),
                _ => {
                    for _ in 0..1 + self.chance.below(4) {
                        let at = self.chance.place(packet.len());
                        packet[at] = self.chance.next() as u8;
                    }
                }
            }
            let fds: Vec<OwnedFd> =
                (0..self.chance.below(3)).filter_map(|_| self.odd_fd()).collect();
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            if !self.chance.one_in(6) {
                let _ = socket.send(&packet, &fds);
            }
            if self.chance.one_in(3) {
                held.push(socket);
            }
        }
        Ok(())
    }

    fn odd_fd(&mut self) -> Option<OwnedFd> {
        match self.chance.below(4) {
            0 => File::open("/dev/null").ok().map(OwnedFd::from),
            1 => std::io::pipe().ok().map(|(end, _)| end.into()),
            2 => Memory(vec![0; self.chance.place(100_000)]).sealed().ok(),
            _ => Memory::with_lane(&[]).sealed().ok(),
        }
    }

    fn plain(&mut self) -> Result<Option<Linked>, String> {
        let mut story = self.new_story();
        let mut lane = Vec::new();
        for _ in 0..self.chance.below(20) {
            story.next(&mut lane);
        }
        let fd =
            Memory::with_lane(&lane).sealed().map_err(|error| format!("no memory: {error}"))?;
        let number = self.chance.next();
        Ok(match greet(&self.path, &hello(number), fd)? {
            Greeted::Linked(link, _) => {
                self.add(counter::LINKS, 1);
                Some(link)
            }
            Greeted::Refused => None,
        })
    }

    /// Packets on the socket: bells, descriptors for nothing, garbage.
    fn packets(&mut self) -> Result<(), String> {
        let Some(link) = self.plain()? else { return Ok(()) };
        for number in 0..self.chance.below(500) {
            self.add(counter::PACKETS, 1);
            match self.chance.below(40) {
                0 => {
                    let length = self.chance.place(64);
                    let bytes: Vec<u8> = (0..length).map(|_| self.chance.next() as u8).collect();
                    let _ = link.socket.send(&bytes, &[]);
                }
                1..4 => {
                    let mut packet = *b"desc....";
                    packet[4..].copy_from_slice(&(number as u32).to_le_bytes());
                    let fds: Vec<OwnedFd> =
                        (0..self.chance.below(5)).filter_map(|_| self.odd_fd()).collect();
                    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                    let _ = link.socket.send(&packet, &fds);
                }
                _ => {
                    let _ = link.socket.ring();
                }
            }
        }
        let over = link.is_over();
        self.add(counter::ENDED, u64::from(over));
        Ok(())
    }

    /// Stays linked, hears what it is told, and says nothing; so what is sent to
    /// it fills its side, and whoever waits for it must come to an end.
    fn talk(&mut self) -> Result<(), String> {
        let Some(link) = self.plain()? else { return Ok(()) };
        let mut buffer = [0; 64];
        for _ in 0..self.chance.below(30) {
            if let Received::End | Received::Failed(_) = link.socket.receive(&mut buffer) {
                self.add(counter::ENDED, 1);
                break;
            }
            std::thread::park_timeout(self.chance.micros(2000));
        }
        Ok(())
    }

    /// Moves ports.
    fn moves(&mut self) -> Result<(), String> {
        let wrong = self.wrong_one_in();
        self.alive(|enemy, live| {
            let mut mover = Mover::new(live, &mut enemy.chance, wrong);
            let honest = mover.run()?;
            let shown = mover.shown;
            if live.wait_until_read()? {
                enemy.add(counter::FRAMES, shown);
            }
            Ok(honest)
        })
    }

    /// Calls, and answers what it is asked.
    fn answers(&mut self) -> Result<(), String> {
        let wrong = self.wrong_one_in();
        self.alive(|enemy, live| {
            let (chance, victim) = (&mut enemy.chance, enemy.victim);
            Answerer { live, chance, victim, wrong_one_in: wrong }.run()
        })
    }

    /// A link that goes on, and on which all was right or not.
    fn alive(
        &mut self,
        act: impl FnOnce(&mut Enemy, &mut Live) -> Result<bool, String>,
    ) -> Result<(), String> {
        let number = self.chance.next();
        let Some(mut live) = Live::link(&self.path, number)? else {
            self.add(counter::GREETINGS, 1);
            return Ok(());
        };
        self.add(counter::LINKS, 1);
        let honest = act(self, &mut live)?;
        let read = live.wait_until_read()?;
        self.add(counter::FRAMES, live.frames_read());
        self.add(counter::ENDED, u64::from(!read));
        if honest && !read {
            return Err(format!("link {number:x}, on which all was right, has ended"));
        }
        Ok(())
    }
}
