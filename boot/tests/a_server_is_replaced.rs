//! A server hands its place on to a successor: names, services that run, queues with what
//! is in them, restricted rights, look-ups that wait, and every bootstrap right that is
//! out. Whoever is killed on the way, nothing that was accepted is lost without a word.

mod family;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use boot::admin::{Admin, AdminError, Order, ServicePhase};
use boot::service::ServiceFile;
use boot::{Server, TakeOverError};
use family::placed::{at, kill, part, path, serve_if_acting, start, told_path};
use family::{
    NAME, Place, Reaped, acting, file_of, given, long, look_up_soon, not_allowed, parents_server,
    pid_of, queue_file, refused, signal, stop, task, tell_pid, until,
};
use pillarbox::bootstrap::{BootstrapError, Listed, NameState, Presence};
use pillarbox::shared::SharedReader;
use pillarbox::{Bootstrap, Capacity, Deadline, Message, SendRight, Spawn};
use rustix::process::Signal;

const QUEUE: &str = "com.example.queue";
const LATE: &str = "com.example.late";

/// What both servers provide.
fn declared(server: Server) -> Server {
    let file = |text: &str| ServiceFile::read(text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let quick = "throttle = \"1ms\"";
    let queue = queue_file("worker_part", QUEUE, quick);
    let server = server.service("plain", file(&file_of("plain_part", &[NAME], quick))).unwrap();
    let late = format!("{}{PATH_KEY} = {:?}\n", file_of("late_part", &[LATE], quick), told_path());
    let server = server.service("queue", file(&queue)).unwrap();
    server.service("late", file(&late)).unwrap()
}

const PATH_KEY: &str = family::placed::PATH;

#[test]
fn server_part() {
    serve_if_acting("server_part", declared);
}

/// Takes the place of the server there, or says why not.
#[test]
fn successor_part() {
    if !acting("successor_part") {
        return;
    }
    // It may be killed before we were there.
    let Ok(before) = Bootstrap::at(told_path(), long()) else { return };
    let mut server = declared(Server::new(&task()).unwrap());
    let told = given("told");
    let taken = server.take_over(&before, long());
    let Ok(locked) = taken else {
        let _ = told.send(Message::new(taken.unwrap_err().to_string()), long());
        return;
    };
    assert_eq!(locked.as_ref().map(|locked| locked.path()), Some(told_path().as_path()));
    let _ = told.send(Message::new("listening"), long());
    server.serve();
}

/// A service that says its number, as long as there is a server.
#[test]
fn plain_part() {
    if !acting("plain_part") {
        return;
    }
    let (server, port) = (parents_server(), task().port(Capacity::Bounded(64)));
    server.check_in(NAME, &port, long()).unwrap();
    server.right().notify_dead(port.make_send_once().unwrap()).unwrap();
    loop {
        let mut request = port.receive(Deadline::Never).unwrap();
        if request.notification().is_some() {
            return;
        }
        let answer = Message::new(std::process::id().to_string());
        let _ = request.reply(answer, long());
    }
}

/// A service that checks in when a file is there.
#[test]
fn late_part() {
    if !acting("late_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    let go = told_path().with_file_name("go");
    until(|| go.exists());
    parents_server().check_in(LATE, &port, long()).unwrap();
    tell_pid(&port);
}

/// Answers each call with how often it was handed out before, whose it is, which of those it
/// answered this is, and its body. It attends
/// again where its queue has gone on to another server.
#[test]
fn worker_part() {
    if !acting("worker_part") {
        return;
    }
    let server = parents_server();
    let mut count = 0;
    loop {
        let right = server.attend(QUEUE, long()).unwrap();
        let mut jobs = SharedReader::attach(&task(), right, 2, long()).unwrap();
        while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
            let body = String::from_utf8_lossy(job.message().body()).into_owned();
            let uid = job.origin().map_or(-1, |who| i64::from(who.uid));
            count += 1;
            let answer = format!("{} {uid} {count} {body}", job.redelivered());
            let _ = job.reply(Message::new(answer), long());
        }
    }
}

/// Starts a successor, and waits until it has the place.
fn replace(place: &Place) -> Reaped {
    start("successor_part", place)
}

fn ended(mut server: Reaped) {
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn names_and_rights_and_services_go_on() {
    let place = Place::new();
    let first = start("server_part", &place);
    let names = at(&place);
    let port = task().port(Capacity::Bounded(4));
    names.check_in("mine", &port, long()).unwrap();
    let service = names.look_up(NAME, long()).unwrap();
    let pid = pid_of(&service);
    let restricted = names.subset(&[Listed::new("mine").called("its")], long()).unwrap();
    let mut watch = names.watch("mine").unwrap();
    let state = watch.next(long()).unwrap();
    assert!(matches!(state, NameState::Taken { .. }));

    let mut server = first;
    for round in 0..3 {
        let next = replace(&place);
        ended(server);
        server = next;
        assert!(boot::socket::prepare(path(&place)).is_err(), "the lock went along");
        // The same right, and nobody had to connect anew.
        let again = names.look_up(NAME, long()).unwrap();
        assert_eq!((pid_of(&again), pid_of(&service)), (pid, pid));
        assert!(again.same_port(&service), "round {round}");
        // Who connects now finds the same names.
        let mine = at(&place).look_up("mine", long()).unwrap();
        mine.send(Message::new("still mine"), long()).unwrap();
        assert_eq!(port.receive(long()).unwrap().body(), b"still mine");
        // Restricted it was, and is.
        let its = restricted.look_up("its", long()).unwrap();
        assert!(its.send(Message::new(""), long()).is_ok() && port.receive(long()).is_ok());
        assert_eq!(refused(restricted.look_up(NAME, long())).to_string(), {
            refused(restricted.look_up("nothing", long())).to_string()
        });
        // Nothing has changed for who watches.
        let waits = watch.next(Deadline::after(Duration::from_millis(1)));
        assert!(matches!(waits, Err(BootstrapError::Deadline)), "{waits:?}");
        let report = Admin::new(&names).services(long()).unwrap();
        let plain = report.iter().find(|service| service.label == "plain").unwrap();
        assert_eq!(
            (plain.phase.clone(), plain.pid, plain.starts),
            (ServicePhase::Up, Some(pid), 1)
        );
    }
    // The successor hears of its end, though it is no child of its own, and starts it again.
    signal(pid, Signal::KILL);
    until(|| Admin::new(&names).services(long()).unwrap().iter().all(|one| one.pid != Some(pid)));
    assert_ne!(pid_of(&names.look_up(NAME, long()).unwrap()), pid);
    names.unregister("mine", long()).unwrap();
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    names.stop(long()).unwrap();
    ended(server);
    assert_eq!(place.names(), Vec::<String>::new(), "nothing is left");
}

#[test]
fn what_is_in_a_queue_goes_on_in_order_and_says_whose_it_is() {
    let place = Place::new();
    let first = start("server_part", &place);
    let names = at(&place);
    let right = names.look_up(QUEUE, long()).unwrap();
    let answers = task().port(Capacity::Unbounded);
    let own_uid = rustix::process::geteuid().as_raw();
    let mut sent = 0;
    let mut answered = BTreeMap::new();
    let mut server = first;
    let mut send = |count: usize| {
        for _ in 0..count {
            let message = Message::new(sent.to_string());
            right.send(message.with_reply(answers.make_send_once().unwrap()), long()).unwrap();
            sent += 1;
        }
        sent
    };
    for _ in 0..3 {
        let (total, next) = std::thread::scope(|scope| {
            let next = scope.spawn(|| replace(&place));
            // Before, at the moment, and after.
            let mut total = send(20);
            while !next.is_finished() {
                total = send(1);
            }
            (total, next.join().unwrap())
        });
        ended(server);
        server = next;
        while answered.len() < total {
            let told = answers.receive(long()).unwrap();
            assert_eq!(told.notification(), None, "{} of {total}", answered.len());
            let told = String::from_utf8(told.body().to_vec()).unwrap();
            let words: Vec<&str> = told.split(' ').collect();
            // Its sender, or nobody: never the server before.
            assert!(words[1] == own_uid.to_string() || words[1] == "-1", "{told}");
            let [turn, number] = [words[2], words[3]].map(|word| word.parse::<usize>().unwrap());
            assert_eq!(answered.insert(number, turn), None, "it was answered twice: {told}");
        }
        // Two servers have answered, between whom nothing is promised; one service has done
        // the work, in this order.
        assert!(answered.values().is_sorted(), "{answered:?}");
    }
    assert_eq!(answers.status().queued, 0, "each was answered once");
}

#[test]
fn how_a_service_ends_is_known_to_the_next_server_too() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    let pid = pid_of(&service);
    let _next = replace(&place);
    signal(pid, Signal::USR1);
    let mut told = None;
    until(|| {
        let report = Admin::new(&names).services(long()).unwrap();
        told = report.into_iter().find(|one| one.label == "plain").unwrap().last_end;
        told.is_some()
    });
    let told = told.unwrap();
    // A kernel before 6.15 keeps it for nobody but the parent.
    let unknown = told.contains("an unknown status");
    assert!(told.contains("signal: 10 (SIGUSR1)") || unknown && !keeps_exits(), "{told}");
}

/// Whether the kernel says how a process has ended to others than its parent.
fn keeps_exits() -> bool {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty()).unwrap();
    child.wait().unwrap();
    matches!(pillarbox::exit_of(&pidfd), Ok(Some(_)))
}

#[test]
fn what_was_granted_and_refused_goes_on() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let names = at(&place);
    let restricted = names.subset(&[Listed::new(NAME)], long()).unwrap();
    assert!(restricted.look_up("elsewhere", long()).is_err());
    let admin = Admin::new(&names);
    let refusals = || {
        let all = admin.audit(0, long()).unwrap().entries;
        all.into_iter().filter(|one| !one.granted).collect::<Vec<_>>()
    };
    let before = refusals();
    assert_eq!((before.len(), before[0].times), (1, 1));
    let _next = replace(&place);
    assert_eq!(refusals(), before);
    // The same again is counted with it.
    assert!(restricted.look_up("elsewhere", long()).is_err());
    let after = refusals();
    assert_eq!((after.len(), after[0].times), (1, 2));
    assert!(after[0].number > before[0].number);
    assert_eq!(after[0].rule, before[0].rule);
}

/// A client that has looked a name up, and offers a port.
#[test]
fn client_part() {
    if !acting("client_part") {
        return;
    }
    let names = Bootstrap::at(told_path(), long()).unwrap();
    let _service = names.look_up(NAME, long()).unwrap();
    let port = task().port(Capacity::Bounded(4));
    let message = Message::new("").with_right(port.make_send().unwrap());
    given("told").send(message, long()).unwrap();
    tell_pid(&port);
}

/// One that is stopped, with a right to its port.
fn stopped_client(place: &Place) -> (Reaped, SendRight) {
    let told = task().port(Capacity::Bounded(1));
    let spawn = Spawn::new(part("client_part", place)).right("told", told.make_send().unwrap());
    let client = Reaped(spawn.spawn().unwrap());
    let right = told.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    assert_eq!(pid_of(&right), client.pid());
    stop(client.pid());
    (client, right)
}

#[test]
fn who_has_not_followed_keeps_nobody_from_being_served() {
    let place = Place::new();
    let _first = start("server_part", &place);
    let names = at(&place);
    let (client, right) = stopped_client(&place);
    let _second = replace(&place);
    let told = task().port(Capacity::Bounded(1));
    let spawn = Spawn::new(part("successor_part", &place));
    let _third = Reaped(spawn.right("told", told.make_send().unwrap()).spawn().unwrap());
    let mut answered = 0;
    // As long as it is waited for, and that is ten seconds since the death of the first.
    let said = loop {
        assert!(names.look_up(NAME, long()).is_ok(), "{answered}");
        answered += 1;
        if let Ok(said) = told.receive(Deadline::Now) {
            break said;
        }
    };
    assert_eq!(said.body(), b"listening");
    assert!(answered > 20, "{answered} were answered meanwhile");
    assert!(names.look_up(NAME, long()).is_ok());
    // Who was stopped hears that its right is gone, and comes anew.
    signal(client.pid(), Signal::CONT);
    assert_eq!(pid_of(&right), client.pid());
}

#[test]
fn an_owner_that_does_not_confirm_a_right_keeps_nobody_from_the_place() {
    let place = Place::new();
    let first = start("server_part", &place);
    let names = at(&place);
    let port = task().port(Capacity::Bounded(4));
    names.check_in("mine", &port, long()).unwrap();
    let (client, right) = stopped_client(&place);
    names.register("stuck", right.clone(), long()).unwrap();
    let _next = replace(&place);
    ended(first);
    assert!(names.look_up("mine", long()).unwrap().send(Message::new(""), long()).is_ok());
    signal(client.pid(), Signal::CONT);
    until(|| names.look_up("stuck", long()).is_ok_and(|found| pid_of(&found) == client.pid()));
}

#[test]
fn a_server_with_other_rules_closes_restricted_rights() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let names = at(&place);
    let listed = [Listed::new(NAME), Listed::new(LATE)];
    let restricted = names.subset(&listed, long()).unwrap();
    assert!(restricted.look_up(NAME, long()).is_ok());
    let file = |text: String| ServiceFile::read(&text).unwrap();
    let rule = "[[look_up]]\nuids = [4711]\n";
    let mut next = Server::new(&task()).unwrap();
    next = next.service("plain", file(file_of("plain_part", &[NAME], rule))).unwrap();
    next = next.service("late", file(file_of("late_part", &[LATE], ""))).unwrap();
    let _locked = next.take_over(&names, long()).unwrap();
    let _serving = next.start().unwrap();
    let told = not_allowed(restricted.look_up(NAME, long()));
    assert_eq!(told, "the restricted right lists no such name");
    // Of the other nothing has changed.
    let still = restricted.list(long()).unwrap();
    assert_eq!(still.iter().map(|(one, _)| one.name.as_str()).collect::<Vec<_>>(), [LATE]);
}

#[test]
fn a_look_up_that_waits_is_answered_by_the_successor() {
    let place = Place::new();
    let server = start("server_part", &place);
    let names = at(&place);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| names.look_up(LATE, long()));
        let admin = Admin::new(&names);
        let starting = || {
            let services = admin.services(long()).unwrap();
            services.iter().any(|one| one.label == "late" && one.phase == ServicePhase::Starting)
        };
        until(starting);
        let next = replace(&place);
        ended(server);
        assert!(starting(), "it was not started again");
        std::fs::write(place.path().join("go"), "").unwrap();
        let right = waits.join().unwrap().unwrap();
        let service = pid_of(&right);
        // It is the one that the first server had started.
        let report = admin.services(long()).unwrap();
        let late = report.iter().find(|one| one.label == "late").unwrap();
        assert_eq!((late.pid, late.starts), (Some(service), 1));
        // Orders reach it, too.
        admin.order(Order::Stop, "late", long()).unwrap();
        until(|| right.is_dead());
        std::fs::remove_file(place.path().join("go")).unwrap();
        drop(next);
    });
}

#[test]
fn who_has_no_place_to_give_is_not_replaced_and_goes_on() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let names = at(&place);
    let right = names.look_up(QUEUE, long()).unwrap();
    // A restricted right narrows the right to the queue, whose port then stays.
    let listed = Listed::new(QUEUE).messages(10);
    let restricted = names.subset(&[listed], long()).unwrap();
    let mut server = Server::new(&task()).unwrap();
    let told = server.take_over(&names, long()).unwrap_err();
    assert!(matches!(told, TakeOverError::Refused(AdminError::NotReplaced(_))), "{told:?}");
    // All is as it was: the door, the queue, the restricted right.
    let answer = right.call(Message::new("hello"), long()).unwrap();
    assert!(answer.body().ends_with(b" hello"));
    assert!(at(&place).look_up(QUEUE, long()).unwrap().same_port(&right));
    let narrowed = restricted.look_up(QUEUE, long()).unwrap();
    assert!(narrowed.call(Message::new("hello"), long()).unwrap().body().ends_with(b" hello"));
    // When nobody has it any more, the port may go.
    drop((restricted, narrowed));
    until(|| {
        let told = task().port(Capacity::Bounded(1));
        let to = told.make_send().unwrap();
        let spawn = Spawn::new(part("successor_part", &place)).right("told", to);
        let next = Reaped(spawn.spawn().unwrap());
        let said = told.receive(long()).unwrap();
        let is_replaced = said.body() == b"listening";
        if is_replaced {
            let answer = right.call(Message::new("hello"), long()).unwrap();
            assert!(answer.body().ends_with(b" hello"));
        }
        drop(next);
        is_replaced
    });
}

#[test]
fn another_version_and_a_restricted_right_replace_nobody() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let names = at(&place);
    let restricted = names.subset(&[Listed::new(NAME)], long()).unwrap();
    let mut server = Server::new(&task()).unwrap();
    let told = server.take_over(&restricted, long()).unwrap_err();
    assert!(matches!(told, TakeOverError::Refused(AdminError::NotAllowed)), "{told:?}");
    assert!(names.list(long()).is_ok());
}

#[test]
fn a_successor_that_takes_nothing_in_is_given_up() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let names = at(&place);
    let mut server = Server::new(&task()).unwrap();
    // It goes away at once.
    let told = server.take_over(&names, Deadline::Now).unwrap_err();
    assert!(matches!(told, TakeOverError::Deadline | TakeOverError::Refused(_)), "{told:?}");
    assert!(names.look_up(NAME, long()).is_ok());
    assert!(at(&place).look_up(NAME, long()).is_ok());
}

/// A call to the queue, or why there was no answer.
fn is_answered_or_told(right: &SendRight, body: &str) -> bool {
    match right.call(Message::new(body), long()) {
        Ok(answer) => {
            assert!(answer.body().ends_with(body.as_bytes()));
            true
        }
        Err(error) => {
            assert!(!matches!(error, pillarbox::CallError::Deadline), "nobody was told");
            false
        }
    }
}

#[test]
fn whoever_is_killed_on_the_way_all_is_answered_or_told() {
    let mut outcomes = HashSet::new();
    for round in 0..40_u64 {
        let place = Place::new();
        let server = start("server_part", &place);
        let names = at(&place);
        let mine = task().port(Capacity::Bounded(64));
        let mut presence = Presence::new(at(&place), path(&place)).unwrap();
        presence.check_in("mine", &mine, long()).unwrap();
        let right = names.look_up(QUEUE, long()).unwrap();
        assert!(is_answered_or_told(&right, "before"));
        let answers = task().port(Capacity::Unbounded);
        for number in 0..10 {
            let message = Message::new(number.to_string());
            right.send(message.with_reply(answers.make_send_once().unwrap()), long()).unwrap();
        }
        let told = task().port(Capacity::Bounded(1));
        let to = told.make_send().unwrap();
        let spawn = Spawn::new(part("successor_part", &place)).right("told", to);
        let next = Reaped(spawn.spawn().unwrap());
        let kill_first = round % 2 == 0;
        // sleep: to kill it at any moment; each outcome is checked
        std::thread::sleep(Duration::from_micros(round * 7919 % 80_000));
        let left = if kill_first {
            kill(server);
            next
        } else {
            kill(next);
            server
        };
        // Each of the ten has an answer or the news that there is none.
        let mut answered = 0;
        for _ in 0..10 {
            answered += u32::from(answers.receive(long()).unwrap().notification().is_none());
        }
        let goes_on = is_answered_or_told(&right, "after");
        // If what is left serves, names are the same; else the next server has the place.
        drop(told);
        let serves = goes_on && names.look_up_running("mine", long()).is_ok();
        outcomes.insert((kill_first, goes_on, answered == 10));
        if !serves {
            kill(left);
            let _third = start("server_part", &place);
            presence.renew(long()).unwrap();
            let found = look_up_soon(&at(&place), "mine");
            found.send(Message::new(""), long()).unwrap();
        } else {
            let found = names.look_up_running("mine", long()).unwrap();
            found.send(Message::new(""), long()).unwrap();
            drop(left);
        }
        assert!(mine.receive(long()).is_ok());
    }
    assert!(outcomes.len() > 1, "{outcomes:?}");
}
