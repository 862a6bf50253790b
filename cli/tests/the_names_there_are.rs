//! `ls` and `show` tell what is known, and wait for nobody who is silent.

mod house;

use house::House;
use rustix::process::Signal;

#[test]
fn names_come_in_order_and_owners_answer() {
    let house = House::new();
    let mut zebra = house.serve(&["zebra", "--", "cat"]);
    let apple = house.serve(&["apple", "--", "cat"]);
    assert_eq!(house.names(), ["apple", "zebra"]);
    let head = house.long()[0].clone();
    assert_eq!(head, ["NAME", "STATE", "PID", "UID", "QUEUED", "CAPACITY", "SENDERS"]);
    let (pid, uid) = (zebra.pid().to_string(), rustix::process::getuid().as_raw().to_string());
    // Who asked before us held rights, and owners hear in their own time that it is gone.
    let wanted = ["zebra", "running", &pid, &uid, "0", "128", "1"];
    house::wait_until("only the server holds a right", || house.long()[2] == wanted);
    let rows = house.run(["ls", "--json"]).json_lines();
    assert_eq!((rows.len(), &rows[0]["name"]), (2, &"apple".into()));
    assert!(rows[0].get("queued").is_none());
    let rows = house.run(["ls", "--long", "--json"]).json_lines();
    assert_eq!((&rows[1]["queued"], &rows[1]["answered"]), (&0.into(), &true.into()));
    zebra.kill();
    apple.kill();
    house.close();
}

#[test]
fn an_owner_that_is_stopped_is_a_question_mark() {
    let house = House::new();
    let names = ["still-1", "still-2", "still-3", "awake"];
    let mut services: Vec<_> = names.iter().map(|name| house.serve(&[name, "--", "cat"])).collect();
    for service in &mut services[..3] {
        service.stop();
    }
    house::wait_until("the one that is awake has answered, and the server holds a right", || {
        let lines = house.long();
        let rows = lines.iter().skip(1).map(|cells| (cells[0].as_str(), &cells[4..]));
        let (awake, still): (Vec<_>, Vec<_>) = rows.partition(|(name, _)| *name == "awake");
        assert_eq!((awake.len(), still.len()), (1, 3), "{lines:?}");
        assert!(still.iter().all(|(_, asked)| *asked == ["?", "?", "?"]), "{lines:?}");
        awake[0].1 == ["0", "128", "1"]
    });
    let shown = house.run(["show", "still-1", "--json"]).json();
    assert_eq!((&shown["answered"], &shown["queued"]), (&false.into(), &serde_json::Value::Null));
    for service in &mut services[..3] {
        service.signal(Signal::CONT);
    }
    assert_eq!(house.call("still-1", b"x").text(), "x");
    for service in services {
        service.kill();
    }
    house.close();
}

#[test]
fn messages_that_wait_are_counted() {
    let house = House::new();
    let slow = house.serve(&["slow", "--", "sleep", "1000"]);
    for _ in 0..4 {
        assert_eq!(house.run(["send", "slow"]).code, Some(0));
    }
    house::wait_until("one is being run and three wait", || {
        house.run(["show", "slow", "--json"]).json()["queued"] == 3
    });
    slow.kill();
    house.close();
}

#[test]
fn a_name_or_a_process_is_shown() {
    let house = House::new();
    let mut cat = house.serve(&["cat", "--", "cat"]);
    let pid = cat.pid();
    let by_name = house.run(["show", "cat", "--json"]).json();
    let by_pid = house.run(["show", &pid.to_string(), "--json"]).json();
    assert_eq!(by_name["name"], by_pid["name"]);
    assert_eq!(by_name["pid"], pid);
    let binary = std::fs::canonicalize(env!("CARGO_BIN_EXE_pillarbox")).unwrap();
    assert_eq!(by_name["executable"].as_str(), binary.to_str());
    assert!(by_name["command"].as_str().unwrap().ends_with("serve --json cat -- cat"));
    let told = house.run(["show", "cat"]);
    for word in ["state       running", "advisory", "queue       0 of 128", &pid.to_string()] {
        assert!(told.text().contains(word), "{word} is not in {told:?}");
    }
    // A name that is a number is a name first.
    let number = house.serve(&["12345678", "--", "cat"]);
    assert_eq!(house.run(["show", "12345678", "--json"]).json()["name"], "12345678");
    house.run(["show", "87654321"]).fails(64, "87654321");
    cat.kill();
    number.kill();
    house.close();
}
