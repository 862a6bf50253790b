//! docs/seeing.md shows how to see what goes on: each command in it is run here, in its
//! order, in a shell, and says what the page says that it does.

mod house;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use house::House;

const PAGE: &str = include_str!("../../docs/seeing.md");

/// The lines of all blocks for a shell, in order.
fn lines() -> Vec<&'static str> {
    let blocks = PAGE.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(str::lines).collect()
}

/// Where programs are looked for: first where this one is.
fn path() -> String {
    let own = Path::new(env!("CARGO_BIN_EXE_pillarbox")).parent().unwrap();
    format!("{}:{}", own.display(), std::env::var("PATH").unwrap())
}

/// What the page starts in the background, when it is ready.
fn background(house: &House, line: &str) -> Child {
    let mut words: Vec<&str> = line.strip_prefix("pillarbox ").unwrap().split(' ').collect();
    words.insert(1, "--json");
    let mut child = house.command(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with('{') && !ready.contains("\"ok\":false"), "{ready}");
    child
}

fn shell(house: &House, line: &str) -> String {
    let told = Command::new("/bin/sh")
        .args(["-euc", line])
        .env("PATH", path())
        .env("PILLARBOX_SOCKET", house.socket())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(told.status.success(), "{line}: {told:?}");
    String::from_utf8(told.stdout).unwrap()
}

#[test]
fn each_command_shows_what_the_page_says() {
    let house = House::new();
    let mut started = Vec::new();
    let mut run = Vec::new();
    for line in lines() {
        if let Some(line) = line.strip_suffix(" &") {
            started.push(background(&house, line));
            continue;
        }
        let said = shell(&house, line);
        let words: &[&str] = match line {
            "echo hello | pillarbox call upper" => &["HELLO"],
            "pillarbox top --once" => &["ANSWER", "CALL", "QUEUED", "upper", "slow"],
            "pillarbox top --once --json" => &["\"answer_p99_ns\":", "\"names\":[\"upper\"]"],
            "pillarbox top --once --ports" => &["SENDERS", "upper"],
            "pillarbox tree" => &["upper  0 of 128 queued, 1 taken", "slow", "kernel"],
            "pillarbox tree upper" => &["pid ", "upper", "1 send", "holds of others"],
            "pillarbox show slow" => &["waiting", "rights"],
            "pillarbox doctor" => &["kernel", "descriptors", "cgroup", "the program that this is"],
            "pillarbox doctor --json" => &["\"look\":\"kernel\"", "\"state\":\"ok\""],
            "pillarbox boot --stop" => &[],
            other => panic!("the page has a command that nobody looks at: {other}"),
        };
        for word in words {
            assert!(said.contains(word), "{line} does not say {word}: {said}");
        }
        run.push(line);
    }
    assert!(run.len() >= 10 && started.len() == 3, "the page has commands: {run:?}");
    for mut child in started {
        let _ = child.kill();
        child.wait().unwrap();
    }
    house.close();
}
