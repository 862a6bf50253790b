//! Limits of one message, and that ports have none to speak of.

use std::os::fd::OwnedFd;

use pillarbox::{Capacity, Census, Deadline, Message, SendFailure, Task, limits};

#[test]
fn a_body_of_one_byte_more_is_refused_and_comes_back() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let most = limits::MESSAGE_BYTES as usize;
    // Zeroed lazily: none of it is touched, here or on the way.
    let error = post.send(Message::new(vec![0; most + 1]), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::TooLong { bytes: limits::MESSAGE_BYTES + 1 });
    assert_eq!(error.message.body().len(), most + 1);
    let mut body = error.message.into_body();
    body.pop();
    let place = body.as_ptr();
    post.send(Message::new(body), Deadline::Now).unwrap();
    let body = inbox.receive(Deadline::Now).unwrap().into_body();
    assert_eq!((body.len(), body.as_ptr()), (most, place));
}

#[test]
fn too_many_rights_are_refused_and_come_back() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let with = |count: usize| {
        let rights = (0..count).map(|_| inbox.make_send().unwrap());
        rights.fold(Message::new("whole"), Message::with_right)
    };
    let error = post.send(with(limits::MESSAGE_RIGHTS + 1), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::TooManyRights(limits::MESSAGE_RIGHTS + 1));
    assert_eq!(error.message.rights().len(), limits::MESSAGE_RIGHTS + 1);
    assert_eq!(error.message.body(), b"whole");
    drop(error);
    // The reply right is not counted.
    let most = with(limits::MESSAGE_RIGHTS).with_reply(inbox.make_send_once().unwrap());
    post.send(most, Deadline::Now).unwrap();
    let message = inbox.receive(Deadline::Now).unwrap();
    assert_eq!(message.rights().len(), limits::MESSAGE_RIGHTS);
    assert!(message.reply_right().is_some());
    drop((message, post, inbox));
    assert_eq!(task.census(), Census::default());
}

#[test]
fn too_many_descriptors_are_refused_and_come_back() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let with = |count: usize| {
        let descriptors = (0..count).map(|_| OwnedFd::from(file.try_clone().unwrap()));
        descriptors.fold(Message::new(""), Message::with_descriptor)
    };
    let error = post.send(with(limits::MESSAGE_DESCRIPTORS + 1), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::TooManyDescriptors(limits::MESSAGE_DESCRIPTORS + 1));
    let descriptors = error.message.descriptors();
    assert_eq!(descriptors.len(), limits::MESSAGE_DESCRIPTORS + 1);
    assert!(descriptors.iter().all(|descriptor| !descriptor.is_lost()));
    post.send(with(limits::MESSAGE_DESCRIPTORS), Deadline::Now).unwrap();
    let mut message = inbox.receive(Deadline::Now).unwrap();
    assert_eq!(message.take_descriptors().len(), limits::MESSAGE_DESCRIPTORS);
}

/// A million, says the design; here as many as a debug build makes in a moment.
#[test]
fn very_many_ports_are_alive_at_once() {
    const MANY: u64 = 100_000;
    let task = Task::new();
    let ports: Vec<_> = (0..MANY).map(|_| task.port(Capacity::Bounded(1))).collect();
    let posts: Vec<_> = ports.iter().map(|port| port.make_send().unwrap()).collect();
    for (tag, post) in (0..).zip(&posts) {
        post.send(Message::new("").with_tag(tag), Deadline::Now).unwrap();
    }
    for (tag, port) in (0..).zip(&ports) {
        assert_eq!(port.receive(Deadline::Now).unwrap().tag(), tag);
    }
    assert_eq!(task.census().rows.len() as u64, 2 * MANY);
    drop(ports);
    assert!(posts.iter().all(|post| post.is_dead()));
    drop(posts);
    assert_eq!(task.census(), Census::default());
}
