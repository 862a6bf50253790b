//! A second task is refused while the first lives; only the holder frees a
//! name; a name provided on demand is for the very process that was started.

mod family;

use boot::Server;
use family::{
    NAME, Reaped, act, acting, given, long, not_allowed, parents_server, pid_of, refused,
    serve_if_acting, server, server_of, started, task, wait_dead,
};
use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap, Refused};
use pillarbox::{Capacity, Message, ReceiveRight, SendRight};

/// Whether both lead to one port, once the owner has confirmed the first.
fn leads_to(found: &SendRight, port: &SendRight) -> bool {
    found.status(long()).is_ok() && found.same_port(port)
}

/// Tries what it is told to and says what came of it.
#[test]
fn rival_part() {
    if !acting("rival_part") {
        return;
    }
    let server = parents_server();
    let port = task().port(Capacity::Bounded(4));
    let outcome = server.check_in(NAME, &port, long());
    let told = given("told");
    told.send(Message::new(format!("{outcome:?}")), long()).unwrap();
    let outcome = server.unregister(NAME, long());
    told.send(Message::new(format!("{outcome:?}")), long()).unwrap();
}

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

fn start_rival(server: SendRight) -> (Reaped, ReceiveRight) {
    let told = task().port(Capacity::Bounded(4));
    let rival = act("rival_part").right(BOOTSTRAP, server).right("told", told.make_send().unwrap());
    (Reaped(rival.spawn().unwrap()), told)
}

fn text(told: &ReceiveRight) -> String {
    String::from_utf8_lossy(told.receive(long()).unwrap().body()).into_owned()
}

#[test]
fn a_second_process_is_refused_and_cannot_free_the_name() {
    let (serving, names) = server();
    let ours = task().port(Capacity::Bounded(4));
    names.check_in(NAME, &ours, long()).unwrap();
    let (_rival, told) = start_rival(serving.right().clone());
    assert!(text(&told).contains("InUse"));
    assert!(text(&told).contains("NotAllowed"));
    assert!(names.look_up(NAME, long()).unwrap().same_port(&ours.make_send().unwrap()));
    // Its holder frees it, or gives it another port.
    let next = task().port(Capacity::Bounded(4));
    names.check_in(NAME, &next, long()).unwrap();
    assert!(names.look_up(NAME, long()).unwrap().same_port(&next.make_send().unwrap()));
    names.unregister(NAME, long()).unwrap();
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
    assert_eq!(refused(names.unregister(NAME, long())), Refused::NoSuchName);
}

#[test]
fn a_name_provided_on_demand_is_not_for_a_stranger() {
    let (serving, names) = server_of("service_part");
    let ours = task().port(Capacity::Bounded(4));
    assert!(not_allowed(names.check_in(NAME, &ours, long())).contains("was started for it"));
    let right = ours.make_send().unwrap();
    assert!(not_allowed(names.register(NAME, right, long())).contains("was started for it"));
    // Neither before its service runs nor while it does.
    let service = names.look_up(NAME, long()).unwrap();
    let (_rival, told) = start_rival(serving.right().clone());
    assert!(text(&told).contains("NotAllowed"));
    assert!(text(&told).contains("NotAllowed"));
    assert!(not_allowed(names.check_in(NAME, &ours, long())).contains("was started for it"));
    assert!(leads_to(&names.look_up(NAME, long()).unwrap(), &service));
    pid_of(&service);
}

#[test]
fn nobody_says_that_another_is_ready() {
    let (_serving, names) = server();
    let inbox = task().port(Capacity::Bounded(4));
    let (_child, foreign) = foreign_right(&inbox);
    let check_in = family::request(&pillarbox::bootstrap::Request::CheckIn { name: NAME.into() });
    let answer = family::ask(&names, check_in.with_right(foreign.clone()));
    let pillarbox::bootstrap::Answer::Refused(Refused::NotAllowed(rule)) = answer else {
        panic!("{answer:?}");
    };
    assert!(rule.contains("the owner of a port"), "{rule}");
    // To put it under a name is no such claim, and the name goes with the port.
    names.register(NAME, foreign.clone(), long()).unwrap();
    assert!(leads_to(&names.look_up(NAME, long()).unwrap(), &foreign));
    foreign.send(Message::new("end"), long()).unwrap();
    wait_dead(&foreign);
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
}

/// A right to a port of another process.
fn foreign_right(inbox: &ReceiveRight) -> (Reaped, SendRight) {
    let child = act("owner_part").right("inbox", inbox.make_send().unwrap());
    let child = Reaped(child.spawn().unwrap());
    let mut first = inbox.receive(long()).unwrap();
    (child, first.take_rights().remove(0).into_send().unwrap())
}

#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(4));
    given("inbox").send(Message::new("").with_right(port.make_send().unwrap()), long()).unwrap();
    port.receive(long()).unwrap();
}

/// Registers a right of a third process, which the server has to be introduced
/// to, and looks it up at once.
#[test]
fn a_right_of_a_third_task_is_found_at_once() {
    let (serving, names) = server();
    let inbox = task().port(Capacity::Bounded(4));
    let agent = act("agent_part")
        .right(BOOTSTRAP, serving.right().clone())
        .right("inbox", inbox.make_send().unwrap());
    let _agent = Reaped(agent.spawn().unwrap());
    let mut first = inbox.receive(long()).unwrap();
    let agent = first.take_rights().remove(0).into_send().unwrap();
    let (_owner, foreign) = foreign_right(&inbox);
    let answer = agent.call(Message::new("").with_right(foreign.clone()), long()).unwrap();
    assert_eq!(answer.body(), b"found");
    assert!(leads_to(&names.look_up(NAME, long()).unwrap(), &foreign));
    foreign.send(Message::new("end"), long()).unwrap();
}

#[test]
fn agent_part() {
    if !acting("agent_part") {
        return;
    }
    let server: Bootstrap = parents_server();
    let port = task().port(Capacity::Bounded(4));
    given("inbox").send(Message::new("").with_right(port.make_send().unwrap()), long()).unwrap();
    let mut request = port.receive(long()).unwrap();
    let right = request.take_rights().remove(0).into_send().unwrap();
    server.register(NAME, right, long()).unwrap();
    server.look_up(NAME, long()).unwrap();
    request.reply(Message::new("found"), long()).unwrap();
}

#[test]
fn one_name_is_provided_by_one_program() {
    let server = Server::new(&task()).unwrap();
    let server = server.on_demand(NAME, || family::command("service_part")).unwrap();
    let twice = server.on_demand(NAME, || family::command("service_part")).unwrap_err();
    assert_eq!(twice, boot::OnDemandError::Twice(NAME.to_owned()));
    let (_serving, names) = started(Server::new(&task()).unwrap());
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
}
