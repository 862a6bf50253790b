//! Orders: a service is started, stopped and restarted, and who ordered it is told
//! when it is done, or why not.

mod family;

use boot::admin::{AdminError, Order, ServicePhase};
use family::{
    NAME, act, declared, file_of, is_child, long, parents_server, pid_of, refused, report,
    serve_if_acting, shell_file, wait_dead,
};
use pillarbox::bootstrap::{BOOTSTRAP, Refused};
use pillarbox::{Deadline, Message};

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn what_was_ordered_is_done() {
    let text = file_of("service_part", &[NAME], "throttle = \"1ms\"\nkeep_alive = \"always\"");
    let (_serving, names, admin) = declared(&text);
    admin.order(Order::Start, "part", long()).unwrap();
    let right = names.look_up_running(NAME, long()).unwrap();
    let first = pid_of(&right);
    // It runs: nothing is to be done.
    admin.order(Order::Start, NAME, long()).unwrap();
    assert_eq!(report(&admin).pid, Some(first));
    admin.order(Order::Restart, "part", long()).unwrap();
    wait_dead(&right);
    let right = names.look_up_running(NAME, long()).unwrap();
    let second = pid_of(&right);
    assert_ne!(second, first);
    admin.order(Order::Stop, "part", long()).unwrap();
    assert!(!is_child(second));
    let told = report(&admin);
    assert_eq!((told.phase, told.pid, told.starts), (ServicePhase::Stopped, None, 2));
    assert_eq!(told.last_end.as_deref(), Some("it was stopped by hand"));
    // Once more: it is done already.
    admin.order(Order::Stop, "part", long()).unwrap();
    let why = refused(names.look_up(NAME, long()));
    assert_eq!(why, Refused::NotStarted("it was stopped by hand".to_owned()));
    admin.order(Order::Start, "part", long()).unwrap();
    assert_ne!(pid_of(&names.look_up(NAME, long()).unwrap()), second);
}

#[test]
fn who_waits_for_one_that_is_stopped_is_told() {
    let (_serving, names, admin) = declared(&shell_file("exec sleep 1000", ""));
    let (pending, admin) = (names.clone(), admin);
    let waiting = std::thread::spawn(move || refused(pending.look_up(NAME, long())));
    family::until(|| report(&admin).phase == ServicePhase::Starting);
    admin.order(Order::Stop, "part", long()).unwrap();
    let why = waiting.join().unwrap();
    assert_eq!(why, Refused::NotStarted("it was stopped by hand".to_owned()));
}

#[test]
fn an_order_that_fails_says_why() {
    let (_serving, _names, admin) = declared(&shell_file("exit 9", ""));
    match admin.order(Order::Restart, "part", long()) {
        Err(AdminError::NotStarted(why)) => assert!(why.contains("exit status: 9"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(admin.order(Order::Stop, "nobody", long()), Err(AdminError::NoSuchService)));
    let text = shell_file("exec sleep 1000", "");
    let (_serving, _names, admin) = declared(&text);
    assert!(matches!(admin.order(Order::Start, "part", Deadline::Now), Err(AdminError::Deadline)));
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let text = format!("program = \"/nowhere/at/all\"\nnames = [{NAME:?}]\n");
    for limits in ["", "[limits]\nopen_files = 64\n"] {
        let (_serving, _names, admin) = declared(&format!("{text}{limits}"));
        match admin.order(Order::Start, "part", long()) {
            Err(AdminError::NotStarted(why)) if limits.is_empty() => {
                assert!(why.contains("No such file"), "{why}");
            }
            // The shell says it in the log, and ends with its code for that.
            Err(AdminError::NotStarted(why)) => assert!(why.contains("status: 127"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nonsense_is_told_from_orders() {
    let (_serving, names, admin) = declared(&shell_file("exit 0", ""));
    for body in [&b""[..], b"\xff\xff\xff", &[7; 100_000]] {
        let told = names.right().call(Message::new(body).with_id(1), long()).unwrap();
        assert_eq!(told.body().len(), 1, "one word: it makes no sense");
    }
    assert_eq!(report(&admin).starts, 0);
}

/// A task of this user that is no service may give orders too: the right is all it
/// needs.
#[test]
fn order_part() {
    if family::acting("order_part") {
        let admin = boot::admin::Admin::new(&parents_server());
        admin.order(Order::Start, "part", long()).unwrap();
    }
}

#[test]
fn an_order_comes_from_any_task_of_this_user() {
    let (serving, _names, admin) = declared(&file_of("service_part", &[NAME], ""));
    let spawn = act("order_part").right(BOOTSTRAP, serving.right().clone());
    let mut child = spawn.spawn().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(report(&admin).phase, ServicePhase::Up);
}
