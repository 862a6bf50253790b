//! A socket that is mounted where another user may go lets that user in: to nothing by
//! default, and to what the rules say. Its own directory stays closed.

mod house;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use house::{House, Running, Told, is_installed, skipped};

/// A user and a group that nobody is.
const OTHER: u32 = 47_114;

/// `pillarbox WORDS` as the other user, to whom the socket is mounted at `there`.
fn as_other(house: &House, there: &Path, words: &str) -> Told {
    let program = env!("CARGO_BIN_EXE_pillarbox");
    let script = format!(
        "mount --bind {} {there} && exec setpriv --reuid={OTHER} --regid={OTHER} \
         --clear-groups env HOME=/ XDG_CONFIG_HOME=/nowhere PILLARBOX_SOCKET={there} {program} {words}",
        house.socket().display(),
        there = there.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).current_dir("/");
    let input = std::fs::File::open(house.path("body")).unwrap();
    command.stdin(input);
    Running::of(command).end()
}

/// Whether all that this takes is there, or why not.
fn is_possible(house: &House, there: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root becomes another user".to_owned());
    }
    for program in ["unshare", "setpriv", "mount"] {
        if !is_installed(program) {
            return Err(format!("{program} is not installed"));
        }
    }
    let mounts = Command::new("unshare")
        .args(["--mount", "mount", "--bind"])
        .args([house.path("body").as_path(), there])
        .stderr(Stdio::null())
        .status();
    if !mounts.is_ok_and(|status| status.success()) {
        return Err("we may not mount".to_owned());
    }
    let (uid, gid) = (format!("--reuid={OTHER}"), format!("--regid={OTHER}"));
    let runs = Command::new("setpriv")
        .args([&uid, &gid, "--clear-groups", env!("CARGO_BIN_EXE_pillarbox"), "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match runs {
        Ok(status) if status.success() => Ok(()),
        _ => Err("another user may not run the program where it lies".to_owned()),
    }
}

/// An empty file in a directory of its own, where anybody may go.
fn public() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("pillarbox-public-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
    let there = directory.join("boot.sock");
    std::fs::write(&there, "").unwrap();
    there
}

#[test]
fn another_user_is_refused_by_default_and_served_where_a_rule_says_so() {
    let (house, there) = (House::new(), public());
    house.file("body", b"grey");
    if let Err(why) = is_possible(&house, &there) {
        skipped(&why);
        std::fs::remove_dir_all(there.parent().unwrap()).unwrap();
        std::fs::remove_file(house.path("body")).unwrap();
        return house.close();
    }
    let services = house.path("services");
    std::fs::create_dir(&services).unwrap();
    let own = env!("CARGO_BIN_EXE_pillarbox");
    let file = |name: &str, rule: &str| {
        let words = format!("[\"serve\", {name:?}, \"--\", \"tr\", \"a-z\", \"A-Z\"]");
        let text = format!("program = {own:?}\narguments = {words}\nnames = [{name:?}]\n{rule}");
        std::fs::write(services.join(format!("{name}.toml")), text).unwrap();
    };
    file("shut", "");
    file("open", &format!("[[look_up]]\nuids = [{OTHER}]\n"));
    let mut server = house.start(["boot", "--json", "--services", services.to_str().unwrap()]);
    server.wait_line();
    // The file itself is closed to others, too, until who has the server opens it.
    let told = as_other(&house, &there, "call open -");
    assert_ne!(told.code, Some(0), "{told:?}");
    std::fs::set_permissions(house.socket(), PermissionsExt::from_mode(0o666)).unwrap();
    // By its own path it is not reached: the directory is not theirs to enter.
    let told = as_other(&house, &there, &format!("--socket {} ls", house.socket().display()));
    assert_ne!(told.code, Some(0), "{told:?}");

    as_other(&house, &there, "call shut -").fails(68, "a name is for user 0");
    let told = as_other(&house, &there, "call open -");
    assert_eq!((told.code, told.text()), (Some(0), "GREY"), "{told:?}");
    // Nor may they give orders, or take a name that is nobody's.
    as_other(&house, &there, "boot --stop").fails(68, "");
    as_other(&house, &there, "boot --replace").fails(68, "");
    as_other(&house, &there, "serve theirs -- cat").fails(68, "a name is for user 0");
    let refused = house.run(["audit", "--refused", "--json"]).json_lines();
    assert!(refused.len() >= 3, "{refused:?}");
    assert!(refused.iter().all(|row| row["uid"] == OTHER), "{refused:?}");
    // All the while the server's own user is served.
    assert_eq!(house.call("shut", b"grey").text(), "GREY");

    assert_eq!(house.run(["boot", "--stop"]).code, Some(0));
    assert!(server.end_status().success());
    std::fs::remove_dir_all(there.parent().unwrap()).unwrap();
    std::fs::remove_dir_all(services).unwrap();
    std::fs::remove_file(house.path("body")).unwrap();
    house.close();
}
