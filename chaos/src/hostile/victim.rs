//! The task that is lied to, and serves the honest all the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pillarbox::{Callers, Capacity, Deadline, Message, ReceiveRight, Right, SendRight, Task};

use super::readers::Readers;
use crate::chance::Chance;
use crate::log::Log;
use crate::residue::{Residue, mapped};

/// Counters in the victim's log.
pub(super) mod counter {
    /// It listens.
    pub(crate) const READY: usize = 0;
    /// Messages of the hostile that were taken.
    pub(crate) const TAKEN: usize = 1;
    /// Numbered messages of the honest, each one higher than the last.
    pub(crate) const HEARD: usize = 2;
    /// Calls of the honest that were answered.
    pub(crate) const ANSWERED: usize = 3;
    /// Something that must not be: it panicked, or a message was not in order.
    pub(crate) const BROKEN: usize = 4;
    /// Not its own: it is to come to an end.
    pub(crate) const ENOUGH: usize = 5;
    /// Bytes resident before the first enemy.
    pub(crate) const BEFORE: usize = 6;
    /// The process as its task names it, and which task of it.
    pub(crate) const PROCESS: usize = 7;
    pub(crate) const NUMBER: usize = 8;
    /// Ports of the hostile that came in bags.
    pub(crate) const PORTS: usize = 9;
    /// Calls that the hostile have answered, in parts or at once.
    pub(crate) const CALLED: usize = 10;
    /// Messages that came to the inbox.
    pub(crate) const INBOX: usize = 11;
    /// Messages of shared mailboxes that the honest reader acknowledged.
    pub(crate) const READ: usize = 12;
    /// How many there are.
    pub(crate) const ALL: usize = 13;
}

/// The task that is lied to.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where it listens.
    #[arg(long)]
    path: PathBuf,
    /// Where chance begins.
    #[arg(long)]
    seed: u64,
}

/// How long the last of the hostile may leave something behind: their gives
/// wait ten seconds for who may claim them.
const SETTLE: Duration = Duration::from_secs(100);

/// The `id` of a message that asks for a call.
pub(super) const CALL_ME: i32 = 0x0ca1_1000;

/// Room for parts of the answer to such a call.
const ROOM: u64 = 16 * 1024;

pub(super) struct Victim {
    task: Task,
    log: Log,
    done: AtomicBool,
    counts: [AtomicU64; counter::ALL],
}

impl Victim {
    pub(super) fn broken(&self, what: impl std::fmt::Display) {
        eprintln!("victim: {what}");
        self.log.set(counter::BROKEN, 1);
    }

    pub(super) fn count(&self, counter: usize) {
        if let Some(count) = self.counts.get(counter) {
            self.log.set(counter, count.fetch_add(1, Ordering::Relaxed) + 1);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

/// Serves until it is told that it is enough, then looks what is left.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let log = Log::of_parent().map_err(|error| error.to_string())?;
    let task = Task::current().map_err(|error| error.to_string())?;
    let (done, counts) = (AtomicBool::new(false), Default::default());
    let victim = Arc::new(Victim { task, log, done, counts });
    let panicking = Arc::clone(&victim);
    std::panic::set_hook(Box::new(move |info| panicking.broken(info)));
    serve(&victim, options).map_err(|error| format!("victim: {error}"))
}

fn serve(victim: &Victim, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let task = &victim.task;
    let open = task.port(Capacity::Unbounded);
    let inbox = task.port(Capacity::Bounded(16));
    let stream = task.port(Capacity::Bounded(64));
    let calls = task.port(Capacity::Bounded(16));
    // Each link has slots in this order: the hostile count on the first two.
    let mut offer: Vec<(String, SendRight)> =
        [("a-open", &open), ("b-inbox", &inbox), ("c-stream", &stream), ("d-calls", &calls)]
            .into_iter()
            .map(|(name, port)| port.make_send().map(|right| (name.to_owned(), right)))
            .collect::<Result<_, _>>()?;
    let readers = Readers::new(task)?;
    offer.extend(readers.offer()?);
    let anyone = task.open_inbox(Capacity::Bounded(64), Callers::anyone())?;
    let listening = task.listen(&options.path, offer)?;
    victim.log.set(counter::BEFORE, crate::residue::resident_bytes(std::process::id()));
    let before = Residue::now();
    victim.log.set(counter::PROCESS, task.identity().task.process);
    victim.log.set(counter::NUMBER, task.identity().task.number);
    victim.log.set(counter::READY, 1);
    std::thread::scope(|scope| {
        scope.spawn(|| suffer(victim, &open, Chance::of(options.seed, 1)));
        scope.spawn(|| suffer(victim, &inbox, Chance::of(options.seed, 2)));
        scope.spawn(|| hear(victim, &stream));
        scope.spawn(|| answer(victim, &calls));
        scope.spawn(|| drain(victim, &anyone));
        scope.spawn(|| readers.run(victim, &options.path));
        while victim.log.get(counter::ENOUGH) == 0 {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        victim.done.store(true, Ordering::Relaxed);
    });
    drop(listening);
    // What they sent and nobody took.
    drop((open, inbox, stream, calls, anyone));
    nothing_is_left(victim, &before);
    Ok(())
}

/// Takes what the hostile send, and uses it as the honest would.
fn suffer(victim: &Victim, port: &ReceiveRight, mut chance: Chance) {
    let mut kept = Vec::new();
    let soon = || Deadline::after(Duration::from_micros(300));
    while !victim.is_done() {
        let Ok(mut message) = port.receive(Deadline::after(Duration::from_millis(50))) else {
            continue;
        };
        victim.count(counter::TAKEN);
        look_into(&message, &mut chance);
        if message.reply_right().is_some() {
            let _ = message.reply(Message::new("thank you"), Deadline::Now);
        }
        let calls = message.id() == CALL_ME;
        for right in message.take_rights() {
            match right {
                Right::Receive(port) => take_port(victim, port, &kept, &mut chance),
                Right::Send(right) if calls => {
                    let request = Message::new("in parts").with_reply_room(ROOM);
                    let patient = Deadline::after(Duration::from_millis(20));
                    if let Ok(answer) = right.call(request, patient) {
                        look_into(&answer, &mut chance);
                        victim.count(counter::CALLED);
                    }
                }
                _ if !chance.one_in(32) => {}
                Right::Send(right) => {
                    let _ = right.send(Message::new("you"), soon());
                    if chance.one_in(16) {
                        let _ = right.status(soon());
                        let _ = right.call(Message::new("well?"), soon());
                    }
                    kept.push(right);
                }
                Right::SendOnce(right) => drop(right.send(Message::new("once"), soon())),
                _ => {}
            }
        }
        kept.truncate(chance.place(64));
    }
}

/// Reads of a message's body here and there.
fn look_into(message: &Message, chance: &mut Chance) {
    let mut some = [0; 64];
    for _ in 0..3 {
        let at = chance.below(message.body().len() as u64 + 9);
        let _ = message.read_at(at, &mut some);
    }
}

/// A port has come: all that lies in it is taken, and some is sent. It goes on to
/// one of those who sent a right, or ends.
fn take_port(victim: &Victim, port: ReceiveRight, known: &[SendRight], chance: &mut Chance) {
    victim.count(counter::PORTS);
    if chance.one_in(2)
        && let Ok(own) = port.make_send()
    {
        let _ = own.send(Message::new("own"), Deadline::Now);
    }
    while let Ok(mut message) = port.receive(Deadline::Now) {
        for right in message.take_rights() {
            // Ports in its queue came with it.
            if let Right::Receive(inner) = right {
                take_port(victim, inner, known, chance);
            }
        }
    }
    if chance.one_in(4) {
        // What is still to come is read while it lies here.
        let _ = port.receive(Deadline::after(Duration::from_millis(1)));
    }
    if chance.one_in(4) && !known.is_empty() {
        let to = &known[chance.place(known.len())];
        let _ = to
            .send(Message::new("on").with_right(port), Deadline::after(Duration::from_micros(300)));
    }
}

/// What comes to the inbox of those who only asked for it.
fn drain(victim: &Victim, port: &ReceiveRight) {
    while !victim.is_done() {
        if port.receive(Deadline::after(Duration::from_millis(50))).is_ok() {
            victim.count(counter::INBOX);
        }
    }
}

/// The numbered messages of the honest client: one after another.
fn hear(victim: &Victim, port: &ReceiveRight) {
    let mut last = 0;
    while !victim.is_done() {
        let Ok(message) = port.receive(Deadline::after(Duration::from_millis(50))) else {
            continue;
        };
        // The hostile were offered this port too; the honest say a word.
        if message.body() != super::client::WORD {
            continue;
        }
        if message.tag() != last + 1 {
            victim.broken(format_args!("number {} came after {last}", message.tag()));
        }
        last = message.tag();
        victim.log.set(counter::HEARD, last);
    }
}

fn answer(victim: &Victim, port: &ReceiveRight) {
    let mut answered = 0;
    while !victim.is_done() {
        let Ok(mut request) = port.receive(Deadline::after(Duration::from_millis(50))) else {
            continue;
        };
        let honest = request.body() == super::client::WORD;
        let answer = Message::new(request.body()).with_tag(request.tag());
        let soon = || Deadline::after(Duration::from_millis(1));
        let deadline = if honest { super::client::long() } else { soon() };
        if request.reply_right().is_some() && request.reply(answer, deadline).is_ok() && honest {
            answered += 1;
            victim.log.set(counter::ANSWERED, answered);
        }
    }
}

fn nothing_is_left(victim: &Victim, before: &Residue) {
    let until = Instant::now() + SETTLE;
    loop {
        let census = victim.task.census();
        let held: Vec<_> = census.rows.iter().filter(|row| row.count > 0).collect();
        let now = Residue::now();
        // The one who started us is still there.
        let peers = victim.task.peers().len();
        if held.is_empty() && peers <= 1 && now.is_within(before) {
            return;
        }
        if Instant::now() > until {
            let rows = &held[..held.len().min(20)];
            return victim.broken(format_args!(
                "left over: {rows:?}, {peers} peers, {now:?}, before {before:?}, mapped {:#?}",
                mapped()
            ));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
