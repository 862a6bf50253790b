//! Two hundred servers are killed, each at another moment of whatever it is asked: every
//! request has been answered by then, or its caller is told at once; nobody runs into a
//! deadline, and the next server serves at the same place.

mod family;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use boot::Server;
use boot::service::ServiceFile;
use family::placed::{at, kill, serve_if_acting, start};
use family::{NAME, Place, acting, file_of, long, pid_of, task, until};
use pillarbox::bootstrap::{BootstrapError, Listed};
use pillarbox::{Bootstrap, Capacity, Deadline, Message};

const KILLS: u64 = 200;

fn declared(server: Server) -> Server {
    let file = file_of("service_part", &[NAME], "throttle = \"1ms\"");
    let file = ServiceFile::read(&file).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    server.service("part", file).unwrap()
}

#[test]
fn server_part() {
    serve_if_acting("server_part", declared);
}

/// A service that ends with the server that has started it, at whatever moment.
#[test]
fn service_part() {
    if !acting("service_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    let Ok(server) = pillarbox::bootstrap(long()) else { return };
    let bell = port.make_send_once().unwrap();
    if server.right().notify_dead(bell).is_err() || server.check_in(NAME, &port, long()).is_err() {
        return;
    }
    while let Ok(mut request) = port.receive(Deadline::Never) {
        if request.notification().is_some() {
            return;
        }
        let answer = Message::new(std::process::id().to_string());
        let _ = request.reply(answer, long());
    }
}

/// One request after the other, of each kind, until the server is gone. Returns what was
/// said then.
fn ask_until_it_is_gone(names: &Bootstrap, own: &str, answered: &AtomicU32) -> BootstrapError {
    let port = task().port(Capacity::Bounded(4));
    loop {
        let one_of_each = || {
            names.look_up(NAME, long())?;
            names.register(own, port.make_send().unwrap(), long())?;
            let restricted = names.subset(&[Listed::new(own)], long())?;
            restricted.look_up(own, long())?;
            names.watch(own)?.next(long())?;
            names.list(long())?;
            names.unregister(own, long())
        };
        match one_of_each() {
            // No such name, or it did not start: an answer as any.
            Ok(()) | Err(BootstrapError::Refused { .. }) => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => return error,
        }
    }
}

#[test]
fn each_request_is_answered_or_its_caller_is_told() {
    let (place, answered) = (Place::new(), AtomicU32::new(0));
    for round in 0..KILLS {
        let server = start("server_part", &place);
        let names = at(&place);
        std::thread::scope(|scope| {
            let asks: Vec<_> = (0..4)
                .map(|client| {
                    let (names, answered) = (names.clone(), &answered);
                    let own = format!("own{client}");
                    scope.spawn(move || ask_until_it_is_gone(&names, &own, answered))
                })
                .collect();
            // Half of them at any moment from the first request on, half after some answers.
            let before = answered.load(Ordering::Relaxed);
            until(|| round % 2 == 0 || answered.load(Ordering::Relaxed) > before);
            // sleep: to kill it at any moment; each outcome is checked
            std::thread::sleep(Duration::from_micros(round * 7919 % 40_000));
            kill(server);
            for ask in asks {
                let told = ask.join().unwrap();
                assert!(!matches!(told, BootstrapError::Deadline), "round {round}: {told:?}");
            }
        });
    }
    assert!(u64::from(answered.into_inner()) >= KILLS / 2);
    let server = start("server_part", &place);
    assert!(pid_of(&at(&place).look_up(NAME, long()).unwrap()) > 0);
    drop(server);
}
