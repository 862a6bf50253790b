//! After `kill -9` of a server its path is free for the next one, its clients
//! are told at once, and its services go on until they end themselves.

mod family;

use boot::Server;
use boot::socket::prepare;
use family::placed::{serve_if_acting, start};
use family::{
    NAME, Place, Reaped, acting, command, long, parents_server, pid_of, signal, started, stop,
    task, tell_pid, wait_dead,
};
use pillarbox::bootstrap::BootstrapError;
use pillarbox::{Bootstrap, Capacity, Deadline, Task};
use rustix::process::Signal;

#[test]
fn server_part() {
    serve_if_acting("server_part", |server| {
        server.on_demand(NAME, || command("service_part")).unwrap()
    });
}

/// A service that ends with its server.
#[test]
fn service_part() {
    if !acting("service_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    let server = parents_server();
    server.check_in(NAME, &port, long()).unwrap();
    std::thread::spawn(move || tell_pid(&port));
    let gone = task().port(Capacity::Bounded(1));
    server.right().notify_dead(gone.make_send_once().unwrap()).unwrap();
    gone.receive(Deadline::Never).unwrap();
}

fn start_server(place: &Place) -> Reaped {
    start("server_part", place)
}

#[test]
fn the_next_server_takes_the_path() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let first = start_server(&place);
    assert!(prepare(&path).is_err());
    let names = Bootstrap::at(&path, long()).unwrap();
    let service = names.look_up(NAME, long()).unwrap();
    let pid = pid_of(&service);
    signal(first.pid(), Signal::KILL);
    wait_dead(names.right());
    assert!(matches!(names.look_up(NAME, long()), Err(BootstrapError::Died)));
    drop(first);
    // The service hears of it too, and ends as it likes.
    wait_dead(&service);
    // Only the socket is left, and the next server replaces it.
    assert_eq!(place.names(), ["boot.sock"]);
    let second = start_server(&place);
    let names = Bootstrap::at(&path, long()).unwrap();
    assert_ne!(pid_of(&names.look_up(NAME, long()).unwrap()), pid);
    drop(second);
}

#[test]
fn a_client_that_waits_for_an_answer_is_told() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let server = start_server(&place);
    let names = Bootstrap::at(&path, long()).unwrap();
    let service = names.look_up(NAME, long()).unwrap();
    // It reads nothing any more, so the look-up waits or is not even sent.
    stop(server.pid());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| names.look_up(NAME, Deadline::Never));
        signal(server.pid(), Signal::KILL);
        let told = waits.join().unwrap();
        assert!(matches!(told, Err(BootstrapError::Died)), "{told:?}");
    });
    wait_dead(&service);
}

#[test]
fn a_server_that_is_asked_to_stop_leaves_nothing() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let mut server = start_server(&place);
    let names = Bootstrap::at(&path, long()).unwrap();
    let service = names.look_up(NAME, long()).unwrap();
    names.stop(long()).unwrap();
    assert!(server.0.wait().unwrap().success());
    wait_dead(&service);
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_server_in_this_process_stops_too() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let (serving, _) = started(Server::new(&Task::new()).unwrap().listen(&path).unwrap());
    Bootstrap::at(&path, long()).unwrap().stop(long()).unwrap();
    assert_eq!(serving.wait(), boot::Ended::Stopped);
    assert!(matches!(Bootstrap::at(&path, long()), Err(BootstrapError::NoServer(_))));
}
