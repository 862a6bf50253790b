//! Events.

use super::{calls, memory};
use crate::codes::*;
use crate::event::{self, BYTES, Event};

pub(super) fn event_at(at: *const u8) -> Result<Event, Errno> {
    memory::read(at as u64, BYTES).and_then(|bytes| Event::of(&bytes)).ok_or(EFAULT)
}

fn rcvid(number: i64) -> Result<i32, Errno> {
    i32::try_from(number).map_err(|_| ESRCH)
}

calls! {
    MsgDeliverEvent MsgDeliverEvent_r(of: i64, event: *const u8) -> i32 =
        event::deliver(rcvid(of)?, &event_at(event)?);
    MsgVerifyEvent MsgVerifyEvent_r(of: i64, event: *const u8) -> i32 =
        event::verify(rcvid(of)?, &event_at(event)?);
    MsgRegisterEvent MsgRegisterEvent_r(event: *mut u8, coid: i32) -> i32 = register(event, coid);
    MsgUnregisterEvent MsgUnregisterEvent_r(event: *const u8) -> i32 =
        event::unregister(&event_at(event)?);
}

fn register(at: *mut u8, coid: i32) -> Result<(), Errno> {
    let registered = event::register(&event_at(at)?, coid)?;
    if memory::write(at as u64, &registered.bytes()) {
        return Ok(());
    }
    let _ = event::unregister(&registered);
    Err(EFAULT)
}
