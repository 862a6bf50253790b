//! Files are read anew while services run: what came is there, what changed is so from
//! its next start on, what is gone ends, and a mistake changes nothing.

mod family;

use std::path::Path;

use boot::Server;
use boot::admin::{Admin, AdminError, Order, Reloaded};
use boot::service::find;
use family::{
    NAME, Place, acting, file_of, long, not_allowed, parents_server, pid_of, queue_file, refused,
    serve_if_acting, started, task, until, wait_dead,
};
use pillarbox::bootstrap::{Listed, Refused};
use pillarbox::shared::SharedReader;
use pillarbox::{Bootstrap, CallError, Capacity, Deadline, Message, SendFailure};

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

/// A service that reads the queue `jobs` and answers with what `ANSWER` says.
#[test]
fn reading_part() {
    if !acting("reading_part") {
        return;
    }
    let right = parents_server().attend("jobs", long()).unwrap();
    let mut jobs = SharedReader::attach(&task(), right, 1, long()).unwrap();
    let answer = std::env::var("ANSWER").unwrap();
    while let Some(job) = jobs.receive(Deadline::Never).unwrap() {
        job.reply(Message::new(answer.clone()), long()).unwrap();
    }
}

/// A server of the files in `place`.
fn server(place: &Place) -> (boot::Serving, Bootstrap, Admin) {
    let directory = place.path().to_owned();
    let mut server = Server::new(&task()).unwrap();
    for found in find(std::slice::from_ref(&directory)).unwrap() {
        server = server.service(found.label, found.file.unwrap()).unwrap();
    }
    let server = server.reload_from(move || find(std::slice::from_ref(&directory)));
    let (serving, names) = started(server);
    let admin = Admin::new(&names);
    (serving, names, admin)
}

fn write(place: &Place, label: &str, text: &str) {
    std::fs::write(place.path().join(format!("{label}.toml")), text).unwrap();
}

fn remove(place: &Place, label: &str) {
    std::fs::remove_file(place.path().join(format!("{label}.toml"))).unwrap();
}

/// Reloads, and says what came of it in short.
fn reload(admin: &Admin) -> String {
    let Reloaded { added, changed, gone, wrong, .. } = admin.reload(long()).unwrap();
    let wrong: Vec<String> = wrong
        .iter()
        .map(|wrong| {
            let (path, what) = wrong.split_once(": ").unwrap();
            let file = Path::new(path).file_name().unwrap().to_str().unwrap();
            format!("{file} {what}")
        })
        .collect();
    format!("+{added:?} ~{changed:?} -{gone:?} !{wrong:?}").replace('"', "")
}

#[test]
fn what_comes_changes_and_goes_is_told() {
    let place = Place::new();
    write(&place, "one", &file_of("service_part", &[NAME], ""));
    let (_serving, names, admin) = server(&place);
    let first = names.look_up(NAME, long()).unwrap();
    let pid = pid_of(&first);
    assert_eq!(reload(&admin), "+[] ~[] -[] ![]");
    write(&place, "two", &file_of("service_part", &["two"], ""));
    assert_eq!(reload(&admin), "+[two] ~[] -[] ![]");
    assert_eq!(admin.services(long()).unwrap().len(), 2);
    // It runs on as it was started.
    write(&place, "one", &file_of("service_part", &[NAME, "another"], "throttle = \"5ms\""));
    assert_eq!(reload(&admin), "+[] ~[one] -[] ![]");
    assert_eq!(pid_of(&first), pid);
    assert_eq!(pid_of(&names.look_up(NAME, long()).unwrap()), pid);
    assert_eq!(admin.services(long()).unwrap()[0].names, [NAME, "another"]);
    // A mistake changes nothing, and is pointed at.
    write(&place, "one", "program = 1\nnames = [\"one\"]");
    write(&place, "three", &file_of("service_part", &["two"], ""));
    assert_eq!(
        reload(&admin),
        "+[] ~[] -[] ![one.toml:1:11 `program` is a text that is not empty, three.toml:1:1 two is \
         somebody else's]"
    );
    assert_eq!(pid_of(&names.look_up(NAME, long()).unwrap()), pid);
    remove(&place, "one");
    remove(&place, "three");
    assert_eq!(reload(&admin), "+[] ~[] -[one] ![]");
    wait_dead(&first);
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
    let order = admin.order(Order::Start, "one", long());
    assert!(matches!(order, Err(AdminError::NoSuchService)), "{order:?}");
    // The name is free for whoever comes.
    let port = task().port(Capacity::Bounded(1));
    names.check_in(NAME, &port, long()).unwrap();
    write(&place, "one", &file_of("service_part", &[NAME], ""));
    assert_eq!(reload(&admin), format!("+[] ~[] -[] ![one.toml:1:1 {NAME} is somebody else's]"));
    names.unregister(NAME, long()).unwrap();
    assert_eq!(reload(&admin), "+[one] ~[] -[] ![]");
    assert_ne!(pid_of(&names.look_up(NAME, long()).unwrap()), pid);
}

#[test]
fn who_waits_for_a_name_that_goes_is_told() {
    let place = Place::new();
    let mute = "program = \"/bin/sleep\"\narguments = [\"1000\"]\nnames = [\"mute\"]\n";
    write(&place, "mute", mute);
    let (_serving, names, admin) = server(&place);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| names.look_up("mute", Deadline::Never));
        until(|| admin.services(long()).unwrap()[0].pid.is_some());
        remove(&place, "mute");
        assert_eq!(reload(&admin), "+[] ~[] -[mute] ![]");
        let told = refused(waits.join().unwrap());
        assert_eq!(told, Refused::NotStarted("its file is gone".to_owned()));
    });
    assert!(admin.services(long()).unwrap().is_empty());
}

#[test]
fn a_binary_is_replaced_and_the_queue_loses_nothing() {
    let place = Place::new();
    let text = |answer: &str, more: &str| {
        let more = format!("throttle = \"1ms\"\n{more}");
        queue_file("reading_part", "jobs", &more) + &format!("ANSWER = {answer:?}\n")
    };
    write(&place, "jobs", &text("old", ""));
    let (_serving, names, admin) = server(&place);
    let jobs = names.look_up("jobs", long()).unwrap();
    let ask = || {
        let answer = jobs.call(Message::new("?"), long()).unwrap();
        String::from_utf8(answer.body().to_vec()).unwrap()
    };
    assert_eq!(ask(), "old");
    for (round, answer) in ["new", "newer", "newest"].into_iter().enumerate() {
        write(&place, "jobs", &text(answer, ""));
        assert_eq!(reload(&admin), "+[] ~[jobs] -[] ![]");
        let last = ["old", "new", "newer"][round];
        assert_eq!(ask(), last, "it runs on until it is restarted");
        // Calls that come all the while are all answered, by the one or by the other.
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            admin.order(Order::Restart, "jobs", long()).unwrap();
            for call in calls {
                let told = call.join().unwrap();
                assert!(told == last || told == answer, "{told}");
            }
        });
        assert_eq!(ask(), answer);
    }
    // A queue whose file is gone ends, and whoever has a right to it is told.
    remove(&place, "jobs");
    assert_eq!(reload(&admin), "+[] ~[] -[jobs] ![]");
    let told = jobs.call(Message::new("?"), long());
    assert!(matches!(told, Err(CallError::Unsent(_) | CallError::Dropped)), "{told:?}");
}

#[test]
fn other_rules_close_restricted_rights_that_are_out() {
    let place = Place::new();
    let one = |more: &str| write(&place, "one", &file_of("service_part", &[NAME], more));
    let jobs = |more: &str| {
        let text = queue_file("reading_part", "jobs", more) + "ANSWER = \"done\"\n";
        write(&place, "jobs", &text);
    };
    one("");
    jobs("");
    let (_serving, names, admin) = server(&place);
    let listed = [Listed::new(NAME).called("one"), Listed::new("jobs").messages(100)];
    let few = names.subset(&listed, long()).unwrap();
    let fewer = few.subset(&[Listed::new("jobs").messages(50)], long()).unwrap();
    let narrowed = [&few, &fewer].map(|right| right.look_up("jobs", long()).unwrap());
    let right = few.look_up("one", long()).unwrap();
    let pid = pid_of(&right);
    // Something else than rules is no reason.
    one("throttle = \"5ms\"");
    jobs("throttle = \"5ms\"");
    assert_eq!(reload(&admin), "+[] ~[jobs, one] -[] ![]");
    assert!(few.look_up("one", long()).is_ok() && fewer.look_up("jobs", long()).is_ok());
    assert!(narrowed.iter().all(|right| right.call(Message::new("?"), long()).is_ok()));
    let rule = "throttle = \"5ms\"\n[[look_up]]\nuids = [4711]\n";
    one(rule);
    jobs(rule);
    assert_eq!(reload(&admin), "+[] ~[jobs, one] -[] ![]");
    for (restricted, name) in [(&few, "one"), (&few, "jobs"), (&fewer, "jobs")] {
        let told = not_allowed(restricted.look_up(name, long()));
        assert_eq!(told, "the restricted right lists no such name");
        assert!(restricted.list(long()).unwrap().is_empty());
    }
    for narrowed in narrowed {
        let told = narrowed.call(Message::new("?"), long()).unwrap_err();
        let reason = |error: &CallError| match error {
            CallError::Unsent(unsent) => Some(unsent.reason),
            _ => None,
        };
        assert!(
            reason(&told) == Some(SendFailure::Revoked) || matches!(told, CallError::Refused),
            "{told:?}"
        );
    }
    // A right to the service's own port is the service's to take back.
    assert_eq!(pid_of(&right), pid);
}

#[test]
fn services_that_come_and_go_for_ever_fill_nothing() {
    let place = Place::new();
    let (_serving, names, admin) = server(&place);
    for round in 0..200 {
        let text =
            format!("program = \"/bin/true\"\nqueues = [\"q{round}\"]\nnames = [\"n{round}\"]");
        write(&place, "one", &text);
        assert_eq!(admin.reload(long()).unwrap().added.len(), 1);
        assert_eq!(names.list(long()).unwrap().len(), 2);
        remove(&place, "one");
        assert_eq!(admin.reload(long()).unwrap().gone.len(), 1);
        assert!(names.list(long()).unwrap().is_empty());
    }
}

#[test]
fn a_server_that_was_told_of_no_files_says_so() {
    let (_serving, names) = family::server();
    let told = Admin::new(&names).reload(long());
    assert!(matches!(told, Err(AdminError::NothingToReload)), "{told:?}");
}
