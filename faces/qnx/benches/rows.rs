//! The rows of this face: what its calls cost beside the library's own.
//!
//! Two processes that know nothing but QNX's calls: a server that answers, and this
//! program, which asks.
#![allow(unsafe_code, reason = "what a program in C calls is called here; see docs/soundness.md")]

#[path = "../../rows.rs"]
mod begin;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use pillarbox::Task;
use pillarbox_qnx as _;
use rows::{
    Casting, Effort, Entrant, Goal, Operation, Part, Place, Row, Side, Stage, State, Unit, own_call,
};

/// Bytes of a small message.
const SMALL: usize = 64;
/// Bytes of a large one.
const LARGE: usize = 1 << 20;
/// A large one is sent in so many parts.
const PARTS: usize = 16;

/// A connection beside the descriptors.
const SIDE_CHANNEL: u32 = 0x4000_0000;

/// A part of a message.
#[repr(C)]
#[derive(Clone, Copy)]
struct Piece {
    base: *const u8,
    bytes: usize,
}

unsafe extern "C" {
    safe fn ChannelCreate(flags: u32) -> i32;
    safe fn ConnectAttach(node: u32, pid: i32, chid: i32, index: u32, flags: i32) -> i32;
    fn MsgSend(coid: i32, from: *const u8, bytes: usize, to: *mut u8, room: usize) -> i64;
    fn MsgSendvs(coid: i32, from: *const Piece, parts: usize, to: *mut u8, room: usize) -> i64;
    fn MsgReceive(chid: i32, to: *mut u8, room: usize, info: *mut u8) -> i64;
    fn MsgReply(rcvid: i64, status: i64, from: *const u8, bytes: usize) -> i32;
}

/// The part of the server.
const SERVER: &str = "qnx-server";

/// Answers with the first bytes of what came, until the parent has gone.
fn serve(stage: &mut Stage) -> Result<()> {
    // A task looks at its making how many processors there are.
    let _ = Task::current()?;
    stage.take_place()?;
    let chid = ChannelCreate(0);
    ensure!(chid > 0, "there is no channel");
    stage.line.say(u64::try_from(chid)?)?;
    if stage.number(0)? == 0 {
        return answer(&mut [0; 512], chid);
    }
    answer(&mut vec![0; LARGE], chid)
}

/// The loop of the server, with room for the longest request.
fn answer(room: &mut [u8], chid: i32) -> Result<()> {
    loop {
        // SAFETY: the buffer is as long as is said, and nobody else's.
        let rcvid =
            unsafe { MsgReceive(chid, room.as_mut_ptr(), room.len(), std::ptr::null_mut()) };
        ensure!(rcvid > 0, "nothing was received");
        // SAFETY: the same buffer, of which these are the first bytes.
        let replied = unsafe { MsgReply(rcvid, 0, room.as_ptr(), SMALL) };
        ensure!(replied == 0, "nothing was replied");
    }
}

/// Starts a server where such a row has it, and connects with it. One for large requests
/// has a buffer that it allocates, another one in its frame.
fn server(row: &Row, large: u8) -> Result<(rows::Child, i32)> {
    let mut child = Casting::of(SERVER, row.place).argument(large).start()?;
    let chid = i32::try_from(child.line.hear().context("the server says its channel")?)?;
    let coid = ConnectAttach(0, i32::try_from(child.pid())?, chid, SIDE_CHANNEL, 0);
    ensure!(coid > 0, "the channel is not found");
    Ok((child, coid))
}

fn call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let (child, coid) = server(row, 0)?;
    let operation = Operation::new(row, child, move || {
        let (body, mut back) = ([7u8; SMALL], [0u8; SMALL]);
        // SAFETY: both are as long as is said.
        let status = unsafe { MsgSend(coid, body.as_ptr(), SMALL, back.as_mut_ptr(), SMALL) };
        ensure!(status == 0 && back == body, "another reply came back");
        Ok(())
    });
    Ok(vec![Entrant::new("MsgSend", Side::Ours, operation), own_call(row)?])
}

/// So many bytes in parts, as they lie.
fn in_parts(row: &Row, bytes: usize, side: Side) -> Result<Entrant> {
    let (child, coid) = server(row, 1)?;
    let memory = vec![7u8; bytes];
    let operation = Operation::new(row, child, move || {
        let mut pieces = [Piece { base: std::ptr::null(), bytes: 0 }; PARTS];
        for (piece, part) in pieces.iter_mut().zip(memory.chunks(bytes / PARTS)) {
            *piece = Piece { base: part.as_ptr(), bytes: part.len() };
        }
        let mut back = [0u8; SMALL];
        // SAFETY: each part is as long as it says, and so is the buffer.
        let status = unsafe { MsgSendvs(coid, pieces.as_ptr(), PARTS, back.as_mut_ptr(), SMALL) };
        ensure!(status == 0, "no reply came back");
        Ok(())
    });
    Ok(Entrant::new(&format!("in parts, {} KiB", bytes / 1024), side, operation))
}

/// The same bytes, combined first.
fn combined(row: &Row, bytes: usize, side: Side) -> Result<Entrant> {
    let (child, coid) = server(row, 1)?;
    let memory = vec![7u8; bytes];
    let mut whole = vec![0u8; bytes];
    let operation = Operation::new(row, child, move || {
        for (to, part) in whole.chunks_mut(bytes / PARTS).zip(memory.chunks(bytes / PARTS)) {
            to.copy_from_slice(part);
        }
        let mut back = [0u8; SMALL];
        // SAFETY: both are as long as is said.
        let status = unsafe { MsgSend(coid, whole.as_ptr(), bytes, back.as_mut_ptr(), SMALL) };
        ensure!(status == 0, "no reply came back");
        Ok(())
    });
    Ok(Entrant::new(&format!("combined, {} KiB", bytes / 1024), side, operation))
}

/// Both, of 1 MiB; and of less, so that one sees from where which wins.
fn large(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let mut entrants = vec![in_parts(row, LARGE, Side::Ours)?, combined(row, LARGE, Side::Limit)?];
    for bytes in [LARGE / 4, LARGE / 16, LARGE / 64] {
        entrants.push(in_parts(row, bytes, Side::Peer)?);
        entrants.push(combined(row, bytes, Side::Peer)?);
    }
    Ok(entrants)
}

const ROWS: &[Row] = &[
    Row {
        name: "qnx-send-awake",
        unit: Unit::Nanoseconds,
        about: "MsgSend: 64 bytes there, and 64 back by MsgReply",
        limit: "the library's own call",
        goal: Goal::RatioAtMost(1.25),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: call,
    },
    Row {
        name: "qnx-send-asleep",
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
        name: "qnx-sendv-1m",
        unit: Unit::Nanoseconds,
        about: "1 MiB in 16 parts by MsgSendvs, and 64 bytes back",
        limit: "the same bytes combined, and sent by MsgSend",
        goal: Goal::Stated,
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: large,
    },
];

fn main() -> ExitCode {
    let about = "Measures what QNX's calls cost beside the library's own.";
    begin::measured("qnx-rows", about, ROWS, Part { name: SERVER, act: serve })
}
