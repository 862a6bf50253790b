//! There is one receive right for each port.

use pillarbox::{Capacity, Task};

fn main() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let _copy = inbox.clone();
}
