//! Priorities of threads: what a program gave them, and what the kernel has.

use super::{call, calls, memory, with_errno};
use crate::codes::*;
use crate::thread;

/// How the kernel schedules this thread, and its priority there, if it is one of those
/// with any.
pub(crate) fn real_priority() -> Option<(i32, u16)> {
    // SAFETY: it reads a number of the kernel's about this thread.
    let policy = unsafe { libc::sched_getscheduler(0) };
    if !is_real(policy) {
        return None;
    }
    let mut about = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel fills in our own value.
    let told = unsafe { libc::sched_getparam(0, &raw mut about) };
    let priority = u16::try_from(about.sched_priority).ok().filter(|_| told == 0);
    priority.map(|priority| (policy, priority))
}

const fn is_real(policy: i32) -> bool {
    policy == libc::SCHED_FIFO || policy == libc::SCHED_RR
}

/// Has the kernel schedule this thread so, as far up as it goes. False where it does not
/// let us.
pub(crate) fn schedule_this(policy: i32, priority: u16) -> bool {
    schedule(0, policy, priority)
}

/// The same of a thread of this process, by its number at the kernel.
pub(crate) fn schedule(thread: i32, policy: i32, priority: u16) -> bool {
    const HIGHEST: u16 = 99;
    let about = libc::sched_param { sched_priority: i32::from(priority.clamp(1, HIGHEST)) };
    // SAFETY: the kernel reads our own value.
    unsafe { libc::sched_setscheduler(thread, policy, &raw const about) == 0 }
}

/// Has this thread run before all others, where the kernel lets it.
pub(crate) fn schedule_above_all() {
    schedule_this(libc::SCHED_FIFO, u16::MAX);
}

/// Gives this thread a priority: for what it sends, and in the kernel where the kernel
/// lets it.
fn give(policy: i32, priority: i32) -> Result<(), Errno> {
    let wanted = u16::try_from(priority).map_err(|_| EINVAL)?;
    if !(1..=PRIORITY_MOST).contains(&wanted) {
        return Err(EINVAL);
    }
    thread::set_own_priority(wanted);
    // Who may not is told by nothing here: its messages have the priority.
    let real = is_real(policy) && schedule_this(policy, wanted);
    if !real && real_priority().is_some() && !is_real(policy) {
        let about = libc::sched_param { sched_priority: 0 };
        // SAFETY: the kernel reads our own value.
        let _ = unsafe { libc::sched_setscheduler(0, policy, &raw const about) };
    }
    thread::set_policy(real_priority().map(|(policy, _)| policy));
    Ok(())
}

fn is_own(pid: i32, tid: i32) -> bool {
    let own = std::process::id() as i32;
    (pid == 0 || pid == own) && (tid == 0 || tid == i32::from(thread::number()))
}

fn set(pid: i32, tid: i32, policy: i32, about: *const u8) -> Result<(), Errno> {
    if !is_own(pid, tid) {
        return Err(ESRCH);
    }
    let bytes = memory::read(about as u64, 4).ok_or(EFAULT)?;
    give(policy, crate::letter::word(&bytes, 0) as i32)
}

fn get(pid: i32, tid: i32, about: *mut u8) -> Result<i32, Errno> {
    if !is_own(pid, tid) {
        return Err(ESRCH);
    }
    let own = i32::from(thread::own_priority());
    super::put(about, &own.to_ne_bytes())?;
    // SAFETY: it reads a number of the kernel's about this thread.
    Ok(unsafe { libc::sched_getscheduler(0) })
}

calls! {
    SchedSet SchedSet_r(pid: i32, tid: i32, policy: i32, about: *const u8) -> i32 =
        set(pid, tid, policy, about);
    SchedGet SchedGet_r(pid: i32, tid: i32, about: *mut u8) -> i32 = get(pid, tid, about);
}

/// The priority that what this thread sends has now: that of whom it serves, or its own.
#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_effective_priority() -> i32 {
    with_errno(call(|| Ok(i32::from(thread::priority())))) as i32
}

unsafe extern "C" {
    fn pthread_setschedprio(thread: libc::pthread_t, priority: i32) -> i32;
}

fn is_this(of: libc::pthread_t) -> bool {
    // SAFETY: it reads a number of this thread's.
    let own = unsafe { libc::pthread_self() };
    of == 0 || of == own
}

/// The priority of a thread: 0 is this one. Where it goes may be nowhere.
#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_pthread_getschedparam(
    of: libc::pthread_t,
    policy: *mut i32,
    about: *mut libc::sched_param,
) -> i32 {
    let (mut how, mut what) = (0, libc::sched_param { sched_priority: 0 });
    if is_this(of) {
        // SAFETY: it reads a number of the kernel's about this thread.
        how = unsafe { libc::sched_getscheduler(0) };
        what.sched_priority = i32::from(thread::own_priority());
    } else {
        // SAFETY: C5. The caller says that this thread is there; the rest is our own.
        let told = unsafe { libc::pthread_getschedparam(of, &raw mut how, &raw mut what) };
        if told != 0 {
            return told;
        }
    }
    let put = super::put(policy.cast(), &how.to_ne_bytes())
        .and_then(|()| super::put(about.cast(), &what.sched_priority.to_ne_bytes()));
    put.err().map_or(0, |error| error.0)
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_pthread_setschedparam(
    of: libc::pthread_t,
    policy: i32,
    about: *const libc::sched_param,
) -> i32 {
    let Some(bytes) = memory::read(about as u64, 4) else { return EFAULT.0 };
    let priority = crate::letter::word(&bytes, 0) as i32;
    if is_this(of) {
        return give(policy, priority).err().map_or(0, |error| error.0);
    }
    let what = libc::sched_param { sched_priority: priority };
    // SAFETY: C5. The caller says that this thread is there; the rest is our own.
    unsafe { libc::pthread_setschedparam(of, policy, &raw const what) }
}

#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_pthread_setschedprio(of: libc::pthread_t, priority: i32) -> i32 {
    if is_this(of) {
        // SAFETY: it reads a number of the kernel's about this thread.
        let policy = unsafe { libc::sched_getscheduler(0) };
        return give(policy, priority).err().map_or(0, |error| error.0);
    }
    // SAFETY: C5. The caller says that this thread is there.
    unsafe { pthread_setschedprio(of, priority) }
}
