//! `doctor` says what is wrong here and what to do about it; its exit code says whether
//! anything is bad; it changes nothing and starts no server.

mod house;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use house::{House, Told, skipped, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// What was found where one looked.
fn look(told: &Told, name: &str) -> Value {
    let looks = told.json_lines();
    let mut found = looks.iter().filter(|one| one["look"] == name);
    let one = found.next().unwrap_or_else(|| panic!("{name} is not in {told:?}")).clone();
    assert!(found.next().is_none(), "{name} is told once");
    one
}

#[test]
fn a_session_without_a_server_is_well() {
    let house = House::new();
    let told = house.run(["doctor", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    for name in ["kernel", "futex_waitv", "pidfd", "memfd", "directory"] {
        assert_eq!(look(&told, name)["state"], "ok", "{told:?}");
    }
    for name in ["descriptors", "cgroup", "memlock", "landlock", "ptrace_scope", "SCM_PIDFD"] {
        assert!(!look(&told, name)["found"].as_str().unwrap().is_empty());
    }
    // What is in force is said as it is.
    assert!(look(&told, "cgroup")["found"].as_str().unwrap().contains("each process"));
    let socket = look(&told, "socket");
    assert_eq!(socket["state"], "note");
    assert!(socket["found"].as_str().unwrap().contains("no server runs"));
    assert!(house.processes().is_empty() && !house.socket().exists(), "nothing was started");
    house.close();
}

#[test]
fn each_note_and_each_fault_has_a_cure() {
    let house = House::new();
    for look in house.run(["doctor", "--json"]).json_lines() {
        let says = matches!(look["state"].as_str(), Some("note" | "bad"));
        assert_eq!(says, look["cure"].is_string(), "{look}");
    }
    let text = house.run(["doctor"]);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.text().lines().any(|line| line.starts_with("ok      kernel        Linux ")));
    assert!(text.text().contains("\n                      do: "));
    house.close();
}

#[test]
fn a_directory_that_is_open_to_others_is_bad() {
    let house = House::new();
    let mode = |mode| {
        let open = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(house.path(""), open).unwrap();
    };
    mode(0o755);
    let told = house.run(["doctor", "--json"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    let directory = look(&told, "directory");
    assert_eq!(directory["state"], "bad");
    assert!(directory["cure"].as_str().unwrap().starts_with("chmod 700 "));
    mode(0o700);
    assert_eq!(house.run(["doctor"]).code, Some(0));
    house.close();
}

#[test]
fn what_lies_where_the_socket_should_be_is_told() {
    let house = House::new();
    let file = house.file("boot.sock", b"not a socket");
    let told = house.run(["doctor", "--json"]);
    assert_eq!((told.code, &look(&told, "socket")["state"]), (Some(1), &"bad".into()));
    std::fs::remove_file(file).unwrap();
    house.close();
}

#[test]
fn a_server_that_runs_is_asked_and_one_that_is_stopped_is_bad() {
    let house = House::new();
    let mut server = house.boot();
    let told = house.run(["doctor", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let found = look(&told, "server");
    assert_eq!(found["state"], "ok");
    let pid = server.pid().to_string();
    assert!(found["found"].as_str().unwrap().contains(&pid), "{found}");
    assert_eq!(look(&told, "services")["state"], "ok");

    server.stop();
    let told = house.run(["doctor", "--json"]);
    assert_eq!((told.code, &look(&told, "server")["state"]), (Some(1), &"bad".into()), "{told:?}");
    server.signal(Signal::CONT);
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end().code, Some(0));
    house.close();
}

#[test]
fn few_descriptors_are_noted_with_what_to_type() {
    let house = House::new();
    let own = env!("CARGO_BIN_EXE_pillarbox");
    let line = format!("ulimit -Sn 256; exec {own} doctor --json");
    let mut command = std::process::Command::new("sh");
    let told = command.args(["-c", &line]).env("PILLARBOX_SOCKET", house.socket());
    let told = told.output().unwrap();
    let looks = String::from_utf8(told.stdout).unwrap();
    let looks = looks.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = looks.into_iter().find(|one| one["look"] == "descriptors").unwrap();
    assert_eq!(found["state"], "note", "{found}");
    assert!(found["found"].as_str().unwrap().starts_with("256 now, "));
    house.close();
}

/// A cgroup that is marked as a manager does, or what was in the way.
fn delegated() -> Result<PathBuf, String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = mounts.lines().find_map(|line| {
        let (about, kind) = line.split_once(" - ")?;
        let mut about = about.split(' ').skip(3);
        (kind.starts_with("cgroup2 ") && about.next()? == "/").then_some(about.next()?)
    });
    let mounted = mounted.ok_or("there is no cgroup of version 2 that shows its root")?;
    let path = Path::new(mounted).join(format!("pillarbox-doctor-{}", std::process::id()));
    let made = std::fs::create_dir(&path).map_err(|error| error.to_string());
    made.and_then(|()| {
        rustix::fs::setxattr(&path, "user.delegate", b"1", rustix::fs::XattrFlags::empty())
            .map_err(|error| error.to_string())
    })
    .map_err(|error| format!("no cgroup can be made or marked here: {error}"))?;
    Ok(path)
}

#[test]
fn a_server_that_divides_its_cgroup_is_seen_to() {
    let house = House::new();
    let cgroup = match delegated() {
        Ok(cgroup) => cgroup,
        Err(why) => {
            skipped(&why);
            return house.close();
        }
    };
    let own = env!("CARGO_BIN_EXE_pillarbox");
    let line = format!("echo 0 >{}/cgroup.procs && exec {own} boot", cgroup.display());
    let mut server = std::process::Command::new("sh");
    let server = server.args(["-c", &line]).env("PILLARBOX_SOCKET", house.socket());
    let mut server = server.stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_until("a server listens", || house.socket().exists());
    let found = look(&house.run(["doctor", "--json"]), "cgroup");
    let text = found["found"].as_str().unwrap();
    assert!(text.contains("each process"), "{found}");
    assert!(text.contains(&format!("in {}", cgroup.display())), "{found}");
    let offered = std::fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap();
    for one in ["memory", "pids", "cpu"] {
        if offered.split_whitespace().any(|word| word == one) {
            assert!(!text.contains(&format!("not offered: {one}")), "{found}");
        } else {
            skipped(&format!("the kernel offers no {one} in version 2 here"));
            assert_eq!(found["state"], "note");
            assert!(text.contains(one) && text.contains("not offered"), "{found}");
        }
    }
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert!(server.wait().unwrap().success());

    // One that was moved there, and does not use it, is told of.
    let mut server = house.boot();
    std::fs::write(cgroup.join("cgroup.procs"), server.pid().to_string()).unwrap();
    let found = look(&house.run(["doctor", "--json"]), "cgroup");
    assert!(found["found"].as_str().unwrap().contains("does not use it"), "{found}");
    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert_eq!(server.end().code, Some(0));
    std::fs::remove_dir(cgroup.join("server")).unwrap();
    std::fs::remove_dir(cgroup).unwrap();
    house.close();
}
