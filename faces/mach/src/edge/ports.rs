//! The calls `mach_port_…`.

use super::{
    code, code_in_task, code_of_task, get, guarded, hand_over, in_task, memory, number_in_task,
    of_task, own_names, put,
};
use crate::codes::*;
use crate::names::{NULL, Name};
use crate::orders::{self, order};
use crate::peek;
use crate::port::{self, Construct, Guard};
use crate::space::Space;
use crate::with;

#[unsafe(no_mangle)]
extern "C" fn mach_port_allocate(task: Name, right: u32, name: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        let here = |space: &mut Space| port::allocate(space, right, None);
        code(number_in_task(task, order::ALLOCATE, &[right], here).and_then(|made| {
            put(name, made).inspect_err(|_| {
                mach_port_destroy(task, made);
            })
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_allocate_name(task: Name, right: u32, name: Name) -> Code {
    guarded(KERN_FAILURE, || {
        let here = |space: &mut Space| port::allocate(space, right, Some(name)).map(drop);
        let there = |words: Vec<u32>| words.is_empty().then_some(());
        code(in_task(task, order::ALLOCATE_NAME, &[right, name], here, there))
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
    code_in_task(task, order::DEALLOCATE, &[name], |space| port::deallocate(space, name))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_destroy(task: Name, name: Name) -> Code {
    code_in_task(task, order::DESTROY, &[name], |space| port::destroy(space, name))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_mod_refs(task: Name, name: Name, right: u32, delta: i32) -> Code {
    let words = [name, right, delta as u32];
    code_in_task(task, order::MOD_REFS, &words, |space| port::mod_refs(space, name, right, delta))
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_refs(task: Name, name: Name, right: u32, refs: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let here = |space: &mut Space| port::get_refs(space, name, right);
        let got = number_in_task(task, order::GET_REFS, &[name, right], here);
        code(got.and_then(|got| put(refs, got)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_type(task: Name, name: Name, kind: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let got = number_in_task(task, order::TYPE, &[name], |space| port::kind(space, name));
        code(got.and_then(|got| put(kind, got)))
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
        let halves = |mut words: Vec<u32>| {
            let kinds = words.split_off(words.len() / 2);
            (words.len() == kinds.len()).then_some((words, kinds))
        };
        let all = in_task(task, order::NAMES, &[], |space| Ok(port::names(space)), halves);
        code(all.and_then(|(all, all_kinds)| {
            hand_over(&all, names, count)?;
            hand_over(&all_kinds, kinds, kinds_count)
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_insert_right(task: Name, name: Name, right: Name, how: u32) -> Code {
    let how = u8::try_from(how).unwrap_or(0);
    guarded(KERN_FAILURE, || match task == own_names().0 {
        true => with(|space| port::insert_right(space, name, right, how)),
        false => code(orders::insert_right(task, name, right, how)),
    })
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
        let got = match task == own_names().0 {
            true => with(|space| port::extract_right(space, name, how)),
            false => orders::extract_right(task, name, how),
        };
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
    let here = |space: &mut Space| port::insert_member(space, member, set);
    code_in_task(task, order::INSERT_MEMBER, &[member, set], here)
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_extract_member(task: Name, member: Name, set: Name) -> Code {
    let here = |space: &mut Space| port::extract_member(space, member, set);
    code_in_task(task, order::EXTRACT_MEMBER, &[member, set], here)
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_move_member(task: Name, member: Name, set: Name) -> Code {
    let here = |space: &mut Space| port::move_member(space, member, set);
    code_in_task(task, order::MOVE_MEMBER, &[member, set], here)
}

#[unsafe(no_mangle)]
extern "C" fn mach_port_get_set_status(
    task: Name,
    set: Name,
    members: *mut u64,
    count: *mut u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        let here = |space: &mut Space| port::set_status(space, set);
        let got = in_task(task, order::GET_SET_STATUS, &[set], here, Some);
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
        let here = |space: &mut Space| port::attributes(space, name, flavor);
        let words = [name, flavor as u32];
        let got = in_task(task, order::GET_ATTRIBUTES, &words, here, Some);
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
                let here = |space: &mut Space| port::set_qlimit(space, name, qlimit);
                match code_in_task(task, order::SET_QLIMIT, &[name, qlimit], here) {
                    KERN_SUCCESS => Ok(()),
                    code => Err(code),
                }
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
