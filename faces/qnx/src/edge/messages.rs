//! Sending, receiving, replying.

use pillarbox::hold_in_wait;

use super::memory::{BadList, Parts};
use super::{call, calls, put, with_errno};
use crate::codes::*;
use crate::letter::{Info, Outcome};
use crate::serve::{self, Received};
use crate::{connection, with};

/// A server that passes this has its client send once more.
const ERESTART: Errno = Errno(libc::ERESTART);

fn flat(address: *const u8, bytes: usize) -> Result<Parts, Errno> {
    Parts::flat(address as u64, bytes).ok_or(EOVERFLOW)
}

fn listed(list: *const u8, count: usize) -> Result<Parts, Errno> {
    Parts::listed(list as u64, count).map_err(|bad| match bad {
        BadList::NotThere => EFAULT,
        BadList::TooLong => EOVERFLOW,
    })
}

/// Sends, and copies the reply to where it belongs.
fn send(coid: i32, from: Result<Parts, Errno>, to: Result<Parts, Errno>) -> Result<i64, Errno> {
    let (from, to) = (from?, to?);
    if from.bytes() > crate::MESSAGE_BYTES {
        return Err(EOVERFLOW);
    }
    let (_, sent) = hold_in_wait((from, to), drop, |(from, to)| {
        loop {
            let body = from.read().ok_or(EFAULT)?;
            let answer = match connection::send(coid, body, to.bytes()) {
                Err(ERESTART) => continue,
                other => other?,
            };
            let Outcome::Status(status) = Outcome::of(&answer) else { return Err(EINVAL) };
            to.write(answer.body()).ok_or(EFAULT)?;
            return Ok(status);
        }
    });
    sent
}

macro_rules! sends {
    ($($name:ident $twin:ident ($($arg:ident: $kind:ty),*) = $from:expr, $to:expr;)*) => {
        calls! {
            $($name $twin(coid: i32, $($arg: $kind),*) -> i64 = send(coid, $from, $to);)*
        }
    };
}

sends! {
    MsgSend MsgSend_r(s: *const u8, sbytes: usize, r: *const u8, rbytes: usize) =
        flat(s, sbytes), flat(r, rbytes);
    MsgSendnc MsgSendnc_r(s: *const u8, sbytes: usize, r: *const u8, rbytes: usize) =
        flat(s, sbytes), flat(r, rbytes);
    MsgSendv MsgSendv_r(s: *const u8, sparts: usize, r: *const u8, rparts: usize) =
        listed(s, sparts), listed(r, rparts);
    MsgSendvnc MsgSendvnc_r(s: *const u8, sparts: usize, r: *const u8, rparts: usize) =
        listed(s, sparts), listed(r, rparts);
    MsgSendsv MsgSendsv_r(s: *const u8, sbytes: usize, r: *const u8, rparts: usize) =
        flat(s, sbytes), listed(r, rparts);
    MsgSendsvnc MsgSendsvnc_r(s: *const u8, sbytes: usize, r: *const u8, rparts: usize) =
        flat(s, sbytes), listed(r, rparts);
    MsgSendvs MsgSendvs_r(s: *const u8, sparts: usize, r: *const u8, rbytes: usize) =
        listed(s, sparts), flat(r, rbytes);
    MsgSendvsnc MsgSendvsnc_r(s: *const u8, sparts: usize, r: *const u8, rbytes: usize) =
        listed(s, sparts), flat(r, rbytes);
}

/// Receives, and tells of what.
fn receive(
    chid: i32,
    to: Result<Parts, Errno>,
    info: *mut u8,
    pulses_only: bool,
) -> Result<i32, Errno> {
    let (_, received) = hold_in_wait(to?, drop, |to| serve::receive(chid, to, pulses_only));
    match received? {
        Received::Request(rcvid, about) => {
            if put(info, &about.bytes()).is_err() {
                // The request is the caller's all the same, who does not know its number.
                let _ = serve::error(i64::from(rcvid), ESRVRFAULT.0);
                return Err(EFAULT);
            }
            Ok(rcvid)
        }
        Received::Pulse(pulse) => {
            let about = Info {
                pid: pulse.pid,
                chid,
                scoid: pulse.id.scoid,
                priority: pulse.priority,
                received: crate::letter::PulseIn::BYTES as u64,
                sent: crate::letter::PulseIn::BYTES as u64,
                ..Info::default()
            };
            put(info, &about.bytes()).map(|()| 0)
        }
    }
}

calls! {
    MsgReceive MsgReceive_r(chid: i32, to: *mut u8, bytes: usize, info: *mut u8) -> i64 =
        receive(chid, flat(to, bytes), info, false);
    MsgReceivev MsgReceivev_r(chid: i32, to: *mut u8, parts: usize, info: *mut u8) -> i64 =
        receive(chid, listed(to, parts), info, false);
    MsgReceivePulse MsgReceivePulse_r(chid: i32, to: *mut u8, bytes: usize, info: *mut u8) -> i32 =
        receive(chid, flat(to, bytes), info, true);
    MsgReceivePulsev MsgReceivePulsev_r(chid: i32, to: *mut u8, parts: usize, info: *mut u8) -> i32 =
        receive(chid, listed(to, parts), info, true);
    MsgReply MsgReply_r(rcvid: i64, status: i64, from: *const u8, bytes: usize) -> i32 =
        serve::reply(rcvid, status, &flat(from, bytes)?);
    MsgReplyv MsgReplyv_r(rcvid: i64, status: i64, from: *const u8, parts: usize) -> i32 =
        serve::reply(rcvid, status, &listed(from, parts)?);
    MsgError MsgError_r(rcvid: i64, error: i32) -> i32 = serve::error(rcvid, error);
    MsgRead MsgRead_r(rcvid: i64, to: *mut u8, bytes: usize, offset: usize) -> i64 =
        serve::read(rcvid, &flat(to, bytes)?, offset);
    MsgReadv MsgReadv_r(rcvid: i64, to: *mut u8, parts: usize, offset: usize) -> i64 =
        serve::read(rcvid, &listed(to, parts)?, offset);
    MsgWrite MsgWrite_r(rcvid: i64, from: *const u8, bytes: usize, offset: usize) -> i64 =
        serve::write(rcvid, &flat(from, bytes)?, offset);
    MsgWritev MsgWritev_r(rcvid: i64, from: *const u8, parts: usize, offset: usize) -> i64 =
        serve::write(rcvid, &listed(from, parts)?, offset);
    MsgInfo MsgInfo_r(rcvid: i64, info: *mut u8) -> i32 = about(rcvid, info);
    MsgCurrent MsgCurrent_r(rcvid: i64) -> i32 = serve::current(rcvid);
    MsgPause MsgPause_r(rcvid: i64, cookie: u32) -> i32 = serve::pause(rcvid, cookie);
    MsgSendPulse MsgSendPulse_r(coid: i32, priority: i32, code: i32, value: i32) -> i32 =
        pulse(coid, priority, code, value as u32 as u64);
    MsgSendPulsePtr MsgSendPulsePtr_r(coid: i32, priority: i32, code: i32, value: usize) -> i32 =
        pulse(coid, priority, code, value as u64);
}

fn about(rcvid: i64, info: *mut u8) -> Result<(), Errno> {
    let about = serve::info(rcvid)?;
    if super::memory::write(info as u64, &about.bytes()) { Ok(()) } else { Err(EFAULT) }
}

fn pulse(coid: i32, priority: i32, code: i32, value: u64) -> Result<(), Errno> {
    if !(-128..=127).contains(&code) {
        return Err(EINVAL);
    }
    with(|space| space.connection(coid)).ok_or(EBADF)?.pulse(priority, code, value)
}

/// Nobody computes keys any more.
#[unsafe(no_mangle)]
extern "C" fn MsgKeyData() -> i32 {
    with_errno(call(|| Err::<(), _>(ENOSYS))) as i32
}
