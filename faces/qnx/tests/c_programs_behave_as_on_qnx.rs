//! C programs that were written for QNX compile without a warning, as C and their
//! headers as C++ too, and behave as they do there. Each is a file of `tests/c`, whose
//! first line says what it shows; they are built here and run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use pillarbox::bootstrap::Bootstrap;
use pillarbox::{Capacity, Deadline, Message, Right, SendRight, Task};

/// Programs that are run with no bootstrap server anywhere.
const ALONE: [&str; 14] = [
    "numbers_and_layouts",
    "a_request_and_its_reply",
    "messages_in_parts",
    "pulses_and_messages",
    "channels_and_threads_end",
    "a_connection_that_goes",
    "time_runs_out",
    "the_unblock_race",
    "bad_addresses_are_told",
    "events_and_timers",
    "signals",
    "what_programs_lean_on",
    "what_published_examples_get_wrong",
    "without_a_server",
];

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("qnx-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where the library lies that cargo built with this test.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let deps = own.parent().unwrap().to_owned();
    assert!(deps.join("libpillarbox_qnx.so").exists(), "no library in {}", deps.display());
    deps
}

/// The compilers of C that are here. One there must be.
fn compilers() -> Vec<&'static str> {
    let is_here = |name: &&str| {
        let asked = Command::new(name).arg("--version").stdout(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let found: Vec<_> = ["gcc", "clang", "cc"].into_iter().filter(is_here).collect();
    assert!(!found.is_empty(), "a C compiler is needed: apt-get install gcc");
    // The plain name is most often one of the others.
    match found.as_slice() {
        [named @ .., "cc"] if !named.is_empty() => named.to_vec(),
        _ => found,
    }
}

fn must(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn compile(compiler: &str, program: &str, to: &Path) -> PathBuf {
    let made = to.join(format!("{program}-{compiler}"));
    let library = library();
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]);
    command.arg("-I").arg(here().join("include"));
    command.arg(here().join("tests/c").join(format!("{program}.c"))).arg("-o").arg(&made);
    command.arg("-L").arg(&library).arg("-lpillarbox_qnx").arg("-lpthread");
    command.arg(format!("-Wl,-rpath,{}", library.display()));
    must(&mut command);
    made
}

/// Runs a program, which must end by itself and well.
fn run(program: &Path, socket: &Path) -> String {
    let mut command = Command::new(program);
    command.env("PILLARBOX_SOCKET", socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Cargo would have it find what an earlier build has left.
    command.env_remove("LD_LIBRARY_PATH");
    let mut child = command.spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > Duration::from_secs(100) {
            child.kill().unwrap();
            break;
        }
        // sleep: between two looks at a process; it is not what is waited for.
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{said}{why}", program.display(), output.status);
    said
}

#[test]
fn programs_of_one_process_need_no_server() {
    let folder = folder("alone");
    let nowhere = folder.join("no-server");
    for compiler in compilers() {
        for program in ALONE {
            let said = run(&compile(compiler, program, &folder), &nowhere);
            if program == "a_request_and_its_reply" {
                assert_eq!(said, "hello\n");
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn processes_meet_at_a_server() {
    let folder = folder("two");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    for program in ["two_processes", "names"] {
        run(&compile(compilers()[0], program, &folder), &socket);
    }
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_server_runs_with_the_priority_of_its_client() {
    let folder = folder("scheduled");
    let program = compile(compilers()[0], "a_server_runs_for_its_client", &folder);
    let said = run(&program, &folder.join("no-server"));
    if said.starts_with("skipped: ") {
        let _ = write!(std::io::stderr(), "{said}");
    } else {
        assert_eq!(said, "scheduled\n");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Numbers that are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    /// A number that is small, or at an end, or any.
    fn number(&mut self) -> u64 {
        match self.roll(4) {
            0 => self.roll(4),
            1 => u64::MAX - self.roll(3),
            2 => 1 << self.roll(64),
            _ => self.roll(u64::MAX),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = [0, 1, 4, 8, 12, 64, 200][self.roll(7) as usize];
        (0..length).map(|_| [0, 1, 0x40, 0xff][self.roll(4) as usize]).collect()
    }
}

/// A message of any kind, with anything in it.
fn forged(dice: &mut Dice, task: &Task, known: &SendRight) -> Message {
    let mut message = Message::new(dice.bytes())
        .with_id(dice.roll(8) as i32 - 1)
        .with_tag(dice.number())
        .with_priority(dice.roll(300) as u16);
    for _ in 0..dice.roll(3) {
        let own = task.port(Capacity::Bounded(1));
        message = match dice.roll(4) {
            0 => message.with_right(known.clone()),
            1 => message.with_right(own.make_send().unwrap()),
            2 => message.with_right(own.make_send_once().unwrap()),
            _ => message.with_right(own),
        };
    }
    if dice.roll(4) == 0 {
        message = message.with_region(vec![1; 1 + dice.roll(99) as usize]);
    }
    message
}

/// Attaches as the library does: the channel, and the server's number for us.
fn attached(clerk: &SendRight, own: &SendRight) -> (SendRight, u64) {
    let mut body = vec![0; 8];
    body.extend_from_slice(b"gullible");
    let asked = Message::new(body).with_id(1).with_right(own.clone());
    let mut answer = clerk.call(asked, Deadline::after(LONG)).unwrap();
    let scoid = u32::from_ne_bytes(answer.body()[4..8].try_into().unwrap());
    match answer.take_rights().pop() {
        Some(Right::Send(channel)) => (channel, u64::from(scoid)),
        other => panic!("{other:?}"),
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_peer_that_lies_is_only_a_bad_client() {
    let folder = folder("lies");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = compile(compilers()[0], "a_peer_that_lies", &folder);
    let victim = std::thread::spawn({
        let socket = socket.clone();
        move || run(&program, &socket)
    });
    let long = Deadline::after(LONG);
    let names = Bootstrap::at(&socket, long).unwrap();
    let clerk = loop {
        match names.look_up_running("qnx/local/gullible", long) {
            Ok(clerk) => break clerk,
            Err(error) => assert!(!long.has_passed(), "{error}"),
        }
        // sleep: between two looks at what another process does.
        std::thread::sleep(Duration::from_millis(2));
    };
    let (task, mut dice) = (Task::current().unwrap(), Dice(7));
    let own = task.port(Capacity::Unbounded);
    let own_right = own.make_send().unwrap();
    let (channel, scoid) = attached(&clerk, &own_right);
    let mut calls = Vec::new();
    for _ in 0..1500 {
        let to = if dice.roll(2) == 0 { &clerk } else { &channel };
        let mut message = forged(&mut dice, &task, &clerk);
        if dice.roll(2) == 0 {
            // At least the client is the one that it says.
            message = message.with_tag(scoid << 48 | dice.roll(1 << 33));
        }
        match dice.roll(4) {
            0 => to.send(message, long).unwrap(),
            1 => drop(to.start_call(message, long).unwrap()),
            2 => calls.push(to.start_call(message.with_reply_room(dice.roll(99)), long).unwrap()),
            _ => {
                let _ = channel.pulse(dice.number() as u32 as i32, dice.number(), 1);
            }
        }
    }
    // One that says nothing but what is so is served as any other.
    let (channel, scoid) = attached(&clerk, &own_right);
    let asked = Message::new("ask").with_tag(scoid << 48 | 9 << 32).with_reply_room(3);
    let answer = channel.call(asked, long).unwrap();
    assert!(answer.body().len() <= 3);
    channel.pulse(100 | (scoid as i32) << 8, 0, 1).unwrap();
    let said = victim.join().unwrap();
    assert!(said.contains(" requests, "), "{said}");
    drop(calls);
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// Every header by itself: nobody must know what to include before it.
#[test]
fn each_header_stands_alone() {
    let include = here().join("include");
    let mut headers = Vec::new();
    let mut folders = vec![include.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                headers.push(path.strip_prefix(&include).unwrap().to_owned());
            }
        }
    }
    assert!(headers.len() > 10);
    headers.sort();
    let folder = folder("headers");
    for compiler in compilers() {
        for header in &headers {
            check_header(compiler, header, &include, &folder);
        }
    }
    // All in one, as C++, with what C++ itself makes of them.
    let all = headers.iter().map(|header| format!("#include <{}>\n", header.display()));
    let source = folder.join("all.cc");
    let begin = "#include <thread>\n#include <csignal>\n#include <string>\n";
    std::fs::write(&source, format!("{begin}{}", all.collect::<String>())).unwrap();
    let mut command = Command::new(compilers()[0]);
    command.args(["-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]);
    must(command.arg("-I").arg(&include).arg(&source));
    std::fs::remove_dir_all(folder).unwrap();
}

fn check_header(compiler: &str, header: &Path, include: &Path, folder: &Path) {
    let source = folder.join("one.c");
    std::fs::write(&source, format!("#include <{}>\nint i;\n", header.display())).unwrap();
    let mut command = Command::new(compiler);
    command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]);
    must(command.args(["-fsyntax-only", "-I"]).arg(include).arg(&source));
}
