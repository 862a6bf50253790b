//! A service that a file declares is started when it is looked up, once however many
//! ask, with what its file says and nothing else.

mod family;

use boot::admin::ServicePhase;
use family::{
    NAME, acting, answer, declared, file_of, long, look_up_request, parents_server, pid_of, report,
    serve_if_acting, task, tell_pid,
};
use pillarbox::bootstrap::Answer;
use pillarbox::{Capacity, Deadline, Message};

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn however_many_ask_it_is_started_once() {
    let (_serving, names, admin) = declared(&file_of("service_part", &[NAME], ""));
    assert_eq!((report(&admin).phase, report(&admin).starts), (ServicePhase::Down, 0));
    let answers = task().port(Capacity::Unbounded);
    for _ in 0..50 {
        let asked = look_up_request(NAME).with_reply(answers.make_send_once().unwrap());
        names.right().send(asked, long()).unwrap();
    }
    let mut pids = Vec::new();
    for _ in 0..50 {
        let mut told = answers.receive(long()).unwrap();
        assert_eq!(answer(&told), Answer::Right);
        let right = told.take_rights().remove(0).into_send().unwrap();
        pids.push(pid_of(&right));
    }
    pids.dedup();
    assert_eq!(pids.len(), 1);
    let told = report(&admin);
    assert_eq!((told.phase, told.starts), (ServicePhase::Up, 1));
    assert_eq!((told.pid, told.label.as_str()), (Some(pids[0]), "part"));
    assert_eq!(told.names, [NAME]);
}

/// Answers each call with one thing it was given.
#[test]
fn given_part() {
    if !acting("given_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(8));
    parents_server().check_in(NAME, &port, long()).unwrap();
    while let Ok(mut request) = port.receive(Deadline::Never) {
        let asked = String::from_utf8_lossy(request.body()).into_owned();
        let told = match asked.as_str() {
            "directory" => std::env::current_dir().unwrap().display().to_string(),
            "files" => {
                let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
                let line = limits.lines().find(|line| line.starts_with("Max open files"));
                line.unwrap().split_whitespace().nth(3).unwrap().to_owned()
            }
            "group" => rustix::process::getpgrp().as_raw_nonzero().to_string(),
            name => std::env::var(name).unwrap_or("not there".to_owned()),
        };
        let _ = request.reply(Message::new(told), long());
    }
}

#[test]
fn it_is_given_what_its_file_says() {
    let more = "directory = \"/usr\"\ninherit_environment = [\"PATH\"]";
    let text = file_of("given_part", &[NAME], more);
    let text = format!("{text}COLOUR = \"grey\"\n[limits]\nopen_files = 77\n");
    let (_serving, names, admin) = declared(&text);
    let right = names.look_up(NAME, long()).unwrap();
    let ask = |what: &str| {
        let told = right.call(Message::new(what), long()).unwrap();
        String::from_utf8(told.body().to_vec()).unwrap()
    };
    assert_eq!((ask("directory"), ask("COLOUR")), ("/usr".to_owned(), "grey".to_owned()));
    assert_eq!(ask("files"), "77");
    assert_eq!(ask("PATH"), std::env::var("PATH").unwrap());
    // What this process has besides would be there if all were inherited.
    for name in ["HOME", "CARGO_MANIFEST_DIR", "RUST_BACKTRACE", "USER"] {
        assert_eq!(ask(name), "not there");
    }
    // It leads a group of its own.
    assert_eq!(ask("group"), report(&admin).pid.unwrap().to_string());
}

#[test]
fn two_names_part() {
    if !acting("two_names_part") {
        return;
    }
    let port = task().port(Capacity::Bounded(64));
    let server = parents_server();
    server.check_in("com.example.one", &port, long()).unwrap();
    // The other one when somebody says so.
    let mut first = port.receive(long()).unwrap();
    server.check_in("com.example.two", &port, long()).unwrap();
    let _ = first.reply(Message::new(""), long());
    tell_pid(&port);
}

#[test]
fn it_is_up_when_it_has_checked_in_under_each_name() {
    let both = ["com.example.one", "com.example.two"];
    let (_serving, names, admin) = declared(&file_of("two_names_part", &both, ""));
    let one = names.look_up(both[0], long()).unwrap();
    assert_eq!(report(&admin).phase, ServicePhase::Starting);
    one.call(Message::new(""), long()).unwrap();
    let two = names.look_up(both[1], long()).unwrap();
    assert_eq!(report(&admin).phase, ServicePhase::Up);
    assert_eq!((pid_of(&one), report(&admin).starts), (pid_of(&two), 1));
}
