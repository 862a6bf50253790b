//! Whichever system call is refused, and whatever it is refused with: the
//! operation fails whole, with an error that says so, or does without; nobody is
//! blamed, nothing leaks, nobody waits for ever, and the next try succeeds.
//!
//! Runs with the feature `refuse` only. `PILLARBOX_REFUSE=Call` sweeps one kind.

mod family;
mod refusals;

use std::time::{Duration, Instant};

use family::residue::Residue;
use family::{settled, tell};
use refusals::World;
use rustix::io::Errno;
use shm::refuse::{Call, counts, plan};

/// Calls of one kind that are refused one by one. Of kinds that are called more
/// often, these are spread over all.
const MOST: u64 = 48;

/// One life with a call refused: what was said of it.
fn try_once(call: Call, after: u64, times: u64, errno: Errno) -> (bool, Result<(), String>) {
    let before = Residue::now();
    let started = Instant::now();
    let world = World::new();
    let planned = plan(call, after, times, errno);
    let lived = world.live();
    let fired = planned.refused() > 0;
    drop(planned);
    if started.elapsed() > Duration::from_secs(1) {
        tell(&format!("slow: {call:?} {after} {errno:?}: {:?} {lived:?}", started.elapsed()));
    }
    let barred = matches!(errno, Errno::PERM | Errno::ACCESS) && lived.is_err();
    world.hold_nothing(barred);
    world.agree();
    // What is barred stays so: a task that may have no door is never introduced.
    let again = world.live();
    if let Err(refused) = again
        && !(barred && lived.as_ref() == Err(&refused))
    {
        panic!("the next try fails: {refused}; before it: {lived:?}");
    }
    world.hold_nothing(barred);
    world.close();
    settled(Residue::now, |now| now.is_within(&before));
    (fired, lived)
}

/// How often each kind is called in one life.
fn calls_of_one_life() -> Vec<(Call, u64)> {
    let before = counts();
    let world = World::new();
    world.live().unwrap();
    world.hold_nothing(false);
    world.close();
    let counted = counts().into_iter().zip(before);
    counted.map(|((call, now), (_, before))| (call, now - before)).collect()
}

fn chosen(call: Call) -> bool {
    std::env::var("PILLARBOX_REFUSE")
        .map_or(true, |asked| asked.is_empty() || format!("{call:?}") == asked)
}

#[test]
fn each_call_refused_once() {
    // What is started once and stays is there before anything is compared.
    let _ = calls_of_one_life();
    let (mut tried, mut refused, mut did_without) = (0, 0, 0);
    let mut broken = Vec::new();
    for (call, count) in calls_of_one_life() {
        assert!(count > 0 || RARE.contains(&call), "{call:?} is never called here");
        if !chosen(call) {
            continue;
        }
        let step = count.div_ceil(MOST).max(1) as usize;
        let begun = Instant::now();
        for after in (0..count).step_by(step) {
            for &errno in call.refusals() {
                let one = std::panic::catch_unwind(|| try_once(call, after, 1, errno));
                let Ok((fired, lived)) = one else {
                    broken.push(format!("{call:?} number {after} with {errno:?}"));
                    continue;
                };
                tried += u64::from(fired);
                refused += u64::from(fired && lived.is_err());
                did_without += u64::from(fired && lived.is_ok());
                assert!(fired || lived.is_ok(), "failed with nothing refused: {lived:?}");
            }
        }
        tell(&format!("{call:?}: {count} calls, {:?}", begun.elapsed()));
    }
    tell(&format!("{tried} calls refused: {refused} told, {did_without} done without, 0 lost"));
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(tried > 0);
}

/// What one life need not call.
const RARE: [Call; 3] = [Call::FutexWaitv, Call::FutexWait, Call::Membarrier];
