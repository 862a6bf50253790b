//! A port that lies in the queue of a port that moves goes with it, with what lies
//! in its own queue: messages, descriptors, and further ports.

mod family;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use family::linked::give;
use family::{long, settled};
use pillarbox::{
    Capacity, Deadline, Message, ReceiveRight, SendFailure, SendOnceRight, SendRight, Task,
};

/// One look of a task that has nothing to do.
const SHORT: Duration = Duration::from_millis(2);

/// A pipe whose writing end is what a message carries.
fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    (File::from(OwnedFd::from(reader)), OwnedFd::from(writer))
}

/// A port of `task` with a message that carries a descriptor, and, `depth` times,
/// another such port. What is written to the descriptors comes out of the pipes.
fn chest(task: &Task, depth: usize) -> (ReceiveRight, Vec<File>, Vec<SendRight>) {
    let port = task.port(Capacity::Bounded(8));
    let post = port.make_send().expect("a right");
    let (reader, writer) = pipe();
    let (mut readers, mut posts) = (vec![reader], Vec::new());
    let before = Message::new("before").with_tag(depth as u64);
    post.send(before, long()).expect("it is queued");
    if depth > 0 {
        let (inner, inner_readers, inner_posts) = chest(task, depth - 1);
        readers.extend(inner_readers);
        posts.extend(inner_posts);
        post.send(Message::new("port").with_right(inner), long()).expect("it is queued");
    }
    let after = Message::new("after").with_tag(depth as u64).with_descriptor(writer);
    post.send(after, long()).expect("it is queued");
    posts.push(post);
    (port, readers, posts)
}

/// Takes everything out of such a port.
fn unpack(port: &ReceiveRight, depth: usize, readers: &mut Vec<File>) -> Vec<ReceiveRight> {
    let mut ports = Vec::new();
    let before = port.receive(long()).expect("what lay first");
    assert_eq!((before.body(), before.tag()), (&b"before"[..], depth as u64));
    let mut mine = readers.remove(0);
    if depth > 0 {
        let mut message = port.receive(long()).expect("what carries a port");
        assert_eq!(message.body(), b"port");
        let inner = message.take_rights().pop().and_then(|right| right.into_receive().ok());
        let inner = inner.expect("a port");
        ports.extend(unpack(&inner, depth - 1, readers));
        ports.push(inner);
    }
    let mut after = port.receive(long()).expect("what lay last");
    assert_eq!((after.body(), after.tag()), (&b"after"[..], depth as u64));
    let descriptor = after.take_descriptors().pop().expect("a descriptor").take();
    let mut writer = File::from(descriptor.expect("it has come"));
    writer.write_all(b"through").expect("it is open");
    drop(writer);
    drop(after);
    let mut heard = String::new();
    mine.read_to_string(&mut heard).expect("a pipe");
    assert_eq!(heard, "through");
    ports
}

fn goes_along(depth: usize) {
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(8));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    let (port, mut readers, posts) = chest(&old, depth);
    way.send(Message::new("chest").with_right(port), long()).expect("it is sent");
    let mut message = inbox.receive(long()).expect("it comes");
    let port = message.take_rights().pop().and_then(|right| right.into_receive().ok());
    let port = port.expect("a port");
    let mut ports = unpack(&port, depth, &mut readers);
    ports.push(port);
    // Rights to each of them lead to the new owner.
    for (post, port) in posts.iter().zip(&ports) {
        post.send(Message::new("later"), long()).expect("it follows");
        assert_eq!(port.receive(long()).expect("it comes").body(), b"later");
        assert_eq!(post.owner(), Some(new.identity().task));
    }
}

#[test]
fn a_port_in_the_queue_goes_along() {
    goes_along(1);
}

#[test]
fn ports_in_queues_of_ports_go_along() {
    goes_along(2);
    goes_along(5);
}

/// Sends a receive right and takes it at the other end.
fn hand_over(port: ReceiveRight, over: &SendRight, from: &ReceiveRight) -> ReceiveRight {
    over.send(Message::new("port").with_right(port), long()).expect("it is sent");
    port_of(from.receive(long()).expect("it comes"))
}

/// Gives `near` a send-once right of `far`'s.
fn give_once(far: &Task, near: &Task, right: SendOnceRight) -> SendOnceRight {
    let inbox = near.port(Capacity::Bounded(1));
    let way = give(near, far, inbox.make_send().expect("a right"));
    way.send(Message::new("promise").with_right(right), long()).expect("it is sent");
    let right = inbox.receive(long()).expect("it comes").take_rights().pop();
    right.and_then(|right| right.into_send_once().ok()).expect("a promise")
}

fn port_of(mut message: Message) -> ReceiveRight {
    message.take_rights().pop().and_then(|right| right.into_receive().ok()).expect("a port")
}

#[test]
fn what_comes_to_a_port_in_the_queue_while_it_goes_comes_along() {
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(8));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    let (outer, inner) = (old.port(Capacity::Bounded(4)), old.port(Capacity::Bounded(4000)));
    let post = inner.make_send().expect("a right");
    let around = outer.make_send().expect("a right");
    around.send(Message::new("inner").with_right(inner), long()).expect("it is queued");
    // Much comes while the bags are made: one whose memory is too small already stays,
    // and is sent again.
    let sending = std::thread::spawn(move || {
        for number in 0..600 {
            let message = Message::new(vec![0; 20_000]).with_tag(number);
            post.send(message, long()).expect("it goes after the port");
        }
    });
    let mut outer = Some(outer);
    let mut go = || match way.send(Message::new("").with_right(outer.take()?), long()) {
        Ok(()) => None,
        Err(error) => {
            assert!(matches!(error.reason, SendFailure::TooLong { .. } | SendFailure::Full));
            outer = Some(port_of(*error.message));
            Some(())
        }
    };
    settled(&mut go, Option::is_none);
    let outer = port_of(inbox.receive(long()).expect("it comes"));
    let inner = port_of(outer.receive(long()).expect("it comes along"));
    for number in 0..600 {
        assert_eq!(inner.receive(long()).expect("it comes").tag(), number);
    }
    sending.join().expect("all was sent");
}

#[test]
fn a_port_in_what_an_old_owner_passes_on_goes_along() {
    let (old, new, third) = (Task::new(), Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(8));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    let port = old.port(Capacity::Bounded(8));
    let promise = give_once(&old, &third, port.make_send_once().expect("a right"));
    let port = hand_over(port, &way, &inbox);
    let (inner, mut readers, posts) = chest(&third, 2);
    promise.send(Message::new("late").with_right(inner), long()).expect("it is sent");
    // The old owner reads and passes on when it is in the library, and so does who
    // has rights that follow.
    let reader = std::thread::spawn(move || port.receive(long()).map(|message| (port, message)));
    while !reader.is_finished() {
        for task in [&old, &third] {
            let _ = task.port(Capacity::Bounded(1)).receive(Deadline::after(SHORT));
        }
    }
    let (_port, message) = reader.join().expect("no panic").expect("it comes");
    let inner = port_of(message);
    let mut ports = unpack(&inner, 2, &mut readers);
    ports.push(inner);
    assert_eq!((ports.len(), posts.len()), (3, 3));
}

#[test]
fn a_port_that_comes_to_its_own_old_owner_ends() {
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(8));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    let port = old.port(Capacity::Bounded(8));
    let promise = give_once(&old, &new, port.make_send_once().expect("a right"));
    let port = hand_over(port, &way, &inbox);
    let post = port.make_send().expect("a right");
    // It would be passed on to itself for ever.
    promise.send(Message::new("itself").with_right(port), long()).expect("it is sent");
    // What is known without asking is what was read: each must come and read.
    let look = || {
        for task in [&old, &new] {
            let _ = task.port(Capacity::Bounded(1)).receive(Deadline::after(SHORT));
        }
        post.is_dead()
    };
    settled(look, |dead| *dead);
}
