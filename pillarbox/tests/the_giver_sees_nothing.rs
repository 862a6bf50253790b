//! Whoever makes two tasks known to each other sees nothing of what they say.
//!
//! The giver here keeps a copy of every descriptor it ever had, by asking the
//! kernel for its own, over and over, in a thread of its own. In the end it
//! reads all memory it has mapped or can map, and takes every packet from every
//! socket. No byte of the two's is there; its own are, so the search works.

mod family;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use family::{Reaped, act, acting, given, is_part, long, settled, tell};
use pillarbox::{Capacity, Message, Task, limits};
use rustix::fs::MemfdFlags;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use shm::socket::{LinkSocket, Received};

/// What the two say to each other: never as such in the giver's hands.
fn secret() -> Vec<u8> {
    b"fnhjkcorr-vegjggp-uif-uxp".iter().map(|byte| byte ^ 5).collect()
}

/// What the giver itself is told.
const OPEN: &[u8] = b"what the giver may know";

#[test]
fn server_part() {
    if !acting("server_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let hello = Message::new(OPEN).with_right(inbox.make_send().unwrap());
    given("parent").send(hello, long()).unwrap();
    while let Ok(mut request) = inbox.receive(long()) {
        if request.id() == -1 {
            return;
        }
        let answer = Message::new(request.body());
        let answer = request
            .take_descriptors()
            .into_iter()
            .fold(answer, |answer, descriptor| answer.with_descriptor(descriptor.take().unwrap()));
        request.reply(answer, long()).unwrap();
    }
}

#[test]
fn client_part() {
    if !acting("client_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let hello = Message::new(OPEN).with_right(inbox.make_send().unwrap());
    given("parent").send(hello, long()).unwrap();
    let mut order = inbox.receive(long()).unwrap();
    let server = order.take_rights().remove(0).into_send().unwrap();
    let secret = secret();
    for turn in 0..200 {
        let mut body = secret.repeat(1 + turn % 40);
        if turn % 50 == 49 {
            // In memory of its own, which travels as a descriptor.
            body.resize(limits::INLINE_BYTES + secret.len() * 100, secret[0]);
        }
        let file = File::from(rustix::fs::memfd_create("told", MemfdFlags::CLOEXEC).unwrap());
        file.write_all_at(&secret, 0).unwrap();
        let request = Message::new(body.clone()).with_descriptor(file.into());
        let answer = server.call(request, long()).unwrap();
        assert_eq!(answer.body(), body);
        assert!(!answer.descriptors()[0].is_lost());
    }
    order.reply(Message::new("said"), long()).unwrap();
    let _ = inbox.receive(long());
}

// ---- the giver -------------------------------------------------------------------

/// Copies of whatever this process has or had, by what they are.
#[derive(Default)]
struct Hoard(HashMap<(u64, u64), (String, OwnedFd)>);

impl Hoard {
    fn grow(&mut self) {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
            let Ok(name) = std::fs::read_link(entry.path()) else { continue };
            let name = name.to_string_lossy().into_owned();
            let number = entry.file_name().to_string_lossy().parse().unwrap();
            if !(name.contains("memfd:") || name.contains("socket:")) {
                continue;
            }
            let Ok(copy) = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) else { continue };
            let Ok(stat) = rustix::fs::fstat(&copy) else { continue };
            self.0.entry((stat.st_dev, stat.st_ino)).or_insert((name, copy));
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn read_whole(file: &File) -> Vec<u8> {
    let bytes = file.metadata().unwrap().len();
    let mut all = vec![0; bytes as usize];
    file.read_exact_at(&mut all, 0).unwrap();
    all
}

/// Every byte of shared memory this process has mapped.
fn mapped() -> Vec<Vec<u8>> {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let shared = maps.lines().filter(|line| line.contains("memfd:"));
    let read = shared.filter_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(rest.split_whitespace().next()?, 16).ok()?;
        let mut bytes = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    });
    read.collect()
}

/// Takes every packet from a socket, and what descriptors it brought.
fn packets(socket: OwnedFd) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let Ok(socket) = LinkSocket::from_fd(socket) else { return found };
    let mut buffer = [0; 4096];
    while let Received::Packet { bytes, descriptors, .. } = socket.receive(&mut buffer) {
        found.push(buffer[..bytes].to_vec());
        found.extend(descriptors.into_iter().map(|fd| read_whole(&File::from(fd))));
    }
    found
}

#[test]
fn the_giver_sees_nothing() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(2));
    let stop = AtomicBool::new(false);
    // A copy of the socket by which std hears that a child has started would
    // keep it waiting for ever.
    let spawning = Mutex::new(());
    let hoard = std::thread::scope(|scope| {
        let hoarder = scope.spawn(|| {
            let mut hoard = Hoard::default();
            while !stop.load(Ordering::Relaxed) {
                let _quiet = spawning.lock().unwrap();
                hoard.grow();
            }
            hoard
        });
        let mut children = Vec::new();
        let mut rights = Vec::new();
        for part in ["server_part", "client_part"] {
            let child = {
                let _alone = spawning.lock().unwrap();
                act(part).right("parent", inbox.make_send().unwrap()).spawn()
            };
            children.push(Reaped(child.unwrap()));
            rights.push(inbox.receive(long()).unwrap().take_rights().remove(0));
        }
        let client = rights.remove(1).into_send().unwrap();
        let server = rights.remove(0).into_send().unwrap();
        let order = Message::new(OPEN).with_right(server.clone());
        assert_eq!(client.call(order, long()).unwrap().body(), b"said");
        // Both links are still there, and everything that was sent on them.
        let shared = mapped();
        let secret = secret();
        assert!(shared.len() >= 4, "two memories for each of two links");
        assert!(shared.iter().any(|bytes| holds(bytes, OPEN)), "the search finds what is there");
        assert!(!shared.iter().any(|bytes| holds(bytes, &secret)));
        stop.store(true, Ordering::Relaxed);
        let mut hoard = hoarder.join().unwrap();
        hoard.grow();
        server.send(Message::new("").with_id(-1), long()).unwrap();
        client.send(Message::new(""), long()).unwrap();
        hoard
    });
    settled(|| task.peers().len(), |&peers| peers == 0);
    let secret = secret();
    let (mut memories, mut sockets) = (0, 0);
    for (name, fd) in hoard.0.into_values() {
        if name.contains("memfd:") {
            memories += 1;
            let copy = File::from(fd.as_fd().try_clone_to_owned().unwrap());
            assert!(!holds(&read_whole(&copy), &secret), "{name}");
        } else {
            sockets += 1;
            let taken = packets(fd);
            assert!(!taken.iter().any(|bytes| holds(bytes, &secret)), "{name}");
        }
    }
    // Its door, and its end of either link. Descriptors of memory are open for a
    // moment only; what is caught of them is luck.
    assert!(sockets >= 3, "{memories} memories, {sockets} sockets");
    tell(&format!("{memories} memories and {sockets} sockets kept"));
}
