//! However many names there are, each is listed once, in order, with its right.

mod family;

use family::{Reaped, act, acting, given, long, parents_server, refused, server, task};
use pillarbox::bootstrap::{BOOTSTRAP, Refused, ServiceState};
use pillarbox::{Bootstrap, Capacity, Message};

/// Three pages, the last not full.
const NAMES: usize = 600;

fn check_list(names: &Bootstrap) {
    let list = names.list(long()).unwrap();
    let own: Vec<_> =
        list.iter().filter(|(service, _)| service.name.starts_with("service.")).collect();
    assert_eq!(own.len(), NAMES);
    assert!(list.windows(2).all(|pair| pair[0].0.name < pair[1].0.name));
    for (service, right) in own {
        assert_eq!(service.state, ServiceState::Running);
        assert!(service.pid.is_some() && service.uid.is_some());
        assert!(right.is_some(), "{}", service.name);
    }
}

#[test]
fn lister_part() {
    if !acting("lister_part") {
        return;
    }
    check_list(&parents_server());
    given("told").send(Message::new("listed"), long()).unwrap();
}

#[test]
fn six_hundred_names_are_listed_here_and_in_another_process() {
    let (serving, names) = server();
    let port = task().port(Capacity::Bounded(1));
    for number in 0..NAMES {
        names.check_in(&format!("service.{number:04}"), &port, long()).unwrap();
    }
    check_list(&names);
    let told = task().port(Capacity::Bounded(1));
    let lister = act("lister_part")
        .right(BOOTSTRAP, serving.right().clone())
        .right("told", told.make_send().unwrap());
    let _lister = Reaped(lister.spawn().unwrap());
    assert_eq!(told.receive(long()).unwrap().body(), b"listed");
    // All of them go with their port.
    drop(port);
    assert!(names.list(long()).unwrap().is_empty());
}

/// Rights of a third task, each given on by the server.
#[test]
fn names_of_one_process_are_listed_by_another() {
    let (serving, _names) = server();
    let told = task().port(Capacity::Bounded(2));
    let with = |part: &str| {
        let spawn = act(part).right(BOOTSTRAP, serving.right().clone());
        Reaped(spawn.right("told", told.make_send().unwrap()).spawn().unwrap())
    };
    let _provider = with("provider_part");
    assert_eq!(told.receive(long()).unwrap().body(), b"provided");
    let _lister = with("lister_part");
    assert_eq!(told.receive(long()).unwrap().body(), b"listed");
}

#[test]
fn provider_part() {
    if !acting("provider_part") {
        return;
    }
    let server = parents_server();
    let port = task().port(Capacity::Bounded(1));
    for number in 0..NAMES {
        server.check_in(&format!("service.{number:04}"), &port, long()).unwrap();
    }
    given("told").send(Message::new("provided"), long()).unwrap();
    port.receive(pillarbox::Deadline::Never).unwrap();
}

#[test]
fn one_task_does_not_take_every_name() {
    let (_serving, names) = server();
    let port = task().port(Capacity::Bounded(1));
    for number in 0..boot::limits::NAMES_PER_TASK {
        names.check_in(&format!("service.{number:04}"), &port, long()).unwrap();
    }
    assert_eq!(refused(names.check_in("one.more", &port, long())), Refused::NoRoom);
    names.unregister("service.0000", long()).unwrap();
    names.check_in("one.more", &port, long()).unwrap();
}
