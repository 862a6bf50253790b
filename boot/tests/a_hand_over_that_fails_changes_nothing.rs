//! A server that cannot hand on all it has keeps all of it: what is in its queues, the
//! services that run, their pipes, and what takes a restricted right back.

mod family;

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use boot::admin::{Admin, AdminError};
use boot::service::{ServiceFile, find};
use boot::{Server, TakeOverError};
use family::placed::{PATH, at, path, start, told_path};
use family::{
    NAME, Place, acting, file_of, given, long, not_allowed, parents_server, pid_of, queue_file,
    task, until,
};
use pillarbox::bootstrap::Listed;
use pillarbox::shared::SharedReader;
use pillarbox::{Bootstrap, Capacity, Deadline, Limits, Message, Task};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const QUEUE: &str = "com.example.queue";

/// What is sent to the queue, and how long each is.
const MESSAGES: usize = 64;
const LENGTH: usize = 4096;

/// A server whose task may have less waiting than lies in its queue.
#[test]
fn small_part() {
    if !acting("small_part") {
        return;
    }
    let limits = Limits { own_queued_bytes: (MESSAGES * LENGTH / 2) as u64, ..Limits::default() };
    let small = Task::new_with(limits);
    let locked = boot::socket::prepare(told_path()).unwrap();
    let file = |text: &str| ServiceFile::read(text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let server = Server::new(&small).unwrap();
    let queue = queue_file("worker_part", QUEUE, "throttle = \"1ms\"");
    let queue = format!("{queue}{PATH} = {:?}\n", told_path());
    let server = server.service("queue", file(&queue)).unwrap();
    let plain = file_of("plain_part", &[NAME], "");
    let server = server.service("plain", file(&plain)).unwrap();
    let server = server.listen(locked.path()).unwrap().keeps(&locked).unwrap();
    given("told").send(Message::new("listening"), long()).unwrap();
    server.serve();
}

/// A service that tells its number, and writes each time it is asked.
#[test]
fn plain_part() {
    if !acting("plain_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(4));
    parents_server().check_in(NAME, &port, long()).unwrap();
    while let Ok(mut request) = port.receive(Deadline::Never) {
        // A pipe that nobody reads ends it.
        writeln!(std::io::stdout(), "asked").unwrap();
        let answer = Message::new(std::process::id().to_string());
        let _ = request.reply(answer, long());
    }
}

/// Reads the queue once a file says so, and answers each with its number.
#[test]
fn worker_part() {
    if !acting("worker_part") {
        return;
    }
    let go = told_path().with_file_name("go");
    until(|| go.exists());
    let right = parents_server().attend(QUEUE, long()).unwrap();
    let mut jobs = SharedReader::attach(&task(), right, 2, long()).unwrap();
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        let answer = Message::new(job.message().body()[..2].to_vec());
        let _ = job.reply(answer, long());
    }
}

fn why_not(names: &Bootstrap) -> String {
    let mut server = Server::new(&task()).unwrap();
    match server.take_over(names, long()) {
        Err(TakeOverError::Refused(AdminError::NotReplaced(why))) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_than_a_task_may_have_waiting_is_not_handed_on_and_not_lost() {
    let place = Place::new();
    let server = start("small_part", &place);
    let names = at(&place);
    let right = names.look_up(QUEUE, long()).unwrap();
    let answers = task().port(Capacity::Unbounded);
    for number in 0..MESSAGES {
        let mut body = vec![0; LENGTH];
        body[..2].copy_from_slice(&u16::try_from(number).unwrap().to_le_bytes());
        let reply = answers.make_send_once().unwrap();
        right.send(Message::new(body).with_reply(reply), long()).unwrap();
    }
    for _ in 0..3 {
        let why = why_not(&names);
        assert_eq!(why, "more lies in its queues than it may hand on at once");
        // The door is open, and who comes is served.
        assert!(at(&place).look_up(QUEUE, long()).unwrap().same_port(&right));
    }
    std::fs::write(place.path().join("go"), "").unwrap();
    for number in 0..MESSAGES {
        let told = answers.receive(long()).unwrap();
        assert_eq!(told.notification(), None, "{number}");
        assert_eq!(told.body(), u16::try_from(number).unwrap().to_le_bytes());
    }
    assert_eq!(answers.status().queued, 0, "each was answered once");
    drop(server);
}

/// Lets a process have so many descriptors more than it has.
fn leave_descriptors(pid: i32, more: usize) -> Rlimit {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open: HashSet<u64> =
        open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let current = (0..).filter(|number| !open.contains(number)).nth(more);
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(Pid::from_raw(pid), Resource::Nofile, Rlimit { current, maximum }).unwrap()
}

#[test]
fn without_descriptors_services_and_their_pipes_stay_where_they_are() {
    let place = Place::new();
    let server = start("small_part", &place);
    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    let pid = pid_of(&service);
    let mut refusals = 0;
    // From none at all to as many as it takes: the process, its pipe, the door, the lock.
    for more in 0.. {
        let plain = ServiceFile::read(&file_of("plain_part", &[NAME], "")).unwrap();
        let mut next = Server::new(&task()).unwrap().service("plain", plain).unwrap();
        let before = leave_descriptors(server.pid(), more);
        let taken = next.take_over(&names, long());
        prlimit(Pid::from_raw(server.pid()), Resource::Nofile, before).unwrap();
        // Here or there: it runs, is the same, is asked, and writes.
        for _ in 0..3 {
            assert_eq!(pid_of(&service), pid);
        }
        match taken {
            Ok(_locked) => {
                assert!(refusals > 0, "it needed none");
                let serving = next.start().unwrap();
                let names = Bootstrap::new(serving.right().clone());
                assert_eq!(pid_of(&names.look_up(NAME, long()).unwrap()), pid);
                let log = Admin::new(&names).log("plain", long()).unwrap();
                assert!(String::from_utf8_lossy(&log.bytes).contains("asked"));
                return;
            }
            Err(TakeOverError::Refused(AdminError::NotReplaced(_))) => {
                refusals += 1;
                assert_eq!(pid_of(&at(&place).look_up(NAME, long()).unwrap()), pid);
            }
            Err(other) => panic!("{more}: {other:?}"),
        }
    }
}

#[test]
fn what_takes_a_restricted_right_back_is_still_there() {
    let place = Place::new();
    let write = |more: &str| {
        let text = queue_file("worker_part", "jobs", more);
        std::fs::write(place.path().join("jobs.toml"), text).unwrap();
    };
    write("");
    let directory = place.path().to_owned();
    // Two tasks of one process: one has the place, the other asks for it.
    let mut server = Server::new(&Task::new()).unwrap();
    for found in find(std::slice::from_ref(&directory)).unwrap() {
        server = server.service(found.label, found.file.unwrap()).unwrap();
    }
    let server = server.reload_from(move || find(std::slice::from_ref(&directory)));
    let server = server.listen(path(&place)).unwrap();
    let serving = server.start().unwrap();
    let names = at(&place);
    let few = names.subset(&[Listed::new("jobs").messages(10)], long()).unwrap();
    let narrowed = few.look_up("jobs", long()).unwrap();
    let why = why_not(&names);
    let own = std::process::id();
    assert!(why.contains(&format!("the queue jobs was narrowed by process {own}")), "{why}");
    narrowed.send(Message::new("good"), long()).unwrap();
    // By the rules of now its maker might not be let in.
    write("[[look_up]]\nuids = [4711]\n");
    assert_eq!(Admin::new(&names).reload(long()).unwrap().changed, ["jobs"]);
    assert_eq!(not_allowed(few.look_up("jobs", long())), {
        "the restricted right lists no such name"
    });
    let mut revoked = false;
    until(|| {
        revoked = narrowed.send(Message::new("bad"), Deadline::after(Duration::ZERO)).is_err();
        revoked
    });
    assert!(revoked);
    serving.stop();
}
