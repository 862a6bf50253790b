//! A server is reached from other user and pid namespaces, and runs in one: what a
//! container needs is the one socket.

mod house;

use std::process::{Command, Stdio};

use house::{House, Running, is_installed, skipped};
use serde_json::Value;

/// `unshare WORDS pillarbox MORE`. None, which is said, where the system does not let us.
fn within(house: &House, namespaces: &[&str], words: &[&str]) -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(namespaces);
        command
    };
    if !is_installed("unshare") {
        skipped("there is no unshare here");
        return None;
    }
    let tried = unshare().arg("true").stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        skipped(&format!("we may not unshare {}", namespaces.join(" ")));
        return None;
    }
    let mut command = unshare();
    command.arg(env!("CARGO_BIN_EXE_pillarbox")).args(words);
    command.env("PILLARBOX_SOCKET", house.socket()).stdin(Stdio::null());
    Some(command)
}

const PIDS: &[&str] = &["--pid", "--fork", "--mount-proc"];

#[test]
fn a_client_in_another_namespace_calls_and_serves() {
    for namespaces in [PIDS, &["--user", "--map-root-user"], &["--user"]] {
        let house = House::new();
        let upper = house.serve(&["upper", "--", "tr", "a-z", "A-Z"]);
        let body = house.file("body", b"grey");
        let words = ["call", "upper", body.to_str().unwrap()];
        let Some(call) = within(&house, namespaces, &words) else {
            upper.kill();
            std::fs::remove_file(body).unwrap();
            house.close();
            continue;
        };
        let told = Running::of(call).end();
        assert_eq!((told.code, told.text()), (Some(0), "GREY"), "{namespaces:?}: {told:?}");
        let words = ["serve", "--json", "lower", "--", "tr", "A-Z", "a-z"];
        let mut lower = Running::of(within(&house, namespaces, &words).unwrap());
        lower.wait_line();
        assert_eq!(house.call("lower", b"GREY").text(), "grey", "{namespaces:?}");
        std::fs::remove_file(body).unwrap();
        upper.kill();
        // It ends with the server, which nobody else holds a right of.
        assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
        assert_eq!(lower.end().code, Some(67));
        house.close();
    }
}

#[test]
fn a_server_that_is_process_1_serves_those_outside_and_is_not_replaced() {
    let house = House::new();
    let Some(command) = within(&house, PIDS, &["boot", "--json"]) else { return house.close() };
    let mut server = Running::of(command);
    let ready: Value = serde_json::from_str(&server.wait_line()).unwrap();
    assert_eq!(ready["pid"], 1);
    let upper = house.serve(&["upper", "--", "tr", "a-z", "A-Z"]);
    assert_eq!(house.call("upper", b"grey").text(), "GREY");
    let told = house.run(["boot", "--replace"]);
    told.fails(68, "process 1");
    assert_eq!(house.call("upper", b"grey").text(), "GREY");
    upper.kill();
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end().code, Some(0));
    house.close();
}

#[test]
fn a_successor_in_another_pid_namespace_is_refused() {
    let house = House::new();
    // Numbers of processes are others there, and signals would go astray.
    let Some(command) = within(&house, PIDS, &["boot", "--replace"]) else {
        return house.close();
    };
    let server = house.boot();
    Running::of(command).end().fails(68, "namespace");
    assert!(house.names().is_empty());
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end().code, Some(0));
    house.close();
}
