//! Whether a service is started without being asked for, at first and after an end,
//! is what its file says.

mod family;

use boot::admin::{Admin, ServicePhase};
use family::{
    NAME, acting, declared, file_of, long, parents_server, pid_of, report, signal, task, until,
    wait_dead,
};
use pillarbox::{Capacity, Deadline, Message};
use rustix::process::Signal;

/// Answers calls with its number, and ends when it is told to.
#[test]
fn part() {
    if !acting("part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    parents_server().check_in(NAME, &port, long()).unwrap();
    while let Ok(mut request) = port.receive(Deadline::Never) {
        if request.body() == b"end" {
            return;
        }
        let _ = request.reply(Message::new(std::process::id().to_string()), long());
    }
}

fn file(more: &str) -> String {
    file_of("part", &[NAME], &format!("throttle = \"1ms\"\n{more}"))
}

fn until_up(admin: &Admin, starts: u64) {
    until(|| {
        let told = report(admin);
        told.phase == ServicePhase::Up && told.starts == starts
    });
}

#[test]
fn always_means_after_each_end_and_at_start_before_any_look_up() {
    let (_serving, names, admin) = declared(&file("start = \"at-start\"\nkeep_alive = \"always\""));
    until_up(&admin, 1);
    for starts in 2..5 {
        let right = names.look_up_running(NAME, long()).unwrap();
        let pid = pid_of(&right);
        match starts {
            2 => right.send(Message::new("end"), long()).unwrap(),
            _ => signal(pid, Signal::KILL),
        }
        wait_dead(&right);
        until_up(&admin, starts);
        let told = report(&admin);
        assert_ne!(told.pid, Some(pid));
        let how = if starts == 2 { "it ended with exit status: 0" } else { "signal: 9" };
        assert!(told.last_end.as_deref().is_some_and(|end| end.contains(how)), "{told:?}");
    }
}

#[test]
fn on_failure_means_not_after_a_good_end() {
    let (_serving, names, admin) = declared(&file("keep_alive = \"on-failure\""));
    assert_eq!(report(&admin).starts, 0);
    let right = names.look_up(NAME, long()).unwrap();
    signal(pid_of(&right), Signal::KILL);
    wait_dead(&right);
    until_up(&admin, 2);
    let right = names.look_up_running(NAME, long()).unwrap();
    right.send(Message::new("end"), long()).unwrap();
    until(|| report(&admin).phase == ServicePhase::Down);
    assert_eq!(report(&admin).starts, 2);
    // Asked for it is started all the same.
    let right = names.look_up(NAME, long()).unwrap();
    assert!(pid_of(&right) > 0);
}

#[test]
fn never_means_when_it_is_asked_for() {
    let (_serving, names, admin) = declared(&file(""));
    let right = names.look_up(NAME, long()).unwrap();
    signal(pid_of(&right), Signal::KILL);
    until(|| report(&admin).phase == ServicePhase::Down);
    assert_eq!(report(&admin).starts, 1);
}

#[test]
fn a_throttled_start_is_waited_for_and_happens_once() {
    let text = file_of("part", &[NAME], "throttle = \"300ms\"");
    let (_serving, names, admin) = declared(&text);
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        let right = names.look_up(NAME, long()).unwrap();
        signal(pid_of(&right), Signal::KILL);
        wait_dead(&right);
    }
    assert_eq!(report(&admin).starts, 3);
    // Two pauses lie between three starts, whatever else takes time.
    assert!(begun.elapsed() >= std::time::Duration::from_millis(600));
}
