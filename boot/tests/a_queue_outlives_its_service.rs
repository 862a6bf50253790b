//! What is in a queue that the server keeps outlives the service that reads it: nothing
//! accepted is lost, each call is answered once and in order, what may be a replay says
//! so, and the send rights of its clients stay good.

mod family;

use boot::admin::ServicePhase;
use family::{
    NAME, act, acting, declared, long, not_allowed, parents_server, queue_file, refused, report,
    signal, task, until,
};
use pillarbox::bootstrap::{BOOTSTRAP, Refused, ServiceState};
use pillarbox::shared::SharedReader;
use pillarbox::{Capacity, Deadline, Message, SendFailure, SendRight};
use rustix::process::Signal;

/// Answers each call with its number, how often the call was handed out before, and its
/// body. It dies of some bodies, before or after the answer.
#[test]
fn worker_part() {
    if !acting("worker_part") {
        return;
    }
    let right = parents_server().attend(NAME, long()).unwrap();
    let mut jobs = SharedReader::attach(&task(), right, 4, long()).unwrap();
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        let body = String::from_utf8_lossy(job.message().body()).into_owned();
        let again = job.redelivered();
        if body.contains("die") && again == 0 {
            signal(std::process::id().cast_signed(), Signal::KILL);
        }
        if job.message().reply_right().is_none() {
            job.acknowledge(long()).unwrap();
            continue;
        }
        let answer = format!("{} {again} {body}", std::process::id());
        let _ = job.reply(Message::new(answer), long());
    }
}

const QUICK: &str = "throttle = \"1ms\"";

/// The process that answered, how often it was handed out before, and the body.
fn ask(right: &SendRight, body: &str) -> (i32, u32, String) {
    let told = right.call(Message::new(body), long()).expect("it is answered");
    let told = String::from_utf8(told.body().to_vec()).unwrap();
    let mut words = told.splitn(3, ' ');
    let mut word = || words.next().unwrap().to_owned();
    (word().parse().unwrap(), word().parse().unwrap(), word())
}

#[test]
fn a_look_up_succeeds_at_once_and_a_message_starts_it() {
    let (_serving, names, admin) = declared(&queue_file("worker_part", NAME, QUICK));
    let right = names.look_up(NAME, long()).unwrap();
    assert_eq!(names.list(long()).unwrap()[0].0.state, ServiceState::OnDemand);
    assert_eq!(refused(names.look_up_running(NAME, long())), Refused::NoSuchName);
    // Nobody has anything for it.
    assert_eq!(report(&admin).starts, 0);
    let answers = task().port(Capacity::Unbounded);
    for number in 0..50 {
        let message = Message::new(number.to_string());
        let reply = answers.make_send_once().unwrap();
        right.send(message.with_reply(reply), long()).unwrap();
    }
    for number in 0..50 {
        let told = answers.receive(long()).unwrap();
        let told = String::from_utf8(told.body().to_vec()).unwrap();
        assert!(told.ends_with(&format!(" 0 {number}")), "{told}");
    }
    let told = report(&admin);
    assert_eq!((told.phase, told.starts), (ServicePhase::Up, 1));
    let listed = names.list(long()).unwrap().remove(0);
    assert_eq!((listed.0.state, listed.0.pid), (ServiceState::Running, told.pid));
    assert!(listed.1.unwrap().same_port(&right));
}

#[test]
fn what_it_had_when_it_died_is_its_successors_and_says_so() {
    let (_serving, names, admin) = declared(&queue_file("worker_part", NAME, QUICK));
    let right = names.look_up(NAME, long()).unwrap();
    let (first, again, _) = ask(&right, "one");
    assert_eq!(again, 0);
    // It dies of this one, and so it comes to another.
    let (second, again, body) = ask(&right, "die");
    assert_eq!((again, body.as_str()), (1, "die"));
    assert_ne!(second, first);
    // Killed with nothing in hand.
    signal(second, Signal::KILL);
    let (third, _, _) = ask(&right, "three");
    assert_ne!(third, second);
    assert_eq!(report(&admin).starts, 3);
    assert!(!right.is_dead());
}

#[test]
fn under_load_each_call_is_answered_once_and_in_order() {
    let (_serving, names, admin) = declared(&queue_file("worker_part", NAME, QUICK));
    let right = names.look_up(NAME, long()).unwrap();
    let answers = task().port(Capacity::Unbounded);
    let mut deaths = 0;
    for number in 0..200 {
        let body = if number % 20 == 7 { format!("{number} die") } else { number.to_string() };
        deaths += u64::from(body.contains("die"));
        let message = Message::new(body).with_reply(answers.make_send_once().unwrap());
        right.send(message, long()).unwrap();
    }
    for number in 0..200 {
        let told = answers.receive(long()).unwrap();
        let told = String::from_utf8(told.body().to_vec()).unwrap();
        let words: Vec<&str> = told.split(' ').collect();
        assert_eq!(words[2], number.to_string(), "{told}");
        let again: u32 = words[1].parse().unwrap();
        assert!(again >= u32::from(words.len() > 3), "it may be a replay and says so: {told}");
    }
    assert_eq!(answers.status().queued, 0);
    assert_eq!(report(&admin).starts, deaths + 1);
}

#[test]
fn one_that_is_idle_ends_and_the_next_message_starts_it() {
    let more = format!("{QUICK}\nidle_exit = \"20ms\"");
    let (_serving, names, admin) = declared(&queue_file("worker_part", NAME, &more));
    let right = names.look_up(NAME, long()).unwrap();
    let mut before = 0;
    for run in 1..4 {
        // It may have been on its way to the one before, and then says so.
        let (pid, _, body) = ask(&right, "hello");
        assert_eq!(body, "hello");
        assert_ne!(pid, before);
        before = pid;
        until(|| report(&admin).phase == ServicePhase::Down);
        let told = report(&admin);
        assert_eq!((told.starts, told.pid), (run, None));
        assert_eq!(told.last_end.as_deref(), Some("it was told to end, being idle"));
    }
}

/// Fails as long as a file is there, which says so.
#[test]
fn failing_part() {
    if !acting("failing_part") {
        return;
    }
    if std::env::var_os("FAILS").is_some_and(|file| std::path::Path::new(&file).exists()) {
        return;
    }
    let right = parents_server().attend(NAME, long()).unwrap();
    let mut jobs = SharedReader::attach(&task(), right, 1, long()).unwrap();
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        let _ = job.reply(Message::new("0 0 at last"), long());
    }
}

#[test]
fn what_waits_for_one_that_fails_is_kept_and_who_asks_is_told() {
    let place = family::Place::new();
    let fails = place.path().join("fails");
    std::fs::write(&fails, "").unwrap();
    let more = format!("{QUICK}\nback_off = \"50ms\"\nback_off_most = \"50ms\"");
    let text = queue_file("failing_part", NAME, &more);
    let (_serving, names, admin) = declared(&format!("{text}FAILS = {fails:?}\n"));
    let right = names.look_up(NAME, long()).unwrap();
    let mut pending = right.start_call(Message::new("work"), long()).unwrap();
    // It is tried again and again, with pauses, by itself.
    until(|| report(&admin).starts > 3);
    until(
        || matches!(names.look_up(NAME, long()), Err(error) if error.to_string().contains("in a row")),
    );
    std::fs::remove_file(&fails).unwrap();
    let told = pending.wait(long()).unwrap();
    assert_eq!(told.body(), b"0 0 at last");
    assert!(names.look_up(NAME, long()).unwrap().same_port(&right));
}

#[test]
fn a_queue_that_is_full_makes_its_senders_wait() {
    let more = format!("{QUICK}\nqueue_messages = 2");
    let place = family::Place::new();
    let fails = place.path().join("fails");
    std::fs::write(&fails, "").unwrap();
    let text = queue_file("failing_part", NAME, &more);
    let (_serving, names, _admin) = declared(&format!("{text}FAILS = {fails:?}\n"));
    let right = names.look_up(NAME, long()).unwrap();
    let mut taken = 0;
    let full = loop {
        match right.send(Message::new("work"), Deadline::Now) {
            Ok(()) => taken += 1,
            Err(error) => break error.reason,
        }
        assert!(taken < 100);
    };
    assert_eq!(full, SendFailure::Full);
    assert!(taken >= 2);
}

/// A task that is not the service asks for its queue.
#[test]
fn thief_part() {
    if acting("thief_part") {
        let told = not_allowed(parents_server().attend(NAME, long()));
        assert!(told.contains("was started for it"), "{told}");
    }
}

#[test]
fn nobody_else_reads_a_queue_or_takes_its_name() {
    let (serving, names, _admin) = declared(&queue_file("worker_part", NAME, QUICK));
    let port = task().port(Capacity::Bounded(1));
    assert!(not_allowed(names.attend(NAME, long())).contains("was started for it"));
    assert_eq!(refused(names.attend("com.example.none", long())), Refused::NoSuchName);
    assert!(not_allowed(names.check_in(NAME, &port, long())).contains("a queue"));
    let right = port.make_send().unwrap();
    assert!(not_allowed(names.register(NAME, right, long())).contains("a queue"));
    let spawn = act("thief_part").right(BOOTSTRAP, serving.right().clone());
    assert!(spawn.spawn().unwrap().wait().unwrap().success());
    // A name that is no queue is not to be attended to.
    names.check_in("com.example.port", &port, long()).unwrap();
    assert_eq!(refused(names.attend("com.example.port", long())), Refused::NoSuchName);
}

#[test]
fn a_message_without_an_answer_is_done_once_too() {
    let (_serving, names, admin) = declared(&queue_file("worker_part", NAME, QUICK));
    let right = names.look_up(NAME, long()).unwrap();
    for body in ["one", "die", "two"] {
        right.send(Message::new(body), long()).unwrap();
    }
    // In order: when this is answered the others are done.
    assert_eq!(ask(&right, "last").2, "last");
    assert_eq!(report(&admin).starts, 2);
}
