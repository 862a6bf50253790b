//! The bare limit awake: one writer, one reader, a ring of frames of one size, and
//! nothing on top. What is known to help is in it: the lines of the two sides apart,
//! write prefetch some frames ahead, tails announced rarely. A ring that can also
//! sleep pays the fence before it looks for a sleeper, as ours must.
//!
//! | word    | written by | says                                  |
//! |---------|------------|---------------------------------------|
//! | `HEAD`  | the writer | frames below this have been filled    |
//! | `TAIL`  | the reader | frames below this are free again      |
//! | `SLEEP` | the reader | it sleeps, or is about to             |

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use shm::bare::{BareMemory, copy_in, copy_out, prefetch_to_write};

const HEAD: usize = 0;
const TAIL: usize = 32;
const SLEEP: usize = 64;
const DATA: usize = 96;

/// Words of a frame up to which it is moved word by word, and not by one copy.
const SMALL: usize = 64;

/// Frames ahead of the position whose lines are asked for.
const AHEAD: u64 = 8;

/// Looks at an empty ring before its reader sleeps.
const LOOKS: u32 = 1 << 14;

/// How long either end waits for the other before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How frames are counted and moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of a frame, a multiple of 8.
    pub(crate) frame: usize,
    /// Frames, a power of two.
    pub(crate) frames: usize,
    /// Whether the reader may sleep.
    pub(crate) sleeps: bool,
    /// Whether an end that waits gives its processor to others at once.
    pub(crate) shares: bool,
}

impl Shape {
    pub(crate) const fn of(frame: usize, frames: usize) -> Shape {
        Shape { frame, frames, sleeps: false, shares: false }
    }

    pub(crate) const fn sleeping(self) -> Shape {
        Shape { sleeps: true, ..self }
    }

    pub(crate) const fn sharing(self) -> Shape {
        Shape { shares: true, ..self }
    }

    /// A memory for one ring, and the descriptor its other end opens.
    pub(crate) fn memory(self) -> Result<(BareMemory, OwnedFd)> {
        let bytes = DATA * 8 + self.frame * self.frames;
        BareMemory::create(bytes.next_multiple_of(4096)).context("no memory for a bare ring")
    }
}

/// Counts looks at nothing, and ends a wait that cannot end otherwise.
struct Wait {
    looks: u32,
    since: Option<Instant>,
}

impl Wait {
    const fn new() -> Wait {
        Wait { looks: 0, since: None }
    }

    #[inline]
    fn turn(&mut self, shape: Shape) -> Result<()> {
        self.looks = self.looks.wrapping_add(1);
        if shape.shares {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
        if self.looks.is_multiple_of(1 << 12) {
            // One writer may be preempted on a machine that others use.
            std::thread::yield_now();
            if self.since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                bail!("the other end of a bare ring is gone");
            }
        }
        Ok(())
    }
}

/// The end that fills.
pub(crate) struct Filler<'a> {
    memory: &'a BareMemory,
    words: &'a [AtomicU64],
    data: &'a [AtomicU64],
    shape: Shape,
    position: u64,
    tail: u64,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(memory: &'a BareMemory, shape: Shape) -> Filler<'a> {
        let words = memory.words();
        let position = words[HEAD].load(Relaxed);
        let tail = words[TAIL].load(Acquire);
        Filler { memory, words, data: &words[DATA..], shape, position, tail }
    }

    /// Fills one frame; nobody sees it before [`Filler::publish`].
    #[inline]
    pub(crate) fn fill(&mut self, frame: &[u8]) -> Result<()> {
        let frames = self.shape.frames as u64;
        if self.position - self.tail >= frames {
            self.publish();
            let mut wait = Wait::new();
            loop {
                self.tail = self.words[TAIL].load(Acquire);
                if self.position - self.tail < frames {
                    break;
                }
                wait.turn(self.shape)?;
            }
        }
        let size = self.shape.frame / 8;
        let place = |position: u64| (position & (frames - 1)) as usize * size;
        let to = &self.data[place(self.position)..][..size];
        if size <= SMALL {
            prefetch_to_write(&self.data[place(self.position + AHEAD)]);
            for (word, bytes) in to.iter().zip(frame.as_chunks::<8>().0) {
                word.store(u64::from_ne_bytes(*bytes), Relaxed);
            }
        } else {
            copy_in(to, frame);
        }
        self.position += 1;
        Ok(())
    }

    /// Shows what was filled, and wakes a reader that sleeps.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.words[HEAD].store(self.position, Release);
        if self.shape.sleeps {
            fence(SeqCst);
            if self.words[SLEEP].load(Relaxed) != 0 {
                self.memory.wake(SLEEP);
            }
        }
    }
}

/// The end that empties.
pub(crate) struct Emptier<'a> {
    memory: &'a BareMemory,
    words: &'a [AtomicU64],
    data: &'a [AtomicU64],
    shape: Shape,
    position: u64,
    head: u64,
    announced: u64,
}

impl<'a> Emptier<'a> {
    pub(crate) fn new(memory: &'a BareMemory, shape: Shape) -> Emptier<'a> {
        let words = memory.words();
        let position = words[TAIL].load(Relaxed);
        let data = &words[DATA..];
        Emptier { memory, words, data, shape, position, head: position, announced: position }
    }

    /// Whether there is a frame.
    #[inline]
    pub(crate) fn ready(&mut self) -> bool {
        if self.position == self.head {
            self.head = self.words[HEAD].load(Acquire);
        }
        self.position != self.head
    }

    /// Copies the next frame out.
    #[inline]
    pub(crate) fn take(&mut self, frame: &mut [u8]) -> Result<()> {
        let mut wait = Wait::new();
        while !self.ready() {
            if wait.looks == 0 {
                self.announce();
            }
            if self.shape.sleeps && wait.looks > LOOKS {
                self.sleep();
            }
            wait.turn(self.shape)?;
        }
        let frames = self.shape.frames as u64;
        let size = self.shape.frame / 8;
        let from = &self.data[(self.position & (frames - 1)) as usize * size..][..size];
        if size <= SMALL {
            for (word, bytes) in from.iter().zip(frame.as_chunks_mut::<8>().0) {
                *bytes = word.load(Relaxed).to_ne_bytes();
            }
        } else {
            copy_out(frame, from);
        }
        self.position += 1;
        if self.position - self.announced >= (frames / 8).max(1) {
            self.announce();
        }
        Ok(())
    }

    #[inline]
    fn announce(&mut self) {
        self.words[TAIL].store(self.position, Release);
        self.announced = self.position;
    }

    #[cold]
    fn sleep(&mut self) {
        let word = &self.words[SLEEP];
        word.store(1, Relaxed);
        fence(SeqCst);
        if self.words[HEAD].load(Relaxed) == self.position {
            self.memory.sleep(SLEEP, 1, Duration::from_millis(1));
        }
        word.store(0, Relaxed);
    }
}

/// The next to empty the ring begins where this one ended.
impl Drop for Emptier<'_> {
    fn drop(&mut self) {
        self.announce();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends frames through a small ring, some laps, and looks at each. Each end gives
    /// its processor to the other: tests share the machine with others.
    fn goes_through(shape: Shape) {
        let shape = shape.sharing();
        let laps = 8 * shape.frames as u64;
        let (memory, fd) = shape.memory().unwrap();
        let other = BareMemory::open(&fd).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut filler = Filler::new(&memory, shape);
                for number in 0..laps {
                    filler.fill(&number.to_ne_bytes().repeat(shape.frame / 8)).unwrap();
                    if number % 3 == 0 {
                        filler.publish();
                    }
                }
                filler.publish();
            });
            let mut emptier = Emptier::new(&other, shape);
            let mut frame = vec![0; shape.frame];
            for number in 0..laps {
                emptier.take(&mut frame).unwrap();
                assert_eq!(frame, number.to_ne_bytes().repeat(shape.frame / 8));
            }
            assert!(!emptier.ready());
        });
    }

    #[test]
    fn an_end_goes_on_where_the_last_one_stopped() {
        let shape = Shape::of(64, 64);
        let (memory, _fd) = shape.memory().unwrap();
        let mut frame = [0; 64];
        for round in 0..100 {
            let mut filler = Filler::new(&memory, shape);
            filler.fill(&[round; 64]).unwrap();
            filler.publish();
            let mut emptier = Emptier::new(&memory, shape);
            emptier.take(&mut frame).unwrap();
            assert_eq!(frame, [round; 64]);
        }
    }

    #[test]
    fn frames_come_out_in_order() {
        goes_through(Shape::of(64, 16));
        goes_through(Shape::of(64, 1));
        goes_through(Shape::of(64, 16).sleeping());
        goes_through(Shape::of(1024, 4));
    }
}
