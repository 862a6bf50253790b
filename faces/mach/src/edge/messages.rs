//! `mach_msg` and what is built on it.

use std::cell::Cell;

use super::{guarded, memory, own_names};
use crate::codes::*;
use crate::names::{NULL, Name};
use crate::{destroy, letter, port, receive, send, with};

/// What `mach_msg` does with two buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) message: u64,
    pub(super) options: i32,
    pub(super) send_size: u32,
    pub(super) room: u32,
    pub(super) name: Name,
    pub(super) timeout: u32,
    pub(super) into: u64,
}

impl Call {
    pub(super) fn make(self) -> Code {
        if self.options & option::SEND_MSG != 0 {
            let options = self.options & !option::LEAVE;
            let (code, back) = send::send(self.message, self.send_size, options, self.timeout);
            if let Some(back) = back
                && !memory::write(self.message, &back)
            {
                with(|space| destroy::rights_of(space, &back));
                return SEND_INVALID_DATA;
            }
            if code != KERN_SUCCESS {
                return code;
            }
        }
        if self.options & option::RCV_MSG != 0 {
            return receive::receive(self.into, self.room, self.name, self.options, self.timeout);
        }
        KERN_SUCCESS
    }
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg(
    message: *mut u8,
    options: i32,
    send_size: u32,
    room: u32,
    name: Name,
    timeout: u32,
    _notify: Name,
) -> Code {
    let into = message as u64;
    let call = Call { message: into, options, send_size, room, name, timeout, into };
    guarded(SEND_NO_BUFFER, || call.make())
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg_overwrite(
    message: *mut u8,
    options: i32,
    send_size: u32,
    room: u32,
    name: Name,
    timeout: u32,
    _notify: Name,
    into: *mut u8,
    _limit: u32,
) -> Code {
    let message = message as u64;
    let into = if into.is_null() { message } else { into as u64 };
    let call = Call { message, options, send_size, room, name, timeout, into };
    guarded(SEND_NO_BUFFER, || call.make())
}

/// What `mach_msg` goes on after, its trap tells: a signal.
const TOLD: i32 = option::SEND_INTERRUPT | option::RCV_INTERRUPT;

/// `mach_msg`, for programs that go on by themselves after a signal.
#[unsafe(no_mangle)]
extern "C" fn mach_msg_trap(
    message: *mut u8,
    options: i32,
    send_size: u32,
    room: u32,
    name: Name,
    timeout: u32,
    notify: Name,
) -> Code {
    mach_msg(message, options | TOLD, send_size, room, name, timeout, notify)
}

/// `mach_msg_overwrite`, in the same way.
#[unsafe(no_mangle)]
extern "C" fn mach_msg_overwrite_trap(
    message: *mut u8,
    options: i32,
    send_size: u32,
    room: u32,
    name: Name,
    timeout: u32,
    notify: Name,
    into: *mut u8,
    limit: u32,
) -> Code {
    let options = options | TOLD;
    mach_msg_overwrite(message, options, send_size, room, name, timeout, notify, into, limit)
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg_send(message: *mut u8) -> Code {
    guarded(SEND_NO_BUFFER, || {
        let message = message as u64;
        let Some(header) = memory::read(message, send::HEADER) else { return SEND_INVALID_DATA };
        let send_size = letter::word(&header, 4);
        let options = option::SEND_MSG;
        let (room, name, timeout) = (0, NULL, 0);
        Call { message, options, send_size, room, name, timeout, into: message }.make()
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg_receive(message: *mut u8) -> Code {
    guarded(RCV_INVALID_DATA, || {
        let message = message as u64;
        let Some(header) = memory::read(message, send::HEADER) else { return RCV_INVALID_DATA };
        let (room, name) = (letter::word(&header, 4), letter::word(&header, 12));
        let options = option::RCV_MSG;
        Call { message, options, send_size: 0, room, name, timeout: 0, into: message }.make()
    })
}

/// Lets go of all that lies in a message, by what its header says.
pub(super) fn destroy_message(address: u64) {
    let Some(header) = memory::read(address, send::HEADER) else { return };
    let size = (letter::word(&header, 4) as usize).max(send::HEADER);
    let bytes = match letter::word(&header, 0) & send::COMPLEX {
        0 => header,
        _ => memory::read(address, size).unwrap_or(header),
    };
    with(|space| destroy::rights_of(space, &bytes));
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg_destroy(message: *mut u8) {
    guarded((), || destroy_message(message as u64));
}

// ---- reply ports -------------------------------------------------------------

thread_local! {
    static REPLY_PORT: Cell<Name> = const { Cell::new(NULL) };
}

/// In a forked child the reply port of the thread that forked is the parent's.
pub(super) fn forget_reply_port() {
    let _ = REPLY_PORT.try_with(|port| port.set(NULL));
}

#[unsafe(no_mangle)]
extern "C" fn mach_reply_port() -> Name {
    guarded(NULL, || with(|space| port::allocate(space, right::RECEIVE, None)).unwrap_or(NULL))
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn mig_get_reply_port() -> Name {
    guarded(NULL, || {
        REPLY_PORT.with(|kept| {
            if kept.get() == NULL {
                kept.set(mach_reply_port());
            }
            kept.get()
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn mig_dealloc_reply_port(_port: Name) {
    guarded((), || {
        let port = REPLY_PORT.with(|kept| kept.replace(NULL));
        let _ = with(|space| port::mod_refs(space, port, right::RECEIVE, -1));
    });
}

#[unsafe(no_mangle)]
extern "C" fn mig_put_reply_port(_port: Name) {}

#[unsafe(no_mangle)]
extern "C" fn mig_allocate(address: *mut u64, size: usize) {
    guarded((), || {
        let _ = super::put(address, memory::allocate(size, None).unwrap_or(0));
    });
}

#[unsafe(no_mangle)]
extern "C" fn mig_deallocate(address: u64, size: usize) {
    guarded((), || {
        memory::release(address, size);
    });
}

/// Copies text with its end, at most `room` bytes. Returns how many those were.
#[unsafe(no_mangle)]
extern "C" fn mig_strncpy(to: *mut u8, from: *const u8, room: i32) -> i32 {
    guarded(0, || {
        let most = usize::try_from(room).unwrap_or(0);
        let Some(last) = most.checked_sub(1) else { return 0 };
        let mut text = super::tasks::text(from, last).unwrap_or_default();
        text.push(0);
        let length = text.len() as i32;
        if memory::write(to as u64, &text) { length } else { 0 }
    })
}

/// Begins the reply to a request: its header, and the code that nothing was done.
#[unsafe(no_mangle)]
extern "C" fn mig_reply_setup(request: *const u8, reply: *mut u8) {
    guarded((), || {
        let Some(request) = memory::read(request as u64, send::HEADER) else { return };
        let mut bytes = vec![0; 36];
        let bits = letter::word(&request, 0) & 0x1f;
        letter::put(&mut bytes, 0, &bits.to_ne_bytes());
        letter::put(&mut bytes, 4, &36u32.to_ne_bytes());
        letter::put(&mut bytes, 8, &letter::word(&request, 8).to_ne_bytes());
        letter::put(&mut bytes, 20, &letter::word(&request, 20).wrapping_add(100).to_ne_bytes());
        letter::put(&mut bytes, 24, &letter::notification_bytes(notify::DEAD_NAME, 0));
        letter::put(&mut bytes, 32, &MIG_BAD_ID.to_ne_bytes());
        memory::write(reply as u64, &bytes);
    });
}

/// Whether a port is our own task's, as calls name it.
pub(super) fn is_own(task: Name) -> bool {
    task == own_names().0
}
