//! The loop of a server: receive, have it answered, reply.

use ::edge::guarded;
use pillarbox::{hold_in_wait, let_handlers_jump};

use super::memory;
use super::messages::{Call, destroy_message};
use crate::codes::*;
use crate::letter::word;
use crate::names::{NULL, Name, is_valid};
use crate::send::{COMPLEX, HEADER};
use crate::trailer;

/// What answers a request: it fills in the reply, and says whether it knew the request.
type Demux = extern "C" fn(*mut u8, *mut u8) -> i32;

/// A buffer that C code writes in.
#[derive(Debug)]
struct Buffer {
    words: Vec<u64>,
}

impl Buffer {
    fn of(bytes: usize) -> Self {
        Buffer { words: vec![0; bytes.div_ceil(8) + 1] }
    }

    fn start(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast()
    }

    /// What lies there now.
    fn read(&mut self, bytes: usize) -> Vec<u8> {
        memory::read(self.start() as u64, bytes).unwrap_or_default()
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        memory::write(self.start() as u64 + at as u64, bytes);
    }
}

/// Serves one request. `Err` is how the loop ends.
fn serve_one(demux: Demux, most: u32, name: Name, options: i32) -> Result<(), Code> {
    let options = options & !(option::SEND_MSG | option::RCV_MSG);
    let mut room = most as usize + trailer::size(options);
    let mut request = loop {
        let mut request = Buffer::of(room);
        let into = request.start() as u64;
        let options = options | option::RCV_MSG;
        let (message, send_size, timeout) = (into, 0, 0);
        let room_now = room as u32;
        let call = Call { message, options, send_size, room: room_now, name, timeout, into };
        let received;
        (request, received) = let_handlers_jump(|| hold_in_wait(request, drop, |_| call.make()));
        match received {
            KERN_SUCCESS => break request,
            RCV_TOO_LARGE if options & option::RCV_LARGE != 0 => {
                room = word(&request.read(HEADER), 4) as usize + trailer::size(options);
            }
            code => return Err(code),
        }
    };
    let mut reply = Buffer::of((most as usize).max(64));
    let (ask, answer) = (request.start(), reply.start());
    let known = demux(ask, answer) != 0;
    let said = reply.read(36);
    let bits = word(&said, 0);
    let result = if bits & COMPLEX == 0 { word(&said, 32) as i32 } else { KERN_SUCCESS };
    if !known || (result != KERN_SUCCESS && result != MIG_NO_REPLY) {
        // All of the request goes but where the reply is sent to.
        request.write(8, &NULL.to_ne_bytes());
        destroy_message(ask as u64);
    }
    if result == MIG_NO_REPLY || !is_valid(word(&said, 8)) {
        if result != MIG_NO_REPLY && bits & COMPLEX != 0 {
            destroy_message(answer as u64);
        }
        return Ok(());
    }
    let once = bits & 0x1f == u32::from(disposition::MOVE_SEND_ONCE);
    let options = option::SEND_MSG | if once { 0 } else { option::SEND_TIMEOUT };
    let (message, send_size) = (answer as u64, word(&said, 4));
    let call = Call { message, options, send_size, room: 0, name: NULL, timeout: 0, into: message };
    let (_, sent) = let_handlers_jump(|| hold_in_wait((request, reply), drop, |_| call.make()));
    match sent {
        KERN_SUCCESS => Ok(()),
        SEND_INVALID_DEST | SEND_TIMED_OUT => {
            destroy_message(message);
            Ok(())
        }
        code => Err(code),
    }
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg_server_once(
    demux: Option<Demux>,
    most: u32,
    name: Name,
    options: i32,
) -> Code {
    guarded(KERN_FAILURE, || match demux {
        Some(demux) => serve_one(demux, most, name, options).err().unwrap_or(KERN_SUCCESS),
        None => KERN_INVALID_ARGUMENT,
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_msg_server(demux: Option<Demux>, most: u32, name: Name, options: i32) -> Code {
    guarded(KERN_FAILURE, || {
        let Some(demux) = demux else { return KERN_INVALID_ARGUMENT };
        loop {
            if let Err(code) = serve_one(demux, most, name, options) {
                return code;
            }
        }
    })
}
