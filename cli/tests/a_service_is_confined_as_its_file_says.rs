//! What a service's file takes away is taken away: files, system calls, rights to gain,
//! its user. As root and as nobody, where this runs as root.

mod house;

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use house::{House, Running, Told, is_installed, skipped};

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// A house whose server runs as this user.
struct Cell {
    house: House,
    uid: Option<u32>,
}

impl Cell {
    fn new(uid: Option<u32>) -> Self {
        let house = House::new();
        chown(house.path(""), uid, uid).unwrap();
        let cell = Cell { house, uid };
        for directory in ["services", "shown", "given"] {
            std::fs::create_dir(cell.house.path(directory)).unwrap();
            chown(cell.house.path(directory), uid, uid).unwrap();
        }
        for file in ["secret", "shown/file"] {
            let path = cell.house.file(file, b"precious");
            chown(path, uid, uid).unwrap();
        }
        cell
    }

    /// Declares a service that runs each body as a script, with more lines.
    fn declare(&self, more: &str) -> &Self {
        let own = env!("CARGO_BIN_EXE_pillarbox");
        let text = format!(
            "program = {own:?}\narguments = [\"serve\", \"box\", \"--\", \"sh\"]\n\
             names = [\"box\"]\nthrottle = \"1ms\"\n{more}\n"
        );
        let path = self.house.file("services/box.toml", text.as_bytes());
        chown(path, self.uid, self.uid).unwrap();
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.house.command(words);
        self.uid.map(|uid| command.uid(uid).gid(uid));
        command
    }

    fn boot(&self) -> Running {
        let directory = self.house.path("services");
        let words = ["boot", "--json", "--services", directory.to_str().unwrap()];
        let mut running = Running::of(self.command(&words));
        running.wait_line();
        running
    }

    fn run(&self, words: &[&str]) -> Told {
        Running::of(self.command(words)).end()
    }

    /// What a script in the service prints.
    fn script(&self, script: &str) -> String {
        let body = self.house.file("body", script.as_bytes());
        let file = std::fs::File::open(&body).unwrap();
        let mut command = self.command(&["call", "box", "-", "--deadline", "40s"]);
        command.stdin(Stdio::from(file));
        let told = Running::of(command).end();
        std::fs::remove_file(body).unwrap();
        assert_eq!(told.code, Some(0), "{script}: {told:?}");
        told.text().trim().to_owned()
    }

    fn shown(&self, name: &str) -> String {
        self.house.path(name).display().to_string()
    }

    fn close(self, server: Running) {
        assert_eq!(self.run(&["boot", "--stop"]).code, Some(0));
        server.end_status();
        for directory in ["services", "shown", "given"] {
            std::fs::remove_dir_all(self.house.path(directory)).unwrap();
        }
        std::fs::remove_file(self.house.path("secret")).unwrap();
        self.house.close();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// This user, and nobody where we may be that.
fn users() -> Vec<Option<u32>> {
    if !is_root() {
        skipped("only root tries it as another user, too");
        return vec![None];
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
    command.arg("--version").uid(NOBODY).gid(NOBODY).stdout(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return vec![None, Some(NOBODY)];
    }
    skipped("nobody may not run the program where it lies");
    vec![None]
}

/// What a shell and this program need to run.
fn needed() -> String {
    let own = Path::new(env!("CARGO_BIN_EXE_pillarbox"));
    let usual = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.preload"];
    let paths = usual.iter().map(PathBuf::from).chain([own.to_owned()]);
    let paths: Vec<String> =
        paths.filter(|path| path.exists()).map(|path| format!("{path:?}")).collect();
    paths.join(", ")
}

#[test]
fn only_the_files_that_are_named_are_there() {
    for uid in users() {
        let cell = Cell::new(uid);
        let (secret, shown, given) =
            (cell.shown("secret"), cell.shown("shown"), cell.shown("given"));
        cell.declare(&format!(
            "[sandbox]\nread = [{}, {shown:?}]\nwrite = [{given:?}, \"/dev/null\"]",
            needed()
        ));
        let server = cell.boot();
        let asked = |what: &str| {
            cell.script(&format!("({what}) >/dev/null 2>&1 && echo open || echo shut"))
        };
        for (what, is) in [
            (format!("cat {secret}"), "shut"),
            (format!("cat {shown}/file"), "open"),
            (format!("echo x > {shown}/file"), "shut"),
            (format!("rm {shown}/file"), "shut"),
            (format!("echo x > {given}/file"), "open"),
            (format!("cat {given}/file"), "open"),
            (format!("mkdir {given}/new && rmdir {given}/new && rm {given}/file"), "open"),
            // What it starts has no more than it.
            (format!("sh -c 'sh -c \"cat {secret}\"'"), "shut"),
            (format!("ln {shown}/file {given}/link && echo x > {given}/link"), "shut"),
            (format!("ls {}", cell.shown("")), "shut"),
            ("ls /proc/1".to_owned(), "shut"),
        ] {
            assert_eq!(asked(&what), is, "{what}, as {uid:?}");
        }
        assert_eq!(std::fs::read(cell.house.path("shown/file")).unwrap(), b"precious");
        cell.close(server);
    }
}

#[test]
fn nothing_is_gained_and_calls_that_change_the_system_fail() {
    for uid in users() {
        let cell = Cell::new(uid);
        cell.declare("[sandbox]\nsystem_calls = \"standard\"");
        let server = cell.boot();
        let status = cell.script("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status");
        assert_eq!(status, "NoNewPrivs:\t1\nSeccomp:\t2");
        let asked = |what: &str| {
            cell.script(&format!("({what}) >/dev/null 2>&1 && echo open || echo shut"))
        };
        for what in ["unshare -U true", "unshare -m true", "chroot / true"] {
            assert_eq!(asked(what), "shut", "{what}, as {uid:?}");
        }
        if is_root() && uid.is_none() {
            // It is the sandbox and nothing else.
            assert!(Command::new("chroot").args(["/", "true"]).status().unwrap().success());
        }
        cell.close(server);
    }
}

#[test]
fn a_sandbox_without_a_word_still_gains_nothing() {
    let cell = Cell::new(None);
    cell.declare("[limits]\nopen_files = 200\n[sandbox]");
    let server = cell.boot();
    let told = cell.script("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; ulimit -n");
    assert_eq!(told, "NoNewPrivs:\t1\nSeccomp:\t0\n200");
    cell.close(server);
}

#[test]
fn without_the_network_there_are_messages_and_nothing_else() {
    if !is_installed("perl") {
        skipped("perl is not installed, which opens sockets in a line");
        return;
    }
    for uid in users() {
        let cell = Cell::new(uid);
        let ask = |family: &str| {
            let script = "perl -MSocket -e 'print socket(my $s, FAMILY, SOCK_STREAM, 0) ? \"open\" \
                          : \"shut\"'";
            cell.script(&script.replace("FAMILY", family))
        };
        cell.declare("[sandbox]\nsystem_calls = \"no-network\"");
        let server = cell.boot();
        assert_eq!(["AF_INET", "AF_INET6", "AF_UNIX"].map(ask), ["shut", "shut", "open"]);
        cell.declare("[sandbox]\nsystem_calls = \"standard\"");
        assert_eq!(cell.run(&["boot", "--reload"]).code, Some(0));
        assert_eq!(cell.run(&["restart", "box"]).code, Some(0));
        assert_eq!(ask("AF_INET"), "open");
        cell.close(server);
    }
}

#[test]
fn what_cannot_be_confined_is_not_started_and_says_why() {
    let cell = Cell::new(None);
    cell.declare("[sandbox]\nread = [\"/no/such/place\"]");
    let server = cell.boot();
    cell.run(&["call", "box", "--deadline", "40s"]).fails(67, "exit status: 1");
    let said = cell.run(&["logs", "box"]);
    assert!(said.text().contains("the service is not confined"), "{said:?}");
    assert!(said.text().contains("/no/such/place"), "{said:?}");
    cell.close(server);
}

#[test]
fn it_runs_as_the_user_that_is_named() {
    let cell = Cell::new(None);
    cell.declare("user = \"no-such-user\"");
    let server = cell.boot();
    let call = ["call", "box", "--deadline", "40s"];
    cell.run(&call).fails(67, "there is no user no-such-user");
    let as_user = |user: &str| {
        cell.declare(user);
        assert_eq!(cell.run(&["boot", "--reload"]).code, Some(0));
        let _ = cell.run(&["stop", "box"]);
        cell.run(&["start", "box"])
    };
    if users().len() == 2 {
        let told = as_user("user = \"nobody\"\n[sandbox]\nsystem_calls = \"no-network\"");
        assert_eq!(told.code, Some(0), "{told:?}");
        // It left every group of ours, and can do its work with us.
        let group = cell.script("id -g");
        assert_eq!(cell.script("id -u"), NOBODY.to_string());
        assert_eq!(cell.script("id -G"), group);
        assert_eq!(as_user(&format!("user = \"{NOBODY}\"\ngroup = \"0\"")).code, Some(0));
        assert_eq!(cell.script("echo $(id -u) $(id -G)"), format!("{NOBODY} 0"));
    }
    if is_root() {
        as_user("user = \"4242\"").fails(67, "its group must be named");
    }
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(as_user(&format!("user = \"{own}\"")).code, Some(0));
    cell.close(server);
}

#[test]
fn who_is_not_root_starts_nobody_as_another_user() {
    for uid in users().into_iter().filter(|uid| uid.is_some() || !is_root()) {
        let cell = Cell::new(uid);
        cell.declare("user = \"root\"");
        let server = cell.boot();
        cell.run(&["start", "box"]).fails(67, "only a server of root's");
        cell.close(server);
    }
}
