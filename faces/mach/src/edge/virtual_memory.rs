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
