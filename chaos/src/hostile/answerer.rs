//! The hostile as callers and as called: long requests that are read at offsets,
//! answers in parts, and the inbox they ask for.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use abi::frame::{Attached, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, TaskId};

use super::link::{LANE, Memory};
use super::live::{Live, message};
use super::story::{OPEN, OWN_SLOTS};
use super::victim::CALL_ME;
use crate::chance::Chance;

/// How long it waits to be called.
const SPAN: Duration = Duration::from_millis(20);

/// A link that asks to be called, and answers.
#[derive(Debug)]
pub(super) struct Answerer<'a> {
    pub(super) live: &'a mut Live,
    pub(super) chance: &'a mut Chance,
    pub(super) victim: TaskId,
    /// One thing in so many is wrong; zero for none.
    pub(super) wrong_one_in: u64,
}

impl Answerer<'_> {
    /// Asks, hears and answers for a while. Returns whether all was right.
    pub(super) fn run(&mut self) -> Result<bool, String> {
        let calls = 1 + self.chance.below(6);
        for _ in 0..calls {
            let index = self.chance.below(u64::from(OWN_SLOTS)) as u32;
            let right = RightRef::Mine(RightKind::Send, Slot { index, generation: 1 });
            let attached = Attached { rights: vec![right], ..Attached::default() };
            self.live.send(message(OPEN, CALL_ME), &attached, b"call me")?;
            if self.chance.one_in(2) {
                self.long_request()?;
            }
        }
        if self.chance.one_in(2) {
            // Who names the owner as the giver asks for its inbox.
            let header = Header::new(Kind::Claim, Slot { index: 0, generation: 0 });
            let header = Header { tag: self.chance.next(), ..header };
            self.live.say(header, &[], &self.victim.encode())?;
        }
        let until = Instant::now() + SPAN;
        let mut called = 0;
        while called < calls && Instant::now() < until && !self.live.is_over() {
            match self.live.next()? {
                None => std::thread::park_timeout(Duration::from_micros(50)),
                Some((header, behind)) => called += u64::from(self.hear(header, &behind)?),
            }
        }
        Ok(self.wrong_one_in == 0)
    }

    fn is_wrong(&mut self) -> bool {
        self.wrong_one_in > 0 && self.chance.one_in(self.wrong_one_in)
    }

    /// Whether it was a call.
    fn hear(&mut self, header: Header, behind: &[u8]) -> Result<bool, String> {
        match header.kind {
            Kind::Message => {
                let extra = behind.get(..header.extra as usize).unwrap_or_default();
                let attached = Attached::decode(header.flags, extra)
                    .map_err(|offence| format!("the victim lies: {offence}"))?;
                match attached.reply {
                    Some(RightRef::Mine(RightKind::SendOnce, slot)) => {
                        self.answer(slot)?;
                        Ok(true)
                    }
                    _ => Ok(false),
                }
            }
            Kind::Joined => {
                // So many as may be sent without a question.
                for _ in 0..self.live.granted(header.slot).min(2) {
                    self.live.send(message(header.slot, 0), &Attached::default(), b"inbox")?;
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Parts in any order, then the answer, or that there is none.
    fn answer(&mut self, slot: Slot) -> Result<(), String> {
        let room = self.live.room(slot);
        for _ in 0..self.chance.below(12) {
            let longest = if self.chance.one_in(8) { 4096 } else { 64 };
            let bytes = 1 + self.chance.below(longest);
            let most = if self.is_wrong() { u64::MAX } else { room.saturating_sub(bytes) };
            if bytes > room && most != u64::MAX {
                break;
            }
            let offset =
                if most == u64::MAX { self.chance.next() } else { self.chance.below(most) };
            let header = Header { tag: offset, ..Header::new(Kind::Part, slot) };
            self.live.say(header, &[], &vec![9; bytes as usize])?;
        }
        match self.chance.below(4) {
            // It is owed, and ends with the link.
            0 => Ok(()),
            1 => self.live.say(Header::new(Kind::Dropped, slot), &[], &[]),
            _ => {
                self.live.send(message(slot, 0), &Attached::default(), b"the end of it")?;
                if self.is_wrong() {
                    // What is used up is used again.
                    let header = Header { tag: 0, ..Header::new(Kind::Part, slot) };
                    self.live.say(header, &[], b"late")?;
                }
                Ok(())
            }
        }
    }

    /// A request whose body lies in a memory of its own.
    fn long_request(&mut self) -> Result<(), String> {
        let bytes = 1 + self.chance.below(200_000);
        let wrong = self.is_wrong();
        let (fd, region) = match self.chance.below(3) {
            0 if wrong => (unsealed()?, bytes),
            1 if wrong => (body(bytes)?, self.chance.next()),
            2 if wrong => (body(bytes)?, bytes + 1),
            _ => (body(bytes)?, bytes),
        };
        let packet = self.live.send_descriptors(&[fd]);
        let generation = 1 + self.chance.below(1000) as u32;
        let reply = RightRef::Mine(RightKind::SendOnce, Slot { index: 101, generation });
        let attached =
            Attached { reply: Some(reply), descriptors: 1, packet, region, ..Attached::default() };
        self.live.send(message(OPEN, 0), &attached, &[])
    }
}

fn body(bytes: u64) -> Result<OwnedFd, String> {
    let made = shm::body::Body::create(&[&vec![3; bytes as usize]]);
    made.map_err(|error| format!("no memory: {error}"))
}

/// Sealed, but not as a body is.
fn unsealed() -> Result<OwnedFd, String> {
    let made = Memory(vec![3; LANE as usize]).sealed();
    made.map_err(|error| format!("no memory: {error}"))
}
