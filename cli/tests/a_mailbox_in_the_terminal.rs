//! `send` posts, `recv` prints.

mod house;

use house::{House, noise, wait_until};

fn open(house: &House, words: &[&str]) -> house::Running {
    let mut all = vec!["recv", "box"];
    all.extend(words);
    let mailbox = house.start(all);
    wait_until("the mailbox is there", || house.run(["show", "box"]).code == Some(0));
    mailbox
}

#[test]
fn one_message_is_printed_byte_for_byte() {
    let house = House::new();
    for body in [&b"no newline"[..], b"", b"two\nlines\n", &noise(300_000)] {
        let mailbox = open(&house, &[]);
        assert_eq!(house.run_with(["send", "box"], body).code, Some(0));
        let told = mailbox.end();
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
        assert!(told.stdout == body, "{} bytes came otherwise", body.len());
        wait_until("the name is free", || house.names().is_empty());
    }
    house.close();
}

#[test]
fn several_stay_apart_and_in_order() {
    let house = House::new();
    let mailbox = open(&house, &["--count", "3"]);
    for body in [&b"one"[..], b"two\n", b"three"] {
        assert_eq!(house.run_with(["send", "box", "-"], body).code, Some(0));
    }
    assert_eq!(mailbox.end().text(), "one\ntwo\nthree\n");
    house.close();
}

#[test]
fn a_sender_waits_until_its_message_is_taken() {
    let house = House::new();
    let mailbox = open(&house, &["--count", "2"]);
    let sent: Vec<_> =
        (0..5).map(|_| house.start(["send", "box", "/dev/null", "--deadline", "40s"])).collect();
    let accepted = sent.into_iter().filter_map(|send| {
        let told = send.end();
        assert!(matches!(told.code, Some(0 | 64 | 67)), "{told:?}");
        (told.code == Some(0)).then_some(())
    });
    // A sender that is slow with its turn may be accepted as the mailbox ends.
    let accepted = accepted.count();
    assert!((2..5).contains(&accepted), "{accepted}");
    assert_eq!(mailbox.end().text(), "\n\n");
    house.close();
}

#[test]
fn follow_goes_on_until_it_is_ended() {
    let house = House::new();
    let mut mailbox = open(&house, &["--follow"]);
    for number in 0..20 {
        let body = format!("message {number}");
        assert_eq!(house.run_with(["send", "box"], body.as_bytes()).code, Some(0));
        assert_eq!(mailbox.wait_line(), format!("{body}\n"));
    }
    assert!(mailbox.is_running());
    mailbox.kill();
    wait_until("the name is free", || house.names().is_empty());
    house.close();
}

#[test]
fn json_says_who_sent_it() {
    let house = House::new();
    let mailbox = open(&house, &["--count", "2", "--json"]);
    let uid = rustix::process::getuid().as_raw();
    let file = house.file("body", b"hello\n");
    let send =
        house.start(["send", "box", file.to_str().unwrap(), "--id", "-7", "--tag", "9", "--json"]);
    let mut send = send;
    let pid = send.pid();
    let told = send.end();
    assert_eq!(told.json(), serde_json::json!({"ok": true, "name": "box", "bytes": 6}));
    assert_eq!(house.run_with(["send", "box"], b"\xff\xfe").code, Some(0));
    let told = mailbox.end();
    let lines = told.json_lines();
    assert_eq!(
        lines[0],
        serde_json::json!({
            "pid": pid, "uid": uid, "id": -7, "tag": 9,
            "length": 6, "encoding": "utf-8", "body": "hello\n",
        })
    );
    assert_eq!((&lines[1]["encoding"], &lines[1]["body"]), (&"base64".into(), &"//4=".into()));
    assert_eq!(lines.len(), 2);
    std::fs::remove_file(file).unwrap();
    house.close();
}
