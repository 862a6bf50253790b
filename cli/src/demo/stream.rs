//! FILE through the mailboxes of the counters, part by part.
//!
//! A reader cuts the file into parts. Each counter has two *lanes*, threads that
//! take a part from the desk, call the counter with it, and put the result into
//! the total; so a counter has a second part at hand when it has done the first.
//! What a counter says is checked. A part whose counter died, or made no sense,
//! goes back to the desk, and whoever is free takes it next.
//!
//! | holds                              | at most                      |
//! |------------------------------------|------------------------------|
//! | parts on the desk                  | [`WAITING`] and those given back |
//! | parts with a counter, and our copy | two for each counter, twice  |

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result, anyhow, ensure};
use pillarbox::{Bootstrap, CallError, Message, SendFailure, SendRight, Task};

use super::ask;
use super::clock::{now_ns, patience};
use super::counters::{Counters, Service};
use super::keys::Keys;
use super::part::{PART_BYTES, PartResult};
use super::progress::Progress;
use super::report::Report;
use super::source::{Source, Unreadable};
use super::story::{Killed, Started, Stream};
use super::total::{PARTS_AHEAD, Total};

/// Parts that are read and wait for a lane.
const WAITING: usize = 4;

/// Parts that may be out at once behind the first one missing.
const AHEAD: u64 = PARTS_AHEAD / 2;

/// How often a part is tried before we give up.
const TRIES: u32 = 4;

/// Where the part lies that a counter is killed over, in a file whose length is
/// not known: here, or the last one if that comes earlier.
const UNKNOWN_MIDDLE: u64 = 16;

/// Lanes to each counter.
const LANES: usize = 2;

/// A part of the file, with the keys in front as a counter takes it.
#[derive(Debug)]
struct Part {
    index: u64,
    body: Vec<u8>,
    tries: u32,
    /// Its counter is to be killed in the middle of it.
    fatal: bool,
}

impl Part {
    fn bytes(&self) -> u64 {
        (self.body.len() - Keys::BYTES) as u64
    }
}

/// What the reader and the lanes share.
#[derive(Default)]
struct Desk {
    waiting: VecDeque<Part>,
    total: Option<Total>,
    /// How many parts the file has, once that is known.
    parts: Option<u64>,
    lanes: usize,
    failed: Option<Error>,
    killed: Option<Killed>,
    /// When the client had the news of the death.
    news_ns: u64,
    /// Who died over which part.
    lost: BTreeSet<(i32, u64)>,
}

impl Desk {
    fn joined(&self) -> u64 {
        self.total.as_ref().map_or(0, Total::parts_joined)
    }

    fn is_over(&self) -> bool {
        self.failed.is_some() || self.parts == Some(self.joined())
    }
}

/// The whole undertaking.
struct Work<'a> {
    task: &'a Task,
    parent: &'a SendRight,
    keys: Keys,
    counters: Counters<'a>,
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What came of it.
pub(super) struct Streamed {
    pub(super) report: Report,
    pub(super) stream: Stream,
    pub(super) killed: Option<Killed>,
    /// A counter that is alive, to be shown more with.
    pub(super) counter: Service,
}

/// Why a counter has no result for us.
enum Trouble {
    /// It died, or was dead; its lane needs another.
    Dead(Error),
    /// It said something that makes no sense, or nothing.
    Wrong(Error),
}

/// Counts `source` with the counters of `server`.
///
/// # Errors
/// [`Unreadable`] where the file is not readable to its end; else whatever kept
/// a part from being counted [`TRIES`] times.
pub(super) fn stream(
    task: &Task,
    server: &Bootstrap,
    parent: &SendRight,
    source: Source<'_>,
) -> Result<Result<Streamed, Unreadable>> {
    let keys = Keys::draw().context("no keys could be drawn")?;
    let (counters, started) = Counters::start(server)?;
    let lanes = counters.len() * LANES;
    let desk = Desk { total: Some(Total::new(&keys)), lanes, ..Desk::default() };
    let work =
        Work { task, parent, keys, counters, desk: Mutex::new(desk), changed: Condvar::new() };
    work.run(source, started)
}

impl Work<'_> {
    fn run(
        &self,
        mut source: Source<'_>,
        started: Vec<Started>,
    ) -> Result<Result<Streamed, Unreadable>> {
        let expected_bytes = source.expected();
        let began = now_ns();
        let read = std::thread::scope(|scope| {
            for place in 0..self.counters.len() * LANES {
                scope.spawn(move || self.lane(place / LANES));
            }
            let read = self.read(&mut source);
            if read.is_err() {
                self.fail(anyhow!("the file cannot be read"));
            }
            read
        });
        let span_ns = now_ns() - began;
        if let Err(unreadable) = read {
            return Ok(Err(unreadable));
        }
        if let Some(error) = self.desk().failed.take() {
            return Err(error);
        }
        // A name whose counter was killed is there again when it is asked for,
        // whether or not there was work left for it.
        let mut counter = self.counters.now(0)?;
        for place in 1..self.counters.len() {
            counter = self.counters.now(place)?;
        }
        let mut desk = self.desk();
        let killed = desk.killed.take().map(|killed| Killed {
            parts_lost: desk.lost.iter().filter(|(pid, _)| *pid == killed.pid).count() as u64,
            successor: self.counters.successor(),
            ..killed
        });
        let parts = desk.parts.context("the end of the file was not seen")?;
        let report = desk.total.take().context("there is no total")?.finish(parts)?;
        let bytes = report.counts.bytes;
        let stream = Stream {
            counters: started,
            parts,
            part_bytes: PART_BYTES,
            span_ns,
            megabytes_per_second: bytes as f64 * 1e3 / span_ns.max(1) as f64,
            expected_bytes,
        };
        Ok(Ok(Streamed { report, stream, killed, counter }))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, desk: MutexGuard<'a, Desk>) -> MutexGuard<'a, Desk> {
        self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: Error) {
        self.desk().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    // ---- the reader ------------------------------------------------------------

    /// Reads the file once, one part ahead, so that the last part is known as
    /// such before it goes out.
    fn read(&self, source: &mut Source<'_>) -> Result<(), Unreadable> {
        let mut progress = Progress::new(source.expected());
        let middle =
            source.expected().map_or(UNKNOWN_MIDDLE, |bytes| bytes.div_ceil(PART_BYTES as u64) / 2);
        let mut index = 0;
        let mut next = self.read_part(source, index)?;
        while let Some(mut part) = next {
            index += 1;
            next = self.read_part(source, index)?;
            part.fatal = part.index == middle || (part.index < middle && next.is_none());
            progress.advance(part.bytes());
            if !self.offer(part) {
                return Ok(());
            }
        }
        let mut desk = self.desk();
        desk.parts = Some(index);
        self.changed.notify_all();
        while !desk.is_over() {
            desk = self.wait(desk);
        }
        Ok(())
    }

    fn read_part(&self, source: &mut Source<'_>, index: u64) -> Result<Option<Part>, Unreadable> {
        let mut body = vec![0; Keys::BYTES + PART_BYTES];
        let (keys, room) = body.split_at_mut(Keys::BYTES);
        keys.copy_from_slice(&self.keys.to_bytes());
        let filled = source.fill(room)?;
        body.truncate(Keys::BYTES + filled);
        Ok((filled > 0).then_some(Part { index, body, tries: 0, fatal: false }))
    }

    /// Puts a part on the desk once there is room. Returns whether to go on.
    fn offer(&self, part: Part) -> bool {
        let mut desk = self.desk();
        while desk.failed.is_none()
            && (desk.waiting.len() >= WAITING || part.index >= desk.joined() + AHEAD)
        {
            desk = self.wait(desk);
        }
        let go_on = desk.failed.is_none();
        if go_on {
            desk.waiting.push_back(part);
            self.changed.notify_all();
        }
        go_on
    }

    // ---- the lanes ---------------------------------------------------------------

    fn lane(&self, place: usize) {
        // A counter first, then a part: while a dead counter is replaced, others
        // take what it has left.
        loop {
            let counter = match self.counters.now(place) {
                Ok(counter) => counter,
                Err(error) => return self.leave(error),
            };
            let Some(part) = self.take() else { return };
            self.one_part(&counter, part);
        }
    }

    /// Ends a lane whose counter cannot be replaced. The last one ends the work.
    fn leave(&self, error: Error) {
        let mut desk = self.desk();
        desk.lanes -= 1;
        if desk.lanes == 0 {
            desk.failed.get_or_insert(error);
        }
        self.changed.notify_all();
    }

    /// The next part; `None` once all are counted.
    fn take(&self) -> Option<Part> {
        let mut desk = self.desk();
        loop {
            if desk.is_over() {
                return None;
            }
            if let Some(part) = desk.waiting.pop_front() {
                self.changed.notify_all();
                return Some(part);
            }
            desk = self.wait(desk);
        }
    }

    /// Has one part counted, or gives it back.
    fn one_part(&self, counter: &Service, mut part: Part) {
        let counted = if part.fatal {
            let counted = self.fatal_call(counter, &part);
            // A counter that had died already is not the one to show.
            part.fatal = self.desk().killed.is_none();
            counted
        } else {
            self.call(counter, ask::COUNT, &part, None)
        };
        let trouble = match counted {
            Ok(result) => match self.add(counter, &part, &result) {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(Trouble::Dead(error)) => {
                self.counters.forget(counter);
                self.desk().lost.insert((counter.started.pid, part.index));
                error
            }
            Err(Trouble::Wrong(error)) => error,
        };
        part.tries += 1;
        if part.tries >= TRIES {
            let last =
                format!("part {} was not counted by process {}", part.index, counter.started.pid);
            self.fail(trouble.context(last));
        } else {
            self.give_back(part);
        }
    }

    fn call(
        &self,
        counter: &Service,
        id: i32,
        part: &Part,
        told: Option<pillarbox::SendOnceRight>,
    ) -> Result<PartResult, Trouble> {
        let mut request = Message::new(part.body.clone()).with_id(id).with_tag(part.index);
        if let Some(told) = told {
            request = request.with_right(told);
        }
        let answer = counter.right.call(request, patience()).map_err(|error| match error {
            CallError::Died => Trouble::Dead(error.into()),
            CallError::Unsent(error) => match error.reason {
                SendFailure::Dead | SendFailure::Fault(_) => Trouble::Dead(error.reason.into()),
                reason => Trouble::Wrong(reason.into()),
            },
            other => Trouble::Wrong(other.into()),
        })?;
        check(&answer, part).map_err(Trouble::Wrong)
    }

    fn add(&self, counter: &Service, part: &Part, result: &PartResult) -> Result<()> {
        let mut desk = self.desk();
        let total = desk.total.as_mut().context("there is no total")?;
        total.add(part.index, result)?;
        let news_ns = desk.news_ns;
        if let Some(killed) = &mut desk.killed
            && killed.part == part.index
        {
            killed.done_by = counter.started.pid;
            killed.done_after_ns = now_ns().saturating_sub(news_ns);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// In front: whoever is free takes it next.
    fn give_back(&self, part: Part) {
        self.desk().waiting.push_front(part);
        self.changed.notify_all();
    }

    // ---- life and death ------------------------------------------------------------

    /// Sends the part, and has the counter killed when it says that it is in the
    /// middle of it.
    fn fatal_call(&self, counter: &Service, part: &Part) -> Result<PartResult, Trouble> {
        let news = self.task.port(pillarbox::Capacity::Bounded(1));
        let told = news.make_send_once().map_err(|error| Trouble::Wrong(error.into()))?;
        std::thread::scope(|scope| {
            let killer = scope.spawn(|| -> Result<ask::Kill> {
                let half = news.receive(patience())?;
                ensure!(half.notification().is_none(), "the counter said nothing");
                let pid = half.sender().context("a message has a sender")?.pid;
                let (kill, _) = ask::ask(self.parent, ask::question(ask::KILL, &pid)?)?;
                Ok(kill)
            });
            let counted = self.call(counter, ask::HALF, part, Some(told));
            let news_ns = now_ns();
            match killer.join() {
                Ok(Ok(kill)) => {
                    let mut desk = self.desk();
                    desk.news_ns = news_ns;
                    desk.killed = Some(Killed {
                        pid: counter.started.pid,
                        resident_bytes: kill.resident_bytes,
                        kernel_knew_ns: kill.dead_ns.saturating_sub(kill.sent_ns),
                        client_knew_ns: news_ns.saturating_sub(kill.sent_ns),
                        part: part.index,
                        part_bytes: part.bytes(),
                        parts_lost: 0,
                        done_by: 0,
                        done_after_ns: 0,
                        successor: None,
                    });
                    counted
                }
                Ok(Err(error)) if !matches!(counted, Err(Trouble::Dead(_))) => {
                    // The part may well be counted, but we have not shown what
                    // we are here to show.
                    self.fail(error.context("the counter was not killed"));
                    counted
                }
                Ok(Err(_)) | Err(_) => counted,
            }
        })
    }
}

/// Believes a counter as far as what it says can be true of this part.
fn check(answer: &Message, part: &Part) -> Result<PartResult> {
    ensure!(answer.id() != ask::REFUSED, "{}", String::from_utf8_lossy(answer.body()));
    ensure!(!answer.is_body_lost(), "there was no room to map a result");
    let result = PartResult::decode(answer.body())?;
    ensure!(
        result.bytes() == part.bytes(),
        "it counted {} bytes where the part has {}",
        result.bytes(),
        part.bytes()
    );
    Ok(result)
}
