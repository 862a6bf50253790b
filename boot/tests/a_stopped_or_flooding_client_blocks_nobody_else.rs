//! A client that floods, reads no answer, or is stopped in the middle keeps
//! nobody waiting but itself; nor does a service that is stopped.

mod family;

use family::{
    NAME, Reaped, act, acting, given, long, look_up_request, parents_server, serve_if_acting,
    server, server_of, signal, stop, task,
};
use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap};
use pillarbox::{Capacity, Message};
use rustix::process::Signal;

#[test]
fn flooder_part() {
    if !acting("flooder_part") {
        return;
    }
    let server = parents_server();
    let unread = task().port(Capacity::Unbounded);
    let mut sent = 0;
    loop {
        let message = match sent % 3 {
            0 => look_up_request(NAME),
            1 => Message::new(vec![0xff; 1000]),
            _ => family::request(&pillarbox::bootstrap::Request::List { after: None }),
        };
        let message = message.with_reply(unread.make_send_once().unwrap());
        if server.right().send(message, long()).is_err() {
            return;
        }
        sent += 1;
        if sent == 1000 {
            given("told").send(Message::new("flooding"), long()).unwrap();
        }
    }
}

fn ask_often(names: &Bootstrap) {
    for _ in 0..100 {
        assert!(names.look_up(NAME, long()).is_ok());
        assert_eq!(names.list(long()).unwrap().len(), 1);
    }
}

#[test]
fn a_flood_blocks_nobody() {
    let (serving, names) = server();
    let port = task().port(Capacity::Bounded(1));
    names.check_in(NAME, &port, long()).unwrap();
    let told = task().port(Capacity::Bounded(1));
    let flooder = act("flooder_part")
        .right(BOOTSTRAP, serving.right().clone())
        .right("told", told.make_send().unwrap());
    let flooder = Reaped(flooder.spawn().unwrap());
    told.receive(long()).unwrap();
    ask_often(&names);
    stop(flooder.pid());
    ask_often(&names);
    signal(flooder.pid(), Signal::CONT);
    ask_often(&names);
    drop(flooder);
    ask_often(&names);
}

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn client_part() {
    if !acting("client_part") {
        return;
    }
    let server = parents_server();
    ask_often(&server);
    given("told").send(Message::new("asked"), long()).unwrap();
}

/// Every look-up gives on a right of the stopped service.
#[test]
fn a_stopped_service_is_looked_up_all_the_same() {
    let (serving, names) = server_of("service_part");
    let pid = family::pid_of(&names.look_up(NAME, long()).unwrap());
    stop(pid);
    let told = task().port(Capacity::Bounded(1));
    let client = act("client_part")
        .right(BOOTSTRAP, serving.right().clone())
        .right("told", told.make_send().unwrap());
    let _client = Reaped(client.spawn().unwrap());
    assert_eq!(told.receive(long()).unwrap().body(), b"asked");
    // And its server ends it though it is stopped.
    serving.stop();
    assert!(!family::is_child(pid));
}

#[test]
fn one_task_does_not_take_every_place_among_those_who_wait() {
    let server = boot::Server::new(&task()).unwrap();
    let server = server.on_demand(NAME, || {
        let mut command = std::process::Command::new("/bin/sleep");
        command.arg("1000");
        command
    });
    let (_serving, names) = family::started(server.unwrap());
    let answers = task().port(Capacity::Unbounded);
    for _ in 0..=boot::limits::WAITS_PER_TASK {
        let asked = look_up_request(NAME).with_reply(answers.make_send_once().unwrap());
        names.right().send(asked, long()).unwrap();
    }
    let refused = family::answer(&answers.receive(long()).unwrap());
    let no_room = pillarbox::bootstrap::Refused::NoRoom;
    assert_eq!(refused, pillarbox::bootstrap::Answer::Refused(no_room));
}
