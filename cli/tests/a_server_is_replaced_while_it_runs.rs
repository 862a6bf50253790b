//! A server is replaced by another that is started by hand, or by itself on a signal:
//! services go on as the same processes, queues with what is in them, and a manager is told
//! whom it looks to now.

mod house;

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use house::{House, LONG, Running, signal, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A house with two services, one of them with a queue.
fn furnished() -> (House, PathBuf) {
    let house = House::new();
    let directory = house.path("services");
    std::fs::create_dir(&directory).unwrap();
    let own = env!("CARGO_BIN_EXE_pillarbox");
    for (name, kept, kind) in [("upper", "", "names"), ("kept", "\"--kept\", ", "queues")] {
        let words = format!("[\"serve\", {kept}{name:?}, \"--\", \"tr\", \"a-z\", \"A-Z\"]");
        let text = format!("program = {own:?}\narguments = {words}\n{kind} = [{name:?}]\n");
        std::fs::write(directory.join(format!("{name}.toml")), text).unwrap();
    }
    (house, directory)
}

fn listed(house: &House) -> Vec<Value> {
    let told = house.run(["ls", "--services", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    told.json_lines()
}

/// The processes of the services.
fn pids(house: &House) -> Vec<Value> {
    listed(house).into_iter().map(|one| one["pid"].clone()).collect()
}

#[test]
fn the_next_one_is_started_by_hand_and_all_goes_on() {
    let (house, directory) = furnished();
    let words = ["boot", "--json", "--services", directory.to_str().unwrap()];
    let mut server = house.start(words);
    server.wait_line();
    assert_eq!(house.call("upper", b"one").text(), "ONE");
    assert_eq!(house.call("kept", b"one").text(), "ONE");
    // It keeps its name at whichever server runs.
    let other = house.serve(&["lower", "--", "tr", "A-Z", "a-z"]);
    let before = pids(&house);
    assert!(before.iter().all(Value::is_i64), "{before:?}");
    for _ in 0..3 {
        let mut next = house.start(words.into_iter().chain(["--replace"]));
        let ready: Value = serde_json::from_str(&next.wait_line()).unwrap();
        assert_eq!((&ready["ok"], &ready["services"]), (&json!(true), &json!(["kept", "upper"])));
        assert_eq!(server.end_status().code(), Some(0));
        server = next;
        assert_eq!(house.call("upper", b"two").text(), "TWO");
        assert_eq!(house.call("lower", b"TWO").text(), "two");
        assert_eq!(house.call("kept", b"two").text(), "TWO");
        assert_eq!(pids(&house), before, "they are the same processes");
        let audit = house.run(["audit", "--json"]);
        assert_eq!(audit.code, Some(0));
    }
    // What they say is still read, and an order reaches them.
    assert_eq!(house.run(["restart", "upper"]).code, Some(0));
    assert_ne!(pids(&house), before);
    assert_eq!(house.call("upper", b"three").text(), "THREE");
    other.kill();
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end_status().code(), Some(0));
    std::fs::remove_dir_all(directory).unwrap();
    house.close();
}

#[test]
fn where_none_runs_it_is_as_any() {
    let house = House::new();
    let mut server = house.start(["boot", "--json", "--replace"]);
    server.wait_line();
    assert!(house.names().is_empty());
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end_status().code(), Some(0));
    house.close();
}

#[test]
fn a_service_that_is_declared_no_more_is_ended() {
    let (house, directory) = furnished();
    let words = ["boot", "--json", "--services", directory.to_str().unwrap()];
    let mut server = house.start(words);
    server.wait_line();
    assert_eq!(house.call("upper", b"one").text(), "ONE");
    assert_eq!(house.call("kept", b"one").text(), "ONE");
    let gone = listed(&house).into_iter().find(|one| one["service"] == "upper").unwrap();
    let gone = gone["pid"].as_i64().unwrap();
    std::fs::remove_file(directory.join("upper.toml")).unwrap();
    let mut next = house.start(words.into_iter().chain(["--replace"]));
    next.wait_line();
    assert_eq!(server.end_status().code(), Some(0));
    wait_until("it has ended", || !house.processes().contains(&i32::try_from(gone).unwrap()));
    // The server hears of it a moment after us.
    wait_until("its name is free", || !house.names().iter().any(|name| name.starts_with("upper")));
    house.run(["call", "upper"]).fails(64, "nobody has the name");
    assert_eq!(house.call("kept", b"two").text(), "TWO");
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(next.end_status().code(), Some(0));
    std::fs::remove_dir_all(directory).unwrap();
    house.close();
}

#[test]
fn a_signal_has_it_start_its_successor_and_the_manager_is_told() {
    let (house, directory) = furnished();
    let path = house.path("notify");
    let hears = UnixDatagram::bind(&path).unwrap();
    hears.set_read_timeout(Some(LONG)).unwrap();
    let wait = |start: &str| loop {
        let mut space = [0; 4096];
        let length = hears.recv(&mut space).unwrap();
        let told = std::str::from_utf8(&space[..length]).unwrap();
        if let Some(rest) = told.lines().find_map(|line| line.strip_prefix(start)) {
            return rest.to_owned();
        }
    };
    let mut command = house.command(["boot", "--services", directory.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "50000");
    let mut server = Running::of(command);
    wait("READY=");
    assert_eq!(house.call("upper", b"one").text(), "ONE");
    let before = pids(&house);
    server.signal(Signal::USR2);
    let next: i32 = wait("MAINPID=").parse().unwrap();
    assert_eq!(server.end_status().code(), Some(0));
    assert_eq!(pids(&house), before);
    assert_eq!(house.call("upper", b"two").text(), "TWO");
    // It says that it works, though it is another process than the manager had started.
    wait("WATCHDOG=1");
    // And so does the one after it.
    signal(next, Signal::USR2);
    let last: i32 = wait("MAINPID=").parse().unwrap();
    assert_ne!(last, next);
    assert_eq!(house.call("upper", b"three").text(), "THREE");
    assert_eq!(pids(&house), before);
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    wait("STOPPING=");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    house.close();
}
