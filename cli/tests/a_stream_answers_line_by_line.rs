//! With `--stream` one program answers many messages, as many lines out as in.

mod house;

use house::{House, wait_until};

const UPPER: &[&str] = &["lines", "--stream", "--", "sed", "-u", "s/.*/<&>/"];

#[test]
fn as_many_lines_come_back() {
    let house = House::new();
    let lines = house.serve(UPPER);
    for (body, reply) in
        [("one\n", "<one>\n"), ("a\nb\nc\n", "<a>\n<b>\n<c>\n"), ("no end", "<no end>\n"), ("", "")]
    {
        let told = house.call("lines", body.as_bytes());
        assert_eq!((told.code, told.text()), (Some(0), reply), "{told:?}");
    }
    lines.kill();
    house.close();
}

#[test]
fn it_is_one_program_all_the_time() {
    let house = House::new();
    let script = "while read -r line; do echo \"$$ $line\"; done";
    let service = house.serve(&["pid", "--stream", "--", "sh", "-c", script]);
    let first = house.call("pid", b"x\n");
    assert_eq!(first.code, Some(0));
    assert_eq!(house.call("pid", b"x\n").stdout, first.stdout);
    service.kill();
    house.close();
}

#[test]
fn many_lines_are_written_while_answers_are_read() {
    let house = House::new();
    let lines = house.serve(UPPER);
    let body = "a line of some length, so that pipes fill up\n".repeat(60_000);
    let told = house.call("lines", body.as_bytes());
    assert_eq!(told.code, Some(0));
    assert_eq!(told.text().lines().count(), 60_000);
    assert!(told.text().lines().all(|line| line.starts_with("<a line") && line.ends_with("up>")));
    lines.kill();
    house.close();
}

#[test]
fn one_that_dies_refuses_its_caller_and_is_replaced() {
    let house = House::new();
    let script = "while read -r line; do \
                  case $line in die) echo last words >&2; exit 9;; *) echo $$;; esac; done";
    let service = house.serve(&["mortal", "--stream", "--", "sh", "-c", script]);
    let before = house.call("mortal", b"x\n");
    assert_eq!(before.code, Some(0));
    let told = house.call("mortal", b"die\n");
    told.fails(68, "status 9");
    assert!(told.stderr.contains("last words"), "{told:?}");
    let after = house.call("mortal", b"x\n");
    assert_eq!(after.code, Some(0), "{after:?}");
    assert_ne!(before.stdout, after.stdout);
    // One that dies while nobody calls is replaced unnoticed.
    let pid = after.text().trim().parse().unwrap();
    house::signal(pid, rustix::process::Signal::KILL);
    wait_until("it is dead", || !house.processes().contains(&pid));
    let told = house.call("mortal", b"x\n");
    assert_eq!(told.code, Some(0), "{told:?}");
    service.kill();
    house.close();
}

#[test]
fn standard_error_comes_with_the_reply() {
    let house = House::new();
    let script = "while read -r line; do echo \"err $line\" >&2; echo \"out $line\"; done";
    let service = house.serve(&["both", "--stream", "--", "sh", "-c", script]);
    let told = house.call("both", b"x\n");
    assert_eq!((told.text(), told.stderr.as_str()), ("out x\n", "err x\n"));
    service.kill();
    house.close();
}
