//! A task without a free descriptor cannot let anybody in. Who knocks meanwhile
//! is let in when there is one again, and until then its threads sleep.

mod family;

use std::fs::File;
use std::time::{Duration, Instant};

use family::{Reaped, act_with, acting, given, is_part, long, meet};
use pillarbox::{Capacity, Message, Task};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Listens, fills its table, says so, and makes room when it is told.
#[test]
fn full_part() {
    if !acting("full_part") {
        return;
    }
    let task = Task::current().unwrap();
    let parent = given("parent");
    let inbox = task.port(Capacity::Bounded(4));
    let door = std::env::var("PILLARBOX_TEST_DOOR").unwrap();
    let offer = vec![("inbox".to_owned(), inbox.make_send().unwrap())];
    let _listening = task.listen(&door, offer).unwrap();
    // The listener is in the background thread's hands once a caller got in.
    let _ = Task::new().connect(&door, long()).unwrap();

    let limit = Rlimit { current: Some(64), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut full = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        full.push(file);
    }
    let orders = task.port(Capacity::Bounded(4));
    let order = Message::new("full").with_right(orders.make_send().unwrap());
    parent.send(order, long()).unwrap();
    let _ = orders.receive(long()).unwrap();
    drop(full);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"let in");
}

/// What all threads of the child have spent on a processor, in milliseconds.
fn processor_ms(child: &Reaped) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields = after_name.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    ticks * 1000 / rustix::param::clock_ticks_per_second()
}

#[test]
fn who_knocks_at_a_full_table_is_let_in_later() {
    if is_part() {
        return;
    }
    let place = std::env::temp_dir().join(format!("pillarbox-full-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let door = place.join("door");
    let task = Task::current().unwrap();
    let news = task.port(Capacity::Bounded(4));
    let child = act_with("full_part", |command| {
        command.env("PILLARBOX_TEST_DOOR", &door);
    });
    let (mut child, [full]) = meet(child, &news);
    // Somebody knocks and cannot be let in: the door stays readable.
    let knock = shm::socket::LinkSocket::connect_path(&door).unwrap();
    // The door rests, and looks now and then: the processor is not for that.
    let begun = (processor_ms(&child), Instant::now());
    // sleep: what is measured is that nothing happens meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    let spent = processor_ms(&child) - begun.0;
    let passed = begun.1.elapsed().as_millis();
    assert!(u128::from(spent) * 10 < passed, "{spent} of {passed} ms on the processor");
    full.send(Message::new("make room"), long()).unwrap();
    // A stranger to the child: a task of its own.
    let caller = Task::new();
    let mut offered = caller.connect(&door, long()).unwrap();
    let inbox = offered.remove("inbox").unwrap().into_send().unwrap();
    inbox.send(Message::new("let in"), long()).unwrap();
    assert!(child.ended_well());
    drop(knock);
    caller.close();
    std::fs::remove_dir_all(&place).unwrap();
}
