//! Time: on a clock that all processes share, and of operations one after another.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

use crate::figure::Slice;

/// Nanoseconds on the clock that all processes of this machine share.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A span as a sample.
pub fn sample(span: Duration) -> u32 {
    u32::try_from(span.as_nanos()).unwrap_or(u32::MAX)
}

/// One operation right after the other for about `span`. The clock is read once for
/// each: where one ends the next begins.
///
/// # Errors
/// Those of `operation`.
pub fn back_to_back(span: Duration, mut operation: impl FnMut() -> Result<()>) -> Result<Slice> {
    let start = Instant::now();
    let mut last = start;
    let mut samples = Vec::new();
    loop {
        operation()?;
        let now = Instant::now();
        samples.push(sample(now - last));
        last = now;
        if now - start >= span {
            break;
        }
    }
    let operations = samples.len() as u64;
    Ok(Slice { operations, elapsed: last - start, samples, ..Slice::default() })
}

/// How long there is silence between two operations of a row about sleepers: longer
/// than anybody spins.
const SILENCE: Duration = Duration::from_micros(200);

/// Operations with a silence before each, in which everybody goes to sleep. What is
/// measured is the operations alone.
///
/// # Errors
/// Those of `operation`.
pub fn with_silences(span: Duration, mut operation: impl FnMut() -> Result<()>) -> Result<Slice> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut elapsed = Duration::ZERO;
    while samples.is_empty() || start.elapsed() < span {
        std::thread::sleep(SILENCE);
        let begun = Instant::now();
        operation()?;
        let took = begun.elapsed();
        elapsed += took;
        samples.push(sample(took));
    }
    let operations = samples.len() as u64;
    Ok(Slice { operations, elapsed, samples, ..Slice::default() })
}

/// Operations that say themselves how many nanoseconds counted, for about `span`.
///
/// # Errors
/// Those of `operation`.
pub fn sampled(span: Duration, mut operation: impl FnMut() -> Result<u32>) -> Result<Slice> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.is_empty() || start.elapsed() < span {
        samples.push(operation()?);
    }
    let operations = samples.len() as u64;
    let elapsed = Duration::from_nanos(samples.iter().map(|&ns| u64::from(ns)).sum());
    Ok(Slice { operations, elapsed, samples, ..Slice::default() })
}

/// Batches of operations whose ends are not seen one by one, for about `span`.
///
/// # Errors
/// Those of `batch`, and of `flush`, which waits until the last operation is done.
pub fn in_batches(
    span: Duration,
    size: u64,
    mut batch: impl FnMut() -> Result<()>,
    flush: impl FnOnce() -> Result<()>,
) -> Result<Slice> {
    let start = Instant::now();
    let mut operations = 0;
    while operations == 0 || start.elapsed() < span {
        batch()?;
        operations += size;
    }
    flush()?;
    Ok(Slice { operations, elapsed: start.elapsed(), ..Slice::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_counted_and_at_least_one_done() {
        let mut count = 0;
        let mut one = || {
            count += 1;
            Ok(())
        };
        let slice = back_to_back(Duration::ZERO, &mut one).unwrap();
        assert_eq!((slice.operations, slice.samples.len()), (1, 1));
        let slice = with_silences(Duration::ZERO, &mut one).unwrap();
        assert_eq!((slice.operations, slice.samples.len()), (1, 1));
        let slice = in_batches(Duration::ZERO, 32, &mut one, || Ok(())).unwrap();
        assert_eq!((slice.operations, slice.samples.len()), (32, 0));
        let slice = back_to_back(Duration::from_millis(1), &mut one).unwrap();
        assert_eq!(count, 3 + slice.operations);
        assert!(slice.elapsed >= Duration::from_millis(1));
    }

    #[test]
    fn a_span_too_long_is_the_longest_sample() {
        assert_eq!(sample(Duration::from_nanos(7)), 7);
        assert_eq!(sample(Duration::from_secs(3600)), u32::MAX);
    }
}
