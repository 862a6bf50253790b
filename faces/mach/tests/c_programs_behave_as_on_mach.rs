//! C programs that were written for Mach compile without a warning, as C and their
//! headers as C++ too, and behave as they do there. Each is a file of `tests/c`, whose
//! first line says what it shows; they are built here and run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use pillarbox::bootstrap::Bootstrap;
use pillarbox::{Capacity, Deadline, Message, SendRight, Task};
use pillarbox_mach as mach;

/// Programs that are run with no bootstrap server anywhere.
const ALONE: [&str; 13] = [
    "semaphores_and_the_host",
    "numbers_and_layouts",
    "a_message_to_oneself",
    "names_and_references",
    "what_a_failed_send_leaves",
    "notifications_and_sets",
    "what_a_message_carries",
    "who_waits_and_what_ends",
    "a_server_loop",
    "calls_beside_ports",
    "a_handler_may_jump_out_of_a_wait",
    "four_answers_to_a_full_mailbox",
    "what_published_examples_get_wrong",
];

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("mach-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where the library lies that cargo built with this test.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let deps = own.parent().unwrap().to_owned();
    assert!(deps.join("libpillarbox_mach.so").exists(), "no library in {}", deps.display());
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
    command.arg("-L").arg(&library).arg("-lpillarbox_mach").arg("-lpthread");
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
            if program == "a_message_to_oneself" {
                assert_eq!(said, "1 says: hello, mailbox\n");
            }
        }
        run(&compile(compiler, "without_a_server", &folder), &nowhere);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn two_processes_meet_at_a_server() {
    let folder = folder("two");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let compiler = compilers()[0];
    for program in ["two_processes", "names_for_rights"] {
        run(&compile(compiler, program, &folder), &socket);
    }
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A program in Rust and one in C ask each other, with rights and memory.
#[test]
fn rust_and_c_talk_with_each_other() {
    let folder = folder("rust");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = compile(compilers()[0], "a_server_for_rust", &folder);
    let long = Deadline::after(Duration::from_secs(60));
    let (task, names) = (Task::current().unwrap(), Bootstrap::at(&socket, long).unwrap());
    let own = task.port(Capacity::Bounded(5));
    let asked = task.port(Capacity::Bounded(5));
    names.check_in("org.example.in-rust", &asked, long).unwrap();
    let other = std::thread::spawn({
        let socket = socket.clone();
        move || run(&program, &socket)
    });
    let post = looked_up(&names, "org.example.in-c", long);

    let gift = || own.make_send().unwrap();
    let request = mach::Message::new(11, *b"seven b\0")
        .with_port(gift())
        .with_memory("from Rust")
        .with_ports([gift(), gift()]);
    let answer = mach::Message::open(post.call(request.into(), long).unwrap()).unwrap();
    assert_eq!((answer.id, &answer.body[..]), (13, &b"as well\0"[..]));
    let sender = answer.sender.unwrap();
    assert!(sender.pid > 0 && sender.pid != std::process::id() as i32, "{sender:?}");
    let carried: [mach::Descriptor; 3] = answer.descriptors.try_into().unwrap();
    let [
        mach::Descriptor::Port(right),
        mach::Descriptor::Memory(memory),
        mach::Descriptor::Ports(rights),
    ] = carried
    else {
        panic!("it carries something else");
    };
    assert_eq!(memory, b"from C");
    let mut rights = rights.into_iter();
    assert!(matches!(rights.next(), Some(mach::Carried::Null)));
    let second = rights.next().and_then(mach::Carried::into_send).unwrap();
    assert!(matches!(rights.next(), Some(mach::Carried::Dead)));
    right.into_send().unwrap().send(mach::Message::new(14, "").into(), long).unwrap();
    second.send(mach::Message::new(15, "").into(), long).unwrap();
    let word = mach::Message::open(own.receive(long).unwrap()).unwrap();
    assert_eq!((word.id, word.body), (12, 36u32.to_ne_bytes().to_vec()));

    let question = mach::Message::open(asked.receive(long).unwrap()).unwrap();
    let number = u32::from_ne_bytes(question.body[..].try_into().unwrap());
    let Some(pillarbox::Right::SendOnce(reply)) = question.reply.into_right() else {
        panic!("no right to answer");
    };
    let answer = mach::Message::new(17, (2 * number).to_ne_bytes());
    reply.send(answer.into(), long).unwrap();
    other.join().unwrap();
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// What somebody made up is opened without harm, and carries nothing that did not come.
#[test]
fn any_message_is_opened_without_harm() {
    let (task, mut dice) = (Task::new(), Dice(2));
    let port = task.port(Capacity::Bounded(1));
    let post = port.make_send().unwrap();
    for _ in 0..3000 {
        let message = forged(&mut dice, &task, &post);
        let rights = message.rights().len();
        let Ok(opened) = mach::Message::open(message) else { continue };
        let right =
            |carried: &mach::Carried| usize::from(matches!(carried, mach::Carried::Right(_)));
        let carried = opened.descriptors.iter().map(|descriptor| match descriptor {
            mach::Descriptor::Port(carried) => right(carried),
            mach::Descriptor::Ports(carried) => carried.iter().map(right).sum(),
            _ => 0,
        });
        assert!(carried.sum::<usize>() + right(&opened.reply) <= rights);
    }
    let foreign = mach::Message::open(Message::new("as it is")).unwrap_err();
    assert_eq!(foreign.body(), b"as it is");
}

fn looked_up(names: &Bootstrap, name: &str, long: Deadline) -> SendRight {
    loop {
        match names.look_up_running(name, long) {
            Ok(post) => return post,
            Err(error) => assert!(!long.has_passed(), "{error}"),
        }
        // sleep: between two looks at what another process does.
        std::thread::sleep(Duration::from_millis(2));
    }
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
}

/// A message that says it is of this face: flags, descriptors and rights at random.
fn forged(dice: &mut Dice, task: &Task, post: &SendRight) -> Message {
    const TAG: u64 = 0x4d61_6368_0000_0001;
    let mut body = Vec::new();
    body.extend_from_slice(&(dice.roll(64) as u32).to_ne_bytes());
    body.extend_from_slice(&7u32.to_ne_bytes());
    let count = dice.roll(5) as u32;
    let said = if dice.roll(8) == 0 { dice.roll(1 << 32) as u32 } else { count };
    body.extend_from_slice(&said.to_ne_bytes());
    for _ in 0..count {
        let kind = dice.roll(6) as u8;
        let mut it = vec![0; if kind == 0 { 12 } else { 16 }];
        for byte in &mut it {
            *byte = [0, 0, 1, 16, 255][dice.roll(5) as usize];
        }
        it[10] = dice.roll(32) as u8;
        it[11] = kind;
        body.append(&mut it);
    }
    body.truncate(body.len() - (dice.roll(2) * dice.roll(8)) as usize);
    let mut message = Message::new(body).with_tag(TAG).with_id(dice.roll(100) as i32);
    for _ in 0..dice.roll(4) {
        let own = task.port(Capacity::Bounded(1));
        message = match dice.roll(4) {
            0 => message.with_right(post.clone()),
            1 => message.with_right(own.make_send().unwrap()),
            2 => message.with_right(own.make_send_once().unwrap()),
            _ => message.with_right(own),
        };
    }
    if dice.roll(3) == 0 {
        message = message.with_region(vec![1; 1 + dice.roll(99) as usize]);
    }
    if dice.roll(5) == 0 {
        // Not even its tag.
        message = message.with_tag(dice.roll(3));
    }
    message
}

#[test]
fn a_peer_that_lies_leaves_nothing_behind() {
    let folder = folder("lies");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = compile(compilers()[0], "a_peer_that_lies", &folder);
    let victim = std::thread::spawn({
        let socket = socket.clone();
        move || run(&program, &socket)
    });
    let long = Deadline::after(Duration::from_secs(60));
    let names = Bootstrap::at(&socket, long).unwrap();
    let post = looked_up(&names, "org.example.gullible", long);
    let (task, mut dice) = (Task::current().unwrap(), Dice(1));
    for _ in 0..600 {
        let message = forged(&mut dice, &task, &post);
        post.send(message, long).unwrap();
    }
    post.send(Message::new("enough").with_id(i32::MAX), long).unwrap();
    let said = victim.join().unwrap();
    assert!(said.starts_with("601 received, "), "{said}");
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
    assert!(headers.len() > 20);
    headers.sort();
    let folder = folder("headers");
    for compiler in compilers() {
        for header in &headers {
            check_header(compiler, header, &include, &folder);
        }
    }
    // All in one, as C++.
    let all = headers.iter().map(|header| format!("#include <{}>\n", header.display()));
    let source = folder.join("all.cc");
    std::fs::write(&source, all.collect::<String>()).unwrap();
    let mut command = Command::new(compilers()[0]);
    command.args(["-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]);
    must(command.arg("-I").arg(&include).arg(&source));
    std::fs::remove_dir_all(folder).unwrap();
}

/// Messages of the oldest systems have types in their bodies: who declares one is told by
/// the compiler what to do instead.
#[test]
fn bodies_with_types_are_refused_when_they_are_compiled() {
    let folder = folder("typed");
    let source = folder.join("typed.c");
    let text = "#include <mach/mach.h>\nstruct { msg_header_t head; msg_type_t type; } one;\n";
    std::fs::write(&source, text).unwrap();
    for compiler in compilers() {
        let mut command = Command::new(compiler);
        command.args(["-DMACH_CLASSIC=1", "-fsyntax-only", "-I"]);
        let output = command.arg(here().join("include")).arg(&source).output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{compiler} takes it");
        assert!(why.contains("bodies with types are not offered"), "{why}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn check_header(compiler: &str, header: &Path, include: &Path, folder: &Path) {
    let source = folder.join("one.c");
    std::fs::write(&source, format!("#include <{}>\nint i;\n", header.display())).unwrap();
    let mut command = Command::new(compiler);
    command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]);
    must(command.args(["-fsyntax-only", "-I"]).arg(include).arg(&source));
}
