//! A restricted bootstrap right leads to the names it lists, as they are called and
//! narrowed there, by the authority of who made it, and to nothing else; it is forgotten
//! when nobody holds it.

mod family;

use boot::Server;
use boot::admin::{Admin, AdminError, Order};
use boot::audit::Attempt;
use boot::limits::{NAMES_PER_SUBSET, SUBSETS_PER_TASK};
use boot::service::ServiceFile;
use family::asker::{ask_if_acting, serve_asking_if_acting, start, start_as, tell};
use family::{
    NAME, act, declared, file_of, long, not_allowed, pid_of, queue_file, refused, serve_if_acting,
    server, started, task, until,
};
use pillarbox::bootstrap::{Bootstrap, Listed, NameState, Refused, ServiceState};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendFailure};

const OTHER: &str = "com.example.other";
const ASKING: &str = "com.example.asking";

#[test]
fn asker_part() {
    ask_if_acting("asker_part");
}

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn confined_part() {
    serve_asking_if_acting("confined_part", ASKING);
}

/// A server at which this task has two names.
fn two_names() -> (boot::Serving, Bootstrap, [ReceiveRight; 2]) {
    let (serving, names) = server();
    let ports = [NAME, OTHER].map(|name| {
        let port = task().port(Capacity::Bounded(8));
        names.check_in(name, &port, long()).unwrap();
        port
    });
    (serving, names, ports)
}

#[test]
fn it_sees_the_names_listed_and_nothing_else() {
    let (_serving, names, [ours, other]) = two_names();
    let listed = [Listed::new(NAME).called("a"), Listed::new("com.example.none").called("b")];
    let few = names.subset(&listed, long()).unwrap();
    assert!(few.look_up("a", long()).unwrap().same_port(&ours.make_send().unwrap()));
    let seen = few.list(long()).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0.name.as_str(), seen[0].0.state), ("a", ServiceState::Running));
    assert!(seen[0].1.as_ref().unwrap().same_port(&ours.make_send().unwrap()));
    // Listed, and nobody has it yet.
    assert_eq!(refused(few.look_up("b", long())), Refused::NoSuchName);
    let mut watch = few.watch("b").unwrap();
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    names.check_in("com.example.none", &other, long()).unwrap();
    assert!(matches!(watch.next(long()).unwrap(), NameState::Taken { .. }));
    assert_eq!(few.list(long()).unwrap().len(), 2);
    // Not by their own names, and no others.
    for name in [NAME, OTHER, "com.example.none", "c"] {
        let told = not_allowed(few.look_up(name, long()));
        assert_eq!(told, "the restricted right lists no such name");
        assert!(not_allowed(few.watch(name).unwrap().next(long())).contains("lists no such"));
    }
    let only = "a restricted right is for looking up only";
    assert_eq!(not_allowed(few.check_in("a", &other, long())), only);
    assert_eq!(not_allowed(few.register("a", ours.make_send().unwrap(), long())), only);
    assert_eq!(not_allowed(few.unregister("a", long())), only);
    assert_eq!(not_allowed(few.attend("a", long())), only);
    assert_eq!(not_allowed(few.stop(long())), only);
    let admin = Admin::new(&few);
    let refused = |error| matches!(error, AdminError::NotAllowed);
    assert!(refused(admin.services(long()).unwrap_err()));
    assert!(refused(admin.audit(0, long()).unwrap_err()));
    assert!(refused(admin.order(Order::Stop, "x", long()).unwrap_err()));
    // All of that stands in the audit.
    let told = Admin::new(&names).audit(0, long()).unwrap().entries;
    let count = |attempt, granted| {
        told.iter().filter(|one| one.attempt == attempt && one.granted == granted).count()
    };
    assert_eq!((count(Attempt::Subset, true), count(Attempt::LookUp, false)), (2, 4));
    assert_eq!((count(Attempt::CheckIn, false), count(Attempt::End, false)), (1, 1));
    let own = std::process::id();
    let by = format!("process {own} lists it in a restricted right");
    assert!(told.iter().any(|one| one.rule == by && one.name == NAME));
}

#[test]
fn a_child_has_it_for_all_its_authority() {
    let (_serving, names, _ports) = two_names();
    let few = names.subset(&[Listed::new(NAME).called("a")], long()).unwrap();
    // Whoever holds it acts for who made it: to another user all names here are closed.
    let Some((child, asker)) = start_as("asker_part", 4321, 8765, &few) else { return };
    assert_eq!(tell(&asker, "look_up a"), "done");
    assert_eq!(tell(&asker, "list a"), "done");
    assert!(tell(&asker, &format!("look_up {OTHER}")).contains("lists no such name"));
    assert!(tell(&asker, "check_in com.example.new").contains("lists no such name"));
    let told = Admin::new(&names).audit(0, long()).unwrap().entries;
    let theirs: Vec<bool> =
        told.iter().filter(|one| one.pid == child.pid()).map(|one| one.granted).collect();
    assert_eq!(theirs, [true, false, false]);
}

#[test]
fn nobody_lists_what_it_may_not_look_up() {
    let rule = "[[look_up]]\nuids = [4321]\n";
    let (_serving, names, _) = declared(&file_of("service_part", &[NAME], rule));
    let told = not_allowed(names.subset(&[Listed::new("x"), Listed::new(NAME)], long()));
    assert!(told.contains("no rule of `look_up`"), "{told}");
    assert_eq!(
        refused(names.subset(&[Listed::new("x"), Listed::new("x")], long())),
        Refused::BadRequest
    );
    let many: Vec<Listed> = (0..=NAMES_PER_SUBSET).map(|it| Listed::new(it.to_string())).collect();
    assert_eq!(refused(names.subset(&many, long())), Refused::NoRoom);
    assert!(names.subset(&many[1..], long()).is_ok());
    assert!(names.subset(&[], long()).unwrap().list(long()).unwrap().is_empty());
}

#[test]
fn what_it_finds_is_narrowed_by_the_owner_of_the_port() {
    let (_serving, names, [ours, _]) = two_names();
    let few = names.subset(&[Listed::new(NAME).ids(1..=2).messages(3)], long()).unwrap();
    let right = few.look_up(NAME, long()).unwrap();
    let send = |right: &pillarbox::SendRight, id| {
        let sent = right.send(Message::new("").with_id(id), long());
        sent.map_err(|error| error.reason)
    };
    assert_eq!(send(&right, 1), Ok(()));
    assert_eq!(send(&right, 3), Err(SendFailure::NotPermitted(3)));
    // Further, and never wider; what is sent there counts here.
    let fewer = few.subset(&[Listed::new(NAME).called("it").ids(2..=9).messages(1)], long());
    let fewer = fewer.unwrap();
    let narrower = fewer.look_up("it", long()).unwrap();
    assert_eq!(send(&narrower, 1), Err(SendFailure::NotPermitted(1)));
    assert_eq!(send(&narrower, 3), Err(SendFailure::NotPermitted(3)));
    assert_eq!(send(&narrower, 2), Ok(()));
    assert!(send(&fewer.look_up("it", long()).unwrap(), 2).is_err(), "one message in all");
    assert_eq!(send(&few.look_up(NAME, long()).unwrap(), 2), Ok(()));
    assert!(send(&right, 1).is_err(), "three messages in all");
    assert!(not_allowed(few.subset(&[Listed::new(OTHER)], long())).contains("lists no such"));
    assert_eq!(ours.status().queued, 3);
    // The right in a list is no other.
    assert!(send(few.list(long()).unwrap()[0].1.as_ref().unwrap(), 1).is_err());
}

#[test]
fn a_queue_of_the_servers_is_narrowed_and_the_port_of_a_service_is_not() {
    let (_serving, names, _) = declared(&queue_file("no_such_part", NAME, ""));
    let few = names.subset(&[Listed::new(NAME).messages(1)], long()).unwrap();
    let queue = few.look_up(NAME, long()).unwrap();
    queue.send(Message::new("work"), long()).unwrap();
    assert!(queue.send(Message::new("more"), Deadline::Now).is_err());
    let (_serving, names, _) = declared(&file_of("service_part", &[NAME], ""));
    for _ in 0..2 {
        // Neither before it runs nor when it does.
        let told = not_allowed(names.subset(&[Listed::new(NAME).messages(1)], long()));
        assert!(told.contains("no other narrows a right to it"), "{told}");
        pid_of(&names.look_up(NAME, long()).unwrap());
    }
}

#[test]
fn a_service_is_started_on_it_and_rules_hold_for_one_that_a_file_restricts() {
    let file = |text: String| ServiceFile::read(&text).unwrap();
    let more = format!("only = [\"{NAME}=it\", \"{OTHER}\"]");
    let confined = file(file_of("confined_part", &[ASKING], &more));
    let open = file(file_of("service_part", &[NAME], ""));
    let rule = "[[look_up]]\nentitlements = [\"x\"]";
    let closed = file(file_of("service_part", &[OTHER], rule));
    let server = Server::new(&task()).unwrap().service("confined", confined).unwrap();
    let server = server.service("open", open).unwrap().service("closed", closed).unwrap();
    let (_serving, names) = started(server);
    let admin = Admin::new(&names);
    // It has checked in on the restricted right that it was given.
    let mut asking = names.look_up(ASKING, long()).unwrap();
    for _ in 0..2 {
        assert_eq!(tell(&asking, "look_up it"), "done");
        assert_eq!(tell(&asking, &format!("list {ASKING},it")), "done");
        assert_eq!(tell(&asking, "socket /dev/null"), "done");
        assert!(tell(&asking, &format!("look_up {NAME}")).contains("lists no such name"));
        let told = tell(&asking, &format!("look_up {OTHER}"));
        assert!(told.contains("no rule of `look_up` of the service closed"), "{told}");
        assert!(tell(&asking, "stop").contains("looking up only"));
        // Its successor is given the same.
        admin.order(Order::Restart, "confined", long()).unwrap();
        asking = names.look_up(ASKING, long()).unwrap();
    }
}

#[test]
fn it_lasts_until_nobody_holds_it_and_one_task_does_not_make_all() {
    let (_serving, names, _ports) = two_names();
    let make = || names.subset(&[Listed::new(NAME)], long());
    let mut held: Vec<Bootstrap> = (0..SUBSETS_PER_TASK).map(|_| make().unwrap()).collect();
    assert_eq!(refused(make()), Refused::NoRoom);
    let (child, asker) = start(act("asker_part"), &held.pop().unwrap());
    assert_eq!(refused(make()), Refused::NoRoom);
    // It is the child's alone now.
    assert_eq!(tell(&asker, &format!("look_up {NAME}")), "done");
    drop(held);
    until(|| (0..SUBSETS_PER_TASK - 1).map(|_| make()).collect::<Result<Vec<_>, _>>().is_ok());
    drop(child);
    until(|| (0..SUBSETS_PER_TASK).map(|_| make()).collect::<Result<Vec<_>, _>>().is_ok());
}

#[test]
fn what_was_asked_before_nobody_held_it_is_answered() {
    let (_serving, names, _ports) = two_names();
    let answers = task().port(Capacity::Unbounded);
    for _ in 0..20 {
        let few = names.subset(&[Listed::new(NAME)], long()).unwrap();
        for _ in 0..8 {
            let asked = family::look_up_request(NAME);
            let reply = answers.make_send_once().unwrap();
            few.right().send(asked.with_reply(reply), long()).unwrap();
        }
    }
    for _ in 0..160 {
        let told = answers.receive(long()).unwrap();
        assert_eq!(family::answer(&told), pillarbox::bootstrap::Answer::Right);
    }
}
