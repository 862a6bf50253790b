//! The calls of the oldest systems: `msg_send` and its kin.

use super::messages::mig_get_reply_port;
use super::{code, code_of_task, guarded, memory, of_task, own_names, put};
use crate::classic::{self, code as classic_code};
use crate::codes::*;
use crate::letter::word;
use crate::names::{NULL, Name};
use crate::send::HEADER;
use crate::{port, with};

fn send(message: *mut u8, option: i32, timeout: u32) -> Code {
    let address = message as u64;
    let Some(header) = memory::read(address, HEADER) else {
        return classic_code::SEND_INVALID_MEMORY;
    };
    let bytes = match classic::outgoing(&header, |size| memory::read(address, size)) {
        Ok(bytes) => bytes,
        Err(code) => return code,
    };
    // Whoever leaves a message with others is told there.
    with(classic::notify_port);
    let (code, [local, remote]) = classic::send(bytes, option, timeout);
    if local != word(&header, 12) || remote != word(&header, 16) {
        let names = [local.to_ne_bytes(), remote.to_ne_bytes()].concat();
        let _ = memory::write(address + 12, &names);
    }
    code
}

fn receive(message: *mut u8, name: Name, room: u32, option: i32, timeout: u32) -> Code {
    let (code, came) = classic::receive(name, room, option, timeout);
    let Some(came) = came else { return code };
    if memory::write(message as u64, &came) {
        return code;
    }
    if code == classic_code::SUCCESS {
        classic::drop_message(&came);
    }
    classic_code::RCV_INVALID_MEMORY
}

#[unsafe(no_mangle)]
extern "C" fn msg_send(message: *mut u8, option: i32, timeout: u32) -> Code {
    guarded(classic_code::SEND_INVALID_MEMORY, || send(message, option, timeout))
}

#[unsafe(no_mangle)]
extern "C" fn msg_receive(message: *mut u8, option: i32, timeout: u32) -> Code {
    guarded(classic_code::RCV_INVALID_MEMORY, || {
        let Some(header) = memory::read(message as u64, HEADER) else {
            return classic_code::RCV_INVALID_MEMORY;
        };
        receive(message, word(&header, 12), word(&header, 4), option, timeout)
    })
}

#[unsafe(no_mangle)]
extern "C" fn msg_rpc(
    message: *mut u8,
    option: i32,
    room: u32,
    send_timeout: u32,
    timeout: u32,
) -> Code {
    guarded(classic_code::SEND_INVALID_MEMORY, || {
        // The option to be told of a place says nothing to the half that receives.
        const NOTIFY: i32 = 2;
        let Some(header) = memory::read(message as u64, HEADER) else {
            return classic_code::SEND_INVALID_MEMORY;
        };
        match send(message, option, send_timeout) {
            classic_code::SUCCESS => {
                receive(message, word(&header, 12), room, option & !NOTIFY, timeout)
            }
            code => code,
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn port_allocate(task: Name, name: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        code(of_task(task, |space| port::allocate(space, right::RECEIVE, None)).and_then(|made| {
            put(name, made).inspect_err(|_| {
                let _ = of_task(task, |space| Ok(port::destroy(space, made)));
            })
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn port_deallocate(task: Name, name: Name) -> Code {
    code_of_task(task, |space| match name {
        NULL => KERN_INVALID_ARGUMENT,
        name => match port::destroy(space, name) {
            KERN_SUCCESS => KERN_SUCCESS,
            _ => KERN_INVALID_ARGUMENT,
        },
    })
}

#[unsafe(no_mangle)]
extern "C" fn port_set_backlog(task: Name, name: Name, backlog: i32) -> Code {
    code_of_task(task, |space| match classic::set_backlog(space, name, backlog) {
        KERN_INVALID_NAME | KERN_INVALID_RIGHT => KERN_NOT_RECEIVER,
        code => code,
    })
}

#[unsafe(no_mangle)]
extern "C" fn task_self() -> Name {
    guarded(NULL, || own_names().0)
}

#[unsafe(no_mangle)]
extern "C" fn task_notify() -> Name {
    guarded(NULL, || with(classic::notify_port))
}

#[unsafe(no_mangle)]
extern "C" fn thread_reply() -> Name {
    mig_get_reply_port()
}
