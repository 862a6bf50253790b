//! The first packet: whoever listens and answers wrongly, we say how; whoever
//! knocks and says nonsense, or nothing, is sent away, and keeps nobody out who
//! has something to say.

mod family;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi::hello::{Hello, Purpose};
use abi::page::memory_bytes;
use abi::right::Address;
use abi::{TaskId, Ticket, limits};
use family::raw::{LANE, hear, hear_hello, wait_for_the_end};
use family::{Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{Capacity, LinkError, Message, Offence, Refusal, Task};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use shm::OwnPage;
use shm::socket::{LinkSocket, Listener, Received};

/// The variable that says where the child listens or knocks.
const PLACE: &str = "PILLARBOX_TEST_PLACE";

/// What the other side answers, and what it must be called.
struct Answer {
    name: &'static str,
    expected: fn(&LinkError) -> bool,
    give: fn(&LinkSocket),
}

fn fault(error: &LinkError, offence: Offence) -> bool {
    matches!(error, LinkError::Fault(named) if *named == offence)
}

fn hello() -> Hello {
    let (purpose, address) = (Purpose::Named, Address::default());
    Hello { features: 0, number: 0, lane_bytes: LANE, purpose, address }
}

fn memory() -> (Arc<OwnPage>, OwnedFd) {
    let (own, _, fd) = OwnPage::create(LANE).unwrap();
    (own, fd)
}

fn send(socket: &LinkSocket, packet: &[u8], fds: &[OwnedFd]) {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    // Who is not liked may have been hung up on.
    let _ = socket.send(packet, &fds);
}

/// A memory of the right size but for what is wrong with it.
fn odd_memory(bytes: usize, written: bool, seals: SealFlags) -> OwnedFd {
    let fd = rustix::fs::memfd_create("odd", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, bytes as u64).unwrap();
    if written {
        let mut image = vec![1; bytes];
        image[..8].copy_from_slice(&abi::page::MAGIC.to_le_bytes());
        rustix::io::pwrite(&fd, &image, 0).unwrap();
    }
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

const SIZE: usize = memory_bytes(LANE);

fn all() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE
}

fn offer(socket: &LinkSocket, fd: OwnedFd) {
    send(socket, &hello().encode(), &[fd]);
}

const ANSWERS: &[Answer] = &[
    Answer {
        name: "words of another protocol",
        expected: |error| fault(error, Offence::HelloMalformed),
        give: |socket| send(socket, b"HTTP/1.1 400 Bad Request\r\n\r\n", &[]),
    },
    Answer {
        name: "a hello cut short",
        expected: |error| fault(error, Offence::HelloMalformed),
        give: |socket| send(socket, &hello().encode()[..90], &[memory().1]),
    },
    Answer {
        name: "a hello with more behind it",
        expected: |error| fault(error, Offence::HelloMalformed),
        give: |socket| {
            let packet = [hello().encode(), hello().encode(), hello().encode()].concat();
            send(socket, &packet, &[memory().1]);
        },
    },
    Answer {
        name: "a later version",
        expected: |error| fault(error, Offence::VersionUnknown { theirs: 9 }),
        give: |socket| {
            let mut packet = hello().encode();
            packet[8] = 9;
            send(socket, &packet, &[memory().1]);
        },
    },
    Answer {
        name: "a lane of an odd size",
        expected: |error| fault(error, Offence::LaneSize(LANE + 8)),
        give: |socket| {
            let odd = Hello { lane_bytes: LANE + 8, ..hello() };
            send(socket, &odd.encode(), &[memory().1]);
        },
    },
    Answer {
        name: "a hello without memory",
        expected: |error| fault(error, Offence::HelloDescriptors),
        give: |socket| send(socket, &hello().encode(), &[]),
    },
    Answer {
        name: "a hello with two memories",
        expected: |error| fault(error, Offence::HelloDescriptors),
        give: |socket| send(socket, &hello().encode(), &[memory().1, memory().1]),
    },
    Answer {
        name: "a pipe for a memory",
        expected: |error| fault(error, Offence::MemoryKind),
        give: |socket| offer(socket, std::io::pipe().unwrap().0.into()),
    },
    Answer {
        name: "a directory for a memory",
        expected: |error| fault(error, Offence::MemoryKind),
        give: |socket| offer(socket, std::fs::File::open("/").unwrap().into()),
    },
    Answer {
        name: "a memory its owner may shrink",
        expected: |error| fault(error, Offence::SealMissing),
        give: |socket| offer(socket, odd_memory(SIZE, true, all() - SealFlags::SHRINK)),
    },
    Answer {
        name: "a memory others may map for writing",
        expected: |error| fault(error, Offence::SealMissing),
        give: |socket| offer(socket, odd_memory(SIZE, true, all() - SealFlags::FUTURE_WRITE)),
    },
    Answer {
        name: "a memory smaller than said",
        expected: |error| fault(error, Offence::MemorySize),
        give: |socket| offer(socket, odd_memory(SIZE - 4096, true, all())),
    },
    Answer {
        name: "a memory larger than said",
        expected: |error| fault(error, Offence::MemorySize),
        give: |socket| {
            let small = Hello { lane_bytes: limits::LANE_BYTES_MIN, ..hello() };
            send(socket, &small.encode(), &[memory().1]);
        },
    },
    Answer {
        name: "a memory of nothing",
        expected: |error| fault(error, Offence::MemoryHoles),
        give: |socket| offer(socket, odd_memory(SIZE, false, all())),
    },
    Answer {
        name: "a memory that is no page",
        expected: |error| fault(error, Offence::PageMalformed),
        give: |socket| {
            let fd = rustix::fs::memfd_create("odd", MemfdFlags::ALLOW_SEALING).unwrap();
            rustix::io::pwrite(&fd, &vec![1; SIZE], 0).unwrap();
            rustix::fs::fcntl_add_seals(&fd, all()).unwrap();
            offer(socket, fd);
        },
    },
    Answer {
        name: "a refusal",
        expected: |error| matches!(error, LinkError::Refused(Refusal::Busy)),
        give: |socket| send(socket, &Refusal::Busy.encode(), &[]),
    },
    Answer {
        name: "a refusal of our version",
        expected: |error| matches!(error, LinkError::Refused(Refusal::Version(4))),
        give: |socket| send(socket, &Refusal::Version(4).encode(), &[]),
    },
    Answer {
        name: "a hang-up",
        expected: |error| matches!(error, LinkError::Died),
        give: |socket| socket.shutdown(),
    },
    Answer {
        name: "silence",
        expected: |error| matches!(error, LinkError::Deadline),
        give: wait_for_the_end,
    },
];

/// Answers one caller after another, each in its own way.
#[test]
fn door_part() {
    if !acting("door_part") {
        return;
    }
    let listener = Listener::bind_path(Path::new(&std::env::var(PLACE).unwrap())).unwrap();
    for answer in ANSWERS {
        let mut watched = [PollFd::new(&listener, PollFlags::IN)];
        poll(&mut watched, None).unwrap();
        let caller = listener.accept().unwrap().unwrap();
        let _ = hear_hello(&caller);
        (answer.give)(&caller);
        wait_for_the_end(&caller);
    }
}

/// A place in the file system that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = std::env::temp_dir().join(format!("pillarbox-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        Place(place)
    }

    fn door(&self) -> PathBuf {
        self.0.join("door")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(part: &str, door: &Path) -> Reaped {
    let child = act_with(part, |command| {
        command.env(PLACE, door);
    });
    Reaped(child.spawn().unwrap())
}

#[test]
fn each_wrong_answer_has_its_own_error() {
    if is_part() {
        return;
    }
    let place = Place::new("answers");
    let task = Task::current().unwrap();
    assert!(matches!(
        task.connect(place.door(), long()),
        Err(LinkError::NobodyThere(path)) if path == place.door()
    ));
    let mut child = start("door_part", &place.door());
    settled(|| place.door().exists(), |&there| there);
    for answer in ANSWERS {
        // Bound, and perhaps not listening yet.
        let error = loop {
            match task.connect(place.door(), long()) {
                Err(LinkError::NobodyThere(_)) => {}
                other => break other.unwrap_err(),
            }
        };
        assert!((answer.expected)(&error), "{}: {error}", answer.name);
    }
    assert!(child.ended_well());
}

// ---- those who knock -----------------------------------------------------------------

/// Knocks in every wrong way, holds many silent connections, and then one that
/// is right.
#[test]
fn stranger_part() {
    if !acting("stranger_part") {
        return;
    }
    let door = std::env::var(PLACE).unwrap();
    let knock = || loop {
        // Too many may wait to be let in.
        if let Ok(socket) = LinkSocket::connect_path(Path::new(&door)) {
            return socket;
        }
        std::thread::yield_now();
    };
    let refused = |packet: &[u8], fds: &[OwnedFd], expected: Refusal| loop {
        let socket = knock();
        send(&socket, packet, fds);
        let mut buffer = [0; 128];
        let Received::Packet { bytes, .. } = hear(&socket, &mut buffer) else {
            panic!("hung up on without a word");
        };
        let refusal = Refusal::decode(&buffer[..bytes]);
        wait_for_the_end(&socket);
        // The others' crowd may have come between our knock and our word.
        if refusal != Some(Refusal::Busy) {
            return assert_eq!(refusal, Some(expected));
        }
    };
    let mut later = hello().encode();
    later[8] = 7;
    refused(&later, &[memory().1], Refusal::Version(abi::hello::VERSION));
    refused(b"who is there?", &[], Refusal::Malformed);
    refused(&hello().encode(), &[], Refusal::Malformed);
    let giver = TaskId { process: 1, number: 1 };
    for purpose in [Purpose::Child, Purpose::Claim { giver, ticket: Ticket(1) }] {
        let wrong = Hello { purpose, ..hello() };
        refused(&wrong.encode(), &[memory().1], Refusal::NotAllowed);
    }
    let silent: Vec<_> = (0..limits::STRANGERS + 20).map(|_| knock()).collect();
    let task = Task::current().unwrap();
    let right = loop {
        match task.connect(&door, long()) {
            Ok(mut rights) => break rights.remove("inbox").unwrap(),
            Err(error) => assert!(matches!(error, LinkError::Refused(Refusal::Busy)), "{error}"),
        }
    };
    right.into_send().unwrap().call(Message::new("let in"), long()).unwrap();
    drop(silent);
}

#[test]
fn nonsense_at_the_door_keeps_nobody_out() {
    if is_part() {
        return;
    }
    let place = Place::new("strangers");
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let offered = vec![("inbox".to_owned(), inbox.make_send().unwrap())];
    let listening = task.listen(place.door(), offered).unwrap();
    let mut children = [(); 3].map(|()| start("stranger_part", &place.door()));
    for _ in &children {
        let mut request = inbox.receive(long()).unwrap();
        assert_eq!(request.body(), b"let in");
        assert!(children.iter().any(|child| child.pid() == request.sender().unwrap().pid));
        request.reply(Message::new("welcome"), long()).unwrap();
    }
    assert!(children.iter_mut().all(Reaped::ended_well));
    drop(listening);
    assert!(!place.door().exists());
    settled(|| inbox.status().senders, |&senders| senders == 0);
}
