//! A script can tell failures apart by the exit code, a person by the text, and
//! a program by `--json`.

mod house;

use std::process::Stdio;

use house::{House, wait_until, words};

#[test]
fn no_server_is_65_and_says_how_to_start_one() {
    let house = House::new();
    for verb in [&["call", "x"][..], &["send", "x"], &["ls"], &["show", "x"], &["boot", "--stop"]] {
        let told = house.run(verb);
        told.fails(65, "no bootstrap server");
        assert!(told.stderr.contains("hint: ") && told.stderr.contains("pillarbox boot"));
    }
    house.close();
}

#[test]
fn no_such_name_is_64() {
    let house = House::new();
    let boot = house.boot();
    for verb in ["call", "send", "show"] {
        let told = house.run([verb, "nobody"]);
        told.fails(64, "nobody has the name nobody");
        assert!(told.stderr.contains("pillarbox ls"), "{told:?}");
    }
    boot.kill();
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}

#[test]
fn no_answer_in_time_is_66() {
    let house = House::new();
    let slow = house.serve(&["slow", "--", "sleep", "1000"]);
    house.run(["call", "slow", "--deadline", "500ms"]).fails(66, "did not answer");
    house.run(["call", "slow", "--timeout", "0.5"]).fails(66, "did not answer");
    slow.kill();
    house.close();
}

#[test]
fn no_message_in_time_is_66() {
    let house = House::new();
    house.run(["recv", "box", "--deadline", "50ms"]).fails(66, "no message came");
    house.close();
}

#[test]
fn no_room_in_time_is_66() {
    let house = House::new();
    let slow = house.serve(&["slow", "--", "sleep", "1000"]);
    let mut sent = 0;
    loop {
        let told = house.run(["send", "slow", "--deadline", "200ms"]);
        match told.code {
            Some(0) => sent += 1,
            Some(66) if told.stderr.contains("no room") => break,
            // A busy machine may need longer to find the service.
            Some(66) => {}
            _ => panic!("{told:?}"),
        }
    }
    // One is being run, the others wait; others who may send keep places free.
    assert!((2..=129).contains(&sent), "{sent}");
    house.run(["send", "slow", "--deadline", "0"]).fails(66, "no room");
    slow.kill();
    house.close();
}

#[test]
fn a_service_that_drops_the_request_is_68() {
    let house = House::new();
    let mailbox = house.start(["recv", "box"]);
    wait_until("the mailbox is there", || house.run(["show", "box"]).code == Some(0));
    house.call("box", b"answer me").fails(68, "without an answer");
    assert_eq!(mailbox.end().text(), "answer me");
    house.close();
}

#[test]
fn a_name_in_use_is_68() {
    let house = House::new();
    let first = house.serve(&["taken", "--", "cat"]);
    house.run(["serve", "taken", "--", "cat"]).fails(68, "in use");
    house.run(["recv", "taken"]).fails(68, "in use");
    assert_eq!(house.call("taken", b"still").text(), "still");
    first.kill();
    house.close();
}

#[test]
fn each_bad_name_is_2_with_a_text_of_its_own() {
    let house = House::new();
    let long = "x".repeat(256);
    for verb in ["call", "send", "recv", "show"] {
        for (name, word) in [
            (&b""[..], "empty"),
            (long.as_bytes(), "256 bytes long"),
            (b"\xff\xfe", "UTF-8"),
            (b"a\nb", "control character"),
        ] {
            house.run(words(&[verb.as_bytes(), name])).fails(2, word);
        }
    }
    house.run(words(&[b"serve", b"\xff", b"--", b"cat"])).fails(2, "UTF-8");
    house.close();
}

#[test]
fn a_file_that_cannot_be_read_is_2() {
    let house = House::new();
    let boot = house.boot();
    for verb in ["call", "send"] {
        house.run([verb, "x", "/no/such/file"]).fails(2, "/no/such/file cannot be read");
        house.run([verb, "x", "/"]).fails(2, "/ is a directory");
        // Its first page is mapped nowhere.
        house.run([verb, "x", "/proc/self/mem"]).fails(2, "/proc/self/mem cannot be read");
    }
    let long = house.path("long");
    let limit = 1_u64 << 30;
    std::fs::File::create(&long).unwrap().set_len(limit + 1).unwrap();
    let told = house.run(["call", "x", long.to_str().unwrap()]);
    told.fails(2, "1073741825 bytes long");
    assert!(told.stderr.contains("1073741824"), "{told:?}");
    std::fs::remove_file(long).unwrap();
    boot.kill();
    std::fs::remove_file(house.socket()).unwrap();
    house.close();
}

#[test]
fn a_wrong_argument_is_2() {
    let house = House::new();
    for wrong in [
        &["no-such-verb"][..],
        &["call"],
        &["call", "x", "--deadline", "soon"],
        &["recv", "x", "--count", "0"],
        &["recv", "x", "--count", "2", "--follow"],
        &["ls", "extra"],
        &["completions", "no-such-shell"],
        &[],
    ] {
        let told = house.run(wrong);
        assert_eq!(told.code, Some(2), "{wrong:?} {told:?}");
        assert!(!told.stderr.is_empty());
    }
    house.close();
}

#[test]
fn json_tells_which() {
    let house = House::new();
    let told = house.run(["call", "x", "--json"]);
    let json = told.json();
    assert_eq!((told.code, told.stderr.as_str()), (Some(65), ""));
    assert_eq!((&json["ok"], &json["error"]), (&false.into(), &"no-server".into()));
    assert_eq!(json["exit_code"], 65);
    assert!(json["message"].is_string() && json["hint"].is_string());

    let boot = house.boot();
    assert_eq!(house.run(["call", "x", "--json"]).json()["error"], "no-such-name");
    assert_eq!(house.run(["send", "x", "--json"]).json()["error"], "no-such-name");
    assert_eq!(house.run(["show", "x", "--json"]).json()["error"], "no-such-name");
    assert_eq!(house.run(["boot", "--json"]).json()["error"], "refused");
    assert_eq!(house.run(["call", "x", "/", "--json"]).json()["error"], "usage");
    let late = house.run(["recv", "x", "--deadline", "20ms", "--json"]).json();
    assert_eq!(late["error"], "deadline");
    let json = house.run(["boot", "--stop", "--json"]).json();
    assert_eq!((&json["ok"], json["stopped"].as_str()), (&true.into(), house.socket().to_str()));
    assert_eq!(boot.end().code, Some(0));
    house.close();
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let house = House::new();
    let cat = house.serve(&["cat", "--", "cat"]);
    let body = house.file("body", &house::noise(1_000_000));
    for verb in [&["call", "cat", body.to_str().unwrap()][..], &["ls"], &["show", "cat"], &["man"]]
    {
        let mut command = house.command(verb);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{verb:?}");
    }
    std::fs::remove_file(body).unwrap();
    cat.kill();
    house.close();
}
