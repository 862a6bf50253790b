//! A task that has not followed the port of a server that was replaced keeps its names as
//! long as it lives, and no longer: the next server hears of its end from the kernel, though
//! it was never linked with it.

mod family;

use boot::Server;
use family::asker::{ask_if_acting, start as start_asker, tell};
use family::placed::{at, part, serve_if_acting, start, told_path};
use family::{NAME, Place, Reaped, act, acting, given, long, stop, task};
use pillarbox::bootstrap::{Bootstrap, NameState, Refused};
use pillarbox::{Capacity, Message, Spawn};

#[test]
fn server_part() {
    serve_if_acting("server_part", |server| server);
}

#[test]
fn asker_part() {
    ask_if_acting("asker_part");
}

#[test]
fn successor_part() {
    if acting("successor_part") {
        let before = Bootstrap::at(told_path(), long()).unwrap();
        let mut server = Server::new(&task()).unwrap();
        let _locked = server.take_over(&before, long()).unwrap();
        given("told").send(Message::new("listening"), long()).unwrap();
        server.serve();
    }
}

#[test]
fn it_goes_when_the_kernel_says_so() {
    let place = Place::new();
    let mut before = start("server_part", &place);
    let names = at(&place);
    let (holder, asker) = start_asker(act("asker_part"), &names);
    assert_eq!(tell(&asker, &format!("check_in {NAME}")), "done");
    // It follows nobody now.
    stop(holder.pid());

    let told = task().port(Capacity::Bounded(1));
    let to = told.make_send().unwrap();
    let next = Spawn::new(part("successor_part", &place)).right("told", to);
    let _next = Reaped(next.spawn().unwrap());
    assert_eq!(told.receive(long()).unwrap().body(), b"listening");
    before.0.wait().unwrap();

    let mut watch = names.watch(NAME).unwrap();
    assert!(matches!(watch.next(long()).unwrap(), NameState::Taken { .. }));
    let port = task().port(Capacity::Bounded(1));
    // It is its own as long as it lives.
    assert_eq!(family::refused(names.check_in(NAME, &port, long())), Refused::InUse);
    drop(holder);
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    names.check_in(NAME, &port, long()).unwrap();
    assert!(names.look_up(NAME, long()).is_ok());
}
