//! A server is killed and started again at the same path: rights between other tasks
//! never notice, who waited for its answer is told and may ask again, and names are there
//! again without a word of those who look them up.

mod family;

use std::time::Duration;

use family::placed::{kill, part, path, serve_if_acting, start, told_path};
use family::{
    NAME, Place, Reaped, acting, command, long, look_up_soon, parents_server, pid_of, refused,
    task, tell_pid,
};
use pillarbox::bootstrap::{BootstrapError, Presence, Refused};
use pillarbox::{Bootstrap, Capacity, Deadline, Message, Task};

#[test]
fn server_part() {
    serve_if_acting("server_part", |server| {
        server.on_demand("mute", || command("mute_part")).unwrap()
    });
}

/// A service that never checks in, and ends with its server.
#[test]
fn mute_part() {
    if !acting("mute_part") {
        return;
    }
    // Its server may be dead before it is a task.
    let Ok(task) = Task::current() else { return };
    let gone = task.port(Capacity::Bounded(1));
    parents_server().right().notify_dead(gone.make_send_once().unwrap()).unwrap();
    gone.receive(Deadline::Never).unwrap();
}

/// A service that stays, whichever server runs.
#[test]
fn staying_part() {
    if !acting("staying_part") {
        return;
    }
    let path = told_path();
    let port = task().port(Capacity::Bounded(64));
    let mut names = Presence::new(Bootstrap::at(&path, long()).unwrap(), path).unwrap();
    names.check_in(NAME, &port, long()).unwrap();
    std::thread::spawn(move || while names.renew(Deadline::Never).is_ok() {});
    tell_pid(&port);
}

fn start_server(place: &Place) -> Reaped {
    start("server_part", place)
}

#[test]
fn a_service_stays_through_many_deaths_of_the_server() {
    let place = Place::new();
    let mut server = start_server(&place);
    let service = Reaped(part("staying_part", &place).spawn().unwrap());
    let right = look_up_soon(&Bootstrap::at(path(&place), long()).unwrap(), NAME);
    for _ in 0..5 {
        kill(server);
        // Nobody is there who could help, and nobody is needed.
        assert!(Bootstrap::at(path(&place), long()).is_err());
        assert_eq!(pid_of(&right), service.pid());
        server = start_server(&place);
        let again = look_up_soon(&Bootstrap::at(path(&place), long()).unwrap(), NAME);
        assert_eq!(pid_of(&again), service.pid());
        assert!(again.same_port(&right), "it is the same mailbox");
    }
    drop(server);
}

#[test]
fn a_look_up_that_waits_is_told_and_may_ask_the_next_server() {
    let place = Place::new();
    let server = start_server(&place);
    let names = Bootstrap::at(path(&place), long()).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| names.look_up("mute", Deadline::Never));
        // It was asked: the program runs.
        family::until(|| {
            let all = names.list(long()).unwrap();
            all.iter()
                .any(|(service, _)| service.state == pillarbox::bootstrap::ServiceState::Starting)
        });
        kill(server);
        assert!(matches!(waits.join().unwrap(), Err(BootstrapError::Died)));
    });
    let _server = start_server(&place);
    let names = Bootstrap::at(path(&place), long()).unwrap();
    let asked = names.look_up("mute", Deadline::after(Duration::from_millis(50)));
    assert_eq!(refused(asked), Refused::Deadline);
}

#[test]
fn each_name_comes_back_that_can() {
    let place = Place::new();
    let server = start_server(&place);
    let at = || Bootstrap::at(path(&place), long()).unwrap();
    let task = task();
    let ports = [(); 3].map(|()| task.port(Capacity::Bounded(4)));
    let other = task.port(Capacity::Bounded(4));
    let mut names = Presence::new(at(), path(&place)).unwrap();
    for (port, name) in ports.iter().zip(["one", "two", "gone"]) {
        names.check_in(name, port, long()).unwrap();
    }
    names.register("other", other.make_send().unwrap(), long()).unwrap();
    names.check_in("freed", &ports[0], long()).unwrap();
    names.unregister("freed", long()).unwrap();
    let [one, two, gone] = ports;
    drop(gone);
    // The server lives: there is nothing to do.
    let now = Deadline::after(Duration::from_millis(1));
    assert!(matches!(names.renew(now), Err(BootstrapError::Deadline)));
    kill(server);
    let soon = Deadline::after(Duration::from_millis(20));
    assert!(matches!(names.renew(soon), Err(BootstrapError::NoServer(_))));
    let server = start_server(&place);
    // Another process is faster, and has one of the names.
    let thief = Reaped(part("thief_part", &place).spawn().unwrap());
    look_up_soon(&at(), "one");
    assert!(matches!(
        names.renew(long()),
        Err(BootstrapError::Refused { name, reason: Refused::InUse }) if name == "one"
    ));
    let there: Vec<String> =
        at().list(long()).unwrap().into_iter().map(|(service, _)| service.name).collect();
    assert_eq!(there, ["mute", "one", "other", "two"]);
    let right = at().look_up_running("two", long()).unwrap();
    right.send(Message::new("it is ours"), long()).unwrap();
    assert_eq!(two.receive(long()).unwrap().body(), b"it is ours");
    // The name is asked for again at the server after this one.
    drop(thief);
    kill(server);
    let server = start_server(&place);
    names.renew(long()).unwrap();
    assert!(at().look_up_running("one", long()).unwrap().send(Message::new(""), long()).is_ok());
    assert!(one.receive(long()).is_ok());
    drop(server);
}

/// Takes the name `one` and keeps it.
#[test]
fn thief_part() {
    if !acting("thief_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    let names = Bootstrap::at(told_path(), long()).unwrap();
    names.check_in("one", &port, long()).unwrap();
    tell_pid(&port);
}

#[test]
fn a_presence_does_not_keep_the_news_of_no_senders_from_a_port() {
    let place = Place::new();
    let server = start_server(&place);
    let port = task().port(Capacity::Bounded(4));
    let at = Bootstrap::at(path(&place), long()).unwrap();
    let mut names = Presence::new(at, path(&place)).unwrap();
    names.check_in(NAME, &port, long()).unwrap();
    port.notify_no_senders(port.make_send_once().unwrap()).unwrap();
    kill(server);
    let news = port.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(pillarbox::Notification::NoSenders));
}
