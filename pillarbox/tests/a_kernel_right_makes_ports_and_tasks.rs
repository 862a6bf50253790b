//! Who was given a right to a kernel port can have the task make ports and memory
//! and start programs with rights, as far as the right permits; what is refused is
//! answered, and what is given comes back.

mod family;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use family::linked::give;
use family::{Reaped, act_with, acting, given, long, settled};
use pillarbox::kernel::{
    Answer, Exit, Kernel, KernelError, Program, Refused, Reply, Request, Shape, Start, Started, ids,
};
use pillarbox::{
    Capacity, Deadline, Limit, Limits, Message, Order, PortOptions, ReceiveRight, Right, Task,
    Terms, Withdraw, limits,
};

fn port(task: &Task) -> ReceiveRight {
    task.port(Capacity::Bounded(8))
}

/// A task with these limits, and another with a right to its kernel port.
fn asked(kept: Limits) -> (Task, Task, Kernel) {
    let (task, near) = (Task::new_with(kept), Task::new());
    let right = give(&task, &near, task.kernel().unwrap());
    (task, near, Kernel::new(right))
}

/// What the kernel port says to any message.
fn say(kernel: &Kernel, message: Message) -> Reply {
    let answer = kernel.right().call(message, long()).unwrap();
    postcard::from_bytes(answer.body()).unwrap()
}

/// Waits until no right to the port is left anywhere.
fn nobody_sends(port: &ReceiveRight) {
    let look = || {
        assert!(port.receive(Deadline::Now).is_err());
        port.status().senders
    };
    settled(look, |senders| *senders == 0);
}

fn shell(line: &str) -> Program {
    Program::new("/bin/sh").argument("-c").argument(line)
}

fn started(kernel: &Kernel, line: &str) -> Started {
    kernel.start(shell(line), long()).unwrap()
}

// ---- ports and memory -------------------------------------------------------------

#[test]
fn a_port_is_made_as_it_was_asked_for_and_is_the_askers() {
    let (task, near, kernel) = asked(Limits { capacity_messages: 2, ..Limits::default() });
    let options = PortOptions::new(Capacity::Bounded(5)).order(Order::Priority).pulses(1);
    let made = kernel.make_port(options, long()).unwrap();
    assert_eq!(made.status().capacity, 2, "no more than the task makes");
    let post = made.make_send().unwrap();
    assert_eq!(post.owner(), Some(near.identity().task));
    post.send(Message::new("second"), Deadline::Now).unwrap();
    post.send(Message::new("first").with_priority(1), Deadline::Now).unwrap();
    assert!(post.send(Message::new("third"), Deadline::Now).is_err());
    assert_eq!(made.receive(Deadline::Now).unwrap().body(), b"first");
    assert!(post.pulse(1, 1, 0).is_ok() && post.pulse(1, 2, 0).is_err());
    let whole = kernel.make_port(Capacity::Unbounded, long()).unwrap();
    assert_eq!(whole.status().capacity, u64::MAX);
    // The one who made it has no part in it.
    task.close();
    settled(|| kernel.identity(long()).is_err(), |gone| *gone);
    post.send(Message::new("later"), Deadline::Now).unwrap();
    assert_eq!(made.receive(Deadline::Now).unwrap().body(), b"second");
}

#[test]
fn memory_is_of_its_size_for_ever_and_within_the_limit() {
    let (task, _near, kernel) = asked(Limits { region_bytes: 10_000, ..Limits::default() });
    let mut region = File::from(kernel.make_region(10_000, long()).unwrap());
    assert_eq!(region.metadata().unwrap().len(), 10_000);
    region.write_all(b"shared").unwrap();
    region.seek(SeekFrom::Start(0)).unwrap();
    let mut read = Vec::new();
    region.read_to_end(&mut read).unwrap();
    assert_eq!((&read[..6], read.len()), (b"shared".as_slice(), 10_000));
    assert!(region.set_len(20_000).is_err() && region.set_len(1).is_err());
    let too_much = kernel.make_region(10_001, long());
    assert_eq!(too_much.unwrap_err(), KernelError::Refused(Refused::TooLarge));
    assert_eq!(task.metrics().refused(Limit::RegionBytes), 1);
    let none = kernel.make_region(0, long()).unwrap_err();
    assert_eq!(none, KernelError::Refused(Refused::BadRequest));
}

// ---- programs ---------------------------------------------------------------------

/// Says hello on the right it was given, and how it was started.
#[test]
fn program_part() {
    if !acting("program_part") {
        return;
    }
    let inbox = port(&Task::current().unwrap());
    let greeting = std::env::var("GREETING").unwrap();
    let hello = Message::new(greeting).with_right(inbox.make_send().unwrap());
    given("parent").send(hello, long()).unwrap();
    let other = Task::current().unwrap().inherited("other", long()).unwrap();
    other.into_send_once().unwrap().send(Message::new("used"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"go");
}

/// This test binary, to act `program_part`.
fn program() -> Program {
    let own = std::env::current_exe().unwrap();
    ["--exact", "program_part", "--nocapture", "--test-threads=1"]
        .into_iter()
        .fold(Program::new(own), Program::argument)
        .variable("PILLARBOX_TEST_PART", "program_part")
        .variable("GREETING", "good day")
}

#[test]
fn a_program_is_started_with_rights_of_the_asker() {
    let (_task, near, kernel) = asked(Limits::default());
    let (inbox, other) = (port(&near), port(&near));
    let program = program()
        .right("parent", inbox.make_send().unwrap())
        .right("other", other.make_send_once().unwrap());
    let program = kernel.start(program, long()).unwrap();
    let mut hello = inbox.receive(long()).unwrap();
    assert_eq!(hello.body(), b"good day");
    let told = program.identity();
    let sender = hello.sender().unwrap();
    assert_eq!((told.pid, told.process), (sender.pid, sender.task.process));
    assert_eq!(Kernel::new(program.right().clone()).identity(long()), Ok(told));
    assert_eq!(other.receive(long()).unwrap().body(), b"used");
    let post = hello.take_rights().remove(0).into_send().unwrap();
    post.send(Message::new("go"), long()).unwrap();
    assert_eq!(program.wait(long()), Ok(Exit { code: Some(0), signal: None }));
    // It stays known to who holds the right.
    assert_eq!(program.wait(long()).unwrap().code, Some(0));
    program.end(long()).unwrap();
}

#[test]
fn it_has_what_was_stated_and_nothing_else() {
    let (_task, _near, kernel) = asked(Limits::default());
    let path = std::env::temp_dir().join(format!("pillarbox-program-{}", std::process::id()));
    let output = File::create(&path).unwrap();
    let lines = "pwd; echo \"$A:$HOME\"; read line; echo \"$line\"; echo $#";
    let mut input = tempfile("given\n");
    input.seek(SeekFrom::Start(0)).unwrap();
    let program =
        shell(lines).variable("A", "b c").directory("/").input(input.into()).output(output.into());
    let program = kernel.start(program, long()).unwrap();
    assert_eq!(program.wait(long()).unwrap().code, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "/\nb c:\ngiven\n0\n");
    std::fs::remove_file(path).unwrap();
}

/// A file nobody else knows, with this in it.
fn tempfile(text: &str) -> File {
    let fd = rustix::fs::memfd_create(c"text", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(fd);
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn its_end_is_told_to_all_who_wait_and_can_be_brought_about() {
    let (_task, near, kernel) = asked(Limits::default());
    let program = started(&kernel, "exec sleep 60");
    let notify = near.notify().unwrap();
    let wait = |number| {
        program.right().start_call_to(Request::Wait.message(), &notify, number, long()).unwrap()
    };
    let (first, withdrawn) = (wait(1), wait(2));
    assert!(withdrawn.withdraw(Withdraw::Done));
    assert_eq!(program.wait(Deadline::after(family::LONG / 1000)), Err(KernelError::Deadline));
    assert!(!first.is_over());
    program.end(long()).unwrap();
    let news = notify.receive(long()).unwrap();
    assert_eq!(news.completion(), Some(1));
    let exit = Exit { code: None, signal: Some(9) };
    assert_eq!(Answer::of(&news), Ok(Answer::Exited(exit)));
    assert_eq!(program.wait(long()), Ok(exit));
    assert!(notify.receive(Deadline::Now).is_err());
}

#[test]
fn a_right_to_a_program_can_be_narrowed() {
    let task = Task::new();
    let program = started(&Kernel::new(task.kernel().unwrap()), "exec sleep 60");
    let terms = Terms::new().ids_listed([ids::WAIT]);
    let waiter = Kernel::new(program.right().attenuate(&terms).unwrap());
    assert_eq!(waiter.end(long()), Err(KernelError::NotPermitted));
    assert_eq!(waiter.identity(long()), Err(KernelError::NotPermitted));
    // Nor does it do what only the kernel port does.
    let metrics = Kernel::new(program.right().clone()).metrics(long());
    assert_eq!(metrics, Err(KernelError::Refused(Refused::BadRequest)));
    program.end(long()).unwrap();
    assert_eq!(program.wait(long()).unwrap().signal, Some(9));
}

#[test]
fn what_cannot_be_started_comes_back() {
    let (_task, near, kernel) = asked(Limits::default());
    let (kept, inbox) = (port(&near), port(&near));
    let post = kept.make_send().unwrap();
    let refused = |program: Program| {
        let program = program.right("a", inbox.make_send().unwrap());
        let error = kernel.start(program, long()).unwrap_err();
        let names: Vec<_> = error.program.rights().map(|(name, _)| name.to_owned()).collect();
        assert!(names.contains(&"a".to_owned()), "{names:?}");
        error.reason
    };
    let missing = refused(Program::new("/nonexistent/program"));
    assert_eq!(missing, KernelError::Refused(Refused::System { errno: 2 }));
    let zero = refused(shell("exit 0").argument("a\0b"));
    assert_eq!(zero, KernelError::Refused(Refused::BadRequest));
    let twice = refused(shell("exit 0").right("a", kept.make_send().unwrap()));
    assert_eq!(twice, KernelError::Refused(Refused::Names));
    let odd = refused(shell("exit 0").right("a b\n", kept.make_send().unwrap()));
    assert_eq!(odd, KernelError::Refused(Refused::Names));
    let long_one = refused(shell("exit 0").argument("x".repeat(limits::KERNEL_BYTES)));
    assert_eq!(long_one, KernelError::Refused(Refused::TooLarge));
    nobody_sends(&inbox);
    // A receive right comes back with its port, or is let go.
    let program = Program::new("/nonexistent/program").right("kept", kept);
    let error = kernel.start(program, long()).unwrap_err();
    let came = error
        .program
        .rights()
        .any(|(name, right)| name == "kept" && matches!(right, Right::Receive(_)));
    settled(|| came != post.is_dead(), |either| *either);
}

#[test]
fn programs_are_limited_and_the_ended_make_room() {
    let (task, _near, kernel) = asked(Limits { started: 2, ..Limits::default() });
    // It goes on until we let go of its input.
    let (theirs, ours) = std::io::pipe().unwrap();
    let first = kernel.start(Program::new("/bin/cat").input(theirs.into()), long()).unwrap();
    let second = started(&kernel, "exit 0");
    assert_eq!(second.wait(long()).unwrap().code, Some(0));
    let error = kernel.start(shell("exit 0"), long()).unwrap_err();
    assert_eq!(error.reason, KernelError::Refused(Refused::TooMany));
    assert_eq!(task.metrics().refused(Limit::Started), 1);
    // Its status is kept for who holds the right, and no longer.
    drop(second);
    let third = settled_start(&kernel);
    assert_eq!(third.wait(long()).unwrap().code, Some(0));
    drop(third);
    // One that runs is counted though nobody holds it.
    drop(first);
    let _fourth = settled_start(&kernel);
    let error = kernel.start(shell("exit 0"), long()).unwrap_err();
    assert_eq!(error.reason, KernelError::Refused(Refused::TooMany));
    drop(ours);
    let _fifth = settled_start(&kernel);
    // And a task may start none.
    let (_none, _near, kernel) = asked(Limits { started: 0, ..Limits::default() });
    let error = kernel.start(shell("exit 0"), long()).unwrap_err();
    assert_eq!(error.reason, KernelError::Refused(Refused::TooMany));
}

/// Starts one as soon as there is room.
fn settled_start(kernel: &Kernel) -> Started {
    let mut started = None;
    settled(
        || {
            started = kernel.start(shell("exit 0"), long()).ok();
            started.is_some()
        },
        |started| *started,
    );
    started.unwrap()
}

#[test]
fn who_waits_for_a_program_is_one_of_so_many() {
    let (_task, _near, kernel) = asked(Limits::default());
    let program = started(&kernel, "exec sleep 60");
    let wait = || program.right().start_call(Request::Wait.message(), long()).unwrap();
    let mut calls: Vec<_> = (0..limits::KERNEL_WAITS).map(|_| wait()).collect();
    let refused = program.wait(long());
    assert_eq!(refused, Err(KernelError::Refused(Refused::TooMany)));
    // Who waits no longer makes room.
    drop(calls.pop());
    let more = wait();
    program.end(long()).unwrap();
    for mut call in calls.into_iter().chain([more]) {
        let answer = call.wait(long()).unwrap();
        assert!(matches!(Answer::of(&answer), Ok(Answer::Exited(_))));
    }
}

// ---- peers that mean no good --------------------------------------------------------

/// Asks for everything with the rights it was given.
#[test]
fn asker_part() {
    if !acting("asker_part") {
        return;
    }
    let maker = Kernel::new(given("maker"));
    assert!(maker.make_port(Capacity::Bounded(1), long()).is_ok());
    assert!(maker.make_region(1, long()).is_ok());
    let program = shell("exit 0").right("a", given("parent"));
    let error = maker.start(program, long()).unwrap_err();
    assert_eq!(error.reason, KernelError::NotPermitted);
    assert_eq!(maker.end(long()), Err(KernelError::NotPermitted));
    assert_eq!(maker.identity(long()), Err(KernelError::NotPermitted));
    // Nor does a permitted id around a request that is not.
    let start = Request::Start(Start { program: b"/bin/true".to_vec(), ..Start::default() });
    for id in [ids::MAKE_PORT, ids::MAKE_REGION] {
        let lie = Message::new(start.message().into_body()).with_id(id);
        assert_eq!(say(&maker, lie), Err(Refused::BadRequest));
    }
}

#[test]
fn a_peer_does_what_its_right_permits() {
    let task = Task::new();
    let inbox = port(&task);
    let terms = Terms::new().ids_listed([ids::MAKE_PORT, ids::MAKE_REGION]);
    let maker = task.kernel().unwrap().attenuate(&terms).unwrap();
    let child = act_with("asker_part", |_| ())
        .right("maker", maker)
        .right("parent", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    assert!(child.ended_well());
    assert!(task.kernel().is_ok());
}

#[test]
fn what_is_no_request_is_answered_so() {
    let (task, near, kernel) = asked(Limits { started: 4, ..Limits::default() });
    let shape =
        Shape { places: Some(1), by_priority: false, overflow: 3, pulses: 0, merge_pulses: false };
    assert_eq!(say(&kernel, Request::MakePort(shape).message()), Err(Refused::BadRequest));
    assert_eq!(say(&kernel, Request::Wait.message()), Err(Refused::BadRequest));
    assert_eq!(say(&kernel, Message::new("").with_id(99)), Err(Refused::BadRequest));
    // Cut anywhere, and with what does not belong there.
    let start =
        Start { program: b"/bin/true".to_vec(), names: vec!["a".to_owned()], ..Start::default() };
    let whole = Request::Start(start.clone()).message().into_body();
    for length in 0..whole.len() {
        let cut = Message::new(&whole[..length]).with_id(ids::START);
        assert_eq!(say(&kernel, cut), Err(Refused::BadRequest), "{length}");
    }
    assert_eq!(say(&kernel, Request::Start(start).message()), Err(Refused::Names));
    let other = port(&near);
    let unnamed = Start { program: b"/bin/true".to_vec(), ..Start::default() };
    let message = Request::Start(unnamed.clone()).message();
    let message = message.with_right(other.make_send().unwrap());
    assert_eq!(say(&kernel, message), Err(Refused::Names));
    let stream = Request::Start(unnamed).message().with_descriptor(tempfile("").into());
    assert_eq!(say(&kernel, stream), Err(Refused::BadRequest));
    let huge = Message::new(vec![7; 4 * limits::KERNEL_BYTES]).with_id(ids::START);
    assert_eq!(say(&kernel, huge), Err(Refused::TooLarge));
    let mut random = family::Random::new(11);
    for turn in 0..1_000 {
        let mut body = whole.clone();
        let place = random.below(whole.len() as u64) as usize;
        body[place] ^= 1 << random.below(8);
        let id = [ids::START, ids::MAKE_PORT, ids::MAKE_REGION, ids::WAIT][turn % 4];
        // The names never fit the rights: nothing is started.
        assert!(say(&kernel, Message::new(body).with_id(id)).is_err());
    }
    nobody_sends(&other);
    assert!(task.kernel().is_ok());
}

#[test]
fn a_flood_starts_no_more_than_may_be_and_blocks_nobody() {
    let (task, _near, kernel) = asked(Limits { started: 3, ..Limits::default() });
    let start = || {
        let start = Start {
            program: b"/bin/sleep".to_vec(),
            arguments: vec![b"60".to_vec()],
            ..Start::default()
        };
        kernel.right().start_call(Request::Start(start).message(), long()).unwrap()
    };
    let calls: Vec<_> = (0..200).map(|_| start()).collect();
    let mut running = Vec::new();
    for mut call in calls {
        let mut answer = call.wait(long()).unwrap();
        match Answer::of(&answer) {
            Ok(Answer::Started(_)) => running.push(answer.take_rights().remove(0)),
            Err(KernelError::Refused(Refused::TooMany)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(running.len(), 3);
    assert_eq!(task.metrics().refused(Limit::Started), 197);
    assert!(kernel.identity(long()).is_ok());
    for right in running {
        Kernel::new(right.into_send().unwrap()).end(long()).unwrap();
    }
}

#[test]
fn a_program_nobody_was_told_of_is_ended() {
    let (task, near, kernel) = asked(Limits { started: 1, ..Limits::default() });
    let program = Request::Start(Start {
        program: b"/bin/sleep".to_vec(),
        arguments: vec![b"60".to_vec()],
        ..Start::default()
    });
    // It asks for no answer, or waits for it no longer.
    kernel.right().send(program.message(), long()).unwrap();
    let _ = settled_start(&kernel);
    let news = near.notify().unwrap();
    let call = kernel.right().start_call_to(program.message(), &news, 1, long()).unwrap();
    let withdrawn = call.withdraw(Withdraw::Done);
    if withdrawn {
        let _ = settled_start(&kernel);
    } else {
        assert_eq!(news.receive(long()).unwrap().completion(), Some(1));
    }
    assert_eq!(news.receive(Deadline::Now).ok().and_then(|news| news.notification()), None);
    drop(task);
}
