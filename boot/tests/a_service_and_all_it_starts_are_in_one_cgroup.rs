//! Where a cgroup is delegated to the server, a service whose file says so has a leaf of its
//! own: it is in it before it is its program, all that it starts is, and all of that ends
//! with it; a leaf that a killed server left is removed by the next. Nothing is touched that
//! is not delegated, and where a limit cannot be in force the service says so, or is not
//! started if its file demands it.

mod family;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use boot::Server;
use boot::admin::{Admin, AdminError, Order, ServicePhase};
use boot::cgroup::{CgroupError, Cgroups, Controller, NotDelegated, Subtree};
use boot::service::ServiceFile;
use family::placed::{at, kill, part, serve_if_acting, told_path};
use family::{
    NAME, Place, Reaped, acting, declared, file_of, given, long, parents_server, report, signal,
    task, until,
};
use pillarbox::bootstrap::{Bootstrap, BootstrapError};
use pillarbox::{Capacity, Deadline, Message, SendRight, Spawn};
use rustix::fs::XattrFlags;
use rustix::process::Signal;

/// What a server is told: the cgroup it is to be started in, and its service.
const CGROUP: &str = "PILLARBOX_TEST_CGROUP";
const FILE: &str = "PILLARBOX_TEST_FILE";

/// What is not tried is said, also where what a test prints is not.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr().lock(), "skipped: {why}");
}

/// A cgroup of this test's own, with all that is in it.
struct Own(PathBuf);

impl Own {
    /// Marked as a manager does, or not. None where there is none to be had.
    fn new(name: &str, is_delegated: bool) -> Option<Own> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there is a /proc");
        let mounted = mounts.lines().find_map(|line| {
            let (about, kind) = line.split_once(" - ")?;
            let mut about = about.split(' ').skip(3);
            (kind.starts_with("cgroup2 ") && about.next()? == "/").then_some(about.next()?)
        });
        let Some(mounted) = mounted else {
            skipped("there is no cgroup of version 2 that shows its root");
            return None;
        };
        let name = format!("pillarbox-test-{}-{name}", std::process::id());
        let path = Path::new(mounted).join(name);
        if let Err(error) = fs::create_dir(&path) {
            skipped(&format!("no cgroup can be made here: {error}"));
            return None;
        }
        let own = Own(path);
        if is_delegated {
            let mark = || rustix::fs::setxattr(&own.0, "user.delegate", b"1", XattrFlags::empty());
            if let Err(error) = mark() {
                skipped(&format!("a cgroup cannot be marked here: {error}"));
                return None;
            }
        }
        Some(own)
    }

    fn processes(&self, below: &str) -> Vec<i32> {
        let text = fs::read_to_string(self.0.join(below).join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn below(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there").flatten();
        let directories = entries.filter(|entry| entry.path().is_dir());
        directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn leaves(&self) -> Vec<String> {
        self.below().into_iter().filter(|name| name.starts_with("service.")).collect()
    }

    /// A server in it with the service `part`, which a file of this text declares.
    fn serve(&self, place: &Place, file: &str) -> Reaped {
        self.serve_as("server_part", place, file)
    }

    fn serve_as(&self, name: &str, place: &Place, file: &str) -> Reaped {
        let told = task().port(Capacity::Bounded(1));
        let to = told.make_send().expect("there is a task");
        let mut command = part(name, place);
        command.env(CGROUP, &self.0).env(FILE, file);
        let server = Spawn::new(command).right("told", to).spawn().expect("it is started");
        let server = Reaped(server);
        assert_eq!(told.receive(long()).expect("it says so").body(), b"listening");
        server
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        until(|| {
            self.below().iter().for_each(|name| {
                let _ = fs::remove_dir(self.0.join(name));
            });
            fs::remove_dir(&self.0).is_ok() || !self.0.exists()
        });
    }
}

#[test]
fn server_part() {
    serve_if_acting("server_part", declared_in_its_cgroup);
}

fn declared_in_its_cgroup(server: Server) -> Server {
    let cgroup = std::env::var_os(CGROUP).map(PathBuf::from).expect("it is told where");
    // As a manager would have done.
    if fs::write(cgroup.join("cgroup.procs"), "0").is_err() {
        // Where controllers are given out already nobody may be but in a leaf.
        fs::write(cgroup.join("server/cgroup.procs"), "0").expect("it may go there");
    }
    let file = std::env::var(FILE).expect("it is told what");
    let file = ServiceFile::read(&file).expect("the file is good");
    server.bounded(Cgroups::enter()).service("part", file).expect("its names are free")
}

/// Tells its cgroup, as it was when it began; starts what outlives it; ends.
#[test]
fn told_part() {
    if !acting("told_part") {
        return;
    }
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap();
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
    let port = task().port(Capacity::Bounded(8));
    parents_server().check_in(NAME, &port, long()).unwrap();
    while let Ok(mut request) = port.receive(Deadline::Never) {
        let told = match request.body() {
            b"cgroup" => cgroup.clone(),
            b"input" => fs::read_link("/proc/self/fd/0").unwrap().display().to_string(),
            b"child" => {
                // It leaves the group of processes, and so it would live on.
                let mut child = std::process::Command::new("setsid");
                child.args(["sleep", "1000"]).spawn().unwrap().id().to_string()
            }
            _ => return,
        };
        let _ = request.reply(Message::new(told), long());
    }
}

fn ask(right: &SendRight, what: &str) -> String {
    let told = right.call(Message::new(what), long()).expect("the service answers");
    String::from_utf8(told.body().to_vec()).expect("it is text")
}

fn file(more: &str) -> String {
    // The table of the environment is the last of the file.
    format!("{}\n[cgroup]\n{more}", file_of("told_part", &[NAME], ""))
}

#[test]
fn it_is_in_its_leaf_before_it_runs_and_all_of_it_ends_together() {
    let Some(own) = Own::new("together", true) else { return };
    let place = Place::new();
    let server = own.serve(&place, &file(""));
    assert_eq!(own.processes("server"), [server.pid()], "the server is in a leaf of its own");
    assert!(own.leaves().is_empty() && own.processes("").is_empty());

    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    let [leaf] = <[String; 1]>::try_from(own.leaves()).unwrap();
    assert!(leaf.starts_with(&format!("service.part.{}.", server.pid())), "{leaf}");
    assert!(ask(&service, "cgroup").ends_with(&format!("/{leaf}")), "it was there at its start");
    assert_eq!(ask(&service, "input"), "/dev/null");

    let child: i32 = ask(&service, "child").parse().unwrap();
    let pid = report(&Admin::new(&names)).pid.unwrap();
    let mut there = own.processes(&leaf);
    there.sort_unstable();
    let mut both = [pid, child];
    both.sort_unstable();
    assert_eq!(there, both);
    signal(pid, Signal::KILL);
    until(|| own.leaves().is_empty());
    assert_eq!(own.below(), ["server"]);

    // The next has another.
    let service = names.look_up(NAME, long()).unwrap();
    let [next] = <[String; 1]>::try_from(own.leaves()).unwrap();
    assert!(next != leaf && ask(&service, "cgroup").ends_with(&next));
    // A server that ends in order takes it along.
    Admin::new(&names).order(Order::Stop, "part", long()).unwrap();
    until(|| own.leaves().is_empty());
    drop(server);
}

#[test]
fn what_a_killed_server_left_is_removed_by_the_next_once_nobody_is_in_it() {
    let Some(own) = Own::new("killed", true) else { return };
    let place = Place::new();
    let server = own.serve(&place, &file(""));
    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    let pid = report(&Admin::new(&names)).pid.unwrap();
    let left = own.leaves();
    kill(server);

    // It serves on, and is not touched.
    let next = own.serve(&place, &file(""));
    assert_eq!((own.leaves(), own.processes(&left[0])), (left.clone(), vec![pid]));
    assert!(ask(&service, "cgroup").ends_with(&left[0]));
    signal(pid, Signal::KILL);
    until(|| own.processes(&left[0]).is_empty());

    // The next start finds that nobody is in it.
    let again = at(&place).look_up(NAME, long()).unwrap();
    until(|| own.leaves().len() == 1);
    assert!(own.leaves() != left && ask(&again, "cgroup").ends_with(&own.leaves()[0]));
    let pid = report(&Admin::new(&at(&place))).pid.unwrap();
    kill(next);
    signal(pid, Signal::KILL);
    until(|| own.leaves().iter().all(|leaf| own.processes(leaf).is_empty()));

    // So does the next server, before anybody asks.
    let _last = own.serve(&place, &file(""));
    assert_eq!(own.below(), ["server"]);
}

/// Takes the place of the server there.
#[test]
fn successor_part() {
    if !acting("successor_part") {
        return;
    }
    let before = Bootstrap::at(told_path(), long()).unwrap();
    let mut server = declared_in_its_cgroup(Server::new(&task()).unwrap());
    let _locked = server.take_over(&before, long()).unwrap();
    given("told").send(Message::new("listening"), long()).unwrap();
    server.serve();
}

#[test]
fn a_leaf_goes_to_the_next_server_with_its_service() {
    let Some(own) = Own::new("replaced", true) else { return };
    let place = Place::new();
    let mut before = own.serve(&place, &file(""));
    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    let leaves = own.leaves();
    let _next = own.serve_as("successor_part", &place, &file(""));
    before.0.wait().unwrap();
    assert_eq!(own.leaves(), leaves, "the first server has not taken it along");
    assert!(ask(&service, "cgroup").ends_with(&leaves[0]));
    let child: i32 = ask(&service, "child").parse().unwrap();
    assert!(own.processes(&leaves[0]).contains(&child));

    // The second ends what is left in it, and removes it.
    signal(report(&Admin::new(&names)).pid.unwrap(), Signal::KILL);
    until(|| own.leaves().is_empty());
}

/// What is tried in a process of its own, which can be moved.
#[test]
fn moved_part() {
    if !acting("moved_part") {
        return;
    }
    let cgroup = std::env::var_os(CGROUP).map(PathBuf::from).unwrap();
    fs::write(cgroup.join("cgroup.procs"), "0").unwrap();
    let told = match Cgroups::enter() {
        Ok(cgroups) => format!("entered {}", cgroups.path().display()),
        Err(CgroupError::NotDelegated(NotDelegated::NotSaid(path))) => {
            format!("not said {}", path.display())
        }
        Err(error) => error.to_string(),
    };
    given("told").send(Message::new(told), long()).unwrap();
}

fn moved(own: &Path) -> String {
    let told = task().port(Capacity::Bounded(1));
    let to = told.make_send().unwrap();
    let mut command = family::command("moved_part");
    command.env(CGROUP, own);
    let _child = Reaped(Spawn::new(command).right("told", to).spawn().unwrap());
    String::from_utf8(told.receive(long()).unwrap().body().to_vec()).unwrap()
}

#[test]
fn one_that_can_merely_be_written_is_not_taken() {
    let Some(own) = Own::new("merely", false) else { return };
    if !rustix::process::geteuid().is_root() {
        skipped("where no manager runs, a user is given what they can write");
        return;
    }
    assert_eq!(moved(&own.0), format!("not said {}", own.0.display()));
    assert!(own.below().is_empty(), "nothing was made in it");

    // What is marked above it, or beside it, says nothing of it.
    let inner = own.0.join("inner");
    fs::create_dir(&inner).unwrap();
    rustix::fs::setxattr(&own.0, "user.delegate", b"1", XattrFlags::empty()).unwrap();
    assert_eq!(moved(&inner), format!("not said {}", inner.display()));
    assert_eq!(own.below(), ["inner"]);

    // A manager may have put the server into the leaf already, or the server itself.
    let server = own.0.join("server");
    fs::create_dir(&server).unwrap();
    assert_eq!(moved(&server), format!("entered {}", own.0.display()));
    let mut below = own.below();
    below.sort();
    assert_eq!(below, ["inner", "server"]);
}

/// Which of the controllers the kernel offers here in version 2.
fn offered(own: &Own) -> Vec<Controller> {
    let text = fs::read_to_string(own.0.join("cgroup.controllers")).unwrap_or_default();
    let is_there = |one: &Controller| text.split_whitespace().any(|word| word == one.name());
    Controller::ALL.into_iter().filter(is_there).collect()
}

const ALL: &str = "memory_kib = 1048576\nthreads = 100\ncpu_percent = 150\n";

#[test]
fn its_limits_are_in_force_where_they_are_offered_and_else_it_says_so() {
    let Some(own) = Own::new("limits", true) else { return };
    let place = Place::new();
    let _server = own.serve(&place, &file(ALL));
    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    let [leaf] = <[String; 1]>::try_from(own.leaves()).unwrap();
    assert!(ask(&service, "cgroup").ends_with(&leaf), "it is in its leaf in any case");
    let admin = Admin::new(&names);
    let said = admin.log("part", long()).unwrap().bytes;
    let said = String::from_utf8_lossy(&said).into_owned();
    let offered = offered(&own);
    for (controller, file, value) in [
        (Controller::Memory, "memory.max", "1073741824"),
        (Controller::Pids, "pids.max", "100"),
        (Controller::Cpu, "cpu.max", "150000 100000"),
    ] {
        if offered.contains(&controller) {
            let set = fs::read_to_string(own.0.join(&leaf).join(file)).unwrap();
            assert_eq!(set.trim(), value);
            assert!(!said.contains(&format!("{controller}: ")), "{said}");
        } else {
            skipped(&format!("the kernel offers no {controller} in version 2 here"));
            assert!(said.contains(&format!("{controller}: it is not offered")), "{said}");
        }
    }
}

#[test]
fn what_is_demanded_and_cannot_be_is_not_started() {
    // No server is told of a cgroup here.
    let demands = file("threads = 5\nrequired = true\n");
    let (_serving, names, admin) = declared(&demands);
    match names.look_up(NAME, long()) {
        Err(BootstrapError::Refused { reason, .. }) => {
            assert!(reason.to_string().contains("it cannot be bounded"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    match admin.order(Order::Start, "part", long()) {
        Err(AdminError::NotStarted(why)) => assert!(why.contains("without a cgroup"), "{why}"),
        other => panic!("{other:?}"),
    }

    // Where it is not demanded it runs, and its log says why.
    let (_serving, names, admin) = declared(&file("threads = 5\n"));
    names.look_up(NAME, long()).unwrap();
    assert_eq!(report(&admin).phase, ServicePhase::Up);
    let said = admin.log("part", long()).unwrap().bytes;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("pillarbox: it is not bounded as its file says: "), "{said}");
}

#[test]
fn one_for_which_no_leaf_can_be_made_runs_all_the_same() {
    let Some(own) = Own::new("full", true) else { return };
    let place = Place::new();
    let _server = own.serve(&place, &file("threads = 5\n"));
    // The leaf of the server is the last there may be.
    fs::write(own.0.join("cgroup.max.descendants"), "1").unwrap();
    let names = at(&place);
    let service = names.look_up(NAME, long()).unwrap();
    assert!(ask(&service, "cgroup").ends_with("/server"), "it is where the server is");
    let said = Admin::new(&names).log("part", long()).unwrap().bytes;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("no cgroup could be made in "), "{said}");
    assert_eq!(own.below(), ["server"]);
}

#[test]
fn who_looks_from_outside_sees_which_is_in_force() {
    let Some(own) = Own::new("looks", true) else { return };
    let place = Place::new();
    let server = own.serve(&place, &file(""));
    let subtree = Subtree::of(server.pid()).unwrap();
    assert_eq!(subtree.path(), own.0);
    assert!(subtree.is_entered_by(server.pid()));
    assert!(!subtree.is_entered_by(rustix::process::getpid().as_raw_nonzero().get()));
    assert_eq!(subtree.controllers(), offered(&own));
}
