//! Who was given a right to a task's kernel port can ask the task about itself
//! and end it, as far as the right permits, and nobody else can; the task's own
//! threads have no part in it.

mod family;

use family::{Reaped, act, acting, given, long};
use pillarbox::kernel::{Kernel, KernelError, Refused, Reply, Request, ids};
use pillarbox::{
    CallError, Capacity, Deadline, Holding, Limits, Message, Right, SendFailure, Task, Terms,
};

fn kernel(task: &Task) -> Kernel {
    Kernel::new(task.kernel().unwrap())
}

/// What the kernel port says to any message.
fn say(kernel: &Kernel, id: i32, body: &[u8]) -> Reply {
    let answer = kernel.right().call(Message::new(body).with_id(id), long()).unwrap();
    postcard::from_bytes(answer.body()).unwrap()
}

#[test]
fn a_task_tells_of_itself() {
    let task = Task::new_with(Limits { message_rights: 7, ..Limits::default() });
    let kernel = kernel(&task);
    let told = kernel.identity(Deadline::Now).unwrap();
    assert_eq!(
        (told.process, told.number),
        (task.identity().task.process, task.identity().task.number)
    );
    assert_eq!(told.pid, std::process::id() as i32);
    let kept = kernel.limits(Deadline::Now).unwrap();
    assert!(kept.contains(&("MESSAGE_RIGHTS".to_owned(), 7)));
    assert!(kernel.peers(Deadline::Now).unwrap().is_empty());
    let ports: Vec<_> = (0..600).map(|_| task.port(Capacity::Bounded(1))).collect();
    let lines = kernel.census(Deadline::Now).unwrap();
    for port in &ports {
        let here = |line: &&pillarbox::kernel::Line| {
            line.port == port.id() && line.holding == Holding::Receive.name()
        };
        assert_eq!(lines.iter().filter(here).map(|line| line.count).sum::<u64>(), 1);
    }
}

#[test]
fn a_narrowed_right_does_what_it_permits() {
    let task = Task::new();
    let terms = Terms::new().ids_listed([ids::CENSUS, ids::IDENTITY]);
    let reader = Kernel::new(task.kernel().unwrap().attenuate(&terms).unwrap());
    assert!(reader.census(Deadline::Now).is_ok() && reader.identity(Deadline::Now).is_ok());
    assert_eq!(reader.end(Deadline::Now), Err(KernelError::NotPermitted));
    assert_eq!(reader.limits(Deadline::Now), Err(KernelError::NotPermitted));
    // Nor does a permitted id around a request that is not.
    let end = postcard::to_stdvec(&Request::End).unwrap();
    assert_eq!(say(&reader, ids::CENSUS, &end), Err(Refused::BadRequest));
    assert!(task.kernel().is_ok(), "it goes on");
}

#[test]
fn what_is_no_request_is_answered_so() {
    let task = Task::new();
    let kernel = kernel(&task);
    let mut random = family::Random::new(7);
    for turn in 0..2_000 {
        let body: Vec<u8> = (0..turn % 12).map(|_| random.next().to_le_bytes()[0]).collect();
        // 0 is the id of no request.
        assert_eq!(say(&kernel, 0, &body), Err(Refused::BadRequest));
        // Anything but an end is harmless.
        let _ = say(&kernel, i32::try_from(random.below(5)).unwrap(), &body);
    }
    // One that wants no answer, one whose answer is to go where it came from, and
    // one with rights.
    kernel.right().send(Message::new("?"), Deadline::Now).unwrap();
    let other = task.port(Capacity::Bounded(1));
    let right = other.make_send().unwrap();
    kernel.right().send(Message::new("?").with_right(right.clone()), Deadline::Now).unwrap();
    drop(right);
    assert_eq!(other.status().senders, 0);
    let identity = postcard::to_stdvec(&Request::Identity).unwrap();
    let answer = kernel.right().call(Message::new(identity).with_id(ids::IDENTITY), long());
    assert_eq!(answer.unwrap().id(), ids::IDENTITY);
    let far = postcard::to_stdvec(&Request::Census { after: u64::MAX }).unwrap();
    let Ok(pillarbox::kernel::Answer::Census(lines, more)) = say(&kernel, ids::CENSUS, &far) else {
        panic!("it is a request");
    };
    assert!(lines.is_empty() && !more);
}

#[test]
fn many_threads_are_each_answered() {
    let task = Task::new();
    let kernel = kernel(&task);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(
                        kernel.identity(long()).unwrap().number,
                        task.identity().task.number
                    );
                }
            });
        }
    });
}

#[test]
fn an_ended_task_answers_nobody() {
    let task = Task::new();
    let kernel = kernel(&task);
    kernel.end(Deadline::Now).unwrap();
    assert_eq!(task.kernel().unwrap_err(), SendFailure::Dead);
    assert_eq!(kernel.identity(Deadline::Now), Err(KernelError::Died));
}

/// Gives its parent rights to itself, and then is busy with something else.
#[test]
fn busy_part() {
    if !acting("busy_part") {
        return;
    }
    let task = Task::current().unwrap();
    let whole = task.kernel().unwrap();
    let reader = whole.attenuate(&Terms::new().ids_listed([ids::CENSUS])).unwrap();
    let hello = Message::new("").with_right(reader).with_right(whole);
    given("parent").send(hello, long()).unwrap();
    // No thread of this task waits at any port, until its parent lets go of it.
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    // It was ended over the link, and knows.
    assert_eq!(task.kernel().unwrap_err(), SendFailure::Dead);
}

#[test]
fn another_process_is_asked_while_it_is_busy_and_is_ended() {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let piped = |command: &mut std::process::Command| {
        command.stdin(std::process::Stdio::piped());
    };
    let child = family::act_with("busy_part", piped).right("parent", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut hello = inbox.receive(long()).unwrap();
    let peer = hello.peer().unwrap();
    let mut rights = hello.take_rights().into_iter().map(|right| right.into_send().unwrap());
    let (reader, whole) =
        (Kernel::new(rights.next().unwrap()), Kernel::new(rights.next().unwrap()));

    assert_eq!(whole.identity(long()).unwrap().pid, child.pid());
    let us = task.identity().task;
    let counts = whole.metrics(long()).unwrap();
    assert!(counts.iter().any(|(name, count)| name == "messages_sent" && *count > 0));
    let peers = whole.peers(long()).unwrap();
    assert!(peers.iter().any(|peer| (peer.process, peer.number) == (us.process, us.number)));
    let lines = reader.census(long()).unwrap();
    assert!(lines.iter().any(|line| line.holding == Holding::ExportedSend.name()));

    // More at once than one turn answers.
    let body = postcard::to_stdvec(&Request::Census { after: 0 }).unwrap();
    let request = || Message::new(body.clone()).with_id(ids::CENSUS);
    let calls: Vec<_> = (0..300).map(|_| reader.right().start_call(request(), long())).collect();
    for call in calls {
        let answer = call.unwrap().wait(long()).unwrap();
        assert!(postcard::from_bytes::<Reply>(answer.body()).unwrap().is_ok());
    }

    assert_eq!(reader.end(long()), Err(KernelError::NotPermitted));
    assert_eq!(reader.identity(long()), Err(KernelError::NotPermitted));
    let lie = Message::new([0xff; 64]).with_id(ids::CENSUS);
    let answer = reader.right().call(lie, long()).unwrap();
    let refused: Reply = postcard::from_bytes(answer.body()).unwrap();
    assert_eq!(refused, Err(Refused::BadRequest));

    assert!(!peer.is_gone());
    whole.end(long()).unwrap();
    family::settled(|| peer.is_gone(), |gone| *gone);
    assert_eq!(whole.identity(long()), Err(KernelError::Died));
    drop(child.0.stdin.take());
    assert!(child.ended_well());
}

#[test]
fn nobody_reaches_it_who_was_not_given_it() {
    if acting("nobody_reaches_it_who_was_not_given_it") {
        let names = Task::current().unwrap().inherited_names(long());
        assert_eq!(names, ["parent"]);
        let parent = given("parent");
        let refused = parent.call(Message::new([4]).with_id(ids::END), long());
        assert_eq!(refused.unwrap().body(), b"not the kernel port");
        return;
    }
    let task = Task::new();
    let _kernel = task.kernel().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let child = act("nobody_reaches_it_who_was_not_given_it")
        .right("parent", inbox.make_send().unwrap())
        .spawn_in(&task);
    let mut child = Reaped(child.unwrap());
    let mut asked = inbox.receive(long()).unwrap();
    asked.reply(Message::new("not the kernel port"), long()).unwrap();
    assert!(child.ended_well());
    assert!(task.kernel().is_ok());
}

#[test]
fn what_the_library_does_not_know_the_program_answers() {
    let (task, asker) = (Task::new(), Task::new());
    let own = kernel(&task);
    let ask = |id, body: &[u8]| own.right().call(Message::new(body).with_id(id), long());
    // Nobody has said that he answers.
    assert!(matches!(ask(ids::PROGRAM, b"?"), Err(CallError::Dropped)));
    let asked = task.port(Capacity::Bounded(1));
    assert!(matches!(asker.answer_requests(&asked), Err(SendFailure::OtherTask)));
    task.answer_requests(&asked).unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let request = Message::new("?").with_id(ids::PROGRAM + 7).with_tag(3);
    let request = request.with_right(inbox.make_send().unwrap());
    let mut answer = own.right().start_call(request, long()).unwrap();
    let mut came = asked.receive(long()).unwrap();
    assert_eq!((came.id(), came.tag(), came.body()), (ids::PROGRAM + 7, 3, &b"?"[..]));
    let Some(Right::Send(right)) = came.take_rights().pop() else { panic!("no right came") };
    right.send(Message::new("here"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"here");
    came.reply(Message::new("!"), long()).unwrap();
    assert_eq!(answer.wait(long()).unwrap().body(), b"!");
    // What the library knows is not the program's to answer, nor what is no request of it.
    assert!(own.identity(long()).is_ok());
    assert_eq!(say(&own, ids::PROGRAM - 1, b"?"), Err(Refused::BadRequest));
    assert!(asked.receive(Deadline::Now).is_err());
    // Too long, no room, no port any more: nobody waits, and who asks is told.
    let long_one = vec![0; pillarbox::limits::KERNEL_BYTES + 1];
    assert!(matches!(ask(ids::PROGRAM, &long_one), Err(CallError::Dropped)));
    let mut first =
        own.right().start_call(Message::new("1").with_id(ids::PROGRAM), long()).unwrap();
    assert!(matches!(ask(ids::PROGRAM, b"2"), Err(CallError::Dropped)));
    assert_eq!(asked.receive(long()).unwrap().body(), b"1");
    assert!(matches!(first.wait(long()), Err(CallError::Dropped)));
    drop(asked);
    assert!(matches!(ask(ids::PROGRAM, b"?"), Err(CallError::Dropped)));
}

#[test]
fn a_narrowed_right_asks_the_program_what_it_permits() {
    let task = Task::new();
    let asked = task.port(Capacity::Bounded(4));
    task.answer_requests(&asked).unwrap();
    let one = task.kernel().unwrap();
    let one = one.attenuate(&Terms::new().ids_listed([ids::PROGRAM + 1])).unwrap();
    for id in [ids::PROGRAM, ids::IDENTITY] {
        let refused = one.send(Message::new("?").with_id(id), long()).unwrap_err();
        assert_eq!(refused.reason, SendFailure::NotPermitted(id));
    }
    assert!(asked.receive(Deadline::Now).is_err());
    one.send(Message::new("told").with_id(ids::PROGRAM + 1), long()).unwrap();
    assert_eq!(asked.receive(long()).unwrap().body(), b"told");
}

/// Asks its parent what only the program knows.
#[test]
fn asks_part() {
    if acting("asks_part") {
        let question = Message::new("who am I?").with_id(ids::PROGRAM);
        let answer = given("kernel").call(question, long()).unwrap();
        assert_eq!(answer.body(), std::process::id().to_string().as_bytes());
    }
}

#[test]
fn who_asks_the_program_is_the_kernels_word() {
    let task = Task::new();
    let asked = task.port(Capacity::Bounded(4));
    task.answer_requests(&asked).unwrap();
    let child = act("asks_part").right("kernel", task.kernel().unwrap()).spawn_in(&task);
    let mut child = Reaped(child.unwrap());
    let mut came = asked.receive(long()).unwrap();
    let pid = came.sender().unwrap().pid;
    assert_eq!(pid, child.pid());
    assert!(came.peer().is_some());
    came.reply(Message::new(pid.to_string()), long()).unwrap();
    assert!(child.ended_well());
}
