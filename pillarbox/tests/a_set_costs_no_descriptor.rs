//! Sets are memory: they take no descriptor, and no limit of the kernel's.
//!
//! One test in a process of its own, so that it can count what the process has.

use pillarbox::{Capacity, Deadline, Task};

#[test]
fn a_set_costs_no_descriptor() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let task = Task::new();
    let before = descriptors();
    let sets: Vec<_> = (0..1_000).map(|_| task.port_set()).collect();
    let inbox = task.port(Capacity::Bounded(1));
    for set in sets.iter().take(pillarbox::limits::PORT_SETS) {
        let _ = set.add(&inbox).unwrap();
        assert!(set.receive(Deadline::Now).is_err());
    }
    assert_eq!(descriptors(), before);
}
