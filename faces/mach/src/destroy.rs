//! Letting go of all that a received message holds.

use crate::codes::{disposition, right};
use crate::edge::memory;
use crate::letter::{self, Descriptor, word};
use crate::names::{Name, is_valid};
use crate::port;
use crate::send::{COMPLEX, HEADER};
use crate::space::Space;

/// Drops one right, by what it was received as.
fn one(space: &mut Space, name: Name, how: u8) {
    if !is_valid(name) {
        return;
    }
    match how {
        disposition::MOVE_RECEIVE => {
            let _ = port::mod_refs(space, name, right::RECEIVE, -1);
        }
        disposition::MOVE_SEND | disposition::MOVE_SEND_ONCE => {
            let _ = port::deallocate(space, name);
        }
        disposition::MAKE_SEND => {
            // Made and dropped: so it is counted.
            let _ = space.take(name, disposition::MAKE_SEND);
        }
        disposition::MAKE_SEND_ONCE => {
            let _ = space.take(name, disposition::MAKE_SEND_ONCE);
        }
        _ => {}
    }
}

/// Drops the rights and the memory of a message, the local port's left out.
pub(crate) fn rights_of(space: &mut Space, bytes: &[u8]) {
    let bits = word(bytes, 0);
    one(space, word(bytes, 8), (bits & 0x1f) as u8);
    let inline = bytes.get(HEADER..).unwrap_or_default();
    if bits & COMPLEX == 0 {
        return;
    }
    for descriptor in letter::walk(inline).unwrap_or_default().descriptors {
        match descriptor {
            Descriptor::Port { name, how, .. } => one(space, name, how),
            Descriptor::Guarded { name, how, .. } => {
                if let Ok(receive) = space.receive(name) {
                    receive.guarded = false;
                    receive.strict = false;
                }
                one(space, name, how);
            }
            Descriptor::Memory { address, size, deallocate, .. } => {
                if deallocate && size > 0 {
                    memory::release(address, size as usize);
                }
            }
            Descriptor::Ports { address, count, deallocate, how, .. } => {
                let size = count as usize * 4;
                let names = memory::read(address, size).unwrap_or_default();
                for at in (0..names.len()).step_by(4) {
                    one(space, word(&names, at), how);
                }
                if deallocate && size > 0 {
                    memory::release(address, size);
                }
            }
        }
    }
}
