//! A child whose parent hangs up before it has heard the child's answer is a task without
//! a parent, as one whose parent never spoke.

mod family;

use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use abi::hello::{Hello, Purpose};
use abi::limits;
use abi::right::Address;
use family::{acting, long};
use pillarbox::{Capacity, Deadline, Message, Task};
use shm::OwnPage;
use shm::socket::LinkSocket;

#[test]
fn child_part() {
    if !acting("child_part") {
        return;
    }
    let task = Task::current().unwrap();
    assert!(task.inherited_names(long()).is_empty());
    let port = task.port(Capacity::Bounded(1));
    port.make_send().unwrap().send(Message::new("alone"), Deadline::Now).unwrap();
    assert_eq!(port.receive(Deadline::Now).unwrap().body(), b"alone");
}

#[test]
fn a_child_that_is_greeted_and_left_is_a_task() {
    for spoke in [false, true] {
        let (own, childs) = LinkSocket::pair().unwrap();
        if spoke {
            let (_page, _writer, memory) = OwnPage::create(limits::LANE_BYTES).unwrap();
            let hello = Hello {
                features: 0,
                number: 0,
                lane_bytes: limits::LANE_BYTES,
                purpose: Purpose::Child,
                address: Address::default(),
            };
            own.send(&hello.encode(), &[memory.as_fd()]).unwrap();
        }
        // It reads what was said, and has nobody to answer.
        drop(own);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child_part", "--nocapture", "--test-threads=1"])
            .env(family::PART, "child_part")
            .stdout(Stdio::null());
        let mut child = shm::spawn::spawn(&mut command, childs).unwrap();
        assert!(child.wait().unwrap().success(), "spoke: {spoke}");
    }
}
