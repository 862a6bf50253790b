//! A real task in this process. It takes what comes and uses it.
//!
//! What the task does with it in its own threads counts as coverage too. The `id` of
//! a message tells it what to do with the rights it has by then, so that a fuzzer
//! finds the order of things, not luck.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pillarbox::{Capacity, Deadline, Listening, Message, ReceiveRight, Right, SendRight, Task};

use crate::figures::Count;

/// Ports that came to the task in messages.
pub static PORTS: Count = Count::new("ports came");

/// Messages it took out of them.
pub static MOVED: Count = Count::new("messages in them");

/// What the task does when a message with this number comes.
pub mod order {
    /// Lets everything go.
    pub const FORGET: u8 = 1;
    /// Sends on each right it has.
    pub const SEND: u8 = 2;
    /// Asks each for its status, and its senders for their end.
    pub const ASK: u8 = 3;
    /// Gives one to the holder of another.
    pub const GIVE: u8 = 4;
    /// Gives a port away, to the holder of one, with senders and a queue.
    pub const MOVE: u8 = 5;
    /// Gives a port on that came to it.
    pub const MOVE_ON: u8 = 6;
    /// Calls, and withdraws the call.
    pub const CALL: u8 = 7;
}

/// Rights it keeps.
const RIGHTS: usize = 12;

/// Ports it keeps of those that came.
const PORTS_KEPT: usize = 6;

/// The task.
#[derive(Debug)]
pub struct Victim {
    /// The task itself.
    pub task: Task,
    /// Where it listens.
    pub path: PathBuf,
    number: AtomicU64,
    _listening: Listening,
}

impl Victim {
    /// A number no task of this process has had.
    pub fn number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until the task has buried all it was linked with.
    pub fn wait_alone(&self) {
        let until = Instant::now() + Duration::from_secs(8);
        while !self.task.peers().is_empty() {
            assert!(Instant::now() < until, "peers that are gone are not: {:?}", self.task.peers());
            std::thread::park_timeout(Duration::from_micros(50));
        }
    }
}

/// The task of this process. Slot 0 of each link leads to a port without a limit,
/// slot 1 to one with four places.
pub fn victim() -> &'static Victim {
    static VICTIM: OnceLock<Victim> = OnceLock::new();
    VICTIM.get_or_init(|| {
        let task = Task::current().expect("a task");
        let path = std::env::temp_dir().join(format!("pillarbox-fuzz-{}", std::process::id()));
        let open = task.port(Capacity::Unbounded);
        let inbox = task.port(Capacity::Bounded(4));
        let offer = vec![
            ("a".to_owned(), open.make_send().expect("a right")),
            ("b".to_owned(), inbox.make_send().expect("a right")),
        ];
        let listening = task.listen(&path, offer).expect("a door");
        for port in [open, inbox] {
            let task = task.clone();
            std::thread::spawn(move || suffer(&task, &port));
        }
        Victim { task, path, number: AtomicU64::new(1), _listening: listening }
    })
}

/// What it has by now.
#[derive(Default)]
struct Has {
    rights: Vec<SendRight>,
    ports: Vec<ReceiveRight>,
}

/// Takes what comes and uses it.
fn suffer(task: &Task, port: &ReceiveRight) {
    let mut has = Has::default();
    while let Ok(message) = port.receive(Deadline::Never) {
        let id = message.id();
        has.take(message);
        has.look_into_ports();
        has.obey(task, id);
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(1))
}

impl Has {
    fn take(&mut self, mut message: Message) {
        let _ = message.reply(Message::new("thank you"), Deadline::Now);
        for right in message.take_rights().into_iter().take(4) {
            match right {
                Right::Send(right) => {
                    let _ = right.send(Message::new("you"), Deadline::Now);
                    self.rights.truncate(RIGHTS - 1);
                    self.rights.insert(0, right);
                }
                Right::SendOnce(right) => drop(right.send(Message::new("once"), Deadline::Now)),
                Right::Receive(port) => {
                    PORTS.add();
                    if let Ok(own) = port.make_send() {
                        let _ = own.send(Message::new("own"), Deadline::Now);
                    }
                    self.ports.truncate(PORTS_KEPT - 1);
                    self.ports.insert(0, port);
                }
                _ => {}
            }
        }
    }

    /// What lies in the ports that came is taken as well.
    fn look_into_ports(&mut self) {
        let mut came = Vec::new();
        for port in &self.ports {
            let _ = (port.status(), port.peek());
            for _ in 0..16 {
                let Ok(message) = port.receive(Deadline::Now) else { break };
                MOVED.add();
                came.push(message);
            }
        }
        came.into_iter().for_each(|message| self.take(message));
    }

    fn obey(&mut self, task: &Task, id: i32) {
        let [what, one, two, _] = id.to_le_bytes();
        let place = |which: u8, length: usize| usize::from(which) % length.max(1);
        let (Some(right), Some(other)) = (
            self.rights.get(place(one, self.rights.len())).cloned(),
            self.rights.get(place(two, self.rights.len())).cloned(),
        ) else {
            if what == order::FORGET {
                self.ports.clear();
            }
            return;
        };
        match what {
            order::FORGET => *self = Has::default(),
            order::SEND => {
                for right in &self.rights {
                    let _ = right.send(Message::new("again"), Deadline::Now);
                }
            }
            order::ASK => {
                for right in &self.rights {
                    let _ = right.status(soon());
                }
                for port in &self.ports {
                    let _ = port.make_send_once().map(|news| port.notify_no_senders(news));
                }
            }
            order::GIVE => {
                let _ = other.send(Message::new("given").with_right(right), soon());
            }
            order::MOVE => {
                let port = task.port(Capacity::Bounded(4));
                let Ok(own) = port.make_send() else { return };
                let _ = right.send(Message::new("yours").with_right(own.clone()), Deadline::Now);
                let _ = own.send(Message::new("in it"), Deadline::Now);
                let _ = other.send(Message::new("port").with_right(port), soon());
                let _ = own.send(Message::new("after it"), Deadline::Now);
                self.rights.push(own);
            }
            order::MOVE_ON => {
                let Some(port) = self.ports.pop() else { return };
                let moved = other.send(Message::new("on").with_right(port), soon());
                let back = moved.err().and_then(|mut error| error.message.take_rights().pop());
                self.ports.extend(back.and_then(|right| right.into_receive().ok()));
            }
            order::CALL => {
                let request = Message::new("well?").with_reply_room(4096);
                let _ = right.call(request, soon());
            }
            _ => {}
        }
    }
}
