//! Two tasks of this process, linked as two processes are.

use std::sync::atomic::{AtomicU64, Ordering};

use pillarbox::{SendRight, Task};

use super::long;

static DOORS: AtomicU64 = AtomicU64::new(0);

/// Links `near` with `far`, which gives it `right`.
pub(crate) fn give(far: &Task, near: &Task, right: SendRight) -> SendRight {
    let number = DOORS.fetch_add(1, Ordering::Relaxed);
    let file = format!("pillarbox-linked-{}-{number}.sock", std::process::id());
    let door = std::env::temp_dir().join(file);
    let _listening = far.listen(&door, vec![("given".to_owned(), right)]).expect("a free path");
    let mut offered = near.connect(&door, long()).expect("somebody listens");
    let given = offered.remove("given").expect("it was offered");
    given.into_send().expect("it is a send right")
}
