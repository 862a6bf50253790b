//! How two tasks become linked: the first packet each way.
//!
//! The side that opened the connection speaks first and says why. Nothing of a
//! stranger's is mapped before the kernel has said who he is and we know that he
//! has business here.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::hello::{Hello, Purpose, Refusal};
use abi::right::Address;
use abi::{Offence, TaskId, limits};
use shm::socket::{Credentials, LinkSocket, Received, SendPacketError};
use shm::{LaneWriter, OpenError, OwnPage, PeerPage};
use std::os::fd::{AsFd, OwnedFd};

use crate::background::Job;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::LinkError;
use crate::link::{Parts, Who};
use crate::message::{Identity, Message, Right};
use crate::right::SendRight;
use crate::wait::Promise;

/// Rights with names, to be given to whom a link is made with.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) names: Vec<String>,
    pub(crate) rights: Vec<Right>,
    /// To one who connected, not to a child.
    pub(crate) to_caller: bool,
}

/// The id of a welcome from a parent.
const TO_CHILD: i32 = 0;
/// The id of a welcome from a listener. The two may be linked already, as parent
/// and child or by an earlier call: each call takes a welcome of its own.
pub(crate) const TO_CALLER: i32 = 1;

impl Offer {
    pub(crate) fn is_to_child(&self) -> bool {
        !self.to_caller
    }

    /// The welcome: its id tells a caller's from a child's.
    pub(crate) fn into_message(self) -> Message {
        let id = if self.to_caller { TO_CALLER } else { TO_CHILD };
        let mut message = Message::new(encode_names(&self.names)).with_id(id);
        message.rights = self.rights;
        message
    }
}

/// What a listener gives to whoever connects.
pub(crate) type Offered = Vec<(String, SendRight)>;

/// Which door a connection came through.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// The pair the parent made.
    Parent,
    /// Our abstract socket: only who names a good ticket.
    Introduction,
    /// A socket in the file system: whoever may connect there.
    Path(Arc<Offered>),
}

/// One connection that is not a link yet.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) socket: LinkSocket,
    pub(crate) role: Role,
    /// When it is given up; `None` for a child, whose death we hear of.
    pub(crate) due: Option<Instant>,
    pub(crate) outcome: Option<Arc<Outcome>>,
    /// Our hello and its memory, where they are sent once we listen for the
    /// answer: what is answered must be heard.
    pub(crate) unsaid: Option<(Hello, OwnedFd)>,
    /// Which user opened the connection, for one who came to a door of ours.
    pub(crate) uid: Option<u32>,
}

#[derive(Debug)]
pub(crate) enum Role {
    /// We have spoken and wait for the answer.
    Opener { own: Arc<OwnPage>, writer: LaneWriter, expected: Option<TaskId>, offer: Option<Offer> },
    /// We wait for the other side to speak.
    Acceptor(Door),
}

/// What became of a greeting, for the thread that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    promise: Promise<Result<TaskId, LinkError>>,
}

impl Outcome {
    pub(crate) fn settle(&self, result: Result<TaskId, LinkError>) {
        if let Some(waiter) = self.promise.keep(result) {
            waiter.raise();
        }
    }

    fn wait(&self, task: &TaskCore, deadline: Deadline) -> Result<TaskId, LinkError> {
        task.wait(deadline, None, |waiter| self.promise.look(waiter))
            .unwrap_or(Err(LinkError::Deadline))
    }
}

/// A child that was spawned, and the rights it is to have.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) socket: LinkSocket,
    pub(crate) own: Arc<OwnPage>,
    pub(crate) writer: LaneWriter,
    pub(crate) offer: Offer,
}

impl Welcome {
    pub(crate) fn into_greeting(self) -> Greeting {
        let Welcome { socket, own, writer, offer } = self;
        let role = Role::Opener { own, writer, expected: None, offer: Some(offer) };
        Greeting { socket, role, due: None, outcome: None, unsaid: None, uid: None }
    }
}

fn due() -> Option<Instant> {
    Some(Instant::now() + Duration::from_nanos(limits::HELLO_NS))
}

/// Memory of ours for a new link, and the packet that offers it.
pub(crate) fn own_side(
    task: &TaskCore,
    purpose: Purpose,
) -> std::io::Result<(Arc<OwnPage>, LaneWriter, Hello, OwnedFd)> {
    let (own, writer, memory) = OwnPage::create(task.limits.lane())?;
    own.set_granted(task.limits.link_queued_bytes);
    own.announce(crate::link::FIRST_SLEEP);
    let address = task.background().map_or(Address::default(), |background| background.address);
    let hello = Hello {
        features: 0,
        number: task.id.number,
        lane_bytes: task.limits.lane(),
        purpose,
        address,
    };
    Ok((own, writer, hello, memory))
}

/// Speaks first on `socket`.
pub(crate) fn open(
    task: &TaskCore,
    socket: &LinkSocket,
    purpose: Purpose,
) -> Result<(Arc<OwnPage>, LaneWriter), LinkError> {
    let (own, writer, hello, memory) = own_side(task, purpose)?;
    say_hello(socket, &hello, &memory)?;
    Ok((own, writer))
}

pub(crate) fn say_hello(
    socket: &LinkSocket,
    hello: &Hello,
    memory: &OwnedFd,
) -> Result<(), LinkError> {
    socket.send(&hello.encode(), &[memory.as_fd()]).map_err(|error| match error {
        SendPacketError::Gone => LinkError::Died,
        SendPacketError::System(error) => LinkError::System(error),
        refused @ (SendPacketError::Full | SendPacketError::TooManyInFlight) => {
            LinkError::System(std::io::Error::other(refused))
        }
    })
}

/// The child's side of the link with its parent.
pub(crate) fn greet_parent(task: &Arc<TaskCore>, socket: LinkSocket) -> Result<TaskId, LinkError> {
    task.start_background()?;
    let outcome = Arc::new(Outcome::default());
    task.job(Job::Greet(Box::new(Greeting {
        socket,
        role: Role::Acceptor(Door::Parent),
        due: due(),
        outcome: Some(Arc::clone(&outcome)),
        unsaid: None,
        uid: None,
    })));
    outcome.wait(task, Deadline::after(Duration::from_nanos(2 * limits::HELLO_NS)))
}

/// How long who finds too many at a door waits before it knocks again.
pub(crate) const KNOCK: Duration = Duration::from_millis(1);

/// Connects to a task that listens in the file system.
pub(crate) fn connect(
    task: &Arc<TaskCore>,
    path: &Path,
    deadline: Deadline,
) -> Result<TaskId, LinkError> {
    task.start_background()?;
    let patience = Instant::now() + Duration::from_nanos(limits::HELLO_NS);
    loop {
        match connect_once(task, path, deadline) {
            // The other side has a link that we do not have, or have no more: it
            // has not heard of its end, or is about to greet us.
            Err(LinkError::Refused(Refusal::Duplicate { .. }))
                if !deadline.has_passed() && Instant::now() < patience =>
            {
                let soon = deadline.instant_or(Instant::now() + KNOCK);
                let _ = task.wait(Deadline::At(soon), None, |_| None::<()>);
            }
            other => return other,
        }
    }
}

fn connect_once(
    task: &Arc<TaskCore>,
    path: &Path,
    deadline: Deadline,
) -> Result<TaskId, LinkError> {
    let socket = loop {
        match LinkSocket::connect_path(path) {
            Ok(socket) => break socket,
            // Many wait to be let in, and the kernel tells nobody when there is
            // room again.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if deadline.has_passed() {
                    return Err(LinkError::Deadline);
                }
                let soon = deadline.instant_or(Instant::now() + KNOCK);
                let _ = task.wait(Deadline::At(soon), None, |_| None::<()>);
            }
            Err(error) => {
                return Err(match error.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                        LinkError::NobodyThere(path.to_path_buf())
                    }
                    _ => LinkError::System(error),
                });
            }
        }
    };
    let (own, writer, hello, memory) = own_side(task, Purpose::Named)?;
    let outcome = Arc::new(Outcome::default());
    task.job(Job::Greet(Box::new(Greeting {
        socket,
        role: Role::Opener { own, writer, expected: None, offer: None },
        due: due(),
        outcome: Some(Arc::clone(&outcome)),
        unsaid: Some((hello, memory)),
        uid: None,
    })));
    outcome.wait(task, deadline)
}

/// What a first packet brought.
#[derive(Debug)]
pub(crate) enum First {
    /// A hello with its memory, and who sent it.
    Hello(Hello, OwnedFd, Credentials),
    /// The other side will not, and which process it is.
    Refused(Refusal, u64),
    /// Not yet.
    Nothing,
    /// Gone without a word.
    Gone,
    /// Our system could not take what came with it.
    Lost(std::io::Error),
}

/// Reads the other side's first packet.
pub(crate) fn first(socket: &LinkSocket) -> Result<First, Offence> {
    let mut packet = [0; 2 * abi::hello::BYTES];
    let (bytes, mut descriptors, who) = match socket.receive(&mut packet) {
        Received::Empty => return Ok(First::Nothing),
        Received::End => return Ok(First::Gone),
        Received::Failed(error) => return Ok(First::Lost(error)),
        Received::Packet { descriptors, lost: true, .. } => {
            shm::close::close_later(descriptors);
            return Ok(First::Lost(std::io::ErrorKind::QuotaExceeded.into()));
        }
        Received::Packet { bytes, descriptors, who, .. } => (bytes, descriptors, who),
    };
    let packet = packet.get(..bytes).unwrap_or_default();
    if let Some(refusal) = Refusal::decode(packet) {
        return Ok(First::Refused(refusal, who.map_or(0, |who| who.process)));
    }
    let hello = Hello::decode(packet)?;
    // There is somebody, and the kernel had no descriptor to say who.
    if who.as_ref().is_some_and(|who| who.process == 0 && who.pid != 0) {
        shm::close::close_later(descriptors);
        return Ok(First::Lost(std::io::ErrorKind::QuotaExceeded.into()));
    }
    let who = who.filter(|who| who.process != 0).ok_or(Offence::CredentialsMissing)?;
    let memory = descriptors.pop().ok_or(Offence::HelloDescriptors)?;
    if !descriptors.is_empty() {
        shm::close::close_later(descriptors);
        return Err(Offence::HelloDescriptors);
    }
    Ok(First::Hello(hello, memory, who))
}

/// Maps what the hello offers and puts the two halves together.
pub(crate) fn join_halves(
    socket: LinkSocket,
    own: Arc<OwnPage>,
    writer: LaneWriter,
    hello: &Hello,
    memory: OwnedFd,
    who: Credentials,
) -> Result<Parts, (LinkSocket, OpenError)> {
    let (peer, reader) = match PeerPage::open(memory, hello.lane_bytes) {
        Ok(opened) => opened,
        Err(error) => return Err((socket, error)),
    };
    socket.stop_asking();
    let sender = Identity {
        task: TaskId { process: who.process, number: hello.number },
        pid: who.pid,
        uid: who.uid,
        gid: who.gid,
    };
    let who = Who { sender, address: hello.address, pidfd: who.pidfd };
    Ok(Parts { own, writer, peer, reader, socket, who })
}

/// Names as they lie in a welcome: a length byte and the bytes, each.
fn encode_names(names: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes
}

/// Reads the names of a welcome.
pub(crate) fn decode_names(mut bytes: &[u8]) -> Result<Vec<String>, Offence> {
    let mut names = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let name = rest.get(..usize::from(length)).ok_or(Offence::FrameTruncated)?;
        names.push(abi::name::check(name)?.to_owned());
        bytes = rest.get(usize::from(length)..).ok_or(Offence::FrameTruncated)?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use abi::name::NameError;

    use super::*;

    #[test]
    fn names_of_a_welcome_come_back() {
        let names = vec!["a".to_owned(), "com.example.echo".to_owned()];
        let bytes = encode_names(&names);
        assert_eq!(decode_names(&bytes), Ok(names));
        assert_eq!(decode_names(&bytes[..5]), Err(Offence::FrameTruncated));
        assert_eq!(decode_names(&[0]), Err(Offence::Name(NameError::Empty)));
        assert_eq!(decode_names(&[1, 0xff]), Err(Offence::Name(NameError::NotUtf8)));
    }
}
