//! C programs that were written for Mach compile without a warning, as C and their
//! headers as C++ too, and behave as they do there. Each is a file of `tests/c`, whose
//! first line says what it shows; they are built here and run.

#[path = "../../c_programs.rs"]
mod c_programs;

use std::process::Command;
use std::time::Duration;

use pillarbox::bootstrap::Bootstrap;
use pillarbox::kernel::ids;
use pillarbox::{Capacity, Deadline, Message, SendRight, Task};
use pillarbox_mach as mach;

use self::c_programs::{Dice, Face, compilers, run};

const MACH: Face =
    Face { name: "mach", home: env!("CARGO_MANIFEST_DIR"), scratch: env!("CARGO_TARGET_TMPDIR") };

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

#[test]
fn programs_of_one_process_need_no_server() {
    let folder = MACH.folder("alone");
    let nowhere = folder.join("no-server");
    for compiler in compilers() {
        for program in ALONE {
            let said = run(&MACH.compile(compiler, program, &folder), &nowhere);
            if program == "a_message_to_oneself" {
                assert_eq!(said, "1 says: hello, mailbox\n");
            }
        }
        run(&MACH.compile(compiler, "without_a_server", &folder), &nowhere);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn two_processes_meet_at_a_server() {
    let folder = MACH.folder("two");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let compiler = compilers()[0];
    let programs = [
        "two_processes",
        "names_for_rights",
        "a_handler_may_jump_between_processes",
        "another_tasks_names",
    ];
    for program in programs {
        run(&MACH.compile(compiler, program, &folder), &socket);
    }
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// Who looks up a service that starts waits until it has checked in.
#[test]
fn a_handler_may_jump_out_of_a_look_up() {
    let folder = MACH.folder("slow");
    let socket = folder.join("boot.sock");
    let program = MACH.compile(compilers()[0], "a_handler_may_jump_out_of_a_look_up", &folder);
    let go = format!("{}.go", socket.display());
    let file = format!(
        "program = {:?}\narguments = [{go:?}]\nnames = [\"org.example.slow\"]\n\
         check_in_within = \"1h\"\n",
        program.display().to_string(),
    );
    let file = boot::service::ServiceFile::read(&file).unwrap();
    let server = boot::Server::new(&Task::new()).unwrap().service("slow", file).unwrap();
    let serving = server.listen(&socket).unwrap().start().unwrap();
    run(&program, &socket);
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A program in Rust and one in C ask each other, with rights and memory.
#[test]
fn rust_and_c_talk_with_each_other() {
    let folder = MACH.folder("rust");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = MACH.compile(compilers()[0], "a_server_for_rust", &folder);
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
    let folder = MACH.folder("lies");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = MACH.compile(compilers()[0], "a_peer_that_lies", &folder);
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

/// A task that answers for its names as it likes, and asks another what it likes.
#[test]
fn a_task_that_lies_about_its_names_leaves_nothing_behind() {
    let folder = MACH.folder("liar");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = MACH.compile(compilers()[0], "a_task_that_lies", &folder);
    let long = Deadline::after(Duration::from_secs(120));
    let (task, names) = (Task::current().unwrap(), Bootstrap::at(&socket, long).unwrap());
    let asked = task.port(Capacity::Bounded(64));
    task.answer_requests(&asked).unwrap();
    names.register("org.example.liar", task.kernel().unwrap(), long).unwrap();
    let liar = std::thread::spawn(move || {
        let mut dice = Dice(3);
        loop {
            let order = asked.receive(Deadline::Never).unwrap();
            if order.tag() == u64::MAX {
                return;
            }
            answer_somehow(&mut dice, order);
        }
    });
    let victim = std::thread::spawn({
        let socket = socket.clone();
        move || run(&program, &socket)
    });
    let post = looked_up(&names, "org.example.asked", long);
    let over = looked_up(&names, "org.example.over", long);
    let mut dice = Dice(4);
    for _ in 0..600 {
        let word = |dice: &mut Dice| {
            let some = [0, 1, 2, 3, 16, 17, 19, 21, 0x103, u32::MAX, dice.roll(1 << 32) as u32];
            some[dice.roll(some.len() as u64) as usize]
        };
        let mut body: Vec<u8> =
            (0..dice.roll(4)).flat_map(|_| word(&mut dice).to_ne_bytes()).collect();
        if dice.roll(8) == 0 {
            body.push(1);
        }
        let mut order = Message::new(body).with_id(ids::PROGRAM + dice.roll(19) as i32);
        if dice.roll(3) == 0 {
            let own = task.port(Capacity::Bounded(1));
            order = match dice.roll(3) {
                0 => order.with_right(own.make_send().unwrap()),
                1 => order.with_right(own.make_send_once().unwrap()),
                _ => order.with_right(own),
            };
        }
        // What it says to that is its own.
        let _ = post.call(order, long);
    }
    over.send(Message::new("over"), long).unwrap();
    let said = victim.join().unwrap();
    assert!(said.ends_with("were answered well\n"), "{said}");
    let end = Message::new("").with_id(ids::PROGRAM).with_tag(u64::MAX);
    task.kernel().unwrap().send(end, long).unwrap();
    liar.join().unwrap();
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

fn answer_somehow(dice: &mut Dice, mut order: Message) {
    let task = Task::current().unwrap();
    let own = task.port(Capacity::Bounded(1));
    let mut body = (dice.roll(3) as u32 * dice.roll(60) as u32).to_ne_bytes().to_vec();
    for _ in 0..dice.roll(6) * dice.roll(20) {
        body.push(dice.roll(256) as u8);
    }
    let id = order.id() + (dice.roll(8) == 0) as i32;
    let mut answer = Message::new(body).with_id(id);
    for right in order.take_rights() {
        answer = answer.with_right(right);
    }
    for _ in 0..dice.roll(3) {
        answer = match dice.roll(3) {
            0 => answer.with_right(own.make_send().unwrap()),
            1 => answer.with_right(own.make_send_once().unwrap()),
            _ => answer.with_right(task.port(Capacity::Bounded(1))),
        };
    }
    match dice.roll(6) {
        0 => drop(order),
        1 => drop(order.reply(Message::new(""), Deadline::Now)),
        _ => drop(order.reply(answer, Deadline::Now)),
    }
}

#[test]
fn each_header_stands_alone() {
    MACH.each_header_stands_alone("");
}

/// Messages of the oldest systems have types in their bodies: who declares one is told by
/// the compiler what to do instead.
#[test]
fn bodies_with_types_are_refused_when_they_are_compiled() {
    let folder = MACH.folder("typed");
    let source = folder.join("typed.c");
    let text = "#include <mach/mach.h>\nstruct { msg_header_t head; msg_type_t type; } one;\n";
    std::fs::write(&source, text).unwrap();
    for compiler in compilers() {
        let mut command = Command::new(compiler);
        command.args(["-DMACH_CLASSIC=1", "-fsyntax-only", "-I"]);
        let output = command.arg(MACH.include()).arg(&source).output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{compiler} takes it");
        assert!(why.contains("bodies with types are not offered"), "{why}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
