//! Services that start one another, and callers that never stop asking, start no more
//! programs than there are services, each no more often than its file lets it.

mod family;

use std::time::{Duration, Instant};

use boot::Server;
use boot::admin::Admin;
use boot::service::ServiceFile;
use family::{acting, children, file_of, long, look_up_request, parents_server, started, task};
use pillarbox::bootstrap::Bootstrap;
use pillarbox::{Capacity, Deadline, SendFailure};

/// How many services start one another.
const SERVICES: usize = 8;

fn name(number: usize) -> String {
    format!("bomb{number}")
}

/// Looks every name up, its own too, waits for none, and ends before it has checked in.
#[test]
fn bomb_part() {
    if !acting("bomb_part") {
        return;
    }
    let server = parents_server();
    let unread = task().port(Capacity::Unbounded);
    for number in 0..SERVICES {
        let asked = look_up_request(&name(number)).with_reply(unread.make_send_once().unwrap());
        // It may be gone.
        let _ = server.right().send(asked, long());
    }
    // What was asked has come: an answer to this says so.
    let _ = server.list(long());
    std::process::abort();
}

fn bombs(throttle: &str) -> (boot::Serving, Bootstrap, Admin) {
    let mut server = Server::new(&task()).unwrap();
    for number in 0..SERVICES {
        let name = name(number);
        let more = format!("throttle = {throttle:?}\n[limits]\ncore_blocks = 0");
        let file = ServiceFile::read(&file_of("bomb_part", &[&name], &more)).unwrap();
        server = server.service(&name, file).unwrap();
    }
    let (serving, names) = started(server);
    let admin = Admin::new(&names);
    (serving, names, admin)
}

/// Asks for every name, again and again, and waits for nothing.
fn ask_often(names: &Bootstrap, rounds: usize) {
    let answers = task().port(Capacity::Unbounded);
    for round in 0..rounds {
        for number in 0..SERVICES {
            let asked = look_up_request(&name(number));
            let asked = asked.with_reply(answers.make_send_once().unwrap());
            match names.right().send(asked, Deadline::Now) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.reason, SendFailure::Full),
            }
        }
        if round % 16 == 0 {
            let there = children().len();
            // The two tests of this file may run at once.
            assert!(there <= 2 * SERVICES, "{there} programs run");
        }
        while answers.receive(Deadline::Now).is_ok() {}
    }
}

#[test]
fn each_is_started_once_where_it_may_be_once() {
    let (_serving, names, admin) = bombs("1h");
    ask_often(&names, 400);
    family::until(|| {
        let services = admin.services(long()).unwrap();
        services.iter().all(|service| service.starts == 1 && service.pid.is_none())
    });
    // Whoever asks on waits, and starts nothing.
    ask_often(&names, 100);
    let services = admin.services(long()).unwrap();
    assert!(services.iter().all(|service| service.starts == 1 && service.pid.is_none()));
}

#[test]
fn between_two_starts_lies_what_the_file_says() {
    let throttle = Duration::from_millis(40);
    let begun = Instant::now();
    let (_serving, names, admin) = bombs("40ms");
    ask_often(&names, 400);
    let services = admin.services(long()).unwrap();
    let most = begun.elapsed().as_millis() / throttle.as_millis() + 1;
    for service in services {
        assert!(u128::from(service.starts) <= most, "{} starts, of {most}", service.starts);
    }
}
