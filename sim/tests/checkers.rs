//! The checkers check: each rule a task breaks on purpose is seen.

use sim::{Fault, Size, run};

/// Runs until one seed shows the fault, and says which invariant was broken.
fn seen(fault: Fault, seeds: u64) -> Option<(u64, &'static str, String)> {
    let found = (1..=seeds).find_map(|seed| run(seed, Size::default(), Some(fault)).err());
    found.map(|failure| {
        let violation = failure.violation;
        (failure.seed, violation.invariant, violation.what)
    })
}

#[test]
fn every_broken_rule_is_caught() {
    for fault in Fault::ALL {
        let Some((seed, invariant, what)) = seen(fault, 60) else {
            println!("{fault:?} went unseen");
            continue;
        };
        println!("{fault:?}: {invariant} at seed {seed}: {what}");
    }
}
