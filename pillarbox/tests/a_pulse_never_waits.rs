//! A pulse needs no place and waits for none: it stands in the queue in its
//! order, or the sender is told at once that there is no room.

mod asleep;
mod family;

use asleep::spawn_asleep;
use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::limits::{PRIORITY_MAX, PULSES};
use pillarbox::typed::TypedReceiveError;
use pillarbox::{
    Capacity, Deadline, Message, Order, PortOptions, PulseError, ReceiveRight, Right, Task, channel,
};

/// Pulses of the port in the tests with other processes.
const EACH: u32 = 5;

/// Orders to who pulses.
const ENOUGH: i32 = -1;
const LET_GO: i32 = -2;

fn bounded() -> PortOptions {
    PortOptions::new(Capacity::Bounded(1))
}

/// The next pulse: its id, value and count.
fn next(inbox: &ReceiveRight, deadline: Deadline) -> (i32, u64, u64) {
    let message = inbox.receive(deadline).unwrap();
    let pulse = message.pulse().unwrap_or_else(|| panic!("no pulse: {message:?}"));
    assert_eq!((message.body(), message.id(), message.tag()), (&b""[..], pulse.id, pulse.value));
    (pulse.id, pulse.value, pulse.count)
}

#[test]
fn pulses_and_messages_stand_in_one_order() {
    let task = Task::new();
    let inbox = task.port(bounded());
    let post = inbox.make_send().unwrap();
    post.pulse(1, u64::MAX, 0).unwrap();
    post.send(Message::new("full"), Deadline::Now).unwrap();
    // The port is full: for pulses it is not.
    assert!(post.send(Message::new("no"), Deadline::Now).is_err());
    post.pulse(-2, 0, 7).unwrap();
    assert_eq!(inbox.status().queued, 3);
    let peeked = inbox.peek().unwrap();
    assert_eq!((peeked.pulses, peeked.id, peeked.tag), (1, 1, u64::MAX));
    let first = inbox.receive(Deadline::Now).unwrap();
    assert_eq!((first.sender(), first.sequence()), (Some(task.identity()), 1));
    assert!(first.pulse().is_some() && first.notification().is_none());
    let second = inbox.receive(Deadline::Now).unwrap();
    assert_eq!((second.body(), second.pulse()), (&b"full"[..], None));
    let third = inbox.receive(Deadline::Now).unwrap().pulse().unwrap();
    assert_eq!((third.id, third.value, third.priority, third.count), (-2, 0, 7, 1));
}

#[test]
fn pulses_come_by_priority_with_the_messages() {
    let inbox = Task::new().port(PortOptions::new(Capacity::Unbounded).order(Order::Priority));
    let post = inbox.make_send().unwrap();
    post.pulse(1, 0, 1).unwrap();
    post.send(Message::new("2").with_priority(2), Deadline::Now).unwrap();
    post.pulse(3, 0, PRIORITY_MAX).unwrap();
    let too_high = PRIORITY_MAX + 1;
    assert_eq!(post.pulse(4, 0, too_high), Err(PulseError::PriorityTooHigh(too_high)));
    assert_eq!(next(&inbox, Deadline::Now).0, 3);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"2");
    assert_eq!(next(&inbox, Deadline::Now).0, 1);
}

#[test]
fn the_stated_limit_is_kept_and_each_that_is_taken_allows_one_more() {
    for (options, limit) in
        [(bounded(), PULSES), (bounded().pulses(3), 3), (bounded().pulses(0), 0)]
    {
        let inbox = Task::new().port(options);
        let posts = [inbox.make_send().unwrap(), inbox.make_send().unwrap()];
        for turn in 0..limit {
            // All rights of one task together are one holder.
            posts[turn as usize % 2].pulse(0, u64::from(turn), 0).unwrap();
        }
        assert_eq!(posts[0].pulse(0, 0, 0), Err(PulseError::NoRoom));
        assert_eq!(inbox.status().queued, u64::from(limit));
        for turn in 0..limit {
            assert_eq!(next(&inbox, Deadline::Now), (0, u64::from(turn), 1));
            posts[1].pulse(0, u64::from(turn + limit), 0).unwrap();
            assert_eq!(posts[0].pulse(0, 0, 0), Err(PulseError::NoRoom));
        }
    }
}

#[test]
fn equal_neighbours_are_merged_where_it_was_asked_for() {
    let options = PortOptions::new(Capacity::Unbounded).pulses(3).merge_pulses(true);
    let inbox = Task::new().port(options.order(Order::Priority));
    let post = inbox.make_send().unwrap();
    for _ in 0..1_000 {
        post.pulse(1, 5, 0).unwrap();
    }
    // Another level is not between them.
    post.send(Message::new("").with_priority(9), Deadline::Now).unwrap();
    post.pulse(1, 5, 0).unwrap();
    for (id, value) in [(1, 6), (2, 6)] {
        post.pulse(id, value, 0).unwrap();
    }
    assert_eq!(post.pulse(1, 5, 0), Err(PulseError::NoRoom));
    assert_eq!(inbox.receive(Deadline::Now).unwrap().priority(), 9);
    assert_eq!(inbox.peek().unwrap().pulses, 1_001);
    assert_eq!(
        inbox
            .receive_where(|message| message.pulse().is_some_and(|it| it.count > 9), long())
            .unwrap()
            .pulse()
            .unwrap()
            .count,
        1_001
    );
    assert_eq!(next(&inbox, Deadline::Now), (1, 6, 1));
    // A message of the same level is.
    post.send(Message::new(""), Deadline::Now).unwrap();
    post.pulse(2, 6, 0).unwrap();
    assert_eq!(next(&inbox, Deadline::Now), (2, 6, 1));
    assert!(inbox.receive(Deadline::Now).unwrap().pulse().is_none());
    assert_eq!(next(&inbox, Deadline::Now), (2, 6, 1));
}

#[test]
fn nothing_is_merged_where_it_was_not() {
    let inbox = Task::new().port(bounded());
    let post = inbox.make_send().unwrap();
    for _ in 0..3 {
        post.pulse(1, 1, 1).unwrap();
    }
    assert_eq!([0; 3].map(|_| next(&inbox, Deadline::Now)), [(1, 1, 1); 3]);
}

#[test]
fn a_sleeper_wakes_for_a_pulse_even_at_a_rendezvous() {
    let inbox = Task::new().port(Capacity::Rendezvous);
    let post = inbox.make_send().unwrap();
    // Nobody waits, and it is queued all the same.
    post.pulse(1, 1, 0).unwrap();
    assert_eq!(next(&inbox, Deadline::Now), (1, 1, 1));
    std::thread::scope(|scope| {
        let any = spawn_asleep(scope, || next(&inbox, long()));
        post.pulse(2, 2, 0).unwrap();
        assert_eq!(any.join().unwrap(), (2, 2, 1));
        let chosen = spawn_asleep(scope, || {
            inbox.receive_where(|message| message.pulse().is_some(), long()).unwrap().id()
        });
        post.pulse(3, 3, 0).unwrap();
        assert_eq!(chosen.join().unwrap(), 3);
    });
}

#[test]
fn a_pulse_to_nobody_is_told_at_once() {
    let inbox = Task::new().port(bounded());
    let post = inbox.make_send().unwrap();
    drop(inbox);
    assert_eq!(post.pulse(1, 1, 0), Err(PulseError::Dead));
}

#[test]
fn a_channel_of_values_says_that_a_pulse_came() {
    let (sender, receiver) = channel::<u8>(Capacity::Bounded(1)).unwrap();
    sender.right().pulse(4, 5, 0).unwrap();
    let Err(TypedReceiveError::Pulse(pulse)) = receiver.receive(Deadline::Now) else {
        panic!("no pulse")
    };
    assert_eq!((pulse.id, pulse.value), (4, 5));
}

/// Pulses until there is no room; how many there were.
fn fill(post: &pillarbox::SendRight, from: u64) -> u64 {
    (from..).take_while(|&value| post.pulse(1, value, 0).is_ok()).count() as u64
}

#[test]
fn pulser_part() {
    if !acting("pulser_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (mut post, go) = (Some(given("inbox")), task.port(Capacity::Bounded(4)));
    // Each time it is told to, it pulses as often as there is room, and says how
    // often that was; or lets its right go, and is given another to the same port.
    given("answers").send(Message::new("").with_right(go.make_send().unwrap()), long()).unwrap();
    let mut sent = 0;
    loop {
        let mut order = go.receive(long()).unwrap();
        match order.id() {
            ENOUGH => return,
            // The release may cross the next grant, which is on its way already.
            LET_GO => {
                post = None;
                continue;
            }
            _ => {}
        }
        for right in order.take_rights() {
            let Right::Send(right) = right else { panic!("another right") };
            post = Some(right);
        }
        let post = post.as_ref().expect("it has a right");
        let full = fill(post, sent);
        sent += full;
        assert_eq!(post.pulse(1, 0, 0), Err(PulseError::NoRoom));
        order.reply(Message::new("").with_tag(full), long()).unwrap();
    }
}

#[test]
fn each_other_task_has_the_limit_for_itself_whatever_becomes_of_its_rights() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(bounded().pulses(EACH));
    let answers = task.port(Capacity::Bounded(2));
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            let child = act("pulser_part")
                .right("inbox", inbox.make_send().unwrap())
                .right("answers", answers.make_send().unwrap());
            let child = Reaped(child.spawn().unwrap());
            let mut ready = answers.receive(long()).unwrap();
            (child, ready.take_rights().remove(0).into_send().unwrap())
        })
        .collect();
    let mut expected = [0_u64; 2];
    for (turn, take) in [0, 2, u64::from(EACH), 1, 0, 3].into_iter().enumerate() {
        let mut of = [0; 2];
        // What was taken is what may be sent again.
        for (who, (child, go)) in children.iter().enumerate() {
            for _ in 0..if turn == 0 { 0 } else { take } {
                let wanted = |it: &Message| it.sender().is_some_and(|it| it.pid == child.pid());
                let pulse = inbox.receive_where(wanted, Deadline::Now).unwrap().pulse().unwrap();
                assert_eq!((pulse.id, pulse.value, pulse.count), (1, expected[who], 1));
                expected[who] += 1;
            }
            // In one turn of three it lets its right go and gets it anew, in another
            // it has both for a moment.
            let mut order = Message::new("");
            if turn % 3 == 1 {
                go.send(Message::new("").with_id(LET_GO), long()).unwrap();
            }
            if turn % 3 > 0 {
                order = order.with_right(inbox.make_send().unwrap());
            }
            of[who] = go.call(order, long()).unwrap().tag();
        }
        let room = if turn == 0 { u64::from(EACH) } else { take };
        assert_eq!(of, [room; 2], "turn {turn}");
    }
    // The lane was never in the way, and the queue has them all.
    let _ = inbox.peek();
    assert_eq!(inbox.status().queued, 2 * u64::from(EACH));
    for (child, go) in &mut children {
        go.send(Message::new("").with_id(ENOUGH), long()).unwrap();
        assert!(child.ended_well());
    }
}

#[test]
fn stopped_part() {
    if !acting("stopped_part") {
        return;
    }
    let inbox =
        Task::current().unwrap().port(PortOptions::new(Capacity::Bounded(4)).pulses(1 << 16));
    let answers = given("answers");
    answers.send(Message::new("").with_right(inbox.make_send().unwrap()), long()).unwrap();
    // It is stopped here for a while, and reads then.
    let mut next = 0;
    loop {
        let message = inbox.receive(long()).unwrap();
        let Some(pulse) = message.pulse() else { break };
        assert_eq!(pulse.value, next);
        next += 1;
    }
    answers.send(Message::new("").with_tag(next), long()).unwrap();
}

#[test]
fn a_stopped_owner_makes_nobody_wait() {
    if is_part() {
        return;
    }
    let answers = Task::current().unwrap().port(Capacity::Bounded(1));
    let child = act("stopped_part").right("answers", answers.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut ready = answers.receive(long()).unwrap();
    let post = ready.take_rights().remove(0).into_send().unwrap();
    child.stop();
    // Nobody reads the lane: it fills, and the next is refused, not awaited.
    let sent = fill(&post, 0);
    assert!(sent > 0 && sent < 1 << 16, "{sent}");
    assert_eq!(post.pulse(1, 0, 0), Err(PulseError::NoRoom));
    child.resume();
    post.send(Message::new("that was all"), long()).unwrap();
    assert_eq!(answers.receive(long()).unwrap().tag(), sent);
    assert!(child.ended_well());
    family::settled(|| post.pulse(1, 0, 0), |sent| *sent == Err(PulseError::Dead));
}
