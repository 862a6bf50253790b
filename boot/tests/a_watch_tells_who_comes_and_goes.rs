//! Who watches a name is told when somebody has it, when another has it, and when nobody
//! has it any more, by whatever end; and keeps nobody waiting.

mod family;

use std::time::Duration;

use boot::limits::WATCHES_PER_TASK;
use family::asker::{ask_if_acting, start, start_as, tell};
use family::{
    NAME, act, answer, declared, file_of, long, pid_of, queue_file, refused, request,
    serve_if_acting, server, signal, task,
};
use pillarbox::bootstrap::{Answer, BootstrapError, NameState, Refused, Request};
use pillarbox::{Capacity, Deadline};
use rustix::process::Signal;

#[test]
fn asker_part() {
    ask_if_acting("asker_part");
}

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn each_coming_and_going_is_told() {
    let (_serving, names) = server();
    let mut watch = names.watch(NAME).unwrap();
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    let nothing = watch.next(Deadline::after(Duration::from_millis(1)));
    assert!(matches!(nothing, Err(BootstrapError::Deadline)), "{nothing:?}");
    let mut before = 0;
    for _ in 0..3 {
        let (child, asker) = start(act("asker_part"), &names);
        assert_eq!(tell(&asker, &format!("check_in {NAME}")), "done");
        let NameState::Taken { since } = watch.next(long()).unwrap() else { panic!("it is here") };
        assert!(since > before);
        before = since;
        // By a SIGKILL.
        drop(child);
        assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    }
    // It asks after both have happened: one after the other, and it is another.
    let (ours, next) = (task().port(Capacity::Bounded(1)), task().port(Capacity::Bounded(1)));
    names.check_in(NAME, &ours, long()).unwrap();
    let first = watch.next(long()).unwrap();
    names.unregister(NAME, long()).unwrap();
    names.check_in(NAME, &next, long()).unwrap();
    let second = watch.next(long()).unwrap();
    assert!(first != second && matches!(second, NameState::Taken { .. }));
    drop(next);
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
}

#[test]
fn a_declared_service_comes_and_goes_and_a_queue_is_always_there() {
    let (_serving, names, _) = declared(&file_of("service_part", &[NAME], "throttle = \"1ms\""));
    let mut watch = names.watch(NAME).unwrap();
    // To watch it starts nothing.
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    let pid = pid_of(&names.look_up(NAME, long()).unwrap());
    assert!(matches!(watch.next(long()).unwrap(), NameState::Taken { .. }));
    signal(pid, Signal::KILL);
    assert_eq!(watch.next(long()).unwrap(), NameState::Free);
    let (_serving, names, _) = declared(&queue_file("service_part", NAME, ""));
    let mut watch = names.watch(NAME).unwrap();
    assert_eq!(watch.next(long()).unwrap(), NameState::Taken { since: 0 });
}

#[test]
fn who_may_not_look_it_up_is_not_told() {
    let (_serving, names) = server();
    if let Some((_child, asker)) = start_as("asker_part", 4321, 8765, &names) {
        let told = tell(&asker, &format!("watch {NAME}"));
        assert!(told.contains("without a rule, a name is for user"), "{told}");
    }
}

#[test]
fn as_many_as_may_watch_and_who_never_reads_keeps_nobody_waiting() {
    let (_serving, names) = server();
    let unread = task().port(Capacity::Unbounded);
    let watch = || {
        let asked = Request::Watch { name: NAME.into(), known: Some(NameState::Free) };
        let reply = unread.make_send_once().unwrap();
        names.right().send(request(&asked).with_reply(reply), long()).unwrap();
    };
    (0..WATCHES_PER_TASK).for_each(|_| watch());
    let mut one_more = names.watch(NAME).unwrap();
    assert_eq!(one_more.next(long()).unwrap(), NameState::Free);
    assert_eq!(refused(one_more.next(long())), Refused::NoRoom);
    let ours = task().port(Capacity::Bounded(1));
    names.check_in(NAME, &ours, long()).unwrap();
    assert!(matches!(one_more.next(long()).unwrap(), NameState::Taken { .. }));
    for _ in 0..WATCHES_PER_TASK {
        let told = answer(&unread.receive(long()).unwrap());
        assert!(matches!(told, Answer::Name(NameState::Taken { .. })), "{told:?}");
    }
    // Who gave up makes room.
    names.unregister(NAME, long()).unwrap();
    assert_eq!(one_more.next(long()).unwrap(), NameState::Free);
    (0..WATCHES_PER_TASK).for_each(|_| watch());
    drop(unread);
    let nothing = one_more.next(Deadline::after(Duration::from_millis(1)));
    assert!(matches!(nothing, Err(BootstrapError::Deadline)), "{nothing:?}");
}
