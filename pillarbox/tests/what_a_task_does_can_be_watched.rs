//! Who has a right to look at a task is told what each of its ports has counted, who
//! waits there, and how long calls take; the task does nothing for it but answer, and
//! who may look may do nothing else.

mod family;

use std::thread;

use family::linked::give;
use family::{act, acting, begin, given, long, meet, settled};
use pillarbox::kernel::{Counts, Kernel, KernelError, PortCounts, Request, ids};
use pillarbox::{
    Capacity, Deadline, FacetError, Message, Overflow, PortOptions, ReceiveRight, Task,
};

fn kernel(task: &Task) -> Kernel {
    Kernel::new(task.kernel().unwrap())
}

/// All a task has counted, page by page.
fn counts(kernel: &Kernel) -> Counts {
    let mut all = kernel.counts(0, &[], long()).unwrap();
    while let Some(next) = all.next {
        let page = kernel.counts(next, &[], long()).unwrap();
        all.ports.extend(page.ports);
        all.next = page.next;
    }
    all
}

/// What this port has counted.
fn of(kernel: &Kernel, port: &ReceiveRight) -> PortCounts {
    let all = counts(kernel);
    let mut found = all.ports.into_iter().filter(|one| one.port == port.id());
    let one = found.next().unwrap();
    assert!(found.next().is_none(), "each port is told of once");
    one
}

#[test]
fn what_comes_and_goes_is_counted_port_by_port() {
    let task = Task::new();
    let kernel = kernel(&task);
    let (busy, quiet) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Unbounded));
    let post = busy.make_send().unwrap();
    for turn in 1..=100 {
        post.send(Message::new("one"), Deadline::Now).unwrap();
        post.send(Message::new("two"), Deadline::Now).unwrap();
        let told = of(&kernel, &busy);
        assert_eq!((told.queued, told.taken, told.came()), (2, 2 * turn - 2, 2 * turn));
        for _ in 0..2 {
            busy.receive(Deadline::Now).unwrap();
        }
    }
    let told = of(&kernel, &busy);
    assert_eq!((told.capacity, told.queued, told.taken), (Some(8), 0, 200));
    assert_eq!((told.senders, told.waiting_senders, told.waiting_receivers), (1, 0, 0));
    let told = of(&kernel, &quiet);
    assert_eq!((told.capacity, told.came(), told.senders), (None, 0, 0));
}

#[test]
fn what_a_full_port_drops_is_counted() {
    let task = Task::new();
    let options = PortOptions::new(Capacity::Bounded(2)).overflow(Overflow::DropOldest);
    let port = task.port(options);
    let post = port.make_send().unwrap();
    for _ in 0..7 {
        post.send(Message::new("news"), Deadline::Now).unwrap();
    }
    let told = of(&kernel(&task), &port);
    assert_eq!((told.queued, told.dropped, told.came()), (2, 5, 7));
}

/// Sends until it has to wait.
#[test]
fn sending_part() {
    if !acting("sending_part") {
        return;
    }
    let parent = given("parent");
    while parent.send(Message::new("more"), long()).is_ok() {}
}

#[test]
fn who_waits_for_a_place_is_counted_and_named() {
    let task = Task::current().unwrap();
    let kernel = kernel(&task);
    let full = task.port(Capacity::Bounded(1));
    let post = full.make_send().unwrap();
    post.send(Message::new("first"), Deadline::Now).unwrap();
    let child = act("sending_part").right("parent", post.clone()).spawn().unwrap();
    let child = family::Reaped(child);
    settled(|| of(&kernel, &full), |told| told.waiting_senders == 1);
    let peers = kernel.peers(long()).unwrap();
    let sender = peers.iter().find(|peer| peer.pid == child.pid()).unwrap();
    assert_eq!(of(&kernel, &full).waiting, [(sender.process, sender.number)]);

    // A thread of our own behind it.
    thread::scope(|scope| {
        let waits = scope.spawn(|| post.send(Message::new("own"), long()));
        settled(|| of(&kernel, &full), |told| told.waiting_senders == 2);
        let us = task.identity().task;
        assert_eq!(of(&kernel, &full).waiting[1], (us.process, us.number));
        while full.receive(long()).unwrap().body() != b"own" {}
        waits.join().unwrap().unwrap();
    });
    drop(child);
    settled(|| of(&kernel, &full), |told| told.waiting_senders == 0);
}

#[test]
fn who_waits_in_a_plain_ports_line_is_counted() {
    let task = Task::new();
    let kernel = kernel(&task);
    let full = task.port(Capacity::Bounded(1));
    let post = full.make_send().unwrap();
    post.send(Message::new("first"), Deadline::Now).unwrap();
    thread::scope(|scope| {
        for _ in 0..PortCounts::NAMED + 4 {
            scope.spawn(|| post.send(Message::new("own"), long()).unwrap());
        }
        let all = PortCounts::NAMED as u64 + 4;
        settled(|| of(&kernel, &full), |told| told.waiting_senders == all);
        assert_eq!(of(&kernel, &full).waiting.len(), PortCounts::NAMED);
        for _ in 0..=all {
            full.receive(long()).unwrap();
        }
    });
    assert_eq!(of(&kernel, &full).waiting_senders, 0);
}

#[test]
fn who_waits_for_a_message_is_counted() {
    let task = Task::new();
    let kernel = kernel(&task);
    let (alone, member) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let set = task.port_set();
    let posts = [alone.make_send().unwrap(), member.make_send().unwrap()];
    let id = set.add(&member).unwrap().port();
    let waiting = |port: u64| {
        let all = counts(&kernel);
        all.ports.iter().find(|one| one.port == port).unwrap().waiting_receivers
    };
    thread::scope(|scope| {
        scope.spawn(|| alone.receive(long()).unwrap());
        scope.spawn(|| set.receive(long()).unwrap());
        settled(|| (waiting(alone.id()), waiting(id)), |both| *both == (1, 1));
        for post in &posts {
            post.send(Message::new("go"), Deadline::Now).unwrap();
        }
    });
    settled(|| (waiting(alone.id()), waiting(id)), |both| *both == (0, 0));
}

/// Answers what its parent asks.
#[test]
fn answering_part() {
    let Some((task, orders, parent)) = begin("answering_part") else { return };
    let looking = task.looking().unwrap();
    parent.send(Message::new("").with_right(looking), long()).unwrap();
    while let Ok(mut asked) = orders.receive(long()) {
        if asked.reply(Message::new("answer"), long()).is_err() {
            return;
        }
    }
}

#[test]
fn calls_are_timed_where_they_are_made_and_where_they_are_answered() {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let (child, [orders]) = meet(act("answering_part"), &inbox);
    let looking = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let there = Kernel::new(looking);
    assert_eq!(there.identity(long()).unwrap().pid, child.pid());
    let before = counts(&there);
    for _ in 0..10 {
        orders.call(Message::new("question"), long()).unwrap();
    }
    let after = counts(&there);
    // The first few are all timed, and what we ask of its kernel port is not.
    assert_eq!(after.answering.since(&before.answering).count(), 10);
    assert!(after.at_ns > before.at_ns);
    assert!(after.messages_sent >= before.messages_sent + 10);
    let told = after.ports.iter().find(|port| port.taken >= 10).unwrap();
    assert!(told.came() >= 10);
    // Thousands are not.
    for _ in 0..3_200 {
        orders.call(Message::new("question"), long()).unwrap();
    }
    let answering = counts(&there).answering;
    let all = answering.count();
    assert!((64..=64 + 3_300 / 16).contains(&all), "{all} were timed");
    let ours = counts(&kernel(&task)).calling;
    assert!(ours.count() >= 100, "{} were timed", ours.count());
    let median = ours.quantile_ns(0.5).unwrap();
    assert!(median >= answering.quantile_ns(0.0).unwrap(), "a call holds its answer");
}

#[test]
fn a_right_is_told_the_port_it_leads_to() {
    let (task, near, other) = (Task::new(), Task::new(), Task::new());
    let there = Kernel::new(give(&task, &near, task.kernel().unwrap()));
    let (one, two) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let elsewhere = other.port(Capacity::Bounded(1));
    let rights = [&two, &one, &elsewhere].map(|port| port.make_send().unwrap()).map(|right| {
        match right.owner() == Some(task.identity().task) {
            true => give(&task, &near, right),
            false => give(&other, &near, right),
        }
    });
    let asked = there.counts(0, &rights, long()).unwrap().asked;
    assert_eq!(asked, [Some(two.id()), Some(one.id()), None]);
    drop(rights);
    settled(|| one.status().senders + two.status().senders, |left| *left == 0);
}

#[test]
fn a_right_to_look_does_nothing_else() {
    let task = Task::new();
    let looking = Kernel::new(task.looking().unwrap());
    assert!(looking.census(Deadline::Now).is_ok() && looking.peers(Deadline::Now).is_ok());
    assert!(looking.metrics(Deadline::Now).is_ok() && looking.limits(Deadline::Now).is_ok());
    assert!(looking.counts(0, &[], Deadline::Now).is_ok());
    let not = Err(KernelError::NotPermitted);
    assert_eq!(looking.end(Deadline::Now), not);
    assert_eq!(looking.make_port(Capacity::Unbounded, long()).map(drop), not);
    assert_eq!(looking.make_region(1, long()).map(drop), not);
    assert!(task.kernel().is_ok(), "it goes on");
    assert!(task.looking().unwrap().same_port(looking.right()), "it is one right");
    task.close();
    assert!(matches!(task.looking(), Err(FacetError::Ended)));
    let ids: Vec<i32> = (1..=ids::COUNTS).filter(|id| !ids::LOOKING.contains(id)).collect();
    assert_eq!(ids, [ids::END, ids::MAKE_PORT, ids::MAKE_REGION, ids::START, ids::WAIT]);
}

#[test]
fn many_ports_come_in_pages_and_no_page_is_beyond_the_last() {
    let task = Task::new();
    let kernel = kernel(&task);
    let ports: Vec<_> = (0..600).map(|_| task.port(Capacity::Bounded(1))).collect();
    let all = counts(&kernel);
    assert_eq!((all.ports.len(), all.ports_in_all), (601, 601), "its own port is one");
    for port in &ports {
        assert!(all.ports.iter().any(|one| one.port == port.id()));
    }
    for after in [600, 601, u64::MAX] {
        let page = kernel.counts(after, &[], long()).unwrap();
        assert!(page.ports.len() <= 1 && page.next.is_none());
    }
}

#[test]
fn to_look_takes_no_message_and_changes_no_order() {
    let task = Task::new();
    let kernel = kernel(&task);
    let port = task.port(Capacity::Bounded(16));
    let post = port.make_send().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20_000_u64 {
                post.send(Message::new("").with_tag(number), long()).unwrap();
            }
        });
        let looks = scope.spawn(|| {
            let (mut looks, mut before) = (0, 0);
            while before < 20_000 {
                let told = of(&kernel, &port);
                assert!(told.taken >= before && told.queued <= 16);
                before = told.taken;
                looks += 1;
            }
            looks
        });
        for number in 0..20_000_u64 {
            let message = port.receive(long()).unwrap();
            assert_eq!((message.tag(), message.sequence()), (number, number + 1));
        }
        assert!(looks.join().unwrap() > 0);
    });
}

#[test]
fn a_question_with_a_wrong_id_counts_nothing() {
    let task = Task::new();
    let looking = Kernel::new(task.looking().unwrap());
    let lie = Request::Counts { after: 0 }.message().with_id(ids::PEERS);
    let answer = looking.right().call(lie, long()).unwrap();
    let said: pillarbox::kernel::Reply = postcard::from_bytes(answer.body()).unwrap();
    assert_eq!(said, Err(pillarbox::kernel::Refused::BadRequest));
}
