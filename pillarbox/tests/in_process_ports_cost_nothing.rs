//! Ports inside of one task are memory: no descriptor, no thread.
//!
//! One test in a process of its own, so that it can count what the process has.

mod asleep;

use asleep::long;
use pillarbox::{Capacity, Deadline, Message, Notification, Task, channel};

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn heavy_local_use_opens_nothing_and_starts_nobody() {
    let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
    let task = Task::current().unwrap();
    let ports: Vec<_> = (0..1_000).map(|_| task.port(Capacity::Bounded(4))).collect();
    for port in &ports {
        let post = port.make_send().unwrap();
        for body in [0, 100, 1 << 20] {
            let message = Message::new(vec![0; body]).with_right(port.make_send_once().unwrap());
            post.send(message, Deadline::Now).unwrap();
            drop(port.receive(Deadline::Now).unwrap());
            let told = port.receive(Deadline::Now).unwrap();
            assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
        }
        assert!(port.receive(Deadline::Now).is_err());
    }
    let (sender, receiver) = channel::<Vec<String>>(Capacity::Rendezvous).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                let mut request = receiver.receive(long()).unwrap();
                let count = request.value.len();
                request.reply(count, long()).unwrap();
            }
        });
        for _ in 0..2_000 {
            let count: usize = sender.call(vec!["word".into(); 3], long()).unwrap();
            assert_eq!(count, 3);
        }
        // A scope knows that its thread has returned, not that it is gone.
    });
    let fds = entries("/proc/self/fd");
    assert_eq!(fds, before.0);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while entries("/proc/self/task") != before.1 {
        assert!(std::time::Instant::now() < end, "a thread was started and stayed");
        std::thread::yield_now();
    }
    assert!(task.peers().is_empty());
}
