//! Timeouts of calls, and timers.

use std::ffi::c_void;
use std::time::{Duration, Instant};

use pillarbox::Deadline;

use super::events::event_at;
use super::{call, memory, set_errno, with_errno};
use crate::codes::*;
use crate::event::{self, Event, kind};
use crate::letter::long;
use crate::thread::{self, Timeout};

/// A time is a point of the clock, and not from now on.
const ABSOLUTE: i32 = 1;

fn now(clock: i32) -> Result<Duration, Errno> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the one value of our own, or fails.
    let told = unsafe { libc::clock_gettime(clock, &raw mut now) };
    if told != 0 {
        return Err(EINVAL);
    }
    Ok(Duration::new(now.tv_sec.max(0) as u64, now.tv_nsec as u32))
}

/// How long from now on a time is.
fn from_now(clock: i32, flags: i32, time: Duration) -> Result<Duration, Errno> {
    let now = now(clock)?;
    Ok(if flags & ABSOLUTE != 0 { time.saturating_sub(now) } else { time })
}

fn put_ns(to: *mut u64, ns: u64) -> Result<(), Errno> {
    super::put(to.cast(), &ns.to_ne_bytes())
}

fn timeout(
    clock: i32,
    flags: i32,
    event: *const u8,
    time: *const u64,
    left: *mut u64,
) -> Result<u32, Errno> {
    let before = thread::take_timeout();
    if !event.is_null() && event_at(event)?.kind() != kind::UNBLOCK {
        return Err(ENOTSUP);
    }
    let deadline = if time.is_null() {
        now(clock)?;
        Deadline::Now
    } else {
        let bytes = memory::read(time as u64, 8).ok_or(EFAULT)?;
        let span = from_now(clock, flags, Duration::from_nanos(long(&bytes, 0)))?;
        Instant::now().checked_add(span).map_or(Deadline::Never, Deadline::At)
    };
    put_ns(left, before.map_or(0, |before| thread::left_ns(before.deadline)))?;
    let states = flags as u32 & (timeout_in::SEND | timeout_in::RECEIVE | timeout_in::REPLY);
    thread::set_timeout((states != 0).then_some(Timeout { states, deadline }));
    Ok(before.map_or(0, |before| before.states))
}

fn time_out(
    clock: i32,
    flags: i32,
    event: *const u8,
    time: *const u64,
    left: *mut u64,
) -> Result<i64, Errno> {
    super::guarded(Err(EAGAIN), || timeout(clock, flags, event, time, left)).map(i64::from)
}

#[unsafe(no_mangle)]
extern "C" fn TimerTimeout(
    clock: i32,
    flags: i32,
    event: *const u8,
    time: *const u64,
    left: *mut u64,
) -> i32 {
    with_errno(time_out(clock, flags, event, time, left)) as i32
}

#[unsafe(no_mangle)]
extern "C" fn TimerTimeout_r(
    clock: i32,
    flags: i32,
    event: *const u8,
    time: *const u64,
    left: *mut u64,
) -> i32 {
    time_out(clock, flags, event, time, left).unwrap_or_else(|error| i64::from(-error.0)) as i32
}

// ---- timers --------------------------------------------------------------------------

/// What a timer of ours looks like to C: no address ends like this.
const MARK: u64 = 0x5142_0000_0000_0001;

fn handle(number: u64) -> u64 {
    MARK | (number & 0xffff_ffff) << 1
}

fn number_of(handle: u64) -> Option<u64> {
    (handle & MARK == MARK).then_some((handle & !MARK) >> 1)
}

/// A function of the system's that ours stands before.
macro_rules! real {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {
        unsafe extern "C" { $(fn $name($($arg: $kind),*) -> i32;)* }
    };
}

real! {
    timer_create(clock: i32, event: *const c_void, timer: *mut u64);
    timer_delete(timer: u64);
    timer_settime(timer: u64, flags: i32, new: *const c_void, old: *mut c_void);
    timer_gettime(timer: u64, now: *mut c_void);
    timer_getoverrun(timer: u64);
}

/// The events that are ours to send.
fn is_ours(event: &Event) -> bool {
    !matches!(event.kind(), kind::SIGNAL | kind::NONE | kind::THREAD | 4)
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_timer_create(clock: i32, at: *const u8, timer: *mut u64) -> i32 {
    let ours = if at.is_null() { None } else { Some(event_at(at)) };
    let event = match ours {
        Some(Err(error)) => {
            set_errno(error);
            return -1;
        }
        Some(Ok(event)) if is_ours(&event) => event,
        // SAFETY: C5. It is what the caller asks for.
        _ => return unsafe { timer_create(clock, at.cast(), timer) },
    };
    with_errno(call(|| {
        now(clock)?;
        let number = event::new_timer(clock, &event)?;
        if memory::write(timer as u64, &handle(number).to_ne_bytes()) {
            return Ok(());
        }
        let _ = event::end_timer(number);
        Err(EFAULT)
    })) as i32
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_timer_delete(timer: u64) -> i32 {
    match number_of(timer) {
        Some(number) => with_errno(call(|| event::end_timer(number))) as i32,
        // SAFETY: C5. It is what the caller asks for.
        None => unsafe { timer_delete(timer) },
    }
}

/// A time of C's: seconds and nanoseconds. None of both is no time.
fn span(bytes: &[u8], at: usize) -> Result<Option<Duration>, Errno> {
    let (seconds, ns) = (long(bytes, at) as i64, long(bytes, at + 8) as i64);
    let seconds = u64::try_from(seconds).map_err(|_| EINVAL)?;
    let ns = u32::try_from(ns).ok().filter(|ns| *ns < 1_000_000_000).ok_or(EINVAL)?;
    let span = Duration::new(seconds, ns);
    Ok((span != Duration::ZERO).then_some(span))
}

fn put_running(to: *mut u8, running: event::Running) -> Result<(), Errno> {
    let words = |span: Option<Duration>| {
        let span = span.unwrap_or_default();
        [span.as_secs(), u64::from(span.subsec_nanos())]
    };
    let words = words(running.1).into_iter().chain(words(running.0));
    super::put(to, &words.flat_map(u64::to_ne_bytes).collect::<Vec<u8>>())
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_timer_settime(
    timer: u64,
    flags: i32,
    new: *const u8,
    old: *mut u8,
) -> i32 {
    let Some(number) = number_of(timer) else {
        // SAFETY: C5. It is what the caller asks for.
        return unsafe { timer_settime(timer, flags, new.cast(), old.cast()) };
    };
    with_errno(call(|| {
        let bytes = memory::read(new as u64, 32).ok_or(EFAULT)?;
        let (every, first) = (span(&bytes, 0)?, span(&bytes, 16)?);
        let clock = event::clock_of(number)?;
        let first = first.map(|first| from_now(clock, flags, first)).transpose()?;
        put_running(old, event::set_timer(number, first, every)?)
    })) as i32
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_timer_gettime(timer: u64, now: *mut u8) -> i32 {
    match number_of(timer) {
        Some(number) => with_errno(call(|| put_running(now, event::timer(number)?))) as i32,
        // SAFETY: C5. It is what the caller asks for.
        None => unsafe { timer_gettime(timer, now.cast()) },
    }
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_timer_getoverrun(timer: u64) -> i32 {
    match number_of(timer) {
        // Each pulse is sent; what was missed is not counted.
        Some(number) => with_errno(call(|| event::timer(number).map(|_| 0))) as i32,
        // SAFETY: C5. It is what the caller asks for.
        None => unsafe { timer_getoverrun(timer) },
    }
}
