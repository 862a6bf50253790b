//! Tasks that have nothing to do use nothing: after traffic of every sort, with
//! threads blocked in a receive, in a call nobody answers and in a send there
//! is no room for, with futures of the same sorts pending and a descriptor for
//! an event loop, a second passes in which no thread of theirs runs at all.

mod executor;
mod family;

use std::sync::Arc;
use std::time::Duration;

use executor::Executor;
use family::{act, acting, given, is_part, long, meet, offer, settled};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Task};

const ECHO: i32 = 1;
const HOLD: i32 = 2;

/// Blocks as much as one can: in a receive.
#[test]
fn server_part() {
    if !acting("server_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(64));
    let deaf = task.port(Capacity::Bounded(1));
    offer(&[&inbox, &deaf]);
    let mut held = Vec::new();
    while let Ok(mut request) = inbox.receive(Deadline::Never) {
        match request.id() {
            HOLD => held.push(request),
            ECHO => request.reply(Message::new("echo"), long()).unwrap(),
            _ => {}
        }
    }
}

/// Blocks in a call, in a send, and in receives of several threads.
#[test]
fn client_part() {
    if !acting("client_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    offer(&[&inbox]);
    let mut order = inbox.receive(long()).unwrap();
    let mut rights = order.take_rights().into_iter().map(|right| right.into_send().unwrap());
    let (server, deaf) = (rights.next().unwrap(), rights.next().unwrap());
    for _ in 0..2000 {
        server.call(Message::new("").with_id(ECHO), long()).unwrap();
        server.send(Message::new("one way"), long()).unwrap();
    }
    deaf.send(Message::new("fills it"), long()).unwrap();
    order.reply(Message::new("now idle"), long()).unwrap();
    std::thread::scope(|scope| {
        let call = || server.call(Message::new("").with_id(HOLD), Deadline::Never);
        scope.spawn(call);
        scope.spawn(|| deaf.send(Message::new("no room"), Deadline::Never));
        for _ in 0..3 {
            scope.spawn(|| inbox.receive(Deadline::Never));
        }
    });
}

/// Waits for as much, in futures alone, and has a descriptor for an event loop.
#[test]
fn future_part() {
    if !acting("future_part") {
        return;
    }
    let task = Task::current().unwrap();
    let events = task.events().unwrap();
    let inbox = Arc::new(task.port(Capacity::Bounded(1)));
    let executor = Executor::new();
    let receive =
        |inbox: Arc<ReceiveRight>| async move { while inbox.receive_async().await.is_ok() {} };
    let (first, others) = (Arc::clone(&inbox), Arc::clone(&inbox));
    let waiting = executor.clone();
    executor.spawn(async move {
        let hello = Message::new("").with_right(first.make_send().unwrap());
        given("parent").send_async(hello).await.unwrap();
        let mut order = first.receive_async().await.unwrap();
        let mut rights = order.take_rights().into_iter().map(|right| right.into_send().unwrap());
        let (server, deaf) = (rights.next().unwrap(), rights.next().unwrap());
        for _ in 0..500 {
            server.call_async(Message::new("").with_id(ECHO)).await.unwrap();
            server.send_async(Message::new("one way")).await.unwrap();
        }
        deaf.send_async(Message::new("fills it")).await.unwrap();
        order.take_reply().unwrap().send_async(Message::new("now idle")).await.unwrap();
        for _ in 0..3 {
            waiting.spawn(receive(Arc::clone(&others)));
        }
        waiting.spawn(async move {
            let _ = deaf.send_async(Message::new("no room")).await;
        });
        let _ = server.call_async(Message::new("").with_id(HOLD)).await;
    });
    executor.run(1);
    drop(events);
}

/// How often the threads of a process have run, and for how long.
fn activity(pid: i32) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut lines = Vec::new();
    for thread in threads.flatten() {
        let read = |name| std::fs::read_to_string(thread.path().join(name)).unwrap();
        let status = read("status");
        let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
        let name = thread.file_name().to_string_lossy().into_owned();
        lines.extend(switches.map(|line| format!("{name} {line}")));
        // The 14th and 15th field: ticks in user and in kernel mode.
        let stat = read("stat");
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: Vec<_> = fields.split(' ').skip(11).take(2).collect();
        lines.push(format!("{name} ticks {ticks:?}"));
    }
    lines.sort();
    lines
}

#[test]
fn an_idle_pair_does_not_run() {
    if !is_part() {
        does_not_run("client_part", 6);
    }
}

#[test]
fn an_idle_future_does_not_run() {
    if !is_part() {
        // The harness, the executor, the background thread.
        does_not_run("future_part", 3);
    }
}

fn does_not_run(part: &str, threads: usize) {
    const SECOND: Duration = Duration::from_secs(1);
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let (server, to_server) = meet::<2>(act("server_part"), &inbox);
    let (client, [to_client]) = meet(act(part), &inbox);
    let order = to_server.iter().cloned().fold(Message::new(""), Message::with_right);
    to_client.call(order, long()).unwrap();
    let now = || (activity(server.pid()), activity(client.pid()));
    // Until everybody blocks where it will stay: three samples alike.
    let mut earlier = now();
    let mut alike = 0;
    settled(
        || {
            std::thread::park_timeout(SECOND / 10);
            let later = now();
            alike = if later == earlier { alike + 1 } else { 0 };
            earlier = later;
            alike
        },
        |&alike| alike == 3,
    );
    // sleep: a second in which nothing must happen
    std::thread::sleep(SECOND);
    let after = now();
    assert_eq!(after, earlier, "no thread of either ran within a second");
    assert!(earlier.0.len() >= 3 * 2 && earlier.1.len() >= 3 * threads, "and there are threads");
}
