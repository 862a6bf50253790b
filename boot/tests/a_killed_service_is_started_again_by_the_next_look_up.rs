//! When a service is killed its name is free at once, and the next look-up
//! starts it again. What was registered by a task goes with its port.

mod family;

use boot::Server;
use family::{
    NAME, act, acting, long, parents_server, pid_of, refused, serve_if_acting, server, server_of,
    signal, started, task, tell_pid, wait_dead,
};
use pillarbox::bootstrap::{BOOTSTRAP, Refused, ServiceState};
use pillarbox::{Capacity, SendRight};
use rustix::process::Signal;

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

fn look_up_and_kill(names: &pillarbox::Bootstrap) -> (i32, SendRight) {
    let right = names.look_up(NAME, long()).unwrap();
    let pid = pid_of(&right);
    signal(pid, Signal::KILL);
    wait_dead(&right);
    (pid, right)
}

#[test]
fn an_on_demand_service_is_started_again() {
    let (serving, names) = server_of("service_part");
    let mut pids = Vec::new();
    for _ in 0..5 {
        let (pid, right) = look_up_and_kill(&names);
        assert!(right.is_dead());
        pids.push(pid);
    }
    let right = names.look_up(NAME, long()).unwrap();
    assert!(!pids.contains(&pid_of(&right)));
    // Each start follows the reaping of the one before.
    let (last, dead) = (pid_of(&right), &pids[..5]);
    assert!(!dead.iter().any(|pid| family::is_child(*pid)));
    serving.stop();
    wait_dead(&right);
    assert!(!family::is_child(last));
}

#[test]
fn a_name_without_a_program_is_free() {
    let (serving, names) = server();
    let spawn = act("service_part").right(BOOTSTRAP, serving.right().clone());
    let child = family::Reaped(spawn.spawn().unwrap());
    let right = family::look_up_soon(&names, NAME);
    assert_eq!(pid_of(&right), child.pid());
    let ours = task().port(Capacity::Bounded(1));
    assert_eq!(refused(names.check_in(NAME, &ours, long())), Refused::InUse);
    signal(child.pid(), Signal::KILL);
    wait_dead(&right);
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
    names.check_in(NAME, &ours, long()).unwrap();
    assert!(names.look_up(NAME, long()).unwrap().same_port(&ours.make_send().unwrap()));
}

#[test]
fn the_state_of_a_name_follows_its_service() {
    let (_serving, names) = server_of("service_part");
    let state = || names.list(long()).unwrap().remove(0).0.state;
    assert_eq!(state(), ServiceState::OnDemand);
    let (_, right) = {
        let right = names.look_up(NAME, long()).unwrap();
        assert_eq!(state(), ServiceState::Running);
        (pid_of(&right), right)
    };
    drop(right);
    look_up_and_kill(&names);
    assert_ne!(state(), ServiceState::Running);
}

#[test]
fn a_program_of_two_names_is_one_process() {
    let names = ["com.example.one", "com.example.two"];
    let server = Server::new(&task()).unwrap();
    let (_serving, server) =
        started(server.on_demand_many(&names, || family::command("two_names_part")).unwrap());
    let two = server.look_up(names[1], long()).unwrap();
    let one = server.look_up(names[0], long()).unwrap();
    let pid = pid_of(&one);
    assert_eq!(pid_of(&two), pid);
    signal(pid, Signal::KILL);
    wait_dead(&one);
    assert_ne!(pid_of(&server.look_up(names[0], long()).unwrap()), pid);
}

#[test]
fn two_names_part() {
    if !acting("two_names_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    let server = parents_server();
    server.check_in("com.example.one", &port, long()).unwrap();
    server.check_in("com.example.two", &port, long()).unwrap();
    tell_pid(&port);
}
