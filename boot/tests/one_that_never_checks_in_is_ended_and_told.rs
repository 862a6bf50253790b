//! A service that does not check in within the time of its file is ended, gently and
//! then not; everybody who waits is told why, and it is held back after that.

mod family;

use boot::admin::{AdminError, Order, ServicePhase};
use family::{NAME, children, declared, long, refused, report, shell_file, until};
use pillarbox::bootstrap::Refused;

const QUICK: &str = "check_in_within = \"50ms\"\nexit_timeout = \"50ms\"\nthrottle = \"1ms\"";

fn reason(refused: Refused) -> String {
    match refused {
        Refused::NotStarted(reason) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn who_waits_is_told() {
    let (serving, names, admin) = declared(&shell_file("exec sleep 1000", QUICK));
    let told = reason(refused(names.look_up(NAME, long())));
    assert_eq!(told, "it did not check in within 50ms");
    let told = report(&admin);
    assert_eq!((told.phase, told.starts), (ServicePhase::Down, 1));
    match admin.order(Order::Start, NAME, long()) {
        Err(AdminError::NotStarted(reason)) => {
            assert_eq!(reason, "it did not check in within 50ms");
        }
        other => panic!("{other:?}"),
    }
    serving.stop();
    assert_eq!(children(), []);
}

#[test]
fn one_that_does_not_hear_is_killed_with_all_it_started() {
    let script = "trap '' TERM; sleep 1000 & sleep 1000; sleep 1000";
    let (_serving, names, admin) = declared(&shell_file(script, QUICK));
    let told = reason(refused(names.look_up(NAME, long())));
    assert_eq!(told, "it did not check in within 50ms");
    assert_eq!(report(&admin).pid, None);
}

#[test]
fn after_two_failures_it_is_held_back() {
    let more = "throttle = \"1ms\"\nback_off = \"10s\"";
    let (_serving, names, admin) = declared(&shell_file("exit 3", more));
    for _ in 0..2 {
        let told = reason(refused(names.look_up(NAME, long())));
        assert!(told.contains("exit status: 3"), "{told}");
    }
    assert!(matches!(report(&admin).phase, ServicePhase::BackingOff { left_ms: 1..=10_000 }));
    let told = reason(refused(names.look_up(NAME, long())));
    assert!(told.contains("2 times in a row") && told.contains("exit status: 3"), "{told}");
    assert_eq!(report(&admin).starts, 2);
    // By hand it is tried at once.
    assert!(admin.order(Order::Start, "part", long()).is_err());
    assert_eq!(report(&admin).starts, 3);
}

#[test]
fn a_fork_bomb_of_activations_is_not_possible() {
    let more =
        "throttle = \"1ms\"\nback_off = \"10s\"\nkeep_alive = \"always\"\nstart = \"at-start\"";
    let (_serving, names, admin) = declared(&shell_file("exit 3", more));
    until(|| matches!(report(&admin).phase, ServicePhase::BackingOff { .. }));
    for _ in 0..200 {
        let _ = reason(refused(names.look_up(NAME, long())));
    }
    assert_eq!(report(&admin).starts, 2);
}
