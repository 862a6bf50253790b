//! A service that ends takes the processes of its group along, and a server that ends
//! its services.

mod family;

use family::{NAME, acting, declared, file_of, long, parents_server, signal, task, until};
use pillarbox::{Capacity, Deadline, Message};
use rustix::process::Signal;

/// Starts a process of its own, and tells its number.
#[test]
fn parent_part() {
    if !acting("parent_part") {
        return;
    }
    let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let port = task().port(Capacity::Bounded(8));
    parents_server().check_in(NAME, &port, long()).unwrap();
    while let Ok(mut request) = port.receive(Deadline::Never) {
        let _ = request.reply(Message::new(child.id().to_string()), long());
    }
    let _ = child.wait();
}

/// Whether there is a process of this number that is not a zombie.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn its_group_ends_with_it() {
    let text = file_of("parent_part", &[NAME], "throttle = \"1ms\"");
    let (serving, names, admin) = declared(&text);
    for last in [false, true] {
        let right = names.look_up(NAME, long()).unwrap();
        let grandchild = family::pid_of(&right);
        assert!(lives(grandchild));
        if last {
            serving.stopper().stop();
        } else {
            signal(family::report(&admin).pid.unwrap(), Signal::KILL);
        }
        until(|| !lives(grandchild));
    }
}
