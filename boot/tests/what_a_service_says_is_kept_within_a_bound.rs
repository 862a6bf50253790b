//! Standard output and standard error of a service are kept, the last of them and no
//! more, over all its runs.

mod family;

use boot::admin::Order;
use family::{declared, long, report, shell_file, until};

#[test]
fn both_are_kept_in_order_over_all_runs() {
    let (_serving, _names, admin) =
        declared(&shell_file("echo one; echo two >&2; echo three; exit 1", "throttle = \"1ms\""));
    assert_eq!(admin.log("part", long()).unwrap().bytes, b"");
    for run in 1..=2 {
        assert!(admin.order(Order::Start, "part", long()).is_err());
        let log = admin.log("part", long()).unwrap();
        let said = String::from_utf8(log.bytes).unwrap();
        assert_eq!((said, log.lost), ("one\ntwo\nthree\n".repeat(run), 0));
    }
}

#[test]
fn one_that_talks_without_end_costs_its_bound() {
    let script = "yes 0123456789abcdef | head -c 1000000; echo; echo last; exec sleep 1000";
    let more = "log_bytes = 1000\nstart = \"at-start\"";
    let (_serving, _names, admin) = declared(&shell_file(script, more));
    until(|| admin.log("part", long()).unwrap().bytes.ends_with(b"\nlast\n"));
    let log = admin.log("part", long()).unwrap();
    assert_eq!((log.bytes.len(), log.lost), (1000, 1_000_006 - 1000));
    assert_eq!(report(&admin).starts, 1);
}

#[test]
fn nothing_is_kept_where_the_file_says_so() {
    let (_serving, _names, admin) = declared(&shell_file("echo secret; exit 1", "log_bytes = 0"));
    assert!(admin.order(Order::Start, "part", long()).is_err());
    let log = admin.log("part", long()).unwrap();
    assert_eq!((log.bytes.len(), log.lost), (0, 7));
}
