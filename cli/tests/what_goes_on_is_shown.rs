//! `top` and `tree` tell what tasks do, who holds what, and who waits, as the tasks
//! themselves say; one that is silent keeps nobody waiting; the terminal is put back.

mod house;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use house::{House, Running, wait_until};
use pillarbox::{Bootstrap, Capacity, Deadline, Task};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

/// What one look of `top` says of the task with this name.
fn top(house: &House, name: &str) -> Value {
    let told = house.run(["top", "--once", "--json", "--every", "200ms"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let named = |one: &Value| one["names"].as_array().unwrap().contains(&name.into());
    told.json_lines().into_iter().find(named).unwrap()
}

/// The port of a task with this name.
fn port(task: &Value, name: &str) -> Value {
    let named = |one: &&Value| one["names"].as_array().unwrap().contains(&name.into());
    task["ports"].as_array().unwrap().iter().find(named).unwrap().clone()
}

fn tree(house: &House, what: &str) -> Value {
    let told = house.run(["tree", what, "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    told.json()
}

#[test]
fn a_service_that_is_called_is_counted_and_timed() {
    let house = House::new();
    let mut upper = house.serve(&["upper", "--", "tr", "a-z", "A-Z"]);
    let before = top(&house, "upper");
    assert_eq!((&before["pid"], &before["answered"]), (&upper.pid().into(), &true.into()));
    assert_eq!((&before["in_per_s"], &before["queued"]), (&0.0.into(), &0.into()));
    assert_eq!(before["answer_p50_ns"], Value::Null, "who looks on is not timed");
    for _ in 0..5 {
        assert_eq!(house.call("upper", b"loud").text(), "LOUD");
    }
    let after = top(&house, "upper");
    let taken = |task: &Value| port(task, "upper")["taken"].as_u64().unwrap();
    assert_eq!(taken(&after) - taken(&before), 5);
    let (half, most) = (after["answer_p50_ns"].as_u64(), after["answer_p99_ns"].as_u64());
    assert!(half.is_some_and(|half| half > 10_000), "it started a program: {half:?}");
    assert!(most >= half);
    assert!(after["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(port(&after, "upper")["waiting_receivers"].as_u64().unwrap() > 0);
    // The server; not who looks on. Who called is gone, and that is heard soon.
    wait_until("one sender is left", || port(&top(&house, "upper"), "upper")["senders"] == 1);
    upper.kill();
    house.close();
}

#[test]
fn messages_come_at_a_rate() {
    let house = House::new();
    let inbox = house.serve(&["inbox", "--", "cat"]);
    let mut watching = house.start(["top", "--json", "--every", "100ms"]);
    // Two processes: what `top` prints is looked at until it has seen what is sent.
    let mut seen = 0.0;
    let end = std::time::Instant::now() + house::LONG;
    while seen == 0.0 {
        assert!(std::time::Instant::now() < end, "no rate was seen");
        assert_eq!(house.run(["send", "inbox", "--deadline", "40s"]).code, Some(0));
        let line: Value = serde_json::from_str(&watching.wait_line()).unwrap();
        if line["names"] == serde_json::json!(["inbox"]) {
            seen = line["in_per_s"].as_f64().unwrap_or(0.0);
        }
    }
    watching.signal(Signal::TERM);
    drop(watching.end());
    inbox.kill();
    house.close();
}

#[test]
fn who_is_silent_is_a_question_mark_and_keeps_nobody_waiting() {
    let house = House::new();
    let mut still = house.serve(&["still", "--", "cat"]);
    let awake = house.serve(&["awake", "--", "cat"]);
    still.stop();
    let told = house.run(["top", "--once", "--every", "100ms"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let line = |name: &str| told.text().lines().find(|line| line.ends_with(name)).unwrap();
    assert_eq!(line("still").split_whitespace().nth(1), Some("?"));
    assert_ne!(line("awake").split_whitespace().nth(1), Some("?"));
    let shown = tree(&house, "still");
    assert_eq!((&shown["seen"], &shown["answered"]), (&true.into(), &false.into()));
    assert!(house.run(["tree"]).text().contains("still  (does not answer)"));
    still.signal(Signal::CONT);
    assert_eq!(tree(&house, "still")["answered"], true);
    still.kill();
    awake.kill();
    house.close();
}

/// A service that is busy, its queue full, and senders that wait.
fn full(house: &House) -> (Running, Vec<Running>) {
    let slow = house.serve(&["slow", "--", "sleep", "1000"]);
    let senders = (0..3).map(|_| house.start(["call", "slow", "--deadline", "100s"]));
    let senders = senders.collect();
    wait_until("one is being run and two wait", || {
        port(&tree(house, "slow"), "slow")["queued"] == 2
    });
    (slow, senders)
}

#[test]
fn who_holds_what_is_shown() {
    let house = House::new();
    let (mut slow, mut senders) = full(&house);
    let shown = tree(&house, "slow");
    let port = port(&shown, "slow");
    let held = port["holders"].as_array().unwrap();
    for sender in &mut senders {
        let here = |held: &&Value| held["pid"] == sender.pid() && held["holding"] == "send";
        assert_eq!(held.iter().filter(here).count(), 1, "{shown:#}");
        // And the service holds the promise of an answer to it.
        let promised = |held: &Value| held["pid"] == sender.pid() && held["holding"] == "send-once";
        assert!(shown["holds"].as_array().unwrap().iter().any(promised), "{shown:#}");
    }
    let text = house.run(["tree", "slow"]);
    assert!(text.text().contains("  slow  2 of 128 queued, 1 taken"), "{text:?}");
    let pid = senders[0].pid();
    assert!(text.text().contains(&format!("pid {pid} (pillarbox): 1 send")), "{text:?}");
    assert_eq!(tree(&house, &slow.pid().to_string())["names"], serde_json::json!(["slow"]));
    // Its holder goes, and so does the right.
    let gone = senders.pop().unwrap();
    gone.kill();
    wait_until("two hold a right", || {
        let shown = tree(&house, "slow");
        let held = self::port(&shown, "slow")["holders"].as_array().unwrap().clone();
        let alive = |sender: &mut Running| held.iter().any(|held| held["pid"] == sender.pid());
        held.iter().filter(|held| held["holding"] == "send").count() == 3
            && senders.iter_mut().all(alive)
    });
    house.run(["tree", "nobody"]).fails(64, "nobody");
    for sender in senders {
        sender.kill();
    }
    slow.kill();
    house.close();
}

#[test]
fn senders_that_wait_for_a_place_are_shown() {
    let house = House::new();
    let server = house.boot();
    // This process is the owner, and reads nothing for now.
    let names = Bootstrap::at(house.socket(), Deadline::after(house::LONG)).unwrap();
    let narrow = Task::current().unwrap().port(Capacity::Bounded(1));
    names.check_in("narrow", &narrow, Deadline::after(house::LONG)).unwrap();
    let send = |_| house.start(["send", "narrow", "--deadline", "100s"]);
    let mut senders: Vec<Running> = (0..3).map(send).collect();
    let waiting = || port(&tree(&house, "narrow"), "narrow")["waiting"].as_array().unwrap().clone();
    wait_until("one has its place and two wait", || waiting().len() == 2);
    let pids: Vec<i32> = senders.iter_mut().map(Running::pid).collect();
    for waiting in waiting() {
        assert!(pids.contains(&i32::try_from(waiting["pid"].as_i64().unwrap()).unwrap()));
    }
    let text = house.run(["tree", "narrow"]);
    assert!(text.text().contains("1 of 1 queued, 0 taken, 2 senders wait"), "{text:?}");
    assert_eq!(text.text().matches(": waits for a place").count(), 2);
    assert_eq!(top(&house, "narrow")["waiting_senders"], 2);
    let shown = house.run(["show", "narrow"]);
    assert!(shown.text().contains("2 senders, 0 receivers"), "{shown:?}");
    for _ in 0..3 {
        narrow.receive(Deadline::after(house::LONG)).unwrap();
    }
    for sender in senders {
        assert_eq!(sender.end().code, Some(0));
    }
    assert!(waiting().is_empty());
    drop((narrow, names));
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end().code, Some(0));
    house.close();
}

/// The two ends of a terminal of so many columns and rows.
fn terminal(columns: u16, rows: u16) -> (File, OwnedFd) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let path = ptsname(&near, Vec::new()).unwrap();
    let far = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
    let size =
        rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&near, size).unwrap();
    (File::from(near), OwnedFd::from(far))
}

#[test]
fn the_terminal_shows_it_and_is_put_back() {
    let house = House::new();
    let upper = house.serve(&["upper", "--", "cat"]);
    for end in ["q", "\x03", "signal"] {
        let (mut near, far) = terminal(160, 40);
        let before = rustix::termios::tcgetattr(&far).unwrap();
        let mut command = house.command(["top", "--every", "100ms"]);
        command.env("TERM", "xterm-256color");
        command.stdin(Stdio::from(far.try_clone().unwrap()));
        command.stdout(Stdio::from(far.try_clone().unwrap()));
        let mut child = command.stderr(Stdio::from(far.try_clone().unwrap())).spawn().unwrap();
        let mut shown = Vec::new();
        let mut until = |word: &str, near: &mut File| {
            let mut some = [0; 4096];
            while !String::from_utf8_lossy(&shown).contains(word) {
                let mut ready = [PollFd::new(near, PollFlags::IN)];
                let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
                let count = poll(&mut ready, Some(&patience)).unwrap();
                assert!(count > 0, "{end}: {word} in {}", String::from_utf8_lossy(&shown));
                let count = near.read(&mut some).unwrap();
                assert!(count > 0);
                shown.extend_from_slice(&some[..count]);
            }
        };
        until("pillarbox top", &mut near);
        until("ANSWER", &mut near);
        until("upper", &mut near);
        near.write_all(b"p").unwrap();
        until("SENDERS", &mut near);
        match end {
            "signal" => house::signal(i32::try_from(child.id()).unwrap(), Signal::TERM),
            key => near.write_all(key.as_bytes()).unwrap(),
        }
        // The last that is written: it leaves the screen it has drawn on.
        until("\x1b[?1049l", &mut near);
        assert!(child.wait().unwrap().success(), "{end}");
        let after = rustix::termios::tcgetattr(&far).unwrap();
        assert_eq!(after.local_modes, before.local_modes, "{end}");
        assert_eq!(after.input_modes, before.input_modes, "{end}");
    }
    upper.kill();
    house.close();
}

#[test]
fn a_server_that_goes_ends_it_and_is_named() {
    let house = House::new();
    house.run(["top", "--once"]).fails(65, "no bootstrap server");
    house.run(["tree"]).fails(65, "no bootstrap server");
    let mut server = house.boot();
    let mut watching = house.start(["top", "--every", "100ms"]);
    assert!(watching.wait_line().contains("ANSWER"));
    server.signal(Signal::KILL);
    drop(server.end());
    let told = watching.end();
    assert_eq!(told.code, Some(65), "{told:?}");
    assert!(told.stderr.contains("no bootstrap server"), "{told:?}");
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}
