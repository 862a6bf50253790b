//! Two real processes, one of which is killed at any moment.
//!
//! The child is this same test program, started again for its one test `role`,
//! with a link and with the part it plays in the variable `ROLE`. A child dies
//! with the thread that started it, so none is left when a test fails.
#![cfg(not(loom))]

use std::env;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::page::Sleep;
use abi::{Slot, limits};
use rustix::process::{Resource, Signal};
use shm::poll::Events;
use shm::{
    Body, Credentials, Epoll, LaneReader, LaneWriter, LinkSocket, OwnPage, PeerPage, Received,
    SendPacketError, WakeWord, Woke, WriteError, full_fence,
};

const LANE: u32 = limits::LANE_BYTES_MIN;
const ROLE: &str = "PILLARBOX_TEST_ROLE";

/// After this long a test gives up, since a wake-up was lost.
const LOST: Duration = Duration::from_secs(60);

fn lost() -> Instant {
    Instant::now() + LOST
}

/// This program again, to play `role`.
fn again(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(std::process::Stdio::null());
    command
}

/// One side of a link.
struct Link {
    socket: LinkSocket,
    own: Arc<OwnPage>,
    writer: LaneWriter,
    peer: Arc<PeerPage>,
    reader: LaneReader,
    who: Credentials,
    /// The sleep we last rang for.
    rung: u64,
    /// Our last sleep.
    sleeps: u64,
}

impl Link {
    /// Exchanges memories over `socket`.
    fn shake(socket: LinkSocket) -> Link {
        let (own, writer, fd) = OwnPage::create(LANE).unwrap();
        socket.send(b"hello", &[fd.as_fd()]).unwrap();
        let (descriptor, who) = wait_for_packet(&socket, b"hello");
        let (peer, reader) = PeerPage::open(descriptor.unwrap(), LANE).unwrap();
        Link { socket, own, writer, peer, reader, who, rung: 0, sleeps: 0 }
    }

    /// Starts a child for `role` and links with it.
    fn with_child(role: &str) -> (Link, Child) {
        let (socket, childs) = LinkSocket::pair().unwrap();
        let child = shm::spawn::spawn(&mut again(role), childs).unwrap();
        (Link::shake(socket), child)
    }

    /// Writes frame `number`, whose length and bytes follow from the number.
    fn write(&mut self, number: u64) -> Result<(), WriteError> {
        let body = body_of(number);
        let slot = Slot { index: 1, generation: 1 };
        let header = Header {
            length: (HEADER_BYTES + body.len()) as u32,
            tag: number,
            ..Header::new(Kind::Message, slot)
        };
        let (front, back) = body.split_at(body.len() / 3);
        self.writer.write(&header, &[front, back], limits::LANE_RESERVE, &self.peer)?;
        self.writer.publish();
        Ok(())
    }

    /// Looks how the peer waits, and rings once for each of its sleeps.
    fn ring(&mut self) {
        full_fence();
        match self.peer.sleep() {
            Sleep::Asleep(number) if number != self.rung => {
                self.rung = number;
                self.own.wake_head();
            }
            Sleep::Bell(number) if number != self.rung => {
                self.rung = number;
                self.socket.ring();
            }
            _ => {}
        }
    }

    /// Reads the next frame, which must be whole, and frees it.
    fn read(&mut self) -> Option<u64> {
        let header = self.reader.next().expect("an honest peer")?;
        let mut body = Vec::new();
        self.reader.body(&header, &mut body);
        assert_eq!(body, body_of(header.tag), "frame {}", header.tag);
        self.reader.finish(&header);
        self.own.set_tail(self.reader.position());
        Some(header.tag)
    }

    /// Sleeps on the peer's head, if there is nothing to read.
    fn sleep(&mut self, own_word: &WakeWord) {
        let seen = own_word.now();
        self.sleeps += 1;
        self.own.announce(Sleep::Asleep(self.sleeps));
        full_fence();
        if !self.reader.pending() {
            let heads = [(&*self.peer, self.reader.position())];
            let woke = shm::sleep(own_word, seen, &heads, Some(lost()));
            assert_eq!(woke, Woke::Maybe, "a wake-up was lost");
        }
        self.own.announce(Sleep::Awake);
    }

    /// Sleeps in `epoll` until the bell rings, if there is nothing to read.
    fn sleep_for_bell(&mut self, epoll: &Epoll, events: &mut Events) {
        self.sleeps += 1;
        self.own.announce(Sleep::Bell(self.sleeps));
        full_fence();
        if !self.reader.pending() {
            epoll.wait(events, Some(lost())).unwrap();
            assert!(!events.is_empty(), "a bell was lost");
            while let Received::Packet { .. } = self.socket.receive(&mut [0; 8]) {}
        }
        self.own.announce(Sleep::Awake);
    }

    fn wait_for_end(&self) {
        wait_for_end(&self.socket);
    }
}

/// Takes packets until the peer's end is closed, waiting for it. Even of a dead
/// peer that may take a moment: a child that another test is starting has a copy
/// of every descriptor until it executes its program.
fn wait_for_end(socket: &LinkSocket) {
    let epoll = Epoll::new().unwrap();
    epoll.add(socket, 1).unwrap();
    let mut events = Events::with_room(4);
    loop {
        match socket.receive(&mut [0; 64]) {
            Received::End => return,
            Received::Empty => {
                epoll.wait(&mut events, Some(lost())).unwrap();
                assert!(!events.is_empty(), "a death was lost");
            }
            Received::Packet { .. } => {}
            Received::Failed(error) => panic!("{error}"),
        }
    }
}

fn wait_for_packet(socket: &LinkSocket, expected: &[u8]) -> (Option<OwnedFd>, Credentials) {
    let epoll = Epoll::new().unwrap();
    epoll.add(socket, 1).unwrap();
    let mut events = Events::with_room(1);
    let mut buf = [0; 64];
    loop {
        match socket.receive(&mut buf) {
            Received::Packet { bytes, mut descriptors, who, .. } => {
                assert_eq!(&buf[..bytes], expected);
                return (descriptors.pop(), who.unwrap());
            }
            Received::Empty => {
                epoll.wait(&mut events, Some(lost())).unwrap();
                assert!(!events.is_empty(), "a packet was lost");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn body_of(number: u64) -> Vec<u8> {
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 900;
    (0..length).map(|at| (at ^ number) as u8).collect()
}

/// A number that is another on every run: when to kill.
fn chance(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let state = std::collections::hash_map::RandomState::new();
    state.build_hasher().finish() % below
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The child's side of everything. As a test of its own it does nothing.
#[test]
fn role() {
    let Ok(role) = env::var(ROLE) else {
        return;
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    match role.as_str() {
        "no link" => {
            // The variable is there, and the descriptor is not.
            assert!(env::var(shm::spawn::LINK_VARIABLE).is_ok());
            assert!(shm::spawn::inherited().is_none());
            return;
        }
        "plain" => {
            assert!(env::var(shm::spawn::LINK_VARIABLE).is_err());
            assert!(shm::spawn::inherited().is_none());
            return;
        }
        "residue" => return leave_nothing_behind(),
        "small files" => return make_what_is_too_large(),
        _ => {}
    }
    let socket = shm::spawn::inherited().expect("a link from the parent");
    match role.as_str() {
        "inherit" => inherit_once(&socket),
        "writer" => write_for_ever(Link::shake(socket)),
        "reader" => read_for_ever(Link::shake(socket)),
        "echo" => echo(Link::shake(socket)),
        "bell echo" => echo_by_bell(Link::shake(socket)),
        "who" => say_who(&socket),
        "far away" => say_who_we_see(&socket),
        "full table" => receive_with_a_full_table(&socket),
        "in flight" => send_too_many(&socket),
        other => panic!("no such role: {other}"),
    }
}

fn make_what_is_too_large() {
    let mut limit = rustix::process::getrlimit(Resource::Fsize);
    limit.current = Some(8192);
    rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
    let page = OwnPage::create(LANE).map_err(|error| error.kind());
    assert_eq!(page.err(), Some(std::io::ErrorKind::FileTooLarge));
    let body = Body::create(&[&[1; 8193]]).map_err(|error| error.kind());
    assert_eq!(body.err(), Some(std::io::ErrorKind::FileTooLarge));
    Body::create(&[&[1; 8192]]).unwrap();
}

fn inherit_once(socket: &LinkSocket) {
    assert!(shm::spawn::inherited().is_none(), "taken twice");
    let flags = rustix::io::fcntl_getfd(socket).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let value = env::var(shm::spawn::LINK_VARIABLE).unwrap();
    let mut grandchild = again("no link");
    grandchild.env(shm::spawn::LINK_VARIABLE, value);
    assert!(grandchild.status().unwrap().success());
    socket.send(b"mine alone", &[]).unwrap();
}

fn write_for_ever(mut link: Link) {
    let mut number = 0;
    loop {
        match link.write(number) {
            Ok(()) => {
                number += 1;
                // What we say we have sent: accepted, whatever happens next.
                link.own.set_granted(number);
            }
            Err(WriteError::NoRoom) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    }
}

fn read_for_ever(mut link: Link) {
    loop {
        if link.read().is_none() {
            std::thread::yield_now();
        }
    }
}

fn echo(mut link: Link) {
    let own_word = WakeWord::new();
    loop {
        match link.read() {
            Some(number) => {
                link.write(number).unwrap();
                link.ring();
            }
            None => link.sleep(&own_word),
        }
    }
}

fn echo_by_bell(mut link: Link) {
    let epoll = Epoll::new().unwrap();
    epoll.add(&link.socket, 1).unwrap();
    let mut events = Events::with_room(4);
    loop {
        match link.read() {
            Some(number) => {
                link.write(number).unwrap();
                link.ring();
            }
            None => link.sleep_for_bell(&epoll, &mut events),
        }
    }
}

fn say_who(socket: &LinkSocket) {
    let process = shm::socket::own_process();
    socket.send(&process.to_le_bytes(), &[]).unwrap();
    socket.send(b"again", &[]).unwrap();
    loop {
        std::thread::park();
    }
}

fn say_who_we_see(socket: &LinkSocket) {
    let (_, who) = wait_for_packet(socket, b"look");
    // A pid of another namespace is none of ours.
    assert_eq!(who.pid, 0);
    socket.send(&who.process.to_le_bytes(), &[]).unwrap();
}

fn receive_with_a_full_table(socket: &LinkSocket) {
    let highest = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 + 4;
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = Some(highest);
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    socket.send(b"ready", &[]).unwrap();
    let mut buf = [0; 8];
    loop {
        match socket.receive(&mut buf) {
            Received::Empty => std::thread::yield_now(),
            Received::Packet { bytes: 4, lost: true, descriptors, .. } => {
                assert!(descriptors.len() < 32);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    socket.send(b"lost some", &[]).unwrap();
}

fn send_too_many(socket: &LinkSocket) {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = Some(32);
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    if rustix::process::getuid().is_root() {
        // The kernel spares whoever may raise the limit.
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_uid(nobody).unwrap();
    }
    let fds = [null.as_fd(); 16];
    let refused = loop {
        if let Err(error) = socket.send(b"descriptors", &fds) {
            break error;
        }
    };
    assert!(matches!(refused, SendPacketError::TooManyInFlight));
    // Without descriptors nothing stands in the way.
    socket.send(b"refused", &[]).unwrap();
}

#[test]
fn a_child_has_its_link_once_and_its_own_children_have_not() {
    let (socket, childs) = LinkSocket::pair().unwrap();
    let mut command = again("inherit");
    let mut child = shm::spawn::spawn(&mut command, childs).unwrap();
    let (_, who) = wait_for_packet(&socket, b"mine alone");
    assert_eq!(who.pid.unsigned_abs(), child.id());
    assert!(child.wait().unwrap().success());
    wait_for_end(&socket);
    // The command starts others, who have none.
    assert!(command.env(ROLE, "plain").status().unwrap().success());
}

#[test]
fn a_child_that_cannot_be_started_leaves_no_link() {
    let (socket, childs) = LinkSocket::pair().unwrap();
    let mut command = Command::new("/nowhere/at/all");
    let refused = shm::spawn::spawn(&mut command, childs).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(std::io::ErrorKind::NotFound));
    wait_for_end(&socket);
}

/// The kernel ends a process that makes a file beyond its limit; we are told
/// no instead.
#[test]
fn a_limit_on_files_is_an_error_and_not_the_end() {
    assert!(again("small files").status().unwrap().success());
}

#[test]
fn a_packet_says_which_process_sent_it() {
    let (socket, childs) = LinkSocket::pair().unwrap();
    let mut child = shm::spawn::spawn(&mut again("who"), childs).unwrap();
    let epoll = Epoll::new().unwrap();
    epoll.add(&socket, 1).unwrap();
    let mut events = Events::with_room(4);
    epoll.wait(&mut events, Some(lost())).unwrap();
    let mut buf = [0; 8];
    let Received::Packet { bytes: 8, who: Some(first), .. } = socket.receive(&mut buf) else {
        panic!("nobody");
    };
    assert_eq!(first.process, u64::from_le_bytes(buf));
    assert_ne!(first.process, shm::socket::own_process());
    let (_, second) = wait_for_packet(&socket, b"again");
    assert_eq!(first.process, second.process);
    // Its pidfd tells of its death, and so does the socket.
    epoll.add(first.pidfd.as_ref().unwrap(), 2).unwrap();
    kill(&mut child);
    let mut told = Vec::new();
    while !(told.contains(&1) && told.contains(&2)) {
        epoll.wait(&mut events, Some(lost())).unwrap();
        assert!(!events.is_empty(), "a death was lost");
        for event in events.iter() {
            assert!(event.token == 2 || event.hangup);
            told.push(event.token);
        }
    }
}

/// KERNEL-FACTS: the inode is true where a pid is not.
#[test]
fn a_process_in_another_namespace_is_known_all_the_same() {
    let elsewhere = ["--user", "--pid", "--fork"];
    let mut possible = Command::new("unshare");
    if !possible.args(elsewhere).arg("true").status().is_ok_and(|status| status.success()) {
        return;
    }
    let program = again("far away");
    let mut command = Command::new("unshare");
    command.args(elsewhere).arg(program.get_program());
    command.args(program.get_args()).env(ROLE, "far away").stdout(std::process::Stdio::null());
    let (socket, childs) = LinkSocket::pair().unwrap();
    let mut child = shm::spawn::spawn(&mut command, childs).unwrap();
    socket.send(b"look", &[]).unwrap();
    let seen = shm::socket::own_process().to_le_bytes();
    let (_, who) = wait_for_packet(&socket, &seen);
    // It lies deeper than we do, so we see its pid. It is not `unshare`'s.
    assert!(who.pid > 0 && who.pid.unsigned_abs() != child.id());
    assert_ne!(who.process, shm::socket::own_process());
    child.wait().unwrap();
}

#[test]
fn what_a_killed_writer_published_is_all_there() {
    for round in 0..40 {
        let (mut link, mut child) = Link::with_child("writer");
        let when = chance(if round % 2 == 0 { 50 } else { 5000 });
        let mut next = 0;
        while next < when {
            if let Some(number) = link.read() {
                assert_eq!(number, next);
                next += 1;
            }
        }
        if chance(2) == 0 {
            // Let it fill the lane, or not quite.
            for _ in 0..chance(200) {
                std::thread::yield_now();
            }
        }
        kill(&mut child);
        link.wait_for_end();
        // The last look, after the news.
        while let Some(number) = link.read() {
            assert_eq!(number, next);
            next += 1;
        }
        assert!(next >= link.peer.granted(), "accepted and lost");
        assert!(next <= link.peer.granted() + 1);
    }
}

#[test]
fn a_writer_without_a_reader_hears_of_it_and_of_no_offence() {
    for _ in 0..20 {
        let (mut link, mut child) = Link::with_child("reader");
        let mut written = 0;
        for _ in 0..chance(3000) {
            written += u64::from(link.write(written).is_ok());
        }
        kill(&mut child);
        link.wait_for_end();
        let refused = loop {
            match link.write(written) {
                Ok(()) => written += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, WriteError::NoRoom);
        link.own.wake_head();
        link.socket.ring();
        assert!(matches!(link.socket.send(b"x", &[]), Err(SendPacketError::Gone)));
    }
}

/// Sends numbers and takes them back, asleep as `sleep` does it in between.
fn hear_the_echo(link: &mut Link, mut sleep: impl FnMut(&mut Link)) {
    for number in 0..3000 {
        link.write(number).unwrap();
        link.ring();
        loop {
            match link.read() {
                Some(answer) => break assert_eq!(answer, number),
                None => sleep(link),
            }
        }
    }
}

#[test]
fn sleepers_on_a_head_are_woken() {
    let (mut link, mut child) = Link::with_child("echo");
    let own_word = WakeWord::new();
    hear_the_echo(&mut link, |link| link.sleep(&own_word));
    kill(&mut child);
}

#[test]
fn sleepers_on_a_bell_are_woken() {
    let (mut link, mut child) = Link::with_child("bell echo");
    let epoll = Epoll::new().unwrap();
    epoll.add(&link.socket, 1).unwrap();
    let mut events = Events::with_room(4);
    hear_the_echo(&mut link, |link| link.sleep_for_bell(&epoll, &mut events));
    kill(&mut child);
}

#[test]
fn descriptors_that_cannot_be_installed_are_counted_lost() {
    let (socket, childs) = LinkSocket::pair().unwrap();
    let mut child = shm::spawn::spawn(&mut again("full table"), childs).unwrap();
    wait_for_packet(&socket, b"ready");
    let null = std::fs::File::open("/dev/null").unwrap();
    socket.send(b"many", &[null.as_fd(); 32]).unwrap();
    wait_for_packet(&socket, b"lost some");
    assert!(child.wait().unwrap().success());
}

#[test]
fn too_many_descriptors_in_flight_fail_the_send_whole() {
    let (socket, childs) = LinkSocket::pair().unwrap();
    let mut child = shm::spawn::spawn(&mut again("in flight"), childs).unwrap();
    assert!(child.wait().unwrap().success());
    let mut packets = 0;
    loop {
        let mut buf = [0; 16];
        match socket.receive(&mut buf) {
            Received::Packet { bytes: 11, descriptors, .. } => {
                assert_eq!(descriptors.len(), 16);
                packets += 1;
            }
            Received::Packet { bytes: 7, descriptors, .. } => {
                break assert!(descriptors.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(packets > 0);
}

#[test]
fn nothing_is_left_behind() {
    // In a process of its own, where nobody else opens and maps.
    assert!(again("residue").status().unwrap().success());
}

/// What this process holds: descriptors, mappings of ours, threads, and names
/// in shared memory.
fn holdings() -> [usize; 4] {
    let entries = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    [
        entries("/proc/self/fd"),
        maps.lines().filter(|line| line.contains("memfd:")).count(),
        entries("/proc/self/task"),
        entries("/dev/shm"),
    ]
}

fn leave_nothing_behind() {
    let a_life_of_a_link = || {
        let (mut link, mut child) = Link::with_child("writer");
        link.own.add_board().unwrap();
        let body = Body::open(Body::create(&[&[1; 100_000]]).unwrap(), 100_000).unwrap();
        for _ in 0..chance(100) {
            link.read();
        }
        shm::close_later(vec![Body::create(&[b"x"]).unwrap()]);
        assert!(link.who.pidfd.is_some() && link.socket.as_fd().as_raw_fd() > 2);
        kill(&mut child);
        if chance(2) == 0 {
            link.wait_for_end();
        }
        drop(body);
    };
    // Once first: the thread that closes stays.
    a_life_of_a_link();
    let settled = || {
        // What was left to the closing thread is closed soon.
        while closing() {
            std::thread::yield_now();
        }
        holdings()
    };
    let before = settled();
    for _ in 0..25 {
        a_life_of_a_link();
    }
    let after = settled();
    assert_eq!(before[..3], after[..3]);
    assert!(!mentions_us("/dev/shm"));
}

/// Whether a memory is still open that only the closing thread can hold.
fn closing() -> bool {
    std::fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
        let target = std::fs::read_link(entry.unwrap().path());
        target.is_ok_and(|target| target.to_string_lossy().contains("memfd:pillarbox"))
    })
}

fn mentions_us(path: &str) -> bool {
    std::fs::read_dir(path).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("pillarbox"))
    })
}
