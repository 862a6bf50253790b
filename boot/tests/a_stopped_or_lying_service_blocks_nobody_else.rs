//! A service that is stopped, asks twice, or asks and never reads keeps its own queue
//! waiting and nobody else; when it is killed its successor has all that came meanwhile.

mod family;

use boot::Server;
use boot::admin::{Admin, ServicePhase};
use boot::service::ServiceFile;
use family::{
    acting, long, parents_server, queue_file, report, signal, started, stop, task, until,
};
use pillarbox::bootstrap::Bootstrap;
use pillarbox::shared::SharedReader;
use pillarbox::{Capacity, Deadline, Message, SendFailure, SendRight};
use rustix::process::Signal;

const SLOW: &str = "com.example.slow";
const GOOD: &str = "com.example.good";
const QUICK: &str = "throttle = \"1ms\"\nqueue_messages = 4";

/// Answers with its number and the body.
fn work(name: &str) {
    let right = parents_server().attend(name, long()).unwrap();
    let mut jobs = SharedReader::attach(&task(), right, 2, long()).unwrap();
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        let body = String::from_utf8_lossy(job.message().body()).into_owned();
        let answer = Message::new(format!("{} {body}", std::process::id()));
        let _ = job.reply(answer, long());
    }
}

#[test]
fn slow_part() {
    if acting("slow_part") {
        work(SLOW);
    }
}

#[test]
fn good_part() {
    if acting("good_part") {
        work(GOOD);
    }
}

/// Asks for its queue again and again, first without reading it.
#[test]
fn lying_part() {
    if acting("lying_part") {
        for _ in 0..100 {
            let _ = parents_server().attend(SLOW, long()).unwrap();
        }
        work(SLOW);
    }
}

fn both(slow: &str) -> (boot::Serving, Bootstrap, Admin) {
    let file = |text: &str| ServiceFile::read(text).unwrap();
    let server = Server::new(&task()).unwrap();
    let server = server.service("slow", file(&queue_file(slow, SLOW, QUICK))).unwrap();
    let server = server.service("good", file(&queue_file("good_part", GOOD, QUICK))).unwrap();
    let (serving, names) = started(server);
    let admin = Admin::new(&names);
    (serving, names, admin)
}

fn pid(admin: &Admin, label: &str) -> Option<i32> {
    let services = admin.services(long()).unwrap();
    services.into_iter().find(|service| service.label == label)?.pid
}

fn ask(right: &SendRight, body: &str) -> String {
    let told = right.call(Message::new(body), long()).unwrap();
    String::from_utf8(told.body().to_vec()).unwrap()
}

#[test]
fn one_that_is_stopped_holds_up_its_own_queue_only() {
    let (_serving, names, admin) = both("slow_part");
    let slow = names.look_up(SLOW, long()).unwrap();
    let good = names.look_up(GOOD, long()).unwrap();
    assert!(ask(&slow, "hello").ends_with(" hello"));
    let stopped = pid(&admin, "slow").unwrap();
    stop(stopped);
    let answers = task().port(Capacity::Unbounded);
    let mut sent = 0;
    let full = loop {
        let message = Message::new(sent.to_string());
        match slow.send(message.with_reply(answers.make_send_once().unwrap()), Deadline::Now) {
            Ok(()) => sent += 1,
            // It holds the promise of an answer, which would be broken aloud.
            Err(error) => break error,
        }
        assert!(sent < 100);
        // Nobody else notices.
        assert!(ask(&good, "still there").ends_with(" still there"));
        assert!(names.look_up(SLOW, long()).unwrap().same_port(&slow));
    };
    assert_eq!(full.reason, SendFailure::Full);
    assert!(sent >= 4);
    signal(stopped, Signal::KILL);
    for number in 0..sent {
        let told = answers.receive(long()).unwrap();
        let told = String::from_utf8(told.body().to_vec()).unwrap();
        let (pid, body) = told.split_once(' ').unwrap();
        assert_eq!(body, number.to_string());
        assert_ne!(pid, stopped.to_string());
    }
    drop(full);
}

#[test]
fn one_that_asks_again_and_again_is_answered_and_reads_in_the_end() {
    let (_serving, names, admin) = both("lying_part");
    let slow = names.look_up(SLOW, long()).unwrap();
    assert!(ask(&slow, "hello").ends_with(" hello"));
    let first = pid(&admin, "slow").unwrap();
    signal(first, Signal::KILL);
    assert!(!ask(&slow, "again").starts_with(&format!("{first} ")));
    assert!(ask(&names.look_up(GOOD, long()).unwrap(), "there").ends_with(" there"));
}

/// Checks in for its queue and never reads it.
#[test]
fn lazy_part() {
    if acting("lazy_part") {
        let _right = parents_server().attend(SLOW, long()).unwrap();
        // It ends when the server does, which nobody tells it.
        let port = task().port(Capacity::Bounded(1));
        let _ = port.receive(Deadline::Never);
    }
}

#[test]
fn one_that_never_reads_may_be_stopped_by_hand() {
    let file = ServiceFile::read(&queue_file("lazy_part", SLOW, QUICK)).unwrap();
    let (_serving, names) = started(Server::new(&task()).unwrap().service("part", file).unwrap());
    let admin = Admin::new(&names);
    let right = names.look_up(SLOW, long()).unwrap();
    let mut pending = right.start_call(Message::new("hello"), long()).unwrap();
    until(|| report(&admin).phase == ServicePhase::Up);
    admin.order(boot::admin::Order::Stop, "part", long()).unwrap();
    assert_eq!(report(&admin).phase, ServicePhase::Stopped);
    // What waits is kept; the deadline of its caller is the caller's.
    assert!(pending.wait(Deadline::Now).is_err());
}
