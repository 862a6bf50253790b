//! The rows of this face: what its calls cost beside the library's own.
//!
//! Two processes that know nothing but Mach's calls, and find each other by name: a
//! server that answers, and this program, which asks.
#![allow(unsafe_code, reason = "what a program in C calls is called here; see docs/soundness.md")]

#[path = "../../rows.rs"]
mod begin;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use pillarbox::Task;
use pillarbox_mach as _;
use rows::{
    Casting, Effort, Entrant, Goal, Operation, Part, Place, Row, Side, Stage, State, Unit, own_call,
};

/// Bytes of a small message's body.
const SMALL: usize = 64;
/// Bytes of a large one's.
const LARGE: usize = 1 << 20;

const SEND: i32 = 1;
const RECEIVE: i32 = 2;
const COPY_SEND: u32 = 19;
const MAKE_SEND: u32 = 20;
const MAKE_SEND_ONCE: u32 = 21;
const COMPLEX: u32 = 0x8000_0000;

unsafe extern "C" {
    safe static bootstrap_port: u32;
    safe static mach_task_self_: u32;
    fn mach_msg(
        message: *mut u32,
        options: i32,
        send_size: u32,
        room: u32,
        name: u32,
        timeout: u32,
        notify: u32,
    ) -> i32;
    fn mach_port_allocate(task: u32, right: u32, name: *mut u32) -> i32;
    safe fn mach_port_insert_right(task: u32, name: u32, right: u32, how: u32) -> i32;
    safe fn mach_port_destroy(task: u32, name: u32) -> i32;
    fn vm_deallocate(task: u32, address: u64, size: usize) -> i32;
    fn bootstrap_check_in(bootstrap: u32, name: *const u8, port: *mut u32) -> i32;
    fn bootstrap_look_up(bootstrap: u32, name: *const u8, port: *mut u32) -> i32;
}

/// A message in words, as long as it may be and with room for its trailer.
type Words<const N: usize> = [u32; N];

const HEADER: usize = 6;
const PLAIN: usize = HEADER + SMALL / 4;
/// A trailer is at most so many words.
const TRAILER: usize = 17;

fn done(code: i32) -> Result<()> {
    ensure!(code == 0, "a call ended with {code:#x}");
    Ok(())
}

/// Sends so many words of `message` and receives on `reply`.
fn turn(message: &mut [u32], options: i32, words: usize, reply: u32) -> Result<()> {
    let room = u32::try_from(message.len() * 4)?;
    let size = u32::try_from(words * 4)?;
    ensure!(size <= room, "a message has fewer words");
    // SAFETY: the buffer is as long as is said, and nobody else's.
    done(unsafe { mach_msg(message.as_mut_ptr(), options, size, room, reply, 0, 0) })
}

fn new_port() -> Result<u32> {
    let mut name = 0;
    // SAFETY: the word is our own.
    done(unsafe { mach_port_allocate(mach_task_self_, 1, &mut name) })?;
    Ok(name)
}

/// The part of the server.
const SERVER: &str = "mach-server";

/// Answers with a small body, by whatever right came, until the parent has gone.
fn serve(stage: &mut Stage) -> Result<()> {
    // A task looks at its making how many processors there are.
    let _ = Task::current()?;
    stage.take_place()?;
    let name = format!("{}\0", stage.arguments.first().context("the part has no name")?);
    let mut port = 0;
    // SAFETY: the text ends, and the word is our own.
    done(unsafe { bootstrap_check_in(bootstrap_port, name.as_ptr(), &mut port) })?;
    stage.line.say(1)?;
    if stage.number(1)? == 0 {
        return answer(&mut [0; HEADER + 128], port);
    }
    answer(&mut vec![0; HEADER + LARGE / 4 + TRAILER + 16], port)
}

/// The loop of the server, with room for the longest request.
fn answer(words: &mut [u32], port: u32) -> Result<()> {
    turn(words, RECEIVE, 0, port)?;
    loop {
        if words[0] & COMPLEX != 0 {
            let address = u64::from(words[7]) | u64::from(words[8]) << 32;
            // SAFETY: it came with the message and is ours to free.
            done(unsafe { vm_deallocate(mach_task_self_, address, words[10] as usize) })?;
        }
        // The right to answer is moved back.
        words[0] &= 0x1f;
        words[3] = 0;
        turn(words, SEND | RECEIVE, PLAIN, port)?;
    }
}

/// Starts a server where such a row has it, and finds it. One for large requests has a
/// buffer that it allocates, another one in its frame.
fn server(row: &Row, number: usize) -> Result<(rows::Child, u32)> {
    let name = format!("bench.{}.{number}", row.name);
    let casting = Casting::of(SERVER, row.place).argument(&name).argument(number);
    let mut child = casting.start()?;
    child.line.hear().context("the server checks in")?;
    let (name, mut port) = (format!("{name}\0"), 0);
    // SAFETY: the text ends, and the word is our own.
    done(unsafe { bootstrap_look_up(bootstrap_port, name.as_ptr(), &mut port) })?;
    Ok((child, port))
}

/// A small request to `port`, with a reply to `reply` that is made so.
fn ask(port: u32, reply: u32, how: u32) -> Result<()> {
    let mut words: Words<{ PLAIN + TRAILER }> = [7; PLAIN + TRAILER];
    words[..HEADER].copy_from_slice(&[COPY_SEND | how << 8, 0, port, reply, 0, 1]);
    turn(&mut words, SEND | RECEIVE, PLAIN, reply)?;
    ensure!(words[1] as usize == PLAIN * 4, "another message came back");
    Ok(())
}

fn call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let (child, port) = server(row, 0)?;
    let reply = new_port()?;
    let operation = Operation::new(row, child, move || ask(port, reply, MAKE_SEND_ONCE));
    Ok(vec![Entrant::new("mach_msg", Side::Ours, operation), own_call(row)?])
}

fn port_per_call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let (child, port) = server(row, 0)?;
    let operation = Operation::new(row, child, move || {
        let reply = new_port()?;
        done(mach_port_insert_right(mach_task_self_, reply, reply, MAKE_SEND))?;
        ask(port, reply, COPY_SEND)?;
        done(mach_port_destroy(mach_task_self_, reply))
    });
    Ok(vec![Entrant::new("mach_port", Side::Ours, operation), own_call(row)?])
}

/// So many bytes out of line, and a small answer.
fn lent(row: &Row, number: usize, bytes: usize, side: Side) -> Result<Entrant> {
    let (child, port) = server(row, number)?;
    let reply = new_port()?;
    let memory = vec![7u8; bytes];
    let operation = Operation::new(row, child, move || {
        let mut words: Words<{ PLAIN + TRAILER }> = [0; PLAIN + TRAILER];
        let address = memory.as_ptr() as u64;
        let bits = COMPLEX | COPY_SEND | MAKE_SEND_ONCE << 8;
        words[..HEADER].copy_from_slice(&[bits, 0, port, reply, 0, 1]);
        // One descriptor: an address, how it is copied and what it is, how long it is.
        let (low, high) = (address as u32, (address >> 32) as u32);
        words[HEADER..11].copy_from_slice(&[1, low, high, 1 << 24 | 1 << 8, bytes as u32]);
        turn(&mut words, SEND | RECEIVE, 11, reply)
    });
    Ok(Entrant::new(&format!("out of line, {} KiB", bytes / 1024), side, operation))
}

/// The same bytes, combined into one message behind its header.
fn copied(row: &Row, number: usize, bytes: usize, side: Side) -> Result<Entrant> {
    let (child, port) = server(row, number)?;
    let reply = new_port()?;
    let memory = vec![7u32; bytes / 4];
    let mut words = vec![0u32; HEADER + bytes / 4 + TRAILER];
    let operation = Operation::new(row, child, move || {
        words[HEADER..HEADER + bytes / 4].copy_from_slice(&memory);
        let bits = COPY_SEND | MAKE_SEND_ONCE << 8;
        words[..HEADER].copy_from_slice(&[bits, 0, port, reply, 0, 1]);
        turn(&mut words, SEND | RECEIVE, HEADER + bytes / 4, reply)
    });
    Ok(Entrant::new(&format!("copied, {} KiB", bytes / 1024), side, operation))
}

/// Both, of 1 MiB; and of less, so that one sees from where which wins.
fn large(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let mut entrants = vec![lent(row, 1, LARGE, Side::Ours)?, copied(row, 2, LARGE, Side::Limit)?];
    for (at, bytes) in [LARGE / 4, LARGE / 16, LARGE / 64].into_iter().enumerate() {
        entrants.push(lent(row, 2 * at + 3, bytes, Side::Peer)?);
        entrants.push(copied(row, 2 * at + 4, bytes, Side::Peer)?);
    }
    Ok(entrants)
}

const ROWS: &[Row] = &[
    Row {
        name: "mach-rtt-awake",
        unit: Unit::Nanoseconds,
        about: "mach_msg: 64 bytes there with a right to answer once, and 64 back",
        limit: "the library's own call",
        goal: Goal::RatioAtMost(1.25),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: call,
    },
    Row {
        name: "mach-rtt-asleep",
        unit: Unit::Nanoseconds,
        about: "the same where both ends have gone to sleep before it",
        limit: "the library's own call",
        goal: Goal::RatioAtMost(1.25),
        state: State::Asleep,
        place: Place::TwoCores,
        once: false,
        make: call,
    },
    Row {
        name: "mach-port-per-call",
        unit: Unit::Nanoseconds,
        about: "a port allocated, a send right made and copied into a call, the port destroyed",
        limit: "the library's own call",
        goal: Goal::RatioAtMost(1.5),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: port_per_call,
    },
    Row {
        name: "mach-ool-1m",
        unit: Unit::Nanoseconds,
        about: "1 MiB out of line, freed by its receiver, and 64 bytes back",
        limit: "the same bytes copied behind a header",
        goal: Goal::Stated,
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: large,
    },
];

fn main() -> ExitCode {
    let about = "Measures what Mach's calls cost beside the library's own.";
    begin::measured("mach-rows", about, ROWS, Part { name: SERVER, act: serve })
}
