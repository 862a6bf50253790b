//! However `serve` ends, its callers are told at once and its runs end with it.

mod house;

use house::{House, Running, wait_until};
use rustix::process::Signal;

/// A call of a run that never ends by itself, seen to have begun.
fn begin(house: &House) -> (Running, Running) {
    let service = house.serve(&["slow", "--", "sh"]);
    let begun = house.path("begun");
    // A child and a grandchild, neither of which reads anything.
    let body = format!("sleep 1000 & touch {}; sleep 1000; true", begun.display());
    let file = house.file("body", body.as_bytes());
    let call = house.start(["call", "slow", file.to_str().unwrap()]);
    wait_until("the run has begun", || begun.exists());
    assert!(!house.processes_with("sleep").is_empty());
    std::fs::remove_file(begun).unwrap();
    std::fs::remove_file(file).unwrap();
    (service, call)
}

fn ends_with_it(how: Signal) {
    let house = House::new();
    let (mut service, call) = begin(&house);
    service.signal(how);
    assert_eq!(service.end_status().code(), None);
    call.end().fails(67, "died before it answered");
    wait_until("the runs are gone", || house.processes_with("sleep").is_empty());
    wait_until("the name is free", || house.names().is_empty());
    house.close();
}

#[test]
fn killed_with_sigkill() {
    ends_with_it(Signal::KILL);
}

#[test]
fn ended_with_sigterm() {
    ends_with_it(Signal::TERM);
}

#[test]
fn interrupted_at_the_terminal() {
    ends_with_it(Signal::INT);
}

#[test]
fn a_stream_ends_with_it_too() {
    let house = House::new();
    let service = house.serve(&["cat", "--stream", "--", "cat"]);
    assert_eq!(house.call("cat", b"x\n").text(), "x\n");
    assert_eq!(house.processes_with("cat").len(), 2);
    service.kill();
    wait_until("the runs are gone", || house.processes_with("cat").is_empty());
    house.close();
}

#[test]
fn without_its_keeper_it_ends() {
    let house = House::new();
    let service = house.serve(&["cat", "--", "cat"]);
    let keepers = house.processes_with("keep");
    assert_eq!(keepers.len(), 1);
    house::signal(keepers[0], Signal::KILL);
    wait_until("the keeper is dead", || house.processes_with("keep").is_empty());
    house.call("cat", b"x").fails(68, "the keeper of the runs was killed");
    let told = service.end();
    assert_eq!((told.code, &told.json()["error"]), (Some(1), &"system".into()));
    house.close();
}
