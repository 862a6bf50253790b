//! The task itself, who else there is, and what codes say.

use std::cell::Cell;
use std::ffi::c_char;
use std::io::Write;

use ::edge::for_c;

use super::{code, guarded, hand_over, memory, of_task, own_names, put};
use crate::codes::*;
use crate::names::{NULL, Name};
use crate::space::Taken;
use crate::{boot, classic, codes, with};

// ---- what codes say ------------------------------------------------------------

#[unsafe(no_mangle)]
extern "C" fn mach_error_string(error: Code) -> *const c_char {
    guarded(std::ptr::null(), || for_c(codes::text(error)))
}

#[unsafe(no_mangle)]
extern "C" fn mach_error_type(error: Code) -> *const c_char {
    guarded(std::ptr::null(), || {
        let text = codes::text(error);
        let kind = text.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        for_c(kind.map_or("(?/?)", |(kind, _)| kind))
    })
}

#[unsafe(no_mangle)]
extern "C" fn bootstrap_strerror(error: Code) -> *const c_char {
    guarded(std::ptr::null(), || for_c(codes::bootstrap_text(error)))
}

#[unsafe(no_mangle)]
extern "C" fn mach_error(prefix: *const u8, error: Code) {
    guarded((), || {
        let prefix = text(prefix, 1024).unwrap_or_default();
        let prefix = String::from_utf8_lossy(&prefix);
        let _ = writeln!(std::io::stderr(), "{prefix}: {} ({error:#x})", codes::text(error));
    });
}

/// Text of the caller's up to its end, at most so many bytes.
pub(super) fn text(from: *const u8, most: usize) -> Option<Vec<u8>> {
    memory::text(from as u64, most).map(|(text, _)| text)
}

// ---- who there is ----------------------------------------------------------------

#[unsafe(no_mangle)]
extern "C" fn mach_host_self() -> Name {
    guarded(NULL, || {
        with(|space| {
            if space.host == NULL || !space.change_urefs(space.host, 1) {
                space.host = space.new_stand_in();
            }
            space.host
        })
    })
}

thread_local! {
    static THREAD: Cell<Name> = const { Cell::new(NULL) };
}

#[unsafe(no_mangle)]
extern "C" fn mach_thread_self() -> Name {
    guarded(NULL, || {
        THREAD.with(|kept| {
            with(|space| {
                if kept.get() == NULL || !space.change_urefs(kept.get(), 1) {
                    kept.set(space.new_stand_in());
                }
                kept.get()
            })
        })
    })
}

/// The port where programs of the oldest systems are told: its number there means another
/// port today, so it has one of its own.
const NOTIFY: i32 = 0x4000_0002;

#[unsafe(no_mangle)]
extern "C" fn task_get_special_port(task: Name, which: i32, port: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        if task != own_names().0 {
            return KERN_INVALID_ARGUMENT;
        }
        let (own, boot) = own_names();
        let name = match which {
            1 => with(|space| if space.change_urefs(own, 1) { own } else { NULL }),
            2 => mach_host_self(),
            4 => boot::port_of_task(boot),
            NOTIFY => with(classic::notify_right),
            3 | 5..=17 => NULL,
            _ => return KERN_INVALID_ARGUMENT,
        };
        code(put(port, name))
    })
}

#[unsafe(no_mangle)]
extern "C" fn task_set_special_port(task: Name, which: i32, port: Name) -> Code {
    guarded(KERN_FAILURE, || {
        if task != own_names().0 {
            return KERN_INVALID_ARGUMENT;
        }
        match which {
            1 | 2 => KERN_NO_ACCESS,
            4 => with(|space| match space.take(port, disposition::COPY_SEND) {
                Ok(Taken::Right(pillarbox::Right::Send(right))) => {
                    space.bootstrap = Some(right);
                    KERN_SUCCESS
                }
                Ok(Taken::Null | Taken::Dead) => {
                    space.bootstrap = None;
                    KERN_SUCCESS
                }
                _ => KERN_INVALID_RIGHT,
            }),
            NOTIFY => with(|space| classic::tell_at(space, port)),
            3 | 5..=17 => KERN_NOT_SUPPORTED,
            _ => KERN_INVALID_ARGUMENT,
        }
    })
}

/// What a task has used so far: its memory in bytes now and at most, and its time in
/// seconds and microseconds.
#[derive(Debug)]
struct Used {
    whole: u64,
    resident: u64,
    most_resident: u64,
    user: [u32; 2],
    system: [u32; 2],
}

impl Used {
    fn now() -> Self {
        // SAFETY: it is plain numbers, and all zeros are such.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes the one value of our own.
        let _ = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut used) };
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut pages = pages.split(' ').map(|pages| pages.parse().unwrap_or(0u64));
        let page = memory::page() as u64;
        let mut bytes = || pages.next().unwrap_or(0).saturating_mul(page);
        let time = |time: libc::timeval| [time.tv_sec as u32, time.tv_usec as u32];
        Used {
            whole: bytes(),
            resident: bytes(),
            most_resident: (used.ru_maxrss as u64).saturating_mul(1024),
            user: time(used.ru_utime),
            system: time(used.ru_stime),
        }
    }
}

/// A number of eight bytes as two words.
fn words(long: u64) -> [u32; 2] {
    let bytes = long.to_ne_bytes();
    [crate::letter::word(&bytes, 0), crate::letter::word(&bytes, 4)]
}

/// What `task_info` tells, in words.
fn told_of_task(who: pillarbox::Identity, flavor: u32) -> Option<Vec<u32>> {
    const BASIC_32: u32 = 4;
    const BASIC_64: u32 = 5;
    const SECURITY_TOKEN: u32 = 13;
    const AUDIT_TOKEN: u32 = 15;
    const BASIC: u32 = 20;
    /// Threads share the processors.
    const TIMESHARE: u32 = 1;
    Some(match flavor {
        SECURITY_TOKEN => vec![who.uid, who.gid],
        AUDIT_TOKEN => vec![who.uid, who.uid, who.gid, who.uid, who.gid, who.pid as u32, 0, 1],
        BASIC_32 => {
            let used = Used::now();
            // What does not fit into so little is told as the most.
            let small = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
            let sizes = [small(used.whole), small(used.resident)];
            [&[0][..], &sizes, &used.user, &used.system, &[TIMESHARE]].concat()
        }
        BASIC_64 => {
            let used = Used::now();
            let sizes = [words(used.whole), words(used.resident)].concat();
            [&[0][..], &sizes, &used.user, &used.system, &[TIMESHARE]].concat()
        }
        BASIC => {
            let used = Used::now();
            let sizes = [used.whole, used.resident, used.most_resident].map(words).concat();
            [&sizes[..], &used.user, &used.system, &[TIMESHARE, 0]].concat()
        }
        _ => return None,
    })
}

#[unsafe(no_mangle)]
extern "C" fn task_info(task: Name, flavor: u32, info: *mut u32, count: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let who = match of_task(task, |space| Ok(space.task.identity())) {
            Ok(who) => who,
            Err(_) => return KERN_INVALID_ARGUMENT,
        };
        let Some(numbers) = told_of_task(who, flavor) else { return KERN_INVALID_ARGUMENT };
        code(super::get(count).and_then(|room| {
            if (room as usize) < numbers.len() {
                return Err(KERN_INVALID_ARGUMENT);
            }
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
            if !memory::write(info as u64, &bytes) {
                return Err(KERN_INVALID_ADDRESS);
            }
            put(count, numbers.len() as u32)
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn task_get_exc_guard_behavior(_task: Name, behavior: *mut u32) -> Code {
    guarded(KERN_FAILURE, || code(put(behavior, 0)))
}

#[unsafe(no_mangle)]
extern "C" fn task_set_exc_guard_behavior(_task: Name, _behavior: u32) -> Code {
    KERN_SUCCESS
}

/// As many rights as may be registered.
const REGISTERED: u32 = 3;

#[unsafe(no_mangle)]
extern "C" fn mach_ports_register(task: Name, ports: *const Name, count: u32) -> Code {
    guarded(KERN_FAILURE, || {
        if count > REGISTERED {
            return KERN_INVALID_ARGUMENT;
        }
        let Some(names) = memory::read(ports as u64, count as usize * 4) else {
            return KERN_INVALID_ADDRESS;
        };
        code(of_task(task, |space| {
            let mut rights = Vec::new();
            for at in 0..count as usize {
                match space.take(crate::letter::word(&names, at * 4), disposition::COPY_SEND) {
                    Ok(Taken::Right(pillarbox::Right::Send(right))) => rights.push(right),
                    Ok(_) => {}
                    Err(_) => return Err(KERN_INVALID_RIGHT),
                }
            }
            space.registered = rights;
            Ok(())
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_ports_lookup(task: Name, ports: *mut u64, count: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let names = of_task(task, |space| {
            let rights = space.registered.clone();
            let mut names: Vec<Name> =
                rights.into_iter().map(|right| space.give_send(right)).collect();
            names.resize(REGISTERED as usize, NULL);
            Ok(names)
        });
        code(names.and_then(|names| hand_over(&names, ports, count)))
    })
}

// ---- who sent a message --------------------------------------------------------------

/// Eight numbers about a sender.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct AuditToken {
    values: [u32; 8],
}

macro_rules! token {
    ($($name:ident = $index:expr;)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name(token: AuditToken) -> u32 {
            token.values[$index]
        })*
    };
}

token! {
    audit_token_to_auid = 0;
    audit_token_to_euid = 1;
    audit_token_to_egid = 2;
    audit_token_to_ruid = 3;
    audit_token_to_rgid = 4;
    audit_token_to_pid = 5;
    audit_token_to_asid = 6;
    audit_token_to_pidversion = 7;
}
