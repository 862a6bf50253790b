//! A process that asks the server what it is told to, and says what came of it.

use std::os::unix::process::CommandExt;

use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap, BootstrapError};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Spawn};

use super::{Reaped, act, acting, command, given, long, parents_server, task};

/// Does what each call says, until the caller is gone.
pub(crate) fn do_as_told(port: &ReceiveRight) {
    let server = parents_server();
    let own = task().port(Capacity::Bounded(1));
    let mut kept = Vec::new();
    while let Ok(mut request) = port.receive(Deadline::Never) {
        if request.notification().is_some() {
            return;
        }
        let told = String::from_utf8_lossy(request.body()).into_owned();
        let (verb, name) = told.split_once(' ').unwrap_or((&told, ""));
        let outcome = match verb {
            "look_up" => server.look_up(name, long()).map(|right| kept.push(right)),
            "watch" => server.watch(name).and_then(|mut watch| watch.next(long())).map(|_| ()),
            "check_in" => server.check_in(name, &own, long()),
            "register" => server.register(name, own.make_send().expect("there is a task"), long()),
            "list" => server.list(long()).map(|all| {
                let names: Vec<String> = all.into_iter().map(|(one, _)| one.name).collect();
                assert_eq!(names.join(","), name);
            }),
            "socket" => {
                assert_eq!(std::env::var("PILLARBOX_SOCKET").as_deref(), Ok(name));
                let place = pillarbox::bootstrap::socket_path();
                let found = Bootstrap::at(place, long());
                assert!(matches!(found, Err(BootstrapError::NoServer(_))), "{found:?}");
                Ok(())
            }
            "stop" => server.stop(long()),
            // A child of its own, with its bootstrap right.
            "child" => {
                let (_child, asker) = start(act("child_asker_part"), &server);
                let answer = tell(&asker, name);
                let _ = request.reply(Message::new(answer), long());
                continue;
            }
            other => panic!("{other}"),
        };
        let answer = match outcome {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        let _ = request.reply(Message::new(answer), long());
    }
}

/// The part of one that is started by [`ask_as`] or by another asker.
pub(crate) fn ask_if_acting(part: &str) {
    if acting(part) {
        let port = task().port(Capacity::Bounded(4));
        let post = port.make_send().expect("there is a task");
        port.notify_no_senders(port.make_send_once().expect("a task")).expect("a task");
        given("parent").send(Message::new("").with_right(post), long()).expect("it listens");
        do_as_told(&port);
    }
}

/// The part of a service that checks in under `name` and does as it is told.
pub(crate) fn serve_asking_if_acting(part: &str, name: &str) {
    if acting(part) {
        let port = task().port(Capacity::Bounded(4));
        parents_server().check_in(name, &port, long()).expect("the name is ours");
        do_as_told(&port);
    }
}

/// Starts an asker with this bootstrap right.
pub(crate) fn start(asker: Spawn, server: &Bootstrap) -> (Reaped, SendRight) {
    let inbox = task().port(Capacity::Bounded(1));
    let parent = inbox.make_send().expect("there is a task");
    let asker = asker.right(BOOTSTRAP, server.right().clone()).right("parent", parent);
    let child = Reaped(asker.spawn().expect("it is started"));
    let mut first = inbox.receive(long()).expect("it says where it is");
    let right = first.take_rights().remove(0).into_send().expect("a send right");
    (child, right)
}

/// Starts an asker of another user and group. `None`, which it says, where we may not.
#[allow(clippy::print_stdout, reason = "what was not tried is said")]
pub(crate) fn start_as(
    part: &str,
    uid: u32,
    gid: u32,
    server: &Bootstrap,
) -> Option<(Reaped, SendRight)> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root starts processes of other users");
        return None;
    }
    // Where this lies they may not look.
    let mut tried = command("no_such_part");
    if tried.uid(uid).gid(gid).status().is_err() {
        println!("skipped: another user may not run the test program where it lies");
        return None;
    }
    let mut other = command(part);
    other.uid(uid).gid(gid);
    Some(start(Spawn::new(other), server))
}

/// Has an asker do something. Returns what came of it.
pub(crate) fn tell(asker: &SendRight, what: &str) -> String {
    let answer = asker.call(Message::new(what), long()).expect("it answers");
    String::from_utf8_lossy(answer.body()).into_owned()
}
