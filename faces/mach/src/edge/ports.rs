//! The calls `mach_port_…`.

use super::{code, code_of_task, get, guarded, hand_over, memory, of_task, put};
use crate::codes::*;
use crate::names::{NULL, Name};
use crate::peek;
use crate::port::{self, Construct, Guard};

#[unsafe(no_mangle)]
extern "C" fn mach_port_allocate(task: Name, right: u32, name: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        code(of_task(task, |space| port::allocate(space, right, None)).and_then(|made| {
            put(name, made).inspect_err(|_| {
                let _ = of_task(task, |space| Ok(port::destroy(space, made)));
            })
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_allocate_name(task: Name, right: u32, name: Name) -> Code {
    guarded(KERN_FAILURE, || {
        code(of_task(task, |space| port::allocate(space, right, Some(name))).map(drop))
    })
}

/// How a right is made: its bits, and a length that means nothing here.
fn allocate_by(task: Name, right: u32, proto: Name, qos: *const u32, name: *mut Name) -> Code {
    const CHOSEN: u32 = 1;
    guarded(KERN_FAILURE, || {
        if proto != NULL {
            return KERN_INVALID_VALUE;
        }
        match get(qos) {
            Err(code) => code,
            Ok(bits) if bits & CHOSEN == 0 => mach_port_allocate(task, right, name),
            Ok(_) => match get(name) {
                Ok(chosen) => mach_port_allocate_name(task, right, chosen),
                Err(code) => code,
            },
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_allocate_qos(
    task: Name,
    right: u32,
    qos: *const u32,
    name: *mut Name,
) -> Code {
    allocate_by(task, right, NULL, qos, name)
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_allocate_full(
    task: Name,
    right: u32,
    proto: Name,
    qos: *const u32,
    name: *mut Name,
) -> Code {
    allocate_by(task, right, proto, qos, name)
}

/// Newer systems have taken this call away, and answer as to any they do not know.
#[unsafe(no_mangle)]
extern "C" fn mach_port_rename(_task: Name, _old: Name, _new: Name) -> Code {
    MIG_BAD_ID
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_peek(
    task: Name,
    name: Name,
    trailer: u32,
    seqno: *mut u32,
    size: *mut u32,
    id: *mut i32,
    told: *mut u8,
    told_size: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let asked = get(seqno).and_then(|seqno| Ok((seqno, get(told_size)?)));
        code(asked.and_then(|(wanted, room)| {
            let seen = of_task(task, |space| peek::peek(space, name, wanted, trailer, room))?;
            if !memory::write(told as u64, &seen.trailer) {
                return Err(KERN_INVALID_ADDRESS);
            }
            put(told_size, seen.trailer.len() as u32)?;
            put(seqno, seen.seqno)?;
            put(size, seen.size)?;
            put(id, seen.id)
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_deallocate(task: Name, name: Name) -> Code {
    code_of_task(task, |space| port::deallocate(space, name))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_destroy(task: Name, name: Name) -> Code {
    code_of_task(task, |space| port::destroy(space, name))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_mod_refs(task: Name, name: Name, right: u32, delta: i32) -> Code {
    code_of_task(task, |space| port::mod_refs(space, name, right, delta))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_refs(task: Name, name: Name, right: u32, refs: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let got = of_task(task, |space| port::get_refs(space, name, right));
        code(got.and_then(|got| put(refs, got)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_type(task: Name, name: Name, kind: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        code(of_task(task, |space| port::kind(space, name)).and_then(|got| put(kind, got)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_names(
    task: Name,
    names: *mut u64,
    count: *mut u32,
    kinds: *mut u64,
    kinds_count: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let all = of_task(task, |space| {
            let all = space.sorted();
            Ok(all
                .into_iter()
                .filter_map(|name| Some((name, port::kind(space, name).ok()?)))
                .unzip::<u32, u32, Vec<u32>, Vec<u32>>())
        });
        code(all.and_then(|(all, all_kinds)| {
            hand_over(&all, names, count)?;
            hand_over(&all_kinds, kinds, kinds_count)
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_insert_right(task: Name, name: Name, right: Name, how: u32) -> Code {
    let how = u8::try_from(how).unwrap_or(0);
    code_of_task(task, |space| port::insert_right(space, name, right, how))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_extract_right(
    task: Name,
    name: Name,
    how: u32,
    right: *mut Name,
    kind: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let how = u8::try_from(how).unwrap_or(0);
        let got = of_task(task, |space| port::extract_right(space, name, how));
        code(got.and_then(|(name, how)| {
            put(right, name)?;
            put(kind, u32::from(how))
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_request_notification(
    task: Name,
    name: Name,
    id: i32,
    sync: u32,
    notify: Name,
    how: u32,
    previous: *mut Name,
) -> Code {
    guarded(KERN_FAILURE, || {
        let to = (notify, u8::try_from(how).unwrap_or(0));
        let got = of_task(task, |space| port::request_notification(space, name, id, sync, to));
        code(got.and_then(|before| put(previous, before)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_insert_member(task: Name, member: Name, set: Name) -> Code {
    code_of_task(task, |space| port::insert_member(space, member, set))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_extract_member(task: Name, member: Name, set: Name) -> Code {
    code_of_task(task, |space| port::extract_member(space, member, set))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_move_member(task: Name, member: Name, set: Name) -> Code {
    code_of_task(task, |space| port::move_member(space, member, set))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_set_status(
    task: Name,
    set: Name,
    members: *mut u64,
    count: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let got = of_task(task, |space| port::set_status(space, set));
        code(got.and_then(|got| hand_over(&got, members, count)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_attributes(
    task: Name,
    name: Name,
    flavor: i32,
    info: *mut u32,
    count: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let got = of_task(task, |space| port::attributes(space, name, flavor));
        code(got.and_then(|numbers| {
            if (get(count)? as usize) < numbers.len() {
                return Err(KERN_FAILURE);
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
extern "C" fn mach_port_set_attributes(
    task: Name,
    name: Name,
    flavor: i32,
    info: *const u32,
    count: u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        code(match flavor {
            1 if count < 1 => Err(KERN_FAILURE),
            1 => get(info).and_then(|qlimit| {
                of_task(task, |space| match port::set_qlimit(space, name, qlimit) {
                    KERN_SUCCESS => Ok(()),
                    code => Err(code),
                })
            }),
            // Sizes of tables that grow by themselves here, and owners of memory.
            3..=6 => of_task(task, |space| port::attributes(space, name, 3).map(drop)),
            _ => Err(KERN_INVALID_ARGUMENT),
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_assert_attributes(
    task: Name,
    name: Name,
    flavor: i32,
    info: *const u32,
    count: u32,
) -> Code {
    const GUARD_INFO: i32 = 8;
    guarded(KERN_FAILURE, || {
        if flavor != GUARD_INFO || count < 2 {
            return KERN_INVALID_ARGUMENT;
        }
        let Some(value) = memory::read(info as u64, 8) else { return KERN_INVALID_ADDRESS };
        let value = crate::letter::long(&value, 0);
        code_of_task(task, |space| port::is_guarded_with(space, name, value))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_set_mscount(task: Name, name: Name, mscount: u32) -> Code {
    code_of_task(task, |space| port::set_mscount(space, name, mscount))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_set_seqno(task: Name, name: Name, seqno: u32) -> Code {
    code_of_task(task, |space| port::set_seqno(space, name, seqno))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_srights(task: Name, name: Name, rights: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        code(of_task(task, |space| port::senders(space, name)).and_then(|got| put(rights, got)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_construct(
    task: Name,
    options: *const u32,
    context: u64,
    name: *mut Name,
) -> Code {
    guarded(KERN_FAILURE, || {
        let made = get(options).and_then(|flags| {
            let qlimit = get(options.wrapping_add(1))?;
            let how = Construct { flags, qlimit, context };
            of_task(task, |space| port::construct(space, how))
        });
        code(made.and_then(|made| put(name, made)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_destruct(task: Name, name: Name, delta: i32, guard: u64) -> Code {
    code_of_task(task, |space| port::destruct(space, name, delta, guard))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_context(task: Name, name: Name, context: *mut u64) -> Code {
    guarded(KERN_FAILURE, || {
        code(of_task(task, |space| port::context(space, name)).and_then(|got| put(context, got)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_set_context(task: Name, name: Name, context: u64) -> Code {
    code_of_task(task, |space| port::set_context(space, name, context))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_guard(task: Name, name: Name, value: u64, strict: i32) -> Code {
    let guard = Guard { value, strict: strict != 0, immovable: false };
    code_of_task(task, |space| port::guard(space, name, guard))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_guard_with_flags(task: Name, name: Name, value: u64, flags: u64) -> Code {
    const STRICT: u64 = 1;
    const IMMOVABLE: u64 = 2;
    if flags & !(STRICT | IMMOVABLE) != 0 {
        return KERN_INVALID_ARGUMENT;
    }
    let guard = Guard { value, strict: flags & STRICT != 0, immovable: flags & IMMOVABLE != 0 };
    code_of_task(task, |space| port::guard(space, name, guard))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_unguard(task: Name, name: Name, value: u64) -> Code {
    code_of_task(task, |space| port::unguard(space, name, value))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_swap_guard(task: Name, name: Name, old: u64, new: u64) -> Code {
    code_of_task(task, |space| port::swap_guard(space, name, old, new))
}
