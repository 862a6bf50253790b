//! What a program reads, says and ends with is what its caller wrote, hears and
//! ends with.

mod house;

use std::process::Command;

use house::{House, is_installed, noise, wait_until};

#[test]
fn the_body_goes_in_and_the_output_comes_back() {
    let house = House::new();
    let upper = house.serve(&["upper", "--", "tr", "a-z", "A-Z"]);
    let told = house.call("upper", b"hello\n");
    assert_eq!((told.code, told.text()), (Some(0), "HELLO\n"));
    assert_eq!(told.stderr, "");
    let file = house.file("body", b"from a file");
    let told = house.run(["call", "upper", file.to_str().unwrap()]);
    assert_eq!((told.code, told.text()), (Some(0), "FROM A FILE"));
    std::fs::remove_file(file).unwrap();
    upper.kill();
    house.close();
}

#[test]
fn any_bytes_pass_of_any_length() {
    let house = House::new();
    let cat = house.serve(&["cat", "--", "cat"]);
    for length in [0, 1, 4096, 65_537, 5_000_000] {
        let body = noise(length);
        let told = house.call("cat", &body);
        assert_eq!(told.code, Some(0), "{length}: {}", told.stderr);
        assert!(told.stdout == body, "{length} bytes came back otherwise");
    }
    cat.kill();
    let sum = house.serve(&["sum", "--", "sha256sum"]);
    let told = house.call("sum", b"");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  -\n";
    assert_eq!(told.text(), empty);
    sum.kill();
    house.close();
}

#[test]
fn jq_is_a_service_too() {
    if !is_installed("jq") {
        return;
    }
    let house = House::new();
    let jq = house.serve(&["name", "--", "jq", "-r", ".name"]);
    assert_eq!(house.call("name", b"{\"name\":\"grey\"}").text(), "grey\n");
    let told = house.call("name", b"{");
    assert!(told.code.is_some_and(|code| code != 0) && !told.stderr.is_empty(), "{told:?}");
    jq.kill();
    house.close();
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let house = House::new();
    let script = house.serve(&["script", "--", "sh"]);
    for (body, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 64", 64),
        ("exit 255", 255),
        ("kill -9 $$", 128 + 9),
        ("kill -15 $$", 128 + 15),
    ] {
        assert_eq!(house.call("script", body.as_bytes()).code, Some(code), "{body}");
    }
    script.kill();
    house.close();
}

#[test]
fn standard_error_passes_beside_standard_output() {
    let house = House::new();
    let script = house.serve(&["script", "--", "sh"]);
    let told = house.call("script", b"echo out; echo err >&2; echo more; exit 3");
    assert_eq!((told.code, told.text()), (Some(3), "out\nmore\n"));
    assert_eq!(told.stderr, "err\n");
    let told = house.call("script", b"echo err >&2");
    assert_eq!((told.code, told.text(), told.stderr.as_str()), (Some(0), "", "err\n"));
    script.kill();
    house.close();
}

#[test]
fn a_command_may_leave_its_input_unread() {
    let house = House::new();
    let yes = house.serve(&["yes", "--", "true"]);
    let told = house.call("yes", &noise(5_000_000));
    assert_eq!((told.code, told.stdout.len()), (Some(0), 0), "{told:?}");
    yes.kill();
    let head = house.serve(&["head", "--", "head", "-c", "3"]);
    assert_eq!(house.call("head", &noise(5_000_000)).stdout.len(), 3);
    head.kill();
    house.close();
}

#[test]
fn much_output_before_any_input_is_read_is_no_deadlock() {
    let house = House::new();
    let script = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; cat | wc -c";
    let both = house.serve(&["both", "--", "sh", "-c", script]);
    let told = house.run_with(["call", "both", "-", "--json"], &noise(3_000_000));
    let json = told.json();
    assert_eq!(json["ok"], true, "{json}");
    let stdout = json["stdout"].as_str().unwrap();
    assert_eq!((stdout.len(), &stdout[3_000_000..]), (3_000_008, "3000000\n"));
    assert_eq!(json["stderr"].as_str().unwrap().len(), 3_000_000);
    both.kill();
    house.close();
}

#[test]
fn workers_run_at_the_same_time() {
    let house = House::new();
    // Each run ends only when three have begun.
    let script = r#"touch "$0/begun.$$"; while [ $(ls "$0" | grep -c begun) -lt 3 ]; do sleep 0.01; done; echo met"#;
    let here = house.path("");
    let here = here.to_str().unwrap();
    let meet = house.serve(&["meet", "--workers", "3", "--", "sh", "-c", script, here]);
    let calls: Vec<_> =
        (0..3).map(|_| house.start(["call", "meet", "--deadline", "40s"])).collect();
    for call in calls {
        let told = call.end();
        assert_eq!((told.code, told.text()), (Some(0), "met\n"), "{told:?}");
    }
    for entry in std::fs::read_dir(here).unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains("begun") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    meet.kill();
    house.close();
}

#[test]
fn a_message_that_wants_no_reply_is_a_run_too() {
    let house = House::new();
    let script = house.serve(&["script", "--", "sh"]);
    let done = house.path("done");
    let body = format!("echo unheard; echo done > {}.new; mv {0}.new {0}", done.display());
    assert_eq!(house.run_with(["send", "script"], body.as_bytes()).code, Some(0));
    wait_until("the command has run", || done.exists());
    std::fs::remove_file(done).unwrap();
    script.kill();
    house.close();
}

#[test]
fn a_run_goes_on_when_its_caller_leaves() {
    let house = House::new();
    let script = house.serve(&["script", "--", "sh"]);
    let (begun, done) = (house.path("begun"), house.path("done"));
    let (shown_begun, shown_done) = (begun.display(), done.display());
    let body = format!(
        "touch {shown_begun}; while [ -e {shown_begun} ]; do sleep 0.01; done; touch {shown_done}"
    );
    let file = house.file("body", body.as_bytes());
    let caller = house.start(["call", "script", file.to_str().unwrap()]);
    wait_until("the run has begun", || begun.exists());
    caller.kill();
    std::fs::remove_file(begun).unwrap();
    wait_until("the run is done", || done.exists());
    assert_eq!(house.call("script", b"echo next").text(), "next\n");
    std::fs::remove_file(done).unwrap();
    std::fs::remove_file(file).unwrap();
    script.kill();
    house.close();
}

#[test]
fn the_result_as_json() {
    let house = House::new();
    let script = house.serve(&["script", "--", "sh"]);
    let told = house.run_with(
        ["call", "script", "-", "--json"],
        b"printf 'text'; printf '\\377\\376' >&2; exit 64",
    );
    assert_eq!(told.code, Some(64));
    let json = told.json();
    assert_eq!(json["ok"], true);
    assert_eq!(json["exit_code"], 64);
    assert_eq!((&json["stdout"], &json["stdout_encoding"]), (&"text".into(), &"utf-8".into()));
    assert_eq!((&json["stderr"], &json["stderr_encoding"]), (&"//4=".into(), &"base64".into()));
    assert!(json["latency_ns"].as_u64().is_some_and(|latency_ns| latency_ns > 0));
    script.kill();
    house.close();
}

#[test]
fn a_command_that_is_not_there_is_refused_at_the_start() {
    let house = House::new();
    house.run(["serve", "x", "--", "no-such-program-at-all"]).fails(2, "not found in PATH");
    house.run(["serve", "x", "--", "/no/such/program"]).fails(2, "/no/such/program");
    house.run(["serve", "x", "--", "/etc/passwd"]).fails(2, "/etc/passwd");
    house.run(["serve", "x", "--", "/etc"]).fails(2, "not a file");
    assert_eq!(house.run(["serve", "x"]).code, Some(2));
    assert_eq!(house.run(["serve", "x", "--workers", "0", "--", "cat"]).code, Some(2));
    house.close();
}

#[test]
fn a_command_that_cannot_be_started_later_refuses_its_caller() {
    let house = House::new();
    let program = house.path("program");
    std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
    let service = house.serve(&["it", "--", program.to_str().unwrap()]);
    assert_eq!(house.call("it", b"echo here").text(), "here\n");
    std::fs::remove_file(program).unwrap();
    house.call("it", b"").fails(68, "could not be started");
    service.kill();
    house.close();
}

#[test]
fn a_run_gets_no_descriptor_of_ours() {
    let house = House::new();
    let list = ["ls", "/proc/self/fd"];
    // What we have inherited ourselves is not ours, nor is what `ls` opens.
    let inherited = Command::new(list[0]).args(&list[1..]).output().unwrap();
    let service = house.serve(&["list", "--", list[0], list[1]]);
    let told = house.call("list", b"");
    assert_eq!(told.text(), String::from_utf8(inherited.stdout).unwrap());
    service.kill();
    house.close();
}
