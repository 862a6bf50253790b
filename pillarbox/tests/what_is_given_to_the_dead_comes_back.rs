//! A message that could not be sent comes back with the rights of third tasks
//! in it, and each is as good as before: a send right sends, a promise of a
//! reply is still to be kept. Also where the receiver was killed while the
//! sender waited for room, the owners having been told of the give already.

mod family;

use family::{Random, Reaped, act, acting, given, is_part, long, meet, offer, seed, tell};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveRight, Right, SendFailure, SendRight, Task,
};

/// Asks, and must hear exactly one answer each time.
#[test]
fn asker_part() {
    if !acting("asker_part") {
        return;
    }
    let task = Task::current().unwrap();
    let own = task.port(Capacity::Bounded(4));
    let parent = given("parent");
    for turn in 0.. {
        let question = Message::new("question").with_id(turn).with_right(own.make_send().unwrap());
        match parent.call(question, long()) {
            Ok(answer) if answer.id() == turn => assert_eq!(answer.body(), b"late"),
            Ok(answer) => {
                assert_eq!(answer.body(), b"enough");
                return;
            }
            // It was taken by the dead: told, and the next question is heard.
            Err(pillarbox::CallError::Died) => {}
            Err(error) => panic!("{error}"),
        }
        while own.receive(Deadline::Now).is_ok() {}
    }
}

/// Has room for one message and takes none.
#[test]
fn deaf_part() {
    if !acting("deaf_part") {
        return;
    }
    let task = Task::current().unwrap();
    let deaf = task.port(Capacity::Bounded(1));
    let idle = task.port(Capacity::Bounded(1));
    offer(&[&deaf]);
    let _ = idle.receive(long());
}

fn deaf(task: &Task) -> (Reaped, SendRight) {
    let inbox = task.port(Capacity::Bounded(1));
    let (child, [to]) = meet(act("deaf_part"), &inbox);
    (child, to)
}

/// Takes a question and tries to have a doomed child answer it.
fn pass_on(task: &Task, questions: &ReceiveRight, random: &mut Random) -> bool {
    let (mut doomed, to_doomed) = deaf(task);
    if random.below(4) > 0 {
        to_doomed.send(Message::new("fills it"), long()).unwrap();
    }
    let mut question = questions.receive(long()).unwrap();
    let turn = question.id();
    let asker = question.sender().unwrap();
    let right = question.take_rights().remove(0);
    let on = Message::new("you do it").with_reply(question.take_reply().unwrap()).with_right(right);
    let sender = std::thread::spawn(move || to_doomed.send(on, long()));
    std::thread::park_timeout(random.micros(3_000));
    doomed.kill();
    let Err(failed) = sender.join().unwrap() else { return false };
    assert_eq!(failed.reason, SendFailure::Dead);
    let mut back = *failed.message;
    assert_eq!(back.body(), b"you do it");
    let Right::Send(right) = back.take_rights().remove(0) else { panic!("it was a send right") };
    assert_eq!(right.owner(), Some(asker.task));
    right.send(Message::new("a word"), long()).unwrap();
    back.reply(Message::new("late").with_id(turn), long()).unwrap();
    true
}

#[test]
fn a_promise_that_came_back_is_kept() {
    const ROUNDS: u32 = 60;
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let questions = task.port(Capacity::Bounded(1));
    let asker = act("asker_part").right("parent", questions.make_send().unwrap()).spawn();
    let mut asker = Reaped(asker.unwrap());
    let seed = seed();
    let mut random = Random::new(seed);
    let mut came_back = 0;
    for _ in 0..ROUNDS {
        came_back += u32::from(pass_on(&task, &questions, &mut random));
    }
    let mut last = questions.receive(long()).unwrap();
    last.reply(Message::new("enough").with_id(-1), long()).unwrap();
    assert!(asker.ended_well(), "seed {seed}");
    tell(&format!("{came_back} of {ROUNDS} promises came back from the dead"));
}

#[test]
fn a_deadline_brings_them_back_too() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let questions = task.port(Capacity::Bounded(1));
    let asker = act("asker_part").right("parent", questions.make_send().unwrap()).spawn();
    let mut asker = Reaped(asker.unwrap());
    let (mut stopped, to_stopped) = deaf(&task);
    to_stopped.send(Message::new("fills it"), long()).unwrap();
    for deadline in [Deadline::Now, Deadline::after(std::time::Duration::from_millis(5))] {
        let mut question = questions.receive(long()).unwrap();
        let on = Message::new("you do it").with_reply(question.take_reply().unwrap());
        let failed = to_stopped.send(on, deadline).unwrap_err();
        assert_eq!(failed.reason, SendFailure::Full);
        let mut back = *failed.message;
        back.reply(Message::new("late").with_id(question.id()), long()).unwrap();
    }
    // Once the other is dead it is dead for good: known, not guessed.
    let news = task.port(Capacity::Bounded(1));
    to_stopped.notify_dead(news.make_send_once().unwrap()).unwrap();
    stopped.kill();
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::DeadName));
    let mut question = questions.receive(long()).unwrap();
    let on = Message::new("you do it").with_reply(question.take_reply().unwrap());
    let failed = to_stopped.send(on, Deadline::Never).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Dead);
    let mut back = *failed.message;
    back.reply(Message::new("enough").with_id(-1), long()).unwrap();
    assert!(asker.ended_well());
}
