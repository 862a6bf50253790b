//! The client: it reads FILE, has it counted, shows four things, and tells it
//! all.
//!
//! What it can reach is what it was given at its start: a bootstrap right, one
//! right to ask its parent by, and FILE, open, as its standard input.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use pillarbox::{Bootstrap, Capacity, Deadline, Message, SendRight, Task};

use super::ask::{self, Asker, ECHO, FORGE, Forgery, GUEST_NAME, MEMORY, PARENT, Target, VISIT};
use super::clock::{median, now_ns, patience};
use super::counters::Service;
use super::source::{Source, Unreadable};
use super::story::{Call, Forged, Gift, Started, Story, Top};
use super::{counters, show, source, stream};

/// Calls one right after the other.
const AWAKE_CALLS: usize = 1_000;

/// Calls after [`SILENCE`].
const ASLEEP_CALLS: usize = 100;

/// After so long without a message both sides sleep.
const SILENCE: Duration = Duration::from_millis(3);

/// Bytes of a call's body, and of its answer's.
const CALL_BYTES: usize = 64;

/// Runs the demo's client.
pub(super) fn run(path: &Path, json: bool) -> Result<ExitCode> {
    let (task, server) = ask::join_the_tree()?;
    let parent = ask::inherited(&task, PARENT)?;
    // The story runs in a thread of its own; we wait for its end or the
    // parent's. When we return, everything of this process ends, also a read
    // from a pipe that brings nothing.
    let events = task.port(Capacity::Bounded(1));
    server.right().notify_dead(events.make_send_once()?)?;
    let ended = events.make_send()?;
    let path = path.to_owned();
    let client = std::thread::spawn(move || {
        let told = tell(&task, &server, &parent, &path, json);
        // If this fails nobody waits any more.
        let _ = ended.send(Message::new(""), Deadline::Never);
        told
    });
    if ask::parent_is_gone(&events.receive(Deadline::Never)?) {
        return Ok(ExitCode::FAILURE);
    }
    client.join().map_err(|_| anyhow!("the client panicked"))?
}

fn tell(
    task: &Task,
    server: &Bootstrap,
    parent: &SendRight,
    path: &Path,
    json: bool,
) -> Result<ExitCode> {
    let story = match live(task, server, parent, path)? {
        Ok(story) => story,
        Err(unreadable) => return Ok(unreadable.tell(json)),
    };
    if json {
        show::json(&story)?
    } else {
        show::text(&story)?
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that is measured, in its order.
fn live(
    task: &Task,
    server: &Bootstrap,
    parent: &SendRight,
    path: &Path,
) -> Result<Result<Story, Unreadable>> {
    let file = std::io::stdin().as_fd().try_clone_to_owned().context("there is no FILE")?;
    let source = match Source::new(path, file.into()) {
        Ok(source) => source,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let streamed = match stream::stream(task, server, parent, source)? {
        Ok(streamed) => streamed,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let Service { started: counter, right } = &streamed.counter;
    let call = call(counter, right)?;
    let (gift, first_ticket) = give(task, server, counter, right)?;
    let forgery = forge(task, parent, counter, right, first_ticket)?;
    let (memory, _) = ask::ask(parent, Message::new("").with_id(MEMORY))?;
    let report = streamed.report;
    Ok(Ok(Story {
        file: source::shown(path),
        lines: report.counts.lines,
        words: report.counts.words,
        bytes: report.counts.bytes,
        words_unprintable_included: report.counts.words_bare_included(),
        distinct_words: report.distinct.filter(|_| report.is_exact()),
        top_is_certain: report.top_is_certain(),
        top_error_at_most: report.max_overcount(),
        top: report.top.iter().map(Top::from).collect(),
        others_at_most: report.others_at_most,
        client_pid: std::process::id(),
        stream: streamed.stream,
        killed: streamed.killed,
        call,
        gift,
        forgery,
        memory,
    }))
}

/// Calls the counter many times, awake and asleep.
fn call(counter: &Started, right: &SendRight) -> Result<Call> {
    let body: Vec<u8> = (0..CALL_BYTES).map(|at| at as u8).collect();
    let one = || -> Result<u64> {
        let started = now_ns();
        let answer = right.call(Message::new(body.as_slice()).with_id(ECHO), patience())?;
        let span = now_ns() - started;
        ensure!(answer.body() == body, "the answer is not what was sent");
        Ok(span)
    };
    let mut awake = (0..AWAKE_CALLS).map(|_| one()).collect::<Result<Vec<_>>>()?;
    let mut asleep = (0..ASLEEP_CALLS)
        .map(|_| {
            std::thread::sleep(SILENCE);
            one()
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Call {
        server_pid: counter.pid,
        bytes: CALL_BYTES,
        awake_calls: AWAKE_CALLS,
        awake_median_ns: median(&mut awake),
        asleep_calls: ASLEEP_CALLS,
        asleep_median_ns: median(&mut asleep),
        silence_ms: u64::try_from(SILENCE.as_millis())?,
    })
}

/// Gives a right to the counter away, to a guest who uses it. Returns also where
/// the tickets begin that we used for it.
fn give(
    task: &Task,
    server: &Bootstrap,
    counter: &Started,
    right: &SendRight,
) -> Result<(Gift, u64)> {
    let Service { started: guest, right: guest_right } = counters::find(server, GUEST_NAME)?;
    // Tickets are numbers of the task, as its ports' are.
    let first_ticket = task.port(Capacity::Unbounded).id();
    let request = Message::new("").with_id(VISIT).with_right(right.clone());
    let (visit, _) = ask::ask::<ask::Visit>(&guest_right, request)?;
    ensure!(visit.asked_by == guest.pid, "process {} used the right", visit.asked_by);
    ensure!(visit.answered_by == counter.pid, "process {} answered", visit.answered_by);
    Ok((Gift { guest, owner_pid: counter.pid, visit }, first_ticket))
}

/// Has a stranger claim what we gave to the guest.
fn forge(
    task: &Task,
    parent: &SendRight,
    counter: &Started,
    right: &SendRight,
    first_ticket: u64,
) -> Result<Forged> {
    let links = || -> Result<usize> {
        let (asker, _) = ask::ask::<Asker>(right, Message::new("").with_id(ask::WHO))?;
        Ok(asker.links)
    };
    let links_before = links()?;
    let id = task.identity().task;
    let target = Target {
        pid: counter.pid,
        giver_process: id.process,
        giver_number: id.number,
        first_ticket,
    };
    let (forgery, _) = ask::ask::<Forgery>(parent, ask::question(FORGE, &target)?)?;
    ensure!(forgery.door_of == counter.pid, "the forger knocked at {}", forgery.door_of);
    Ok(Forged { forgery, links_before, links_after: links()? })
}
