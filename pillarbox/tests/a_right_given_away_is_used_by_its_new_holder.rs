//! A right to a third task's port is given on: its new holder uses it, under
//! its own name, and the giver may drop it, end, or be killed the moment it has
//! sent it. Counts are exact throughout: no-senders is never early and always
//! comes, and each promise of a reply ends in one message or one notification.
//!
//! The test process owns the ports (A). It gives to a child (S), which gives to
//! a child of its own (B), which has never met A.

mod family;

use family::{Random, Reaped, act, acting, given, is_part, long, meet, seed, settled, tell};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveRight, SendOnceRight, SendRight, Task,
};

const CALL: i32 = 2;
const GIVE: i32 = 3;
const DROP: i32 = 4;
const EXIT: i32 = 5;
const ANSWER: i32 = 6;
const SAME: i32 = 7;
const KEEP: i32 = 8;

/// The second child does what it is told with the rights it was given.
#[test]
fn holder_part() {
    if acting("holder_part") {
        act_as_told(None);
    }
}

/// The first child does too, and starts the second one first.
#[test]
fn giver_part() {
    if !acting("giver_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let (_holder, [holder]) = meet(act("holder_part"), &inbox);
    act_as_told(Some(holder));
}

/// What a child holds of the rights it was told of.
#[derive(Default)]
struct Kept {
    sends: Vec<SendRight>,
    onces: Vec<SendOnceRight>,
}

fn act_as_told(next: Option<SendRight>) {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let mut hello = Message::new("").with_right(inbox.make_send().unwrap());
    if let Some(next) = &next {
        // To whom it may give: so that the owner can tell the holder, too.
        hello = hello.with_right(next.clone());
    }
    given("parent").send(hello, long()).unwrap();
    // Nobody reaps a grandchild: it goes when nobody can tell it anything.
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    let mut kept = Kept::default();
    while let Ok(mut order) = inbox.receive(long()) {
        if order.notification().is_some() {
            return;
        }
        for right in order.take_rights() {
            match right {
                pillarbox::Right::Send(right) => kept.sends.push(right),
                pillarbox::Right::SendOnce(right) => kept.onces.push(right),
                _ => {}
            }
        }
        obey(&order, &mut kept, next.as_ref());
        if order.id() == EXIT {
            return;
        }
        if order.reply_right().is_some() {
            order.reply(Message::new("done"), long()).unwrap();
        }
    }
}

fn obey(order: &Message, kept: &mut Kept, next: Option<&SendRight>) {
    match order.id() {
        CALL => {
            let answer = kept.sends[0].call(Message::new("from B"), long()).unwrap();
            assert_eq!(answer.body(), b"to B");
        }
        GIVE => {
            let id = order.tag() as i32;
            let mut message = Message::new("").with_id(id);
            for right in kept.sends.drain(..) {
                message = message.with_right(right);
            }
            for right in kept.onces.drain(..) {
                message = message.with_right(right);
            }
            next.unwrap().send(message, long()).unwrap();
        }
        DROP => *kept = Kept::default(),
        ANSWER => {
            for right in kept.onces.drain(..) {
                // Its asker may have gone.
                let _ = right.send(Message::new("answered"), long());
            }
        }
        SAME => {
            // Until both are confirmed, nobody can tell.
            for right in &kept.sends {
                right.status(long()).unwrap();
            }
            assert!(kept.sends[0].same_port(&kept.sends[1]));
            assert_eq!(kept.sends[0].owner(), kept.sends[1].owner());
        }
        _ => {}
    }
}

// ---- the owner -------------------------------------------------------------------

struct Three {
    task: Task,
    giver: Reaped,
    /// To S and to B.
    to_giver: SendRight,
    to_holder: SendRight,
    holder_pid: i32,
}

fn three() -> Three {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let (giver, [to_giver, to_holder]) = meet(act("giver_part"), &inbox);
    Three { task, giver, to_giver, to_holder, holder_pid: 0 }
}

fn tell_to(who: &SendRight, id: i32) {
    who.call(Message::new("").with_id(id), long()).unwrap();
}

/// A port, and where the news of its last sender comes.
fn watched(task: &Task) -> (ReceiveRight, ReceiveRight) {
    (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(1)))
}

fn serve_one(port: &ReceiveRight, three: &mut Three) {
    let mut request = port.receive(long()).unwrap();
    assert_eq!(request.body(), b"from B");
    let sender = request.sender().unwrap();
    assert_ne!(sender.pid, three.giver.pid());
    assert_ne!(sender.pid, std::process::id() as i32);
    if three.holder_pid == 0 {
        three.holder_pid = sender.pid;
    }
    assert_eq!(sender.pid, three.holder_pid);
    request.reply(Message::new("to B"), long()).unwrap();
}

fn expect(port: &ReceiveRight, what: Notification) {
    assert_eq!(port.receive(long()).unwrap().notification(), Some(what));
}

#[test]
fn the_new_holder_calls_under_its_own_name_and_counts_are_exact() {
    if is_part() {
        return;
    }
    let mut three = three();
    let (port, news) = watched(&three.task);
    let order = Message::new("").with_id(KEEP).with_right(port.make_send().unwrap());
    three.to_giver.call(order, long()).unwrap();
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    assert_eq!(port.status().senders, 1);
    let give = Message::new("").with_id(GIVE).with_tag(KEEP as u64);
    three.to_giver.call(give, long()).unwrap();
    let calls = {
        let to_holder = three.to_holder.clone();
        std::thread::spawn(move || tell_to(&to_holder, CALL))
    };
    serve_one(&port, &mut three);
    calls.join().unwrap();
    // S has none any more, B has one, and nobody was told that none is left.
    settled(|| port.status().senders, |&senders| senders == 1);
    assert!(news.receive(Deadline::Now).is_err());
    // The giver dies: what it gave away is not its own.
    three.giver.kill();
    let calls = {
        let to_holder = three.to_holder.clone();
        std::thread::spawn(move || tell_to(&to_holder, CALL))
    };
    serve_one(&port, &mut three);
    calls.join().unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    tell_to(&three.to_holder, DROP);
    expect(&news, Notification::NoSenders);
    assert!(news.receive(Deadline::Now).is_err());
    // And a right the dead giver's child holds hears of the port's end.
    let order = Message::new("").with_id(KEEP).with_right(port.make_send().unwrap());
    three.to_holder.call(order, long()).unwrap();
    three.to_holder.send(Message::new("").with_id(EXIT), long()).unwrap();
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    expect(&news, Notification::NoSenders);
}

#[test]
fn a_reply_right_given_on_brings_the_reply_of_a_third() {
    if is_part() {
        return;
    }
    let three = three();
    let answers = three.task.port(Capacity::Bounded(1));
    for round in 0..50 {
        let promise = answers.make_send_once().unwrap();
        let order = Message::new("").with_id(GIVE).with_tag(ANSWER as u64).with_right(promise);
        three.to_giver.send(order, long()).unwrap();
        let answer = answers.receive(long()).unwrap();
        assert_eq!(answer.body(), b"answered", "round {round}");
        assert_ne!(answer.sender().unwrap().pid, three.giver.pid());
        assert!(answers.receive(Deadline::Now).is_err());
    }
    // One that the third drops, too, speaks once.
    let order = Message::new("").with_id(GIVE).with_tag(DROP as u64);
    let order = order.with_right(answers.make_send_once().unwrap());
    three.to_giver.send(order, long()).unwrap();
    expect(&answers, Notification::SendOnceDropped);
    assert!(answers.receive(Deadline::Now).is_err());
}

#[test]
fn one_port_learned_from_two_tasks_is_one_name() {
    if is_part() {
        return;
    }
    let three = three();
    let port = three.task.port(Capacity::Bounded(1));
    let order = Message::new("").with_id(GIVE).with_tag(KEEP as u64);
    let order = order.with_right(port.make_send().unwrap());
    three.to_giver.call(order, long()).unwrap();
    let order = Message::new("").with_id(SAME).with_right(port.make_send().unwrap());
    // From S it came first; in whichever order they are confirmed they agree.
    three.to_holder.call(order, long()).unwrap();
    settled(|| port.status().senders, |&senders| senders == 1);
    tell_to(&three.to_holder, DROP);
    settled(|| port.status().senders, |&senders| senders == 0);
}

#[test]
fn a_giver_may_be_killed_at_any_moment() {
    const ROUNDS: u32 = 40;
    if is_part() {
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let (mut kept, mut broken) = (0, 0);
    for round in 0..ROUNDS {
        let mut three = three();
        let (port, news) = watched(&three.task);
        let answers = three.task.port(Capacity::Bounded(1));
        let order = Message::new("")
            .with_id(GIVE)
            .with_tag(ANSWER as u64)
            .with_right(port.make_send().unwrap())
            .with_right(answers.make_send_once().unwrap());
        three.to_giver.send(order, long()).unwrap();
        port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
        std::thread::park_timeout(random.micros(500));
        three.giver.kill();
        // Whatever became of it: one answer or one word, and then no more.
        let last = answers.receive(long()).unwrap_or_else(|_| panic!("{round}, seed {seed}"));
        match last.notification() {
            None => {
                assert_eq!(last.body(), b"answered");
                kept += 1;
            }
            Some(Notification::SendOnceDied | Notification::SendOnceDropped) => broken += 1,
            other => panic!("{other:?}, seed {seed}"),
        }
        // B ends by itself, when it can no longer be told anything.
        let _ = three.to_holder.send(Message::new("").with_id(EXIT), long());
        drop(three);
        expect(&news, Notification::NoSenders);
        assert!(news.receive(Deadline::Now).is_err() && answers.receive(Deadline::Now).is_err());
    }
    tell(&format!("{ROUNDS} givers killed: {kept} promises kept, {broken} broken aloud"));
}

#[test]
fn member_part() {
    family::member::obey("member_part");
}

/// A task that ends after its message calls nothing back. The order in which it ends its
/// connections is not known.
#[test]
fn what_a_task_gave_before_it_closed_arrives() {
    use family::linked::give;
    use family::member::{ASK, DROP, GOOD, KEEP, Told};
    const ROUNDS: u32 = 8;
    if is_part() {
        return;
    }
    let (us, owner) = (Task::current().unwrap(), Task::new());
    let port = owner.port(Capacity::Bounded(16));
    // Nobody here waits for anything: what came is read by who looks.
    let senders = || {
        let _ = port.receive(Deadline::Now);
        port.status().senders
    };
    for _ in 0..ROUNDS {
        let giver = Task::new();
        // One that never met the owner.
        let holder = Told::start("member_part");
        let right = give(&owner, &giver, port.make_send().unwrap());
        let to_holder = give(&us, &giver, holder.orders.clone());
        to_holder.status(long()).unwrap();
        holder.child.stop();
        to_holder.send(Message::new("").with_id(KEEP).with_right(right), long()).unwrap();
        giver.close();
        holder.child.resume();
        holder.holds(1);
        assert_eq!(holder.tell(ASK, 0), GOOD);
        settled(senders, |&senders| senders == 1);
        holder.tell(DROP, 0);
        settled(senders, |&senders| senders == 0);
    }
    owner.close();
}
