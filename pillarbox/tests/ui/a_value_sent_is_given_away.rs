//! A value with rights in it is gone once it was sent.

use pillarbox::typed::{Carry, SenderOnce, channel};
use pillarbox::{Capacity, Deadline};

fn main() {
    let (sender, receiver) = channel::<Carry<SenderOnce<u8>>>(Capacity::Bounded(1)).unwrap();
    let (_, answers) = channel::<u8>(Capacity::Bounded(1)).unwrap();
    let once = Carry::new(answers.make_send_once().unwrap());
    sender.send(once, Deadline::Never).unwrap();
    drop((once.into_inner(), receiver));
}
