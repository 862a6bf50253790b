//! Channels, connections and names.

use std::ffi::c_char;

use ::edge::for_c;
use pillarbox::hold_in_wait;

use super::{call, calls, guarded, memory, put, set_errno, with_errno};
use crate::codes::*;
use crate::{channel, connection, names, with};

calls! {
    ChannelCreate ChannelCreate_r(flags: u32) -> i32 = channel::create(flags);
    ChannelDestroy ChannelDestroy_r(chid: i32) -> i32 = channel::destroy(chid);
    ConnectAttach ConnectAttach_r(nd: u32, pid: i32, chid: i32, index: u32, flags: i32) -> i32 =
        connection::attach(nd, pid, chid, index, flags as u32);
    ConnectDetach ConnectDetach_r(coid: i32) -> i32 = connection::detach(coid);
    ConnectFlags ConnectFlags_r(pid: i32, coid: i32, mask: u32, bits: u32) -> i32 =
        connect_flags(pid, coid, mask, bits);
    ConnectServerInfo ConnectServerInfo_r(pid: i32, coid: i32, info: *mut u8) -> i32 =
        server_info(pid, coid, info);
    ConnectClientInfo ConnectClientInfo_r(scoid: i32, info: *mut u8, groups: i32) -> i32 =
        client_info(scoid, info, groups);
}

/// Only what is our own is told.
fn must_be_own(pid: i32) -> Result<(), Errno> {
    let own = with(|space| space.identity().pid);
    if pid == 0 || pid == own { Ok(()) } else { Err(ESRCH) }
}

fn connect_flags(pid: i32, coid: i32, mask: u32, bits: u32) -> Result<u32, Errno> {
    must_be_own(pid)?;
    let connection = with(|space| space.connection(coid)).ok_or(EINVAL)?;
    Ok(connection.set_flags(mask, bits))
}

/// About the connection with this number, or the next that there is.
fn server_info(pid: i32, coid: i32, info: *mut u8) -> Result<i32, Errno> {
    must_be_own(pid)?;
    let found = with(|space| {
        space.connections.range(coid..).next().map(|(_, connection)| connection.clone())
    });
    let found = found.ok_or(EINVAL)?;
    let scoid = SCOID | i32::from(found.scoid);
    let words = [0, found.pid, found.chid, scoid, found.coid, found.flags() as i32];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    put(info, &bytes)?;
    Ok(found.coid)
}

/// The most groups that are told.
const GROUPS: usize = 8;

/// Who a client is: the kernel's word.
fn client_info(scoid: i32, info: *mut u8, groups: i32) -> Result<(), Errno> {
    let who = with(|space| {
        let client = u16::try_from(scoid & 0xffff).ok().and_then(|low| space.clients.get(&low));
        client.filter(|_| scoid & SCOID != 0).map(|client| client.who)
    });
    let who = who.ok_or(EINVAL)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", who.pid)).unwrap_or_default();
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let words = line.unwrap_or_default().split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let three = |of: Vec<u32>, effective: u32| match of.as_slice() {
        [real, now, saved, ..] if *now == effective => [*real, *now, *saved],
        // It is gone, or somebody else has its number.
        _ => [effective; 3],
    };
    let (users, groups_of) = (three(numbers("Uid:"), who.uid), three(numbers("Gid:"), who.gid));
    let mut others = numbers("Groups:");
    others.truncate(usize::try_from(groups).unwrap_or(0).min(GROUPS));
    let mut words = vec![0, who.pid as u32, session_of(who.pid) as u32, 0];
    words.extend(users);
    words.extend(groups_of);
    words.push(others.len() as u32);
    others.resize(GROUPS, 0);
    words.extend(others);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if memory::write(info as u64, &bytes) { Ok(()) } else { Err(EFAULT) }
}

fn session_of(pid: i32) -> i32 {
    // SAFETY: it reads a number of the kernel's.
    unsafe { libc::getsid(pid) }.max(0)
}

// ---- names -------------------------------------------------------------------------

/// What `name_attach` returns, as C sees it.
#[repr(C)]
#[derive(Debug)]
struct Attach {
    dispatch: usize,
    chid: i32,
    mount: i32,
    zero: [i32; 2],
}

const SAVED_DISPATCH: u32 = 1;

fn name_at(path: *const c_char) -> Result<String, Errno> {
    let text = memory::text(path as u64, 1024).and_then(|(text, ended)| ended.then_some(text));
    let there = || memory::read(path as u64, 1).map_or(EFAULT, |_| ENAMETOOLONG);
    String::from_utf8(text.ok_or_else(there)?).map_err(|_| EINVAL)
}

#[unsafe(no_mangle)]
extern "C" fn name_attach(dispatch: usize, path: *const c_char, _flags: u32) -> *mut Attach {
    let chid = call(|| {
        let name = name_at(path)?;
        if dispatch != 0 {
            return Err(ENOTSUP);
        }
        names::attach(&name)
    });
    match chid {
        Ok(chid) => {
            let attach = Attach { dispatch, chid: chid as i32, mount: -1, zero: [0; 2] };
            // The caller's until it detaches it (C4).
            Box::into_raw(Box::new(attach))
        }
        Err(error) => {
            set_errno(error);
            std::ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn name_detach(attach: *mut Attach, flags: u32) -> i32 {
    with_errno(call(|| {
        if attach.is_null() || flags & !SAVED_DISPATCH != 0 {
            return Err(EINVAL);
        }
        let bytes = memory::read(attach as u64, size_of::<Attach>()).ok_or(EINVAL)?;
        channel::destroy(crate::letter::word(&bytes, 8) as i32)?;
        // SAFETY: C4. It was handed out by `name_attach`, and a second detach of it has
        // failed above, as its channel is gone.
        drop(unsafe { Box::from_raw(attach) });
        Ok(())
    })) as i32
}

#[unsafe(no_mangle)]
extern "C" fn name_open(path: *const c_char, _flags: u32) -> i32 {
    with_errno(call(|| hold_in_wait(name_at(path)?, drop, |name| names::open(name)).1)) as i32
}

#[unsafe(no_mangle)]
extern "C" fn name_close(coid: i32) -> i32 {
    with_errno(call(|| connection::detach(coid))) as i32
}

// ---- what codes say ------------------------------------------------------------------

unsafe extern "C" {
    fn strerror(error: i32) -> *mut c_char;
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_strerror(error: i32) -> *const c_char {
    guarded(std::ptr::null(), || match text(error) {
        Some(text) => for_c(text),
        // SAFETY: it takes any number, and returns a text that is the library's.
        None => unsafe { strerror(error) }.cast_const(),
    })
}
