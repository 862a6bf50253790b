//! What a target counts, told now and then: whether it gets where it is to look.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A number that grows, and what it counts.
#[derive(Debug)]
pub struct Count(&'static str, AtomicU64);

impl Count {
    /// Nothing yet.
    pub const fn new(what: &'static str) -> Count {
        Count(what, AtomicU64::new(0))
    }

    /// One more.
    pub fn add(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

static TOLD_MS: AtomicU64 = AtomicU64::new(0);

/// Says on the standard error what was counted, once a second at most. `cargo xtask
/// fuzz` shows the last line there is.
pub fn tell(counts: &[&Count]) {
    static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let now = BEGUN.elapsed().as_millis() as u64;
    if now < TOLD_MS.load(Ordering::Relaxed) + 1000 {
        return;
    }
    TOLD_MS.store(now, Ordering::Relaxed);
    let mut line = String::from("figures: ");
    for (at, Count(what, count)) in counts.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(line, "{comma}{} {what}", count.load(Ordering::Relaxed));
    }
    eprintln!("{line}");
}
