//! Who checks in gives the server a right to look at its task and nothing more; the
//! server hands it to the user it belongs to; who would rather not be seen is not, and
//! nobody is seen by what another says.

mod family;

use boot::admin::{Admin, SeenTask};
use family::{
    NAME, Reaped, acting, answer, ask, declared, file_of, long, parents_server, queue_file,
    request, server, task, until,
};
use pillarbox::bootstrap::{Answer, Bootstrap, Refused, Request};
use pillarbox::kernel::KernelError;
use pillarbox::{Capacity, Deadline, Message, Task};

/// The processes that may be looked at.
fn seen(admin: &Admin) -> Vec<i32> {
    admin.seen(long()).unwrap().iter().map(|task| task.identity.pid).collect()
}

/// The task of this process.
fn of(admin: &Admin, pid: i32) -> SeenTask {
    let all = admin.seen(long()).unwrap();
    all.into_iter().find(|task| task.identity.pid == pid).unwrap()
}

/// Checks in, and waits for what never comes.
#[test]
fn checked_in_part() {
    if !acting("checked_in_part") {
        return;
    }
    let inbox = task().port(Capacity::Bounded(4));
    parents_server().check_in(NAME, &inbox, long()).unwrap();
    let _ = inbox.receive(Deadline::Never);
}

/// The same, unseen.
#[test]
fn unseen_part() {
    if !acting("unseen_part") {
        return;
    }
    let inbox = task().port(Capacity::Bounded(4));
    parents_server().unseen().check_in(NAME, &inbox, long()).unwrap();
    let _ = inbox.receive(Deadline::Never);
}

#[test]
fn a_service_is_seen_from_its_check_in_to_its_death() {
    let (_serving, names, admin) = declared(&file_of("checked_in_part", &[NAME], ""));
    let own = i32::try_from(std::process::id()).unwrap();
    assert_eq!(seen(&admin), [own], "the server itself");
    let post = names.look_up(NAME, long()).unwrap();
    let service = admin.services(long()).unwrap().remove(0).pid.unwrap();
    let there = of(&admin, service).kernel;
    assert_eq!(there.identity(long()).unwrap().pid, service);
    let counts = there.counts(0, &[post], long()).unwrap();
    let port = counts.asked[0].unwrap();
    let told = counts.ports.iter().find(|told| told.port == port).unwrap();
    assert_eq!((told.capacity, told.queued), (Some(4), 0));
    assert!(there.census(long()).unwrap().iter().any(|line| line.port == port));
    assert_eq!(there.end(long()), Err(KernelError::NotPermitted));
    assert_eq!(there.make_region(1, long()).map(drop), Err(KernelError::NotPermitted));

    admin.order(boot::admin::Order::Stop, "part", long()).unwrap();
    until(|| seen(&admin) == [own]);
    assert_eq!(there.identity(long()), Err(KernelError::Died));
}

#[test]
fn who_would_rather_not_is_not_seen() {
    let (_serving, names, admin) = declared(&file_of("unseen_part", &[NAME], ""));
    names.look_up(NAME, long()).unwrap();
    assert_eq!(admin.seen(long()).unwrap().len(), 1, "the server alone");
}

/// Reads a queue of the server's.
#[test]
fn attending_part() {
    if !acting("attending_part") {
        return;
    }
    let right = parents_server().attend(NAME, long()).unwrap();
    let mut jobs = pillarbox::shared::SharedReader::attach(&task(), right, 1, long()).unwrap();
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        job.reply(Message::new("done"), long()).unwrap();
    }
}

#[test]
fn who_reads_a_queue_is_seen() {
    let (_serving, names, admin) = declared(&queue_file("attending_part", NAME, ""));
    let post = names.look_up(NAME, long()).unwrap();
    post.call(Message::new("job"), long()).unwrap();
    let service = admin.services(long()).unwrap().remove(0).pid.unwrap();
    assert!(of(&admin, service).kernel.counts(0, &[], long()).unwrap().frames_read > 0);
}

#[test]
fn nobody_is_shown_by_another() {
    let (_serving, names) = server();
    let admin = Admin::new(&names);
    let (port, other) = (task().port(Capacity::Bounded(1)), Task::new());
    let check_in = |name: &str| request(&Request::CheckIn { name: name.to_owned() });
    // A right to look at somebody else, and one to a port that is no kernel port.
    let lie = check_in("a").with_right(port.make_send().unwrap());
    assert_eq!(ask(&names, lie.with_right(other.looking().unwrap())), Answer::Done);
    assert_eq!(seen(&admin).len(), 1);
    // More rights than a request has.
    let more = check_in("b")
        .with_right(port.make_send().unwrap())
        .with_right(task().looking().unwrap())
        .with_right(task().looking().unwrap());
    assert_eq!(ask(&names, more), Answer::Refused(Refused::BadRequest));
    let list = request(&Request::List { after: None }).with_right(task().looking().unwrap());
    assert_eq!(ask(&names, list), Answer::Refused(Refused::BadRequest));
    let once = check_in("c")
        .with_right(port.make_send().unwrap())
        .with_right(port.make_send_once().unwrap());
    assert_eq!(ask(&names, once), Answer::Refused(Refused::BadRequest));
    // A queue is attended to by who was started for it, and so is not a way in.
    let attend = request(&Request::Attend { name: "a".to_owned() });
    let told =
        answer(&names.right().call(attend.with_right(other.looking().unwrap()), long()).unwrap());
    assert!(matches!(told, Answer::Refused(_)), "{told:?}");
    assert_eq!(seen(&admin).len(), 1);
}

#[test]
fn a_name_that_is_refused_shows_nobody() {
    let (serving, names) = server();
    let inbox = task().port(Capacity::Bounded(1));
    names.check_in(NAME, &inbox, long()).unwrap();
    let child = family::act("refused_part").right("bootstrap", serving.right().clone());
    let mut child = Reaped(child.spawn().unwrap());
    assert!(child.0.wait().unwrap().success());
    assert_eq!(seen(&Admin::new(&names)).len(), 1);
}

/// Tries to take a name that is another's, and goes when it has seen that nobody sees it.
#[test]
fn refused_part() {
    if !acting("refused_part") {
        return;
    }
    let inbox = task().port(Capacity::Bounded(1));
    let names: Bootstrap = parents_server();
    assert!(names.check_in(NAME, &inbox, long()).is_err());
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(!seen(&Admin::new(&names)).contains(&own));
}
