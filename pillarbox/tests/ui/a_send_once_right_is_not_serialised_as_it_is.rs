//! Serde lends a value; what cannot be copied must be carried.

use pillarbox::{Capacity, Deadline, SendOnceRight, channel};

fn main() {
    let (sender, receiver) = channel::<Option<SendOnceRight>>(Capacity::Bounded(1)).unwrap();
    let once = receiver.right().make_send_once().unwrap();
    sender.send(Some(once), Deadline::Never).unwrap();
}
