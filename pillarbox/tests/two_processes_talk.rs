//! Two processes send, call and reply, and rights return to their owner.

mod family;

use family::{Reaped, act, acting, given, long};
use pillarbox::{Capacity, Deadline, Message, Right, SendFailure, Task};

#[test]
fn echo_part() {
    if !acting("echo_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(16));
    let parent = given("parent");
    parent.send(Message::new("ready").with_right(inbox.make_send().unwrap()), long()).unwrap();
    loop {
        let mut request = inbox.receive(long()).unwrap();
        if request.id() == -1 {
            return;
        }
        let mut answer = Message::new(request.body().to_ascii_uppercase()).with_id(request.id());
        for right in request.take_rights() {
            answer = answer.with_right(right);
        }
        for fd in request.take_descriptors() {
            answer = answer.with_descriptor(fd.take().unwrap());
        }
        request.reply(answer, long()).unwrap();
    }
}

#[test]
fn a_call_is_answered_by_another_process() {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(16));
    let child = act("echo_part").right("parent", inbox.make_send().unwrap()).spawn().unwrap();
    let _child = Reaped(child);
    let mut ready = inbox.receive(long()).unwrap();
    assert_eq!(ready.body(), b"ready");
    assert_ne!(ready.sender().unwrap().pid, std::process::id() as i32);
    let echo = ready.take_rights().remove(0).into_send().unwrap();
    for turn in 0..1000 {
        let answer = echo
            .call(Message::new("hello").with_id(turn), long())
            .unwrap_or_else(|e| panic!("{turn}: {e}"));
        assert_eq!(answer.body(), b"HELLO");
        assert_eq!(answer.id(), turn);
    }
    // Sizes around every border.
    for size in [0, 1, 31, 4096, 32 * 1024, 32 * 1024 + 1, 3 << 20] {
        let answer = echo.call(Message::new(vec![b'x'; size]), long()).unwrap();
        assert_eq!(answer.body().len(), size);
        assert!(answer.body().iter().all(|&byte| byte == b'X'));
    }
    // Our own right comes back as our own.
    let own = inbox.make_send().unwrap();
    let mut answer = echo.call(Message::new("").with_right(own.clone()), long()).unwrap();
    let back = answer.take_rights().remove(0).into_send().unwrap();
    assert!(back.same_port(&own));
    // A descriptor too.
    let (read, write) = std::io::pipe().unwrap();
    let mut answer = echo.call(Message::new("").with_descriptor(write.into()), long()).unwrap();
    let write = answer.take_descriptors().remove(0).take().unwrap();
    use std::io::{Read, Write};
    std::fs::File::from(write).write_all(b"through").unwrap();
    let mut text = String::new();
    {
        let mut read = read;
        read.read_to_string(&mut text).unwrap();
    }
    assert_eq!(text, "through");
    // The child ends: its port is dead.
    echo.send(Message::new("").with_id(-1), long()).unwrap();
    let watch = task.port(Capacity::Bounded(1));
    echo.notify_dead(watch.make_send_once().unwrap()).unwrap();
    let news = watch.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(pillarbox::Notification::DeadName));
    let error = echo.send(Message::new("late").with_right(own), Deadline::Never).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead);
    assert!(matches!(error.message.rights(), [Right::Send(_)]));
}
