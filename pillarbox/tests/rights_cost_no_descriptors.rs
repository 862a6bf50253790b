//! A right costs bytes, never a descriptor: two tasks that may have 64
//! descriptors each share a hundred thousand live send rights, use them, and let
//! them go. Then a census of either is as empty as before.

mod family;

use family::{act, acting, is_part, long, meet, offer, settled};
use pillarbox::{Capacity, Holding, Message, ReceiveRight, SendRight, Task, limits};
use rustix::process::{Resource, Rlimit, setrlimit};

const RIGHTS: usize = 100_000;
const DESCRIPTORS: u64 = 64;

const MORE: i32 = 1;
const CENSUS: i32 = 2;
const TAKE: i32 = 3;
const CALL: i32 = 4;
const DROP: i32 = 5;

fn few_descriptors() {
    let limit = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Answers orders until the parent is gone, or has none for long.
fn obey(mut act: impl FnMut(&mut Message, &ReceiveRight) -> Message) {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    offer(&[&inbox]);
    while let Ok(mut order) = inbox.receive(long()) {
        let answer = act(&mut order, &inbox);
        order.reply(answer, long()).unwrap();
    }
}

/// Makes ports, each with a number, and gives out a right to each.
#[test]
fn maker_part() {
    if !acting("maker_part") {
        return;
    }
    few_descriptors();
    let task = Task::current().unwrap();
    let mut ports: Vec<ReceiveRight> = Vec::new();
    obey(|order, _| match order.id() {
        MORE => {
            let count = limits::MESSAGE_RIGHTS.min(RIGHTS - ports.len());
            let mut answer = Message::new("");
            for _ in 0..count {
                let port = task.port(Capacity::Bounded(1));
                answer = answer.with_right(port.make_send().unwrap());
                ports.push(port);
            }
            answer
        }
        CENSUS => {
            let given = task.census().count(Holding::ExportedSend);
            let waiting = ports.iter().filter(|port| port.status().queued > 0).count() as u64;
            Message::new("").with_tag(given).with_id(waiting as i32)
        }
        _ => Message::new("what?"),
    });
}

/// Takes the rights and holds them.
#[test]
fn holder_part() {
    if !acting("holder_part") {
        return;
    }
    few_descriptors();
    let task = Task::current().unwrap();
    let mut rights: Vec<SendRight> = Vec::new();
    obey(|order, _| match order.id() {
        TAKE => {
            let maker = order.take_rights().remove(0).into_send().unwrap();
            while rights.len() < RIGHTS {
                let mut more = maker.call(Message::new("").with_id(MORE), long()).unwrap();
                let came = more.take_rights();
                assert!(!came.is_empty());
                rights.extend(came.into_iter().map(|right| right.into_send().unwrap()));
            }
            let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
            assert!(open < DESCRIPTORS);
            Message::new("").with_tag(task.census().count(Holding::ImportedSend))
        }
        CALL => {
            // All of them are live: every thousandth is used.
            let used = rights.iter().step_by(1000);
            let sent = used.map(|right| right.send(Message::new("use"), long()).unwrap()).count();
            Message::new("").with_tag(sent as u64)
        }
        DROP => {
            rights.clear();
            Message::new("").with_tag(task.census().count(Holding::ImportedSend))
        }
        _ => Message::new("what?"),
    });
}

fn ask(who: &SendRight, id: i32) -> Message {
    who.call(Message::new("").with_id(id), long()).unwrap()
}

#[test]
fn a_hundred_thousand_rights_need_no_descriptor() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(2));
    let mut children = Vec::new();
    let mut orders = Vec::new();
    for part in ["maker_part", "holder_part"] {
        let (child, [order]) = meet(act(part), &inbox);
        children.push(child);
        orders.push(order);
    }
    let (maker, holder) = (&orders[0], &orders[1]);
    let before = ask(maker, CENSUS).tag();

    let take = Message::new("").with_id(TAKE).with_right(maker.clone());
    let held = holder.call(take, long()).unwrap().tag();
    // Those, and the one they were asked for on.
    assert_eq!(held, RIGHTS as u64 + 1);
    assert_eq!(ask(maker, CENSUS).tag(), before + RIGHTS as u64);
    let used = ask(holder, CALL).tag();
    settled(|| ask(maker, CENSUS).id(), |&waiting| waiting as u64 == used);

    assert_eq!(ask(holder, DROP).tag(), 0);
    // Counting them takes its time, and who counts does not read: it is no matter how
    // long it takes while they grow fewer.
    let mut exported = ask(maker, CENSUS).tag();
    while exported != before {
        let last = exported;
        let count = || {
            exported = ask(maker, CENSUS).tag();
            exported
        };
        settled(count, |&exported| exported < last);
    }
}
