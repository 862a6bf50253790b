//! One server after the other: what the first tells the second, and how the second asks.
//!
//! The successor builds itself as any server does, from its own files, and then asks the
//! one that runs for its place. That one sends copies of what it knows: names, tasks that
//! may be looked at, programs that run, what services have said. Then it sends what can be
//! in one place only, all in one message: the door, the lock of its directory, the port
//! that requests come to, and a port in whose queue lie the others, with what is in them.
//! The publication of that message is the moment: before it all is the first server's,
//! also where either is killed; after it all is the second's.
//!
//! Who waited for an answer, or has sent a request just then, is told to ask again, which
//! a client does by itself. It is not read by the second: what comes through the first has
//! that one as its sender, and another user's request would be the first server's own.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap};
use pillarbox::{
    Capacity, Deadline, Descriptor, Identity, Message, ReceiveError, ReceiveRight, Right,
    SendFailure, SendOnceRight, TaskId,
};
use serde::{Deserialize, Serialize};

use crate::Server;
use crate::admin::{self, AdminError, Question, Told};
use crate::audit::Kept;
use crate::authority::Rule;
use crate::socket::Locked;
use crate::step::{self, Step};
use crate::stopper::Stopper;
use crate::supervision::Carried;

/// The version of what is told. Another is not understood, and nobody is replaced.
pub(crate) const VERSION: u32 = 3;

/// The id of the last message, which is the move. All before it are parts.
pub(crate) const LAST: i32 = 1;

/// Parts that wait to be taken in.
const PARTS_WAITING: u32 = 64;

/// Somebody, as the first server knows them by the kernel's word.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Who {
    task: (u64, u64),
    pid: i32,
    uid: u32,
    gid: u32,
}

impl From<Identity> for Who {
    fn from(who: Identity) -> Self {
        let task = (who.task.process, who.task.number);
        Who { task, pid: who.pid, uid: who.uid, gid: who.gid }
    }
}

impl From<Who> for Identity {
    fn from(who: Who) -> Self {
        let task = TaskId { process: who.task.0, number: who.task.1 };
        Identity { task, pid: who.pid, uid: who.uid, gid: who.gid }
    }
}

/// A process that runs a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Runs {
    pub(crate) pid: i32,
    /// What names it among tasks.
    pub(crate) process: u64,
    pub(crate) checked_in: Vec<String>,
}

/// A name as a restricted right lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lists {
    pub(crate) alias: String,
    pub(crate) name: String,
    pub(crate) provides: bool,
    /// A right of its own goes along, which was narrowed.
    pub(crate) narrowed: bool,
    /// What the rules of who may look it up were when it was listed.
    pub(crate) rules: Vec<SaidRule>,
}

/// A rule of who may look a name up, so that two servers can compare theirs. Another
/// condition in it is another [`VERSION`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SaidRule {
    names: Vec<String>,
    own_user: bool,
    uids: Vec<u32>,
    gids: Vec<u32>,
    entitlements: Vec<String>,
    /// Paths, as the system has them.
    executables: Vec<Vec<u8>>,
}

impl From<&Rule> for SaidRule {
    fn from(rule: &Rule) -> Self {
        // Each by its name: one that is added to a rule is missing here, and is seen.
        let Rule { names, own_user, uids, gids, entitlements, executables } = rule;
        let executables = executables.iter().map(|path| path.as_os_str().as_bytes().to_vec());
        SaidRule {
            names: names.clone(),
            own_user: *own_user,
            uids: uids.clone(),
            gids: gids.clone(),
            entitlements: entitlements.clone(),
            executables: executables.collect(),
        }
    }
}

/// What one message says, beside the rights and descriptors in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    /// What came before this is told anew.
    Begin,
    /// Somebody has a name: a send right.
    Name { name: String, who: Who, since: u64 },
    /// A task may be looked at: a send right.
    Seen { who: Who },
    /// A program: where it runs, the descriptors of its process and, if there is one, of
    /// the pipe that it speaks into.
    Program {
        label: Option<String>,
        names: Vec<String>,
        leads: bool,
        runs: Option<Runs>,
        supervision: Carried,
        said: Option<(Vec<u8>, u64)>,
    },
    /// What was granted and refused: some of it, and how much is not kept any more.
    Audited { kept: Vec<Kept>, lost: (u64, u64) },
    /// A restricted right: its port, and the rights it lists that were narrowed.
    Subset { maker: Option<(u64, u64)>, by: Option<i32>, lists: Vec<Lists> },
    /// A queue: its port. Behind it comes what is in it.
    Queue { name: String, held: usize },
    /// The next message lies in the queue before.
    Held { redelivered: u32, origin: Option<Who>, badge: Option<u64> },
}

impl Part {
    /// It as a message.
    pub(crate) fn message(&self) -> Message {
        // The only error is a sequence of unknown length, and there is none.
        Message::new(postcard::to_stdvec(self).unwrap_or_default())
    }

    /// Reads one.
    pub(crate) fn read(message: &Message) -> Option<Part> {
        postcard::from_bytes(message.body()).ok()
    }
}

/// What goes with the move: the port of requests and that of the rest, then descriptors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Move {
    /// Of each door whether its file is the server's to remove.
    pub(crate) doors: Vec<bool>,
    /// The path, and whether the directory was made for it.
    pub(crate) place: Option<(Vec<u8>, bool)>,
}

/// The lock of a server's directory, to be handed on.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) made: bool,
    pub(crate) lock: OwnedFd,
}

/// What a server has from the one before it, until it runs.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) parts: Vec<Message>,
    /// Who that was.
    pub(crate) before: TaskId,
    /// Its drop, or a message on it, says that all is taken in.
    pub(crate) taken: Option<SendOnceRight>,
}

/// Why a server did not take over from another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeOverError {
    /// It refused, or was not reached.
    #[error(transparent)]
    Refused(#[from] AdminError),
    /// It died before its place was ours. What was its own ended with it.
    #[error("the server died before it was replaced")]
    Died,
    /// It did not hand its place on before the deadline, and keeps it.
    #[error("the server did not hand its place on before the deadline")]
    Deadline,
    /// What it sent makes no sense.
    #[error("the server sent what makes no sense")]
    BadAnswer,
}

impl Server {
    /// Says that this place is the server's, so that it may be handed on to a successor:
    /// see [`Server::take_over`].
    ///
    /// # Errors
    /// What the system says where there is no descriptor to be had.
    pub fn keeps(mut self, place: &Locked) -> std::io::Result<Server> {
        self.place = Some(place.share()?);
        Ok(self)
    }

    /// Takes the place of the server that `before` leads to, which then ends: its bootstrap
    /// rights lead here from now on, and here are its names, the programs that run, its
    /// queues with what is in them, its door, and its lock, which is returned. Programs are
    /// told from each other by their labels, or the names they provide; one that is not
    /// declared here is ended.
    ///
    /// `before` is a right of this server's own task.
    ///
    /// Who is killed before the place is ours, or refuses, has changed nothing. Who waits
    /// for an answer of the other server is told to ask here, which a client does by
    /// itself. A door of the other's that cannot be listened at here is told with the
    /// first events ([`Event::Shut`](crate::Event::Shut)): the rest goes on.
    ///
    /// # Errors
    /// See [`TakeOverError`]. On [`TakeOverError::Refused`], [`TakeOverError::Died`] and
    /// [`TakeOverError::Deadline`] this server is as it was.
    ///
    /// # Blocking
    /// Until the other has handed on what it has, at most until `deadline`.
    pub fn take_over(
        &mut self,
        before: &Bootstrap,
        deadline: Deadline,
    ) -> Result<Option<Locked>, TakeOverError> {
        let inbox = self.task.port(Capacity::Bounded(PARTS_WAITING));
        let body = postcard::to_stdvec(&Question::Replace {
            version: VERSION,
            namespace: pid_namespace(),
        });
        let question = Message::new(body.unwrap_or_default()).with_id(admin::ID);
        let unsent = |reason| match reason {
            SendFailure::Dead => TakeOverError::Died,
            reason => TakeOverError::Refused(AdminError::Unsent(reason)),
        };
        let question = question.with_right(inbox.make_send().map_err(unsent)?);
        step::before(Step::Ask);
        let asked = before.right().start_call_to(question, &inbox, 0, deadline);
        let _asked = asked.map_err(|error| unsent(error.reason))?;
        let mut parts = Vec::new();
        let last = loop {
            step::before(Step::Inbox);
            let message = inbox.receive(deadline).map_err(|error| match error {
                ReceiveError::Deadline => TakeOverError::Deadline,
                _ => unsent(SendFailure::Forked),
            })?;
            if message.completion().is_some() {
                if message.notification().is_some() {
                    return Err(TakeOverError::Died);
                }
                let told: Told =
                    postcard::from_bytes(message.body()).map_err(|_| TakeOverError::BadAnswer)?;
                return Err(AdminError::from(told).into());
            }
            if message.id() == LAST {
                break message;
            }
            if matches!(Part::read(&message), Some(Part::Begin)) {
                parts.clear();
            }
            parts.push(message);
        };
        self.move_in(last, parts)
    }

    /// Begins where the other has ended.
    fn move_in(
        &mut self,
        mut last: Message,
        mut parts: Vec<Message>,
    ) -> Result<Option<Locked>, TakeOverError> {
        let bad = || TakeOverError::BadAnswer;
        let before = last.sender().ok_or_else(bad)?.task;
        let moves: Move = postcard::from_bytes(last.body()).map_err(|_| bad())?;
        let taken = last.take_reply();
        let mut rights = last.take_rights().into_iter().map(Right::into_receive);
        let mut next = || rights.next().and_then(Result::ok).ok_or_else(bad);
        let (port, rest) = (next()?, next()?);
        while let Ok(message) = rest.receive(Deadline::Now) {
            parts.push(message);
        }
        self.right = port.make_send().map_err(|_| bad())?;
        self.stopper = Stopper::new(port.make_send_once().map_err(|_| bad())?);
        self.port = port;
        self.inherited = Some(Inherited { parts, before, taken });
        let mut descriptors = last.take_descriptors().into_iter();
        // All of it is ours from here on, and nobody else has it: what is missing, or cannot
        // be used, is said and not the end of the rest.
        for owned in moves.doors {
            step::before(Step::Open);
            let came = descriptors.next().and_then(Descriptor::take);
            let door = came.ok_or_else(|| "its door did not come along".to_owned());
            let offer = vec![(BOOTSTRAP.to_owned(), self.right.clone())];
            let opened = door.and_then(|door| {
                self.task.listen_at(door, offer).map_err(|error| error.to_string())
            });
            match opened {
                Ok(listening) => {
                    if owned {
                        self.owned.push(listening.path().to_path_buf());
                    }
                    self.listening.push(listening);
                }
                Err(why) => self.shut.push(why),
            }
        }
        let Some((path, made)) = moves.place else { return Ok(None) };
        let path = PathBuf::from(OsString::from_vec(path));
        let lock = descriptors.next().and_then(Descriptor::take);
        let locked = lock.and_then(|lock| Locked::handed_on(path, lock, made));
        self.place = locked.as_ref().and_then(|locked| locked.share().ok());
        Ok(locked)
    }
}

/// The last message: all that can be in one place only.
pub(crate) fn last(
    port: ReceiveRight,
    rest: ReceiveRight,
    moves: &Move,
    descriptors: Vec<OwnedFd>,
) -> Message {
    let body = postcard::to_stdvec(moves).unwrap_or_default();
    let message = Message::new(body).with_id(LAST).with_right(port).with_right(rest);
    descriptors.into_iter().fold(message, Message::with_descriptor)
}

/// The namespace in which a process of this number is the one we mean.
pub(crate) fn pid_namespace() -> Option<(u64, u64)> {
    let own = std::fs::metadata("/proc/self/ns/pid").ok()?;
    Some((own.dev(), own.ino()))
}

/// What of the place goes into the last message.
pub(crate) fn described(place: &Place) -> (Vec<u8>, bool) {
    (place.path.as_os_str().as_bytes().to_vec(), place.made)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use pillarbox::Task;

    use super::*;
    use crate::keeper::Keeper;

    #[test]
    fn rules_are_said_in_the_same_bytes_by_each_server_of_a_version() {
        let rule = Rule {
            names: vec!["a".to_owned()],
            own_user: true,
            uids: vec![7],
            gids: vec![300],
            entitlements: vec!["b".to_owned()],
            executables: vec!["/c".into()],
        };
        let said: Vec<u8> = postcard::to_stdvec(&SaidRule::from(&rule)).unwrap();
        let bytes = [1, 1, b'a', 1, 1, 7, 1, 0xac, 2, 1, 1, b'b', 1, 2, b'/', b'c'];
        assert_eq!((VERSION, said), (3, bytes.to_vec()));
    }

    #[test]
    fn a_door_that_cannot_be_listened_at_costs_nothing_else() {
        let (one, two) = (Task::new(), Task::new());
        let told = Arc::new(Mutex::new(Vec::new()));
        let tells = Arc::clone(&told);
        let server = Server::new(&two).unwrap();
        let mut server = server.tell(move |event| tells.lock().unwrap().push(event.to_string()));
        let inbox = two.port(Capacity::Bounded(1));
        let (own, rest) = (one.port(Capacity::Bounded(4)), one.port(Capacity::Unbounded));
        let right = own.make_send().unwrap();
        // No socket at all, and one that is not there.
        let moves = Move { doors: vec![true, false], place: None };
        let file = std::fs::File::open("/dev/null").unwrap();
        let last = last(own, rest, &moves, vec![file.into()]);
        inbox.make_send().unwrap().send(last, Deadline::Never).unwrap();
        let last = inbox.receive(Deadline::Never).unwrap();
        assert!(server.move_in(last, Vec::new()).unwrap().is_none());
        let keeper = Keeper::new(server);
        assert_eq!(told.lock().unwrap().len(), 2, "{told:?}");
        assert!(!right.is_dead());
        drop(keeper);
    }
}
