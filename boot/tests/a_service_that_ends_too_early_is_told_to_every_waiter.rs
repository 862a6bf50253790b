//! A program that ends before it checks in, or cannot be started at all, is
//! told to everybody who waits, with the reason.

mod family;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use boot::Server;
use family::{NAME, answer, long, look_up_request, refused, started, task};
use pillarbox::bootstrap::{Answer, Bootstrap, Refused};
use pillarbox::{Capacity, Deadline};

/// A shell that waits for a line, says nothing, and ends.
fn shell(script: &'static str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

fn reason(names: &Bootstrap) -> String {
    match refused(names.look_up(NAME, long())) {
        Refused::NotStarted(reason) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn the_exit_status_is_told_to_all() {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    // The shell ends when our end of its input is closed.
    let (input, hold) = std::io::pipe().unwrap();
    let server = Server::new(&task()).unwrap().on_demand(NAME, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut command = shell("read line; exit 7");
        command.stdin(input.try_clone().unwrap());
        command
    });
    let (_serving, names) = started(server.unwrap());
    let answers = task().port(Capacity::Unbounded);
    for _ in 0..20 {
        let asked = look_up_request(NAME).with_reply(answers.make_send_once().unwrap());
        names.right().send(asked, long()).unwrap();
    }
    // Requests are read in the order sent: after this all twenty wait.
    assert_eq!(names.list(long()).unwrap().len(), 1);
    drop(hold);
    for _ in 0..20 {
        let told = answers.receive(long()).unwrap();
        let Answer::Refused(Refused::NotStarted(reason)) = answer(&told) else {
            panic!("{told:?}")
        };
        assert!(reason.contains("exit status: 7"), "{reason}");
    }
    assert_eq!(starts.load(Ordering::Relaxed), 1);
}

#[test]
fn a_signal_is_told() {
    let server = Server::new(&task()).unwrap().on_demand(NAME, || shell("kill -9 $$"));
    let (_serving, names) = started(server.unwrap());
    let told = reason(&names);
    assert!(told.contains("signal: 9"), "{told}");
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let nowhere = || Command::new("/nowhere/at/all");
    let (_serving, names) =
        started(Server::new(&task()).unwrap().on_demand(NAME, nowhere).unwrap());
    let told = reason(&names);
    assert!(told.contains("No such file"), "{told}");
}

#[test]
fn a_grandchild_that_holds_the_link_does_not_hide_the_end() {
    // The grandchild lives until its input ends, which is after the test.
    let (input, hold) = std::io::pipe().unwrap();
    let server = Server::new(&task()).unwrap().on_demand(NAME, move || {
        let mut command = shell("exec 3<&0; cat <&3 >/dev/null & exit 4");
        command.stdin(input.try_clone().unwrap());
        command
    });
    let (_serving, names) = started(server.unwrap());
    let told = reason(&names);
    assert!(told.contains("exit status: 4"), "{told}");
    drop(hold);
}

#[test]
fn one_that_fails_again_and_again_is_held_back() {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    let server = Server::new(&task()).unwrap().on_demand(NAME, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        shell("exit 1")
    });
    let (_serving, names) = started(server.unwrap());
    let told: Vec<String> = (0..50).map(|_| reason(&names)).collect();
    assert!(told.iter().all(|told| told.contains("exit status: 1")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("times in a row")), "{told:?}");
    assert!(starts.load(Ordering::Relaxed) < 50);
}

#[test]
fn one_that_never_checks_in_runs_into_the_deadline() {
    let server = Server::new(&task()).unwrap().on_demand(NAME, || {
        let mut command = Command::new("/bin/sleep");
        command.arg("1000");
        command
    });
    let (serving, names) = started(server.unwrap());
    assert_eq!(refused(names.look_up(NAME, Deadline::Now)), Refused::Deadline);
    let soon = Deadline::after(std::time::Duration::from_millis(50));
    assert_eq!(refused(names.look_up(NAME, soon)), Refused::Deadline);
    serving.stop();
}
