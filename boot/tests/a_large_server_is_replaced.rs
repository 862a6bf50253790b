//! A server with a thousand names and a hundred mebibytes in a queue is replaced as any
//! other: all of it goes on, each message once, and who looks a name up meanwhile is
//! answered. `cargo test … -- --nocapture` says how long nobody was served.

mod family;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use boot::Server;
use boot::service::ServiceFile;
use family::placed::{PATH, at, path, serve_if_acting, start, told_path};
use family::{Place, acting, given, long, parents_server, queue_file, task, until};
use pillarbox::bootstrap::BOOTSTRAP;
use pillarbox::shared::SharedReader;
use pillarbox::{Bootstrap, Capacity, Deadline, Message, ReceiveRight, SendRight, Task};

const QUEUE: &str = "com.example.queue";
const NAMES: usize = 1000;

/// Tasks that send, since each may have eight mebibytes waiting; and what each sends.
const SENDERS: usize = 15;
const EACH: usize = 7;
const LENGTH: usize = 1 << 20;

fn declared(server: Server) -> Server {
    let queue = queue_file("worker_part", QUEUE, "throttle = \"1ms\"\nqueue_messages = 1024");
    let queue = format!("{queue}{PATH} = {:?}\n", told_path());
    let file = ServiceFile::read(&queue).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    server.service("queue", file).unwrap()
}

#[test]
fn server_part() {
    serve_if_acting("server_part", declared);
}

#[test]
fn successor_part() {
    if acting("successor_part") {
        let before = Bootstrap::at(told_path(), long()).unwrap();
        let mut server = declared(Server::new(&task()).unwrap());
        let _locked = server.take_over(&before, long()).unwrap();
        given("told").send(Message::new("listening"), long()).unwrap();
        server.serve();
    }
}

/// Reads the queue once a file says so, and says of each what stands at its head.
#[test]
fn worker_part() {
    if !acting("worker_part") {
        return;
    }
    let go = told_path().with_file_name("go");
    until(|| go.exists());
    let right = parents_server().attend(QUEUE, long()).unwrap();
    let mut jobs = SharedReader::attach(&task(), right, 2, long()).unwrap();
    while let Ok(Some(job)) = jobs.receive(Deadline::Never) {
        assert_eq!(job.message().body().len(), LENGTH);
        let answer = Message::new(job.message().body()[..2].to_vec());
        let _ = job.reply(answer, long());
    }
}

/// A client of its own task.
fn client(place: &Place) -> (Task, Bootstrap) {
    let task = Task::new();
    let mut rights = task.connect(path(place), long()).unwrap();
    let right = rights.remove(BOOTSTRAP).unwrap().into_send().unwrap();
    (task, Bootstrap::new(right))
}

#[test]
#[allow(clippy::print_stdout, reason = "a figure for whoever wants it")]
fn all_of_it_goes_on() {
    let place = Place::new();
    let _server = start("server_part", &place);
    let (holder, names) = client(&place);
    let ports: HashMap<String, ReceiveRight> = (0..NAMES)
        .map(|number| (format!("n{number}"), holder.port(Capacity::Bounded(1))))
        .collect();
    for (name, port) in &ports {
        names.register(name, port.make_send().unwrap(), long()).unwrap();
    }
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let (task, names) = client(&place);
        let right: SendRight = names.look_up(QUEUE, long()).unwrap();
        let answers = task.port(Capacity::Unbounded);
        for number in 0..EACH {
            let mut body = vec![0; LENGTH];
            body[..2].copy_from_slice(&[sender as u8, number as u8]);
            let reply = answers.make_send_once().unwrap();
            right.send(Message::new(body).with_reply(reply), long()).unwrap();
        }
        senders.push((task, names, answers));
    }
    // Somebody asks all the while.
    let asks = at(&place);
    let (mut longest, mut answered) = (Duration::ZERO, 0);
    let _next = std::thread::scope(|scope| {
        let next = scope.spawn(|| start("successor_part", &place));
        while !next.is_finished() {
            let began = Instant::now();
            assert!(asks.look_up("n7", long()).is_ok());
            longest = longest.max(began.elapsed());
            answered += 1;
        }
        next.join().unwrap()
    });
    println!("{answered} look-ups were answered, the longest took {longest:?}");
    for (name, port) in &ports {
        let right = asks.look_up(name, long()).unwrap();
        right.send(Message::new(name.clone()), long()).unwrap();
        assert_eq!(port.receive(long()).unwrap().body(), name.as_bytes());
    }
    std::fs::write(place.path().join("go"), "").unwrap();
    for (sender, (_task, _names, answers)) in senders.iter().enumerate() {
        let mut told: Vec<u8> = Vec::new();
        for _ in 0..EACH {
            let answer = answers.receive(long()).unwrap();
            assert_eq!(answer.notification(), None, "of sender {sender}: {told:?}");
            assert_eq!(answer.body()[0], sender as u8);
            told.push(answer.body()[1]);
        }
        told.sort_unstable();
        assert_eq!(told, (0..EACH as u8).collect::<Vec<_>>());
    }
}
