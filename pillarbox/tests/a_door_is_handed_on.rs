//! A socket that somebody else has bound is listened at as one's own, and handed on
//! without an end to it: who knocks meanwhile is let in by the next.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox::{Capacity, Deadline, LinkError, Message, ReceiveRight, Right, Task};

fn long() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pillarbox-door-{}-{name}", std::process::id()))
}

/// A task with a port that it offers as `port`.
fn owner() -> (Task, ReceiveRight, Vec<(String, pillarbox::SendRight)>) {
    let task = Task::new();
    let port = task.port(Capacity::Bounded(4));
    let offer = vec![("port".to_owned(), port.make_send().unwrap())];
    (task, port, offer)
}

/// Connects, and sends what is offered there a word.
fn knock(path: &Path, word: &str) {
    let mut offered = Task::new().connect(path, long()).unwrap();
    let Some(Right::Send(right)) = offered.remove("port") else { panic!("it is offered") };
    right.send(Message::new(word.as_bytes()), long()).unwrap();
}

#[test]
fn who_knocks_while_nobody_listens_is_let_in_by_the_next() {
    let path = place("next");
    let (first, port, offer) = owner();
    let listening = first.listen(&path, offer).unwrap();
    knock(&path, "one");
    assert_eq!(port.receive(long()).unwrap().body(), b"one");
    let socket = listening.hand_on().unwrap();
    assert!(path.exists(), "the door is still there");
    std::thread::scope(|scope| {
        let path = &path;
        let knocking = scope.spawn(move || knock(path, "two"));
        let (second, port, offer) = owner();
        let listening = second.listen_at(socket, offer).unwrap();
        assert_eq!(listening.path(), path);
        assert_eq!(port.receive(long()).unwrap().body(), b"two");
        knocking.join().unwrap();
        // It did not make the file, and leaves it.
        drop(listening);
    });
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn only_a_socket_of_packets_that_listens_at_a_path_is_a_door() {
    let (stream, datagram) = (place("stream"), place("datagram"));
    let sockets: [OwnedFd; 3] = [
        UnixListener::bind(&stream).unwrap().into(),
        UnixDatagram::bind(&datagram).unwrap().into(),
        std::fs::File::open("/dev/null").unwrap().into(),
    ];
    for socket in sockets {
        let (task, _port, offer) = owner();
        match task.listen_at(socket, offer) {
            Err(LinkError::System(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            }
            other => panic!("{other:?}"),
        }
    }
    std::fs::remove_file(&stream).unwrap();
    std::fs::remove_file(&datagram).unwrap();
}

#[test]
fn nothing_is_handed_to_who_was_not_started_by_a_manager() {
    assert!(pillarbox::handed_sockets().is_empty());
}
