//! `pillarbox run`: a program, and all it starts, finds the names that are listed and no
//! others, and its end is told as a shell tells it.

mod house;

use house::{House, Running};
use rustix::process::Signal;

fn serving() -> (House, [Running; 2]) {
    let house = House::new();
    let started = ["upper", "secret"].map(|name| {
        let mut serve = house.start(["serve", "--json", name, "--", "tr", "a-z", "A-Z"]);
        assert!(serve.wait_line().contains("\"ok\":true"));
        serve
    });
    (house, started)
}

fn close(house: House, started: [Running; 2]) {
    for mut serve in started {
        serve.signal(Signal::TERM);
        let _ = serve.end_status();
    }
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    house.close();
}

/// The words for `run`, of a shell that finds this binary as `$0`.
fn shell<'a>(only: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let mut words = vec!["run"];
    words.extend(only.iter().flat_map(|name| ["--only", name]));
    words.extend(["--", "sh", "-c", script, env!("CARGO_BIN_EXE_pillarbox")]);
    words
}

#[test]
fn it_and_all_it_starts_see_those_and_no_others() {
    let (house, started) = serving();
    // Each call is a process of its own, and a grandchild of `run`.
    let script = "\"$0\" ls; echo grey | \"$0\" call shout | \"$0\" call shout";
    let told = house.run(shell(&["upper=shout"], script));
    assert_eq!((told.code, told.text()), (Some(0), "shout\nGREY\n"), "{told:?}");
    let again = "\"$0\" ls && \"$0\" ls && sh -c '\"$0\" ls' \"$0\"";
    assert_eq!(house.run(shell(&["upper=shout"], again)).text(), "shout\nshout\nshout\n");
    // The program itself, too.
    let own = env!("CARGO_BIN_EXE_pillarbox");
    let told = house.run(["run", "--only", "upper", "--", own, "ls"]);
    assert_eq!((told.code, told.text()), (Some(0), "upper\n"), "{told:?}");
    for script in ["\"$0\" call secret </dev/null", "\"$0\" call upper </dev/null"] {
        let told = house.run(shell(&["upper=shout"], script));
        told.fails(68, "the restricted right lists no such name");
    }
    house.run(shell(&[], "\"$0\" serve mine -- cat")).fails(68, "lists no such name");
    house.run(shell(&["upper"], "\"$0\" boot --stop")).fails(68, "looking up only");
    let told = house.run(shell(&[], "\"$0\" ls"));
    assert_eq!((told.code, told.text()), (Some(0), ""), "{told:?}");
    // Further, and never wider.
    let nested = "\"$0\" run --only shout=s -- \"$0\" ls; \"$0\" run --only secret -- true";
    let told = house.run(shell(&["upper=shout"], nested));
    assert_eq!(told.text(), "s\n");
    assert_eq!(told.code, Some(68), "{told:?}");
    let refused = house.run(["audit", "--refused", "--json"]).json_lines();
    assert!(refused.iter().any(|row| row["name"] == "secret" && row["attempt"] == "look-up"));
    assert!(refused.iter().any(|row| row["name"] == "secret" && row["attempt"] == "subset"));
    close(house, started);
}

#[test]
fn its_end_is_told_and_nothing_is_left() {
    let (house, started) = serving();
    assert_eq!(house.run(shell(&[], "exit 7")).code, Some(7));
    assert_eq!(house.run(shell(&[], "kill -9 $$")).code, Some(128 + 9));
    house.run(["run", "--only", "upper", "--", "/no/such/program"]).fails(2, "cannot be started");
    house.run(["run", "--only", "=", "--", "true"]);
    // It is told to end when `run` is.
    let mut run = house
        .start(shell(&["upper"], "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"));
    assert_eq!(run.wait_line(), "ready\n");
    run.signal(Signal::TERM);
    assert_eq!(run.end_status().code(), Some(3));
    // What is left of it afterwards finds no server, and no other.
    let script = "(while [ -e \"$PILLARBOX_SOCKET\" ]; do sleep 0.01; done; \
                  \"$0\" ls >\"$OUT\" 2>&1; echo $? >\"$OUT.code\") & exit 0";
    let out = house.path("out");
    let told = house.command(shell(&["upper"], script)).env("OUT", &out).output().unwrap();
    assert!(told.status.success());
    let code = house.path("out.code");
    house::wait_until("it has looked", || std::fs::read(&code).is_ok_and(|text| !text.is_empty()));
    assert_eq!(std::fs::read_to_string(&code).unwrap(), "65\n");
    std::fs::remove_file(&code).unwrap();
    std::fs::remove_file(&out).unwrap();
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let left = left.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("pillarbox-run-").map(str::to_owned);
        pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists())
    });
    assert_eq!(left.count(), 0);
    close(house, started);
}
