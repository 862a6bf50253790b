//! What Rust cannot rule out has an error of its own, which says what was wrong;
//! nothing has happened then, and what was handed in comes back.
//!
//! | misuse | is told by | shown |
//! |---|---|---|
//! | a message too long, with too much in it, of too high a priority | `SendFailure` | `every_limit_can_be_lowered_and_is_told`, here |
//! | a right of another task of this process in a message | `SendFailure::OtherTask` | here |
//! | a lost descriptor sent on | `SendFailure::DescriptorLost` | `in_process_limits_are_kept` |
//! | an answer where none is due, or a second one | `ReplyError::NoReply` | here |
//! | names that are none, twice, too many, too long | `OfferError` | here |
//! | a door where there is one, a call where there is none | `LinkError` | here |
//! | a task that was closed | `Closed` | here |
//! | limits for a task that exists | `TaskError::TooLate` | `every_limit_can_be_lowered_and_is_told` |
//! | anything of a parent's in a forked child | `Forked` | `in_process_fork` |

mod family;

use std::path::PathBuf;
use std::process::Command;

use family::{is_part, long};
use pillarbox::{
    Capacity, LinkError, Message, NameError, OfferError, ReceiveRight, ReplyError, SendFailure,
    SendRight, Spawn, SpawnFailure, Task, limits,
};

fn door(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pillarbox-misuse-{name}-{}", std::process::id()))
}

/// A task that listens, its port, and another with a right to that.
fn linked(name: &str) -> (Task, ReceiveRight, Task, SendRight) {
    let (owner, caller) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(4));
    let offer = vec![("inbox".to_owned(), inbox.make_send().unwrap())];
    let door = door(name);
    let listening = owner.listen(&door, offer).unwrap();
    let post = caller.connect(&door, long()).unwrap().remove("inbox").unwrap();
    drop(listening);
    (owner, inbox, caller, post.into_send().unwrap())
}

#[test]
fn a_right_of_another_task_does_not_go_over_ones_own_link() {
    if is_part() {
        return;
    }
    let (owner, inbox, caller, post) = linked("other");
    let stranger = Task::new();
    let port = stranger.port(Capacity::Bounded(4));
    let send = Message::new("a").with_right(port.make_send().unwrap());
    let once = Message::new("b").with_right(port.make_send_once().unwrap());
    let reply = Message::new("c").with_reply(port.make_send_once().unwrap());
    for message in [send, once, reply] {
        let error = post.send(message, long()).unwrap_err();
        assert_eq!(error.reason, SendFailure::OtherTask);
        let mut back = error.message;
        assert_eq!(back.take_rights().len() + back.take_reply().iter().len(), 1);
    }
    // The link is as good as before.
    post.send(Message::new("own"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"own");
    let stolen = vec![("stolen".to_owned(), port.make_send().unwrap())];
    let error = caller.listen(door("stolen"), stolen).unwrap_err();
    let other = OfferError::OtherTask("stolen".to_owned());
    assert!(matches!(error, LinkError::Offer(told) if told == other));
    for task in [owner, caller, stranger] {
        task.close();
    }
}

#[test]
fn an_answer_goes_where_one_is_due_and_once() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let port = task.port(Capacity::Bounded(4));
    let post = port.make_send().unwrap();
    post.send(Message::new("no question"), long()).unwrap();
    let mut statement = port.receive(long()).unwrap();
    let Err(ReplyError::NoReply(back)) = statement.reply(Message::new("but"), long()) else {
        panic!("it was answered");
    };
    assert_eq!(back.body(), b"but");
    let answers = task.port(Capacity::Bounded(4));
    let question = Message::new("?").with_reply(answers.make_send_once().unwrap());
    post.send(question, long()).unwrap();
    let mut question = port.receive(long()).unwrap();
    question.reply(Message::new("!"), long()).unwrap();
    let twice = question.reply(Message::new("!!"), long());
    assert!(matches!(twice, Err(ReplyError::NoReply(back)) if back.body() == b"!!"));
    assert_eq!(answers.receive(long()).unwrap().body(), b"!");
}

#[test]
fn names_are_names_each_once_and_not_too_many() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let port = task.port(Capacity::Bounded(1));
    let right = || port.make_send().unwrap();
    let named = |name: &str| (name.to_owned(), right());
    let lengthy = "n".repeat(limits::NAME_BYTES + 1);
    let many = (0..=limits::MESSAGE_RIGHTS).map(|number| named(&format!("n{number}")));
    let wide = (0..limits::MESSAGE_RIGHTS).map(|number| named(&format!("{number:0>200}")));
    let wrong: Vec<(Vec<(String, SendRight)>, OfferError)> = vec![
        (vec![named("")], NameError::Empty.into()),
        (vec![named(&lengthy)], NameError::TooLong(lengthy.len()).into()),
        (vec![named("one"), named("one")], OfferError::NameTwice("one".to_owned())),
        (many.collect(), OfferError::TooManyRights(limits::MESSAGE_RIGHTS + 1)),
        (wide.collect(), OfferError::NamesTooLong),
    ];
    for (offer, expected) in wrong {
        // A child is given names by the same rule, and nothing is started.
        let mut spawn = Spawn::new(Command::new("/bin/true"));
        for (name, right) in &offer {
            spawn = spawn.right(name.clone(), right.clone());
        }
        let error = spawn.spawn_in(&task).unwrap_err();
        assert_eq!(error.rights.len(), offer.len());
        assert!(matches!(error.reason, SpawnFailure::Offer(told) if told == expected));
        let place = door("names");
        let error = task.listen(&place, offer).unwrap_err();
        assert!(matches!(error, LinkError::Offer(told) if told == expected));
        assert!(!place.exists());
    }
    assert_eq!(port.status().senders, 0);
    task.close();
}

#[test]
fn a_door_is_made_once_and_found_where_it_is() {
    if is_part() {
        return;
    }
    let (task, place) = (Task::new(), door("twice"));
    let nobody = task.connect(&place, long()).unwrap_err();
    assert!(matches!(nobody, LinkError::NobodyThere(path) if path == place));
    let listening = task.listen(&place, Vec::new()).unwrap();
    let again = task.listen(&place, Vec::new()).unwrap_err();
    assert!(matches!(again, LinkError::InUse(path) if path == place));
    drop(listening);
    drop(task.listen(&place, Vec::new()).unwrap());
    task.close();
}

#[test]
fn nobody_listens_in_a_process_that_has_ended() {
    use rustix::process::{Pid, WaitIdOptions, waitid};
    if is_part() {
        return;
    }
    let (task, mut child) = (Task::new(), Command::new("/bin/true").spawn().unwrap());
    let place = PathBuf::from(format!("/proc/{}/fd/1", child.id()));
    // A zombie: whoever is not root may not look into it.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(rustix::process::WaitId::Pid(Pid::from_child(&child)), ended).unwrap();
    for _ in ["a zombie", "nothing"] {
        let nobody = task.connect(&place, long()).unwrap_err();
        assert!(matches!(nobody, LinkError::NobodyThere(path) if path == place));
        child.wait().unwrap();
    }
    task.close();
}

#[test]
fn a_closed_task_says_so_at_once() {
    if is_part() {
        return;
    }
    let (owner, inbox, caller, post) = linked("closed");
    caller.close();
    caller.close();
    let place = door("closed too");
    assert!(matches!(caller.listen(&place, Vec::new()), Err(LinkError::Closed)));
    assert!(matches!(caller.connect(&place, long()), Err(LinkError::Closed)));
    let right = caller.port(Capacity::Bounded(1)).make_send().unwrap();
    let spawn = Spawn::new(Command::new("/bin/true")).right("right", right);
    let error = spawn.spawn_in(&caller).unwrap_err();
    assert!(matches!(error.reason, SpawnFailure::Closed));
    assert_eq!(error.rights.len(), 1);
    // Its peers see it die, and its rights lead nowhere.
    family::settled(|| post.is_dead(), |dead| *dead);
    let error = post.send(Message::new("late"), long()).unwrap_err();
    assert_eq!((error.reason, error.message.body()), (SendFailure::Dead, &b"late"[..]));
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    assert!(inbox.receive(long()).unwrap().notification().is_some());
    owner.close();
}
