//! `notify_server`: hands a notification to the function of the program that is for it.

use ::edge::guarded;

use super::memory;
use crate::codes::*;
use crate::letter::{self, word};
use crate::names::Name;
use crate::send::{COMPLEX, HEADER};

// The functions are the program's. One that it does not have is null here, and the
// notification is one that nobody knows.
std::arch::global_asm!(
    ".weak do_mach_notify_port_deleted",
    ".weak do_mach_notify_send_possible",
    ".weak do_mach_notify_port_destroyed",
    ".weak do_mach_notify_no_senders",
    ".weak do_mach_notify_send_once",
    ".weak do_mach_notify_dead_name",
    ".pushsection .data.rel.ro.pillarbox_mach_hooks,\"aw\",@progbits",
    ".balign 8",
    ".globl pillarbox_mach_hooks",
    ".hidden pillarbox_mach_hooks",
    "pillarbox_mach_hooks:",
    ".8byte do_mach_notify_port_deleted",
    ".8byte do_mach_notify_send_possible",
    ".8byte do_mach_notify_port_destroyed",
    ".8byte do_mach_notify_no_senders",
    ".8byte do_mach_notify_send_once",
    ".8byte do_mach_notify_dead_name",
    ".popsection",
);

/// What a program does on a notification: the port it came to, and the name or the number
/// in it. The one that has no number leaves it alone.
type Hook = extern "C" fn(Name, u32) -> Code;

unsafe extern "C" {
    #[link_name = "pillarbox_mach_hooks"]
    static HOOKS: [Option<Hook>; 6];
}

/// Where the function of a notification stands, and the bytes it has behind the header.
const fn place(id: i32) -> Option<(usize, usize)> {
    match id {
        notify::PORT_DELETED => Some((0, 12)),
        notify::SEND_POSSIBLE => Some((1, 12)),
        notify::PORT_DESTROYED => Some((2, 16)),
        notify::NO_SENDERS => Some((3, 12)),
        notify::SEND_ONCE => Some((4, 0)),
        notify::DEAD_NAME => Some((5, 12)),
        _ => None,
    }
}

/// The function for a notification, and what it is called with.
fn read(bytes: &[u8]) -> Result<(Hook, Name, u32), Code> {
    let (place, size) = place(word(bytes, 20) as i32).ok_or(MIG_BAD_ID)?;
    // SAFETY: it is data of this library's own, which the linker has filled in.
    let hook = unsafe { HOOKS }.get(place).copied().flatten().ok_or(MIG_BAD_ID)?;
    let complex = word(bytes, 0) & COMPLEX != 0;
    if word(bytes, 4) as usize != HEADER + size || complex != (size == 16) {
        return Err(MIG_BAD_ARGUMENTS);
    }
    let number = if complex { word(bytes, HEADER + 4) } else { word(bytes, HEADER + 8) };
    Ok((hook, word(bytes, 12), number))
}

/// Answers what the system tells. False: it was no notification.
#[unsafe(no_mangle)]
extern "C" fn notify_server(message: *mut u8, reply: *mut u8) -> i32 {
    guarded(0, || {
        let Some(header) = memory::read(message as u64, HEADER) else { return 0 };
        let size = word(&header, 4) as usize;
        let bytes = memory::read(message as u64, size.clamp(HEADER, 64)).unwrap_or(header);
        let read = read(&bytes);
        let code = match read {
            Ok((hook, port, number)) => match hook(port, number) {
                // Nobody waits for an answer to news.
                KERN_SUCCESS => MIG_NO_REPLY,
                code => code,
            },
            Err(code) => code,
        };
        let mut said = vec![0; 36];
        letter::put(&mut said, 0, &(word(&bytes, 0) & 0x1f).to_ne_bytes());
        letter::put(&mut said, 4, &36u32.to_ne_bytes());
        letter::put(&mut said, 8, &word(&bytes, 8).to_ne_bytes());
        letter::put(&mut said, 20, &word(&bytes, 20).wrapping_add(100).to_ne_bytes());
        letter::put(&mut said, 24, &letter::notification_bytes(notify::DEAD_NAME, 0));
        letter::put(&mut said, 32, &code.to_ne_bytes());
        let written = memory::write(reply as u64, &said);
        i32::from(written && code != MIG_BAD_ID)
    })
}
