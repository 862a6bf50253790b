//! C programs that were written for QNX compile without a warning, as C and their
//! headers as C++ too, and behave as they do there. Each is a file of `tests/c`, whose
//! first line says what it shows; they are built here and run.

#[path = "../../c_programs.rs"]
mod c_programs;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap};
use pillarbox::{Capacity, Deadline, Message, Right, SendRight, Spawn, Task};

use self::c_programs::{Dice, Face, compilers, run};

const QNX: Face =
    Face { name: "qnx", home: env!("CARGO_MANIFEST_DIR"), scratch: env!("CARGO_TARGET_TMPDIR") };

/// Programs that are run with no bootstrap server anywhere.
const ALONE: [&str; 16] = [
    "numbers_and_layouts",
    "a_request_and_its_reply",
    "messages_in_parts",
    "pulses_and_messages",
    "channels_and_threads_end",
    "a_connection_that_goes",
    "a_request_is_paused",
    "time_runs_out",
    "the_unblock_race",
    "bad_addresses_are_told",
    "events_and_timers",
    "signals",
    "a_handler_may_jump_out_of_a_wait",
    "what_programs_lean_on",
    "what_published_examples_get_wrong",
    "without_a_server",
];

#[test]
fn programs_of_one_process_need_no_server() {
    let folder = QNX.folder("alone");
    let nowhere = folder.join("no-server");
    for compiler in compilers() {
        for program in ALONE {
            let said = run(&QNX.compile(compiler, program, &folder), &nowhere);
            if program == "a_request_and_its_reply" {
                assert_eq!(said, "hello\n");
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn processes_meet_at_a_server() {
    let folder = QNX.folder("two");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    for program in [
        "two_processes",
        "names",
        "a_program_runs_another",
        "a_connection_goes_between_processes",
        "a_handler_may_jump_between_processes",
    ] {
        run(&QNX.compile(compilers()[0], program, &folder), &socket);
    }
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A program that says what it has seen, or that the kernel schedules nothing by priority
/// for us.
fn scheduled(program: &str, folder: &Path, socket: &Path) {
    let said = run(&QNX.compile(compilers()[0], program, folder), socket);
    if said.starts_with("skipped: ") {
        let _ = write!(std::io::stderr(), "{said}");
    } else {
        assert_eq!(said, "scheduled\n");
    }
}

#[test]
fn a_server_runs_with_the_priority_of_its_client() {
    let folder = QNX.folder("scheduled");
    scheduled("a_server_runs_for_its_client", &folder, &folder.join("no-server"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_busy_server_is_raised_for_who_waits() {
    let folder = QNX.folder("raised");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    scheduled("a_busy_server_runs_for_who_waits", &folder, &socket);
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_server_that_cannot_be_asked_is_told_of() {
    let folder = QNX.folder("mute");
    let socket = folder.join("boot.sock");
    let program = QNX.compile(compilers()[0], "a_server_that_answers_nothing", &folder);
    let task = Task::new();
    let port = task.port(Capacity::Unbounded);
    let right = port.make_send().unwrap();
    let listening = task.listen(&socket, vec![(BOOTSTRAP.into(), right.clone())]).unwrap();
    // Whatever is asked is dropped, and who asks is told.
    let drops =
        std::thread::spawn(
            move || {
                while port.receive(Deadline::Never).unwrap().body() != b"over" {}
            },
        );
    run(&program, &socket);
    right.send(Message::new("over"), Deadline::Never).unwrap();
    drops.join().unwrap();
    drop(listening);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn who_may_not_be_found_is_told_so() {
    let folder = QNX.folder("restricted");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = QNX.compile(compilers()[0], "nobody_may_find_it", &folder);
    let names = Bootstrap::at(&socket, Deadline::after(LONG)).unwrap();
    let none = names.subset(&[], Deadline::after(LONG)).unwrap();
    let spawn = Spawn::new(Command::new(program)).right(BOOTSTRAP, none.right().clone());
    assert!(spawn.spawn().unwrap().wait().unwrap().success());
    let _ = serving.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A number that is small, or at an end, or any.
fn number(dice: &mut Dice) -> u64 {
    match dice.roll(4) {
        0 => dice.roll(4),
        1 => u64::MAX - dice.roll(3),
        2 => 1 << dice.roll(64),
        _ => dice.roll(u64::MAX),
    }
}

fn bytes(dice: &mut Dice) -> Vec<u8> {
    let length = [0, 1, 4, 8, 12, 64, 200][dice.roll(7) as usize];
    (0..length).map(|_| [0, 1, 0x40, 0xff][dice.roll(4) as usize]).collect()
}

/// A message of any kind, with anything in it.
fn forged(dice: &mut Dice, task: &Task, known: &SendRight) -> Message {
    let mut message = Message::new(bytes(dice))
        .with_id(dice.roll(8) as i32 - 1)
        .with_tag(number(dice))
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
    let folder = QNX.folder("lies");
    let socket = folder.join("boot.sock");
    let serving = boot::Server::new(&Task::new()).unwrap().listen(&socket).unwrap().start();
    let serving = serving.unwrap();
    let program = QNX.compile(compilers()[0], "a_peer_that_lies", &folder);
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
                let _ = channel.pulse(number(&mut dice) as u32 as i32, number(&mut dice), 1);
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

#[test]
fn each_header_stands_alone() {
    // With what C++ itself makes of them.
    QNX.each_header_stands_alone("#include <thread>\n#include <csignal>\n#include <string>\n");
}
