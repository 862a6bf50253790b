//! `serve` and `recv` find a server or start one; there is never more than one,
//! and it does not stay.

mod house;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use house::{House, wait_until};
use rustix::process::Signal;

#[test]
fn eight_services_at_once_start_one_server() {
    let house = House::new();
    let names: Vec<String> = (0..8).map(|number| format!("service-{number}")).collect();
    let mut services: Vec<_> =
        names.iter().map(|name| house.start(["serve", name, "--json", "--", "cat"])).collect();
    for service in &mut services {
        service.wait_line();
    }
    wait_until("those that were not needed have ended", || house.processes_with("boot").len() == 1);
    assert_eq!(house.names(), names);
    for name in &names {
        assert_eq!(house.call(name, name.as_bytes()).text(), name);
    }
    for service in services {
        service.kill();
    }
    house.close();
}

#[test]
fn it_ends_five_seconds_after_its_last_connection() {
    let house = House::new();
    let service = house.serve(&["cat", "--", "cat"]);
    let boot = house.processes_with("boot");
    assert_eq!(boot.len(), 1);
    service.kill();
    let last = Instant::now();
    // A connection meanwhile counts.
    assert_eq!(house.run(["ls"]).code, Some(0));
    wait_until("the server has ended", || house.processes_with("boot").is_empty());
    let stayed = last.elapsed();
    assert!(stayed > Duration::from_secs(4), "it stayed {stayed:?}");
    assert!(!house.socket().exists());
    house.close();
}

#[test]
fn it_stays_while_a_service_is_there() {
    let house = House::new();
    let service = house.serve(&["cat", "--", "cat"]);
    let boot = house.processes_with("boot");
    // sleep: longer than it stays alone; that nothing happens can only be waited for
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(house.processes_with("boot"), boot);
    assert_eq!(house.call("cat", b"x").text(), "x");
    service.kill();
    house.close();
}

#[test]
fn it_does_not_end_with_its_starter() {
    let house = House::new();
    let mut first = house.serve(&["first", "--", "cat"]);
    let second = house.serve(&["second", "--", "cat"]);
    // As a terminal does it: the whole group.
    first.signal(Signal::INT);
    assert_eq!(first.end_status().code(), None);
    assert_eq!(house.call("second", b"x").text(), "x");
    second.kill();
    house.close();
}

#[test]
fn a_second_server_is_refused() {
    let house = House::new();
    let mut boot = house.boot();
    let told = house.run(["boot"]);
    told.fails(68, "a server runs at");
    assert!(told.stderr.contains("hint: stop it first"), "{told:?}");
    assert!(boot.is_running());
    boot.signal(Signal::TERM);
    assert_eq!(boot.end().code, Some(0));
    assert!(!house.socket().exists());
    house.close();
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let house = House::new();
    house.boot().kill();
    assert!(house.socket().exists());
    house.run(["ls"]).fails(65, "no bootstrap server");
    let boot = house.boot();
    assert_eq!(house.run(["ls"]).code, Some(0));
    boot.kill();
    // And by one that is started for a service.
    let service = house.serve(&["cat", "--", "cat"]);
    assert_eq!(house.call("cat", b"x").text(), "x");
    service.kill();
    house.close();
}

#[test]
fn a_directory_that_is_open_to_others_is_refused() {
    let house = House::new();
    let directory = house.socket().parent().unwrap().to_path_buf();
    for mode in [0o755, 0o770, 0o1700] {
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(mode)).unwrap();
        let told = house.run(["boot"]);
        told.fails(68, "has mode");
        assert!(told.stderr.contains("hint: run chmod 700"), "{told:?}");
        house.run(["serve", "x", "--", "cat"]).fails(68, "could be started");
    }
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).unwrap();
    house.close();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let house = House::new();
    let file = house.file("boot.sock", b"precious");
    house.run(["boot"]).fails(2, "is not a socket");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    std::fs::remove_file(file).unwrap();
    house.close();
}

#[test]
fn a_server_that_is_killed_interrupts_no_call() {
    let house = House::new();
    let mut boot = house.boot();
    let service = house.serve(&["script", "--", "sh"]);
    let begun = house.path("begun");
    let shown = begun.display();
    let body = format!("touch {shown}; while [ -e {shown} ]; do sleep 0.01; done; echo done");
    let file = house.file("body", body.as_bytes());
    let call = house.start(["call", "script", file.to_str().unwrap()]);
    wait_until("the run has begun", || begun.exists());
    boot.signal(Signal::KILL);
    boot.end_status();
    // The caller holds a right; the next one gets none.
    house.run(["call", "script"]).fails(65, "no bootstrap server");
    std::fs::remove_file(begun).unwrap();
    let told = call.end();
    assert_eq!((told.code, told.text()), (Some(0), "done\n"), "{told:?}");
    // Nobody can reach it any more, and it says so.
    let told = service.end();
    assert_eq!((told.code, &told.json()["error"]), (Some(67), &"died".into()));
    std::fs::remove_file(file).unwrap();
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}

#[test]
fn what_is_served_and_received_is_found_again_at_the_next_server() {
    let house = House::new();
    let mut boot = house.boot();
    let mut service = house.serve(&["upper", "--", "tr", "a-z", "A-Z"]);
    let mailbox = house.start(["recv", "inbox"]);
    wait_until("both are there", || house.names().len() == 2);
    for _ in 0..2 {
        boot.signal(Signal::KILL);
        boot.end_status();
        house.run(["call", "upper"]).fails(65, "no bootstrap server");
        boot = house.boot();
        wait_until("both are there again", || house.names().len() == 2);
        assert_eq!(house.call("upper", b"still").text(), "STILL");
    }
    assert!(service.is_running());
    assert_eq!(house.run_with(["send", "inbox"], b"at last").code, Some(0));
    assert_eq!(mailbox.end().text(), "at last");
    service.kill();
    house.close();
}

#[test]
fn an_orphan_of_a_killed_server_ends_where_its_successor_has_the_name() {
    let house = House::new();
    std::fs::create_dir(house.path("services")).unwrap();
    let text = "program = \"pillarbox\"\narguments = [\"serve\", \"upper\", \"--\", \"tr\", \
                \"a-z\", \"A-Z\"]\nnames = [\"upper\"]\n";
    let program = env!("CARGO_BIN_EXE_pillarbox");
    house.file(
        "services/upper.toml",
        text.replace("\"pillarbox\"", &format!("{program:?}")).as_bytes(),
    );
    let directory = house.path("services");
    let boot = || {
        let mut boot = house.start(["boot", "--services", directory.to_str().unwrap(), "--json"]);
        boot.wait_line();
        boot
    };
    let first = boot();
    assert_eq!(house.call("upper", b"one").text(), "ONE");
    let orphans = house.processes_with("upper");
    assert_eq!(orphans.len(), 1);
    first.kill();
    let second = boot();
    assert_eq!(house.call("upper", b"two").text(), "TWO");
    wait_until("the orphan is gone", || {
        let there = house.processes_with("upper");
        there.len() == 1 && there != orphans
    });
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    second.end_status();
    std::fs::remove_dir_all(directory).unwrap();
    house.close();
}

#[test]
fn a_server_that_is_stopped_keeps_nobody_beyond_the_deadline() {
    let house = House::new();
    let mut boot = house.boot();
    boot.stop();
    for words in [&["ls"][..], &["call", "x"], &["send", "x"], &["show", "x"], &["boot", "--stop"]]
    {
        let mut words = words.to_vec();
        words.extend(["--deadline", "300ms"]);
        let told = house.run(words);
        told.fails(66, "in time");
        assert!(told.stderr.contains("hint: "), "{told:?}");
    }
    boot.signal(Signal::CONT);
    assert_eq!(house.run(["ls"]).code, Some(0));
    boot.kill();
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}

#[test]
fn the_socket_option_is_stronger_than_the_environment() {
    let house = House::new();
    let other = house.path("other");
    let socket = other.join("boot.sock");
    let socket = socket.to_str().unwrap();
    let mut boot = house.start(["boot", "--json", "--socket", socket]);
    let ready: serde_json::Value = serde_json::from_str(&boot.wait_line()).unwrap();
    assert_eq!(ready["socket"], socket);
    house.run(["ls"]).fails(65, "no bootstrap server");
    assert_eq!(house.run(["ls", "--socket", socket]).code, Some(0));
    assert_eq!(house.run(["--socket", socket, "boot", "--stop"]).code, Some(0));
    assert_eq!(boot.end().code, Some(0));
    // It made the directory, and takes it away.
    assert!(!other.exists());
    house.close();
}

#[test]
fn a_path_no_socket_can_have_is_2() {
    let house = House::new();
    let long = house.path(&"x".repeat(100)).join("boot.sock");
    let file = house.file("file", b"");
    let below = file.join("boot.sock");
    for path in [long.to_str().unwrap(), below.to_str().unwrap()] {
        for words in [&["ls"][..], &["boot"], &["call", "x"]] {
            let mut words = words.to_vec();
            words.extend(["--socket", path]);
            let told = house.run(words);
            assert_eq!(told.code, Some(2), "{told:?}");
        }
    }
    std::fs::remove_file(file).unwrap();
    house.close();
}
