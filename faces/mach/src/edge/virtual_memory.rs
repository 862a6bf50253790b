//! Memory in pages, as far as message programs use it.

use super::messages::is_own;
use super::{code, guarded, memory, put};
use crate::codes::*;
use crate::names::Name;

fn allocate(task: Name, address: *mut u64, size: u64, flags: i32) -> Result<(), Code> {
    const ANYWHERE: i32 = 1;
    if !is_own(task) {
        return Err(KERN_INVALID_ARGUMENT);
    }
    let place = match flags & ANYWHERE {
        0 => {
            let at = memory::read(address as u64, 8).ok_or(KERN_INVALID_ADDRESS)?;
            Some(crate::letter::long(&at, 0) & !(memory::page() as u64 - 1))
        }
        _ => None,
    };
    if size == 0 {
        return put(address, 0u64);
    }
    let size = usize::try_from(size).map_err(|_| KERN_INVALID_ARGUMENT)?;
    let got = memory::allocate(size, place).ok_or(KERN_NO_SPACE)?;
    put(address, got).inspect_err(|_| {
        memory::release(got, size);
    })
}

fn deallocate(task: Name, address: u64, size: u64) -> Code {
    match usize::try_from(size) {
        _ if !is_own(task) => KERN_INVALID_ARGUMENT,
        Ok(size) if memory::release(address, size) => KERN_SUCCESS,
        _ => KERN_INVALID_ARGUMENT,
    }
}

fn copy(task: Name, from: u64, size: u64, to: u64) -> Code {
    if !is_own(task) {
        return KERN_INVALID_ARGUMENT;
    }
    let bytes = usize::try_from(size).ok().and_then(|size| memory::read(from, size));
    match bytes {
        Some(bytes) if memory::write(to, &bytes) => KERN_SUCCESS,
        _ => KERN_INVALID_ADDRESS,
    }
}

fn protect(task: Name, address: u64, size: u64, protection: i32) -> Code {
    match usize::try_from(size) {
        _ if !is_own(task) || protection & !7 != 0 => KERN_INVALID_ARGUMENT,
        Ok(size) if memory::protect(address, size, protection) => KERN_SUCCESS,
        _ => KERN_INVALID_ADDRESS,
    }
}

#[unsafe(no_mangle)]
extern "C" fn vm_allocate(task: Name, address: *mut u64, size: u64, flags: i32) -> Code {
    guarded(KERN_FAILURE, || code(allocate(task, address, size, flags)))
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_allocate(task: Name, address: *mut u64, size: u64, flags: i32) -> Code {
    guarded(KERN_FAILURE, || code(allocate(task, address, size, flags)))
}

#[unsafe(no_mangle)]
extern "C" fn vm_deallocate(task: Name, address: u64, size: u64) -> Code {
    guarded(KERN_FAILURE, || deallocate(task, address, size))
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_deallocate(task: Name, address: u64, size: u64) -> Code {
    guarded(KERN_FAILURE, || deallocate(task, address, size))
}

#[unsafe(no_mangle)]
extern "C" fn vm_copy(task: Name, from: u64, size: u64, to: u64) -> Code {
    guarded(KERN_FAILURE, || copy(task, from, size, to))
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_copy(task: Name, from: u64, size: u64, to: u64) -> Code {
    guarded(KERN_FAILURE, || copy(task, from, size, to))
}

#[unsafe(no_mangle)]
extern "C" fn vm_protect(task: Name, address: u64, size: u64, _most: i32, may: i32) -> Code {
    guarded(KERN_FAILURE, || protect(task, address, size, may))
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_protect(task: Name, address: u64, size: u64, _most: i32, may: i32) -> Code {
    guarded(KERN_FAILURE, || protect(task, address, size, may))
}

#[unsafe(no_mangle)]
extern "C" fn vm_read(task: Name, from: u64, size: u64, to: *mut u64, count: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        if !is_own(task) {
            return KERN_INVALID_ARGUMENT;
        }
        let Some(bytes) = usize::try_from(size).ok().and_then(|size| memory::read(from, size))
        else {
            return KERN_INVALID_ADDRESS;
        };
        let Some(got) = memory::allocate_filled(&bytes) else { return KERN_RESOURCE_SHORTAGE };
        code(put(to, got).and_then(|()| put(count, bytes.len() as u32)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_read(
    task: Name,
    from: u64,
    size: u64,
    to: *mut u64,
    count: *mut u32,
) -> Code {
    vm_read(task, from, size, to, count)
}

/// Where new memory may lie: its address must have none of the bits of `mask`.
#[derive(Clone, Copy, Debug)]
struct Place {
    mask: u64,
    flags: i32,
}

impl Place {
    /// Maps so much memory, and says where it lies.
    fn allocate(self, at: *mut u64, size: u64) -> Result<u64, Code> {
        const ANYWHERE: i32 = 1;
        if self.flags & !ANYWHERE != 0 || size == 0 {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let page = memory::page() as u64;
        let size = usize::try_from(size).map_err(|_| KERN_NO_SPACE)?;
        if self.flags & ANYWHERE == 0 {
            let at = memory::read(at as u64, 8).ok_or(KERN_INVALID_ADDRESS)?;
            let at = crate::letter::long(&at, 0) & !(page - 1);
            return memory::allocate(size, Some(at)).ok_or(KERN_NO_SPACE);
        }
        let step = self.mask.checked_add(1).ok_or(KERN_NO_SPACE)?;
        if step <= page {
            return memory::allocate(size, None).ok_or(KERN_NO_SPACE);
        }
        if !step.is_power_of_two() {
            return Err(KERN_INVALID_ARGUMENT);
        }
        memory::allocate_aligned(size, step).ok_or(KERN_NO_SPACE)
    }
}

/// No memory is named by a port here: what is mapped is new.
fn map(
    (task, object): (Name, Name),
    address: *mut u64,
    size: u64,
    place: Place,
    may: i32,
) -> Result<(), Code> {
    if !is_own(task) || object != 0 || may & !7 != 0 {
        return Err(KERN_INVALID_ARGUMENT);
    }
    let got = place.allocate(address, size)?;
    let mapped = size as usize;
    let done = match memory::protect(got, mapped, may) {
        true => put(address, got),
        false => Err(KERN_INVALID_ADDRESS),
    };
    done.inspect_err(|_| {
        memory::release(got, mapped);
    })
}

#[unsafe(no_mangle)]
extern "C" fn vm_map(
    task: Name,
    address: *mut u64,
    size: u64,
    mask: u64,
    flags: i32,
    object: Name,
    _offset: u64,
    _copy: i32,
    may: i32,
    _most: i32,
    _inherit: u32,
) -> Code {
    let place = Place { mask, flags };
    guarded(KERN_FAILURE, || code(map((task, object), address, size, place, may)))
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_map(
    task: Name,
    address: *mut u64,
    size: u64,
    mask: u64,
    flags: i32,
    object: Name,
    offset: u64,
    copy: i32,
    may: i32,
    most: i32,
    inherit: u32,
) -> Code {
    vm_map(task, address, size, mask, flags, object, offset, copy, may, most, inherit)
}

/// Maps the same bytes in another place: as a copy only. Memory of a task's own has one
/// address on Linux.
fn remap(
    tasks: (Name, Name),
    address: *mut u64,
    size: u64,
    place: Place,
    (from, copy): (u64, bool),
    may: (*mut i32, *mut i32),
) -> Result<(), Code> {
    if !is_own(tasks.0) || !is_own(tasks.1) {
        return Err(KERN_INVALID_ARGUMENT);
    }
    if !copy {
        return Err(KERN_NOT_SUPPORTED);
    }
    let length = usize::try_from(size).map_err(|_| KERN_INVALID_ARGUMENT)?;
    let bytes = memory::read(from, length).ok_or(KERN_INVALID_ADDRESS)?;
    let got = place.allocate(address, size)?;
    let done = match memory::write(got, &bytes) {
        false => Err(KERN_INVALID_ADDRESS),
        true => put(address, got).and_then(|()| put(may.0, 3)).and_then(|()| put(may.1, 7)),
    };
    done.inspect_err(|_| {
        memory::release(got, length);
    })
}

#[unsafe(no_mangle)]
extern "C" fn vm_remap(
    task: Name,
    address: *mut u64,
    size: u64,
    mask: u64,
    flags: i32,
    from_task: Name,
    from: u64,
    copy: i32,
    may: *mut i32,
    most: *mut i32,
    _inherit: u32,
) -> Code {
    let place = Place { mask, flags };
    guarded(KERN_FAILURE, || {
        let from = (from, copy != 0);
        code(remap((task, from_task), address, size, place, from, (may, most)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_vm_remap(
    task: Name,
    address: *mut u64,
    size: u64,
    mask: u64,
    flags: i32,
    from_task: Name,
    from: u64,
    copy: i32,
    may: *mut i32,
    most: *mut i32,
    inherit: u32,
) -> Code {
    vm_remap(task, address, size, mask, flags, from_task, from, copy, may, most, inherit)
}
