//! A forger: a stranger that claims rights it was never given.
//!
//! It uses nothing of the library but the names of the refusals. It finds the
//! door of its victim, which anybody may knock at, and says what a true holder
//! would say, as docs/wire.md has it: who gave the right, and with which ticket.
//! Both may be true. A ticket is good only for the task it was given to, and who
//! knocks is the kernel's word.

use std::fs;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pillarbox::Refusal;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

use super::Role;
use super::ask::{Forgery, Target};
use super::clock::{median, now_ns};

/// How many tickets the forger tries.
const TRIES: u32 = 64;

/// How long it waits for an answer. Longer than anybody waits for a hello.
const SILENCE: Duration = Duration::from_secs(5);

/// Bytes of the lane it pretends to have.
const LANE_BYTES: u32 = 256 * 1024;

/// Has a process of its own do it, which was given nothing.
pub(super) fn hire(program: &Path, target: &Target) -> Result<Forgery> {
    let mut command = Role::Forger.command(program);
    command.arg("--told").arg(serde_json::to_string(target)?);
    let output = output_of(command)?;
    serde_json::from_slice(&output).context("the forger made no sense")
}

fn output_of(mut command: Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}

/// Knocks, claims, and tells its parent what came of it.
pub(super) fn run(told: &str) -> Result<ExitCode> {
    let target: Target = serde_json::from_str(told).context("a forger must be told its victim")?;
    let door = find_door(target.pid)?;
    let mut spans = Vec::new();
    let mut forgery = Forgery {
        pid: std::process::id(),
        door_of: 0,
        tries: TRIES,
        refused: 0,
        reasons: Vec::new(),
        median_ns: 0,
    };
    for number in 0..TRIES {
        let ticket = target.first_ticket + u64::from(number);
        let started = now_ns();
        let (door_of, refusal) = claim(&door, &target, ticket)?;
        spans.push(now_ns() - started);
        forgery.door_of = door_of;
        forgery.refused += 1;
        let reason = refusal.to_string();
        if !forgery.reasons.contains(&reason) {
            forgery.reasons.push(reason);
        }
    }
    forgery.median_ns = median(&mut spans);
    serde_json::to_writer(std::io::stdout(), &forgery)?;
    std::io::stdout().flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Finds the abstract socket that the process `pid` listens at.
///
/// Any process of the same user can see it: it is a door, not a secret.
fn find_door(pid: i32) -> Result<Vec<u8>> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).context("the victim is gone")?;
    let sockets: Vec<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/unix").context("sockets are not listed here")?;
    for line in table.lines() {
        // Num RefCount Protocol Flags Type St Inode Path
        let mut fields = line.split_ascii_whitespace().skip(3);
        let (Some(flags), Some(inode), Some(path)) = (fields.next(), fields.nth(2), fields.next())
        else {
            continue;
        };
        const LISTENS: u32 = 1 << 16;
        let listens = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & LISTENS != 0);
        if let Some(name) = path.strip_prefix('@')
            && listens
            && sockets.iter().any(|socket| socket == inode)
        {
            return Ok(name.as_bytes().to_vec());
        }
    }
    bail!("process {pid} listens nowhere")
}

/// Claims one ticket. Returns whose door it was, and what was said there.
fn claim(door: &[u8], target: &Target, ticket: u64) -> Result<(i32, Refusal)> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(SILENCE))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(door)?)?;
    let door_of = socket_peercred(&socket)?.pid.as_raw_nonzero().get();

    let memory = memory()?;
    let descriptors = [memory.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    ensure!(with.push(SendAncillaryMessage::ScmRights(&descriptors)), "one descriptor fits");
    let hello = hello(target, ticket);
    rustix::net::sendmsg(&socket, &[IoSlice::new(&hello)], &mut with, SendFlags::NOSIGNAL)?;

    let mut packet = [0; 256];
    let (_, bytes) = rustix::net::recv(&socket, &mut packet[..], RecvFlags::empty())
        .context("no word came from the door")?;
    let said = packet.get(..bytes).and_then(Refusal::decode);
    let refusal = said.context("the claim was not refused")?;
    // Not only said: the connection is over.
    let (_, rest) = rustix::net::recv(&socket, &mut packet[..], RecvFlags::empty())?;
    ensure!(rest == 0, "the door stayed open");
    Ok((door_of, refusal))
}

/// Sealed memory for the lane that a link would have.
fn memory() -> Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("lane", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&memory, u64::from(LANE_BYTES))?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

/// The first packet of a connection that claims a right: 96 bytes.
fn hello(target: &Target, ticket: u64) -> Vec<u8> {
    const VERSION: u32 = 1;
    const CLAIM: u32 = 3;
    let mut packet = b"PBhello\0".to_vec();
    packet.extend(VERSION.to_le_bytes());
    packet.extend(CLAIM.to_le_bytes());
    packet.extend([0; 16]); // Features, and the number of our task.
    packet.extend(LANE_BYTES.to_le_bytes());
    packet.extend([0; 4]);
    packet.extend(target.giver_process.to_le_bytes());
    packet.extend(target.giver_number.to_le_bytes());
    packet.extend(ticket.to_le_bytes());
    packet.extend([0; 32]); // Where we listen ourselves: nowhere.
    packet
}
