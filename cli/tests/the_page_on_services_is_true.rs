//! docs/services.md teaches services: each command in it is run here, in its order, in a
//! shell, with the files it shows; and its table has each key there is.

mod house;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use house::House;
use rustix::process::Signal;

const PAGE: &str = include_str!("../../docs/services.md");

/// The blocks of one language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let rest = PAGE.split(fence.as_str()).skip(1);
    rest.map(|block| block.split("```").next().unwrap()).collect()
}

/// Where programs are looked for: first where this one is.
fn path() -> String {
    let own = Path::new(env!("CARGO_BIN_EXE_pillarbox")).parent().unwrap();
    format!("{}:{}", own.display(), std::env::var("PATH").unwrap())
}

/// A shell in the house's directory.
fn shell(house: &House, script: &str) -> std::process::Output {
    Command::new("/bin/sh")
        .args(["-euc", script])
        .current_dir(house.path(""))
        .env("PATH", path())
        .env("PILLARBOX_SOCKET", house.socket())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What the page starts in the background, when it is ready.
fn background(house: &House, line: &str) -> Child {
    let words = line.strip_prefix("pillarbox ").unwrap().split(' ').chain(["--json"]);
    let mut child = house
        .command(words)
        .current_dir(house.path(""))
        .env("PATH", path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.contains("\"ok\":true"), "{ready}");
    child
}

#[test]
fn each_command_does_what_the_page_says() {
    let house = House::new();
    let services = house.path("services");
    std::fs::create_dir(&services).unwrap();
    for file in blocks("toml") {
        let name = file.lines().next().unwrap().strip_prefix("# services/").unwrap();
        std::fs::write(services.join(name), file).unwrap();
    }
    let wrong = "program = \"true\"\nnames = [\"x\"]\nthrottel = \"1s\"\n";
    let mut server: Option<Child> = None;
    let mut said = String::new();
    for block in blocks("sh") {
        for line in block.lines() {
            if let Some(words) = line.strip_suffix(" &") {
                let next = line.contains("--replace").then(|| background(&house, words));
                if let Some(mut before) = server.take() {
                    // It was told to end; its place is free when it has.
                    assert!(before.wait().unwrap().success());
                }
                server = next.or_else(|| Some(background(&house, words)));
                continue;
            }
            // Others on this machine may serve such a name, too.
            if let Some(name) = line.strip_prefix("pkill -KILL -f \"serve ") {
                let pids = house.processes_with(name.trim_end_matches('"'));
                assert!(!pids.is_empty());
                let running = || house.run(["ls", "--services"]).text().contains(" running ");
                assert!(running());
                pids.into_iter().for_each(|pid| house::signal(pid, Signal::KILL));
                // Who reads the page is slower than a death is.
                house::wait_until("its death is known", || !running());
                continue;
            }
            let told = shell(&house, line);
            let (stdout, stderr) =
                (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
            assert!(told.status.success(), "{line}: {stdout}{stderr}");
            said.push_str(&format!("$ {line}\n{stdout}"));
        }
    }
    assert!(server.unwrap().wait().unwrap().success());
    let seen = |line: &str, word: &str| {
        let line = format!("$ {line}\n");
        let after = said.split(line.as_str()).skip(1);
        after.map(|said| said.split("\n$ ").next().unwrap()).any(|said| said.contains(word))
    };
    assert!(seen("echo hello | pillarbox call upper", "HELLO"), "{said}");
    assert!(seen("echo again | pillarbox call upper", "AGAIN"), "{said}");
    assert!(seen("echo two | pillarbox call jobs", "TWO"), "{said}");
    assert!(seen("echo two | pillarbox call upper", "TWO"), "{said}");
    assert!(seen("pillarbox ls --services", "on-demand"), "{said}");
    assert!(seen("pillarbox ls --services", "running"), "{said}");
    assert!(seen("echo mine | pillarbox call app", "mine"), "{said}");
    let run = "pillarbox run --only upper=shout -- \
               sh -c 'pillarbox ls; echo hello | pillarbox call shout'";
    assert!(seen("echo newest | pillarbox call 'echo@1..'", "NEWEST"), "{said}");
    assert!(seen("echo below-2 | pillarbox call 'echo@..2'", "below-2"), "{said}");
    assert!(seen(run, "shout\nHELLO"), "{said}");
    assert!(seen("pillarbox audit --refused", "lists no such name"), "{said}");
    assert!(seen("pillarbox audit", "REFUSED look-up keys"), "{said}");
    assert!(seen("pillarbox logs upper", "serving upper"), "{said}");
    std::fs::write(services.join("wrong.toml"), wrong).unwrap();
    for shown in blocks("console") {
        let (line, output) = shown.split_once('\n').unwrap();
        let told = shell(&house, line.strip_prefix("$ ").unwrap());
        assert_eq!(String::from_utf8_lossy(&told.stderr), output);
    }
    std::fs::remove_dir_all(services).unwrap();
    std::fs::remove_dir(house.path("units")).unwrap();
    house.close();
}

#[test]
fn each_key_stands_in_its_table() {
    let schema = House::new();
    let printed = schema.run(["check", "--schema"]).json();
    schema.close();
    let keys = printed["properties"].as_object().unwrap();
    for key in keys.keys() {
        assert!(PAGE.contains(&format!("\n| `{key}` |")), "{key}");
    }
    for condition in keys["look_up"]["items"]["properties"].as_object().unwrap().keys() {
        assert!(PAGE.contains(&format!("`{condition}`")), "{condition}");
    }
    for limit in keys["limits"]["properties"].as_object().unwrap().keys() {
        assert!(PAGE.contains(&format!("`{limit}`")), "{limit}");
    }
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows.count(), keys.len());
}
