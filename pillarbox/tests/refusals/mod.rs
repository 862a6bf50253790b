//! Three tasks that do everything once that needs the system, and look at what
//! comes back where it is refused.
#![allow(unreachable_pub, reason = "a module of one test file")]

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pillarbox::kernel::{Kernel, KernelError, Program, Refused as KernelRefused};
use pillarbox::{
    CallError, Capacity, Deadline, Holding, LinkError, LoanError, Message, Notification,
    ReceiveRight, Region, Right, SendFailure, SendRight, Spawn, Task,
};

use crate::family::{long, settled};

/// Bytes of a body that does not lie in a lane.
const BIG: usize = 100_000;
/// Rights that need a second board.
const MANY: usize = 130;
/// Every holding a census may show.
const HOLDINGS: [Holding; 10] = [
    Holding::Receive,
    Holding::OwnSend,
    Holding::OwnSendOnce,
    Holding::ExportedSend,
    Holding::ExportedSendOnce,
    Holding::ImportedSend,
    Holding::ImportedSendOnce,
    Holding::Joining,
    Holding::Given,
    Holding::Dead,
];

/// What was refused, in words.
pub type Refused = String;

/// Three tasks of one process: what they do with each other is what three
/// processes do.
pub struct World {
    owner: Task,
    caller: Task,
    third: Task,
}

fn refused(what: &str, why: impl std::fmt::Display) -> Refused {
    format!("{what}: {why}")
}

/// Whether a link's failure is one of the system's, or of who met it at the
/// other side. A deadline is none: somebody waited for nothing.
fn link_error(what: &str, error: &LinkError) -> Refused {
    assert!(
        !matches!(error, LinkError::Deadline | LinkError::Fault(_) | LinkError::InUse(_)),
        "{what}: {error:?}"
    );
    refused(what, error)
}

fn send_failure(what: &str, reason: SendFailure) -> Refused {
    assert!(
        matches!(
            reason,
            SendFailure::System(_) | SendFailure::DescriptorsInFlight | SendFailure::Dead
        ),
        "{what}: {reason:?}"
    );
    refused(what, reason)
}

/// What of a message must come back.
fn measure(message: &Message) -> (usize, usize, usize) {
    let lost = message.descriptors().iter().filter(|one| one.is_lost()).count();
    assert_eq!(lost, 0, "a descriptor of an unsent message is lost");
    (message.body().len(), message.rights().len(), message.descriptors().len())
}

/// Sends, and sees that what failed came back whole.
fn send(what: &str, to: &SendRight, message: Message) -> Result<(), Refused> {
    let before = measure(&message);
    to.send(message, long()).map_err(|error| {
        assert_eq!(measure(&error.message), before, "{what}");
        assert!(error.message.rights().iter().all(is_live), "{what}: a right died");
        send_failure(what, error.reason)
    })
}

fn is_live(right: &Right) -> bool {
    match right {
        Right::Send(right) => !right.is_dead(),
        _ => true,
    }
}

/// Receives what was sent by who holds `from`, or says that the link has ended.
fn receive(what: &str, at: &ReceiveRight, from: &SendRight) -> Result<Message, Refused> {
    let until = long();
    loop {
        if let Ok(message) = at.receive(Deadline::after(Duration::from_millis(30))) {
            return Ok(message);
        }
        if from.is_dead() {
            // What came before the end is in the queue by now.
            return at.receive(Deadline::Now).map_err(|_| refused(what, "the link has ended"));
        }
        assert!(!until.has_passed(), "{what} was accepted and never came");
    }
}

impl World {
    pub fn new() -> World {
        World { owner: Task::new(), caller: Task::new(), third: Task::new() }
    }

    fn tasks(&self) -> [&Task; 3] {
        [&self.owner, &self.caller, &self.third]
    }

    /// Waits until every two of them agree whether they are linked.
    pub fn agree(&self) {
        let linked = |one: &Task, two: &Task| {
            one.peers().iter().any(|peer| peer.identity().task == two.identity().task)
        };
        settled(
            || {
                let tasks = self.tasks();
                let odd = |one: &Task, two: &Task| linked(one, two) != linked(two, one);
                tasks.iter().any(|one| tasks.iter().any(|two| odd(one, two)))
            },
            |odd| !odd,
        );
    }

    /// Waits until none of them holds anything. Where the owner of a right may
    /// not be reached at all, its give stays until its receiver or giver ends
    /// (decision 5).
    pub fn hold_nothing(&self, barred: bool) {
        let held = || {
            let mut rows = Vec::new();
            for (task, name) in self.tasks().into_iter().zip(["owner", "caller", "third"]) {
                // Where no thread comes, what peers let go of lies in the lanes.
                let _ = task.port(Capacity::Bounded(1)).receive(Deadline::Now);
                let census = task.census();
                let some = HOLDINGS.iter().filter(|holding| census.count(**holding) > 0);
                let some = some.filter(|holding| !(barred && **holding == Holding::Given));
                rows.extend(some.map(|holding| (name, *holding, census.count(*holding))));
            }
            rows
        };
        settled(held, Vec::is_empty);
    }

    /// Ends them.
    pub fn close(self) {
        for task in self.tasks() {
            task.close();
        }
    }

    /// Everything once.
    pub fn live(&self) -> Result<(), Refused> {
        let inbox = self.owner.port(Capacity::Bounded(8));
        let (to_owner, to_owner_too) = self.meet(&inbox)?;
        self.talk(&inbox, &to_owner)?;
        self.call(&inbox, &to_owner)?;
        self.introduce(&inbox, &to_owner, &to_owner_too)?;
        self.bequeath(&inbox, &to_owner)?;
        self.spawn()?;
        self.ask()
    }

    /// The two others connect to the owner.
    fn meet(&self, inbox: &ReceiveRight) -> Result<(SendRight, SendRight), Refused> {
        let door = door();
        let offer = vec![("inbox".to_owned(), inbox.make_send().map_err(|e| e.to_string())?)];
        let listening =
            self.owner.listen(&door, offer).map_err(|error| link_error("listen", &error))?;
        let connect = |task: &Task| {
            let mut offered =
                task.connect(&door, long()).map_err(|error| link_error("connect", &error))?;
            offered.remove("inbox").unwrap().into_send().map_err(|_| "no send right".to_owned())
        };
        let one = connect(&self.caller)?;
        let two = connect(&self.third)?;
        // Who is linked already is told so, and is offered the same again.
        let again = connect(&self.third)?;
        assert!(again.same_port(&two) || again.is_dead());
        drop(listening);
        assert!(!door.exists());
        Ok((one, two))
    }

    /// Descriptors, a body of its own, and more rights than a board has slots.
    fn talk(&self, inbox: &ReceiveRight, to_owner: &SendRight) -> Result<(), Refused> {
        let null = || File::open("/dev/null").unwrap().into();
        let message = Message::new(vec![7; BIG]).with_descriptor(null()).with_descriptor(null());
        send("a big message", to_owner, message)?;
        let mut came = receive("a big message", inbox, to_owner)?;
        let lost = came.take_descriptors().into_iter().filter(|one| one.is_lost()).count();
        if came.is_body_lost() || lost > 0 {
            return Err(refused("a big message", "part of it had no room here"));
        }
        assert_eq!((came.body().len(), came.body()[BIG - 1]), (BIG, 7));
        drop(came);

        let sealed = Region::sealed(&[5; BIG]).map_err(|error| refused("a seal", error))?;
        let mut loan = match to_owner.loan(BIG, long()) {
            Ok(loan) => loan,
            Err(error) => {
                let ended = matches!(error, LoanError::System(_) | LoanError::Dead);
                assert!(ended, "{error:?}");
                return Err(refused("a loan", error));
            }
        };
        loan.as_mut_slice().fill(6);
        let message = Message::new("regions").with_region(sealed).with_region(loan);
        send("regions", to_owner, message)?;
        let came = receive("regions", inbox, to_owner)?;
        let mapped = came.regions().iter().all(|region| !region.is_lost());
        let sealed = came.regions().first().and_then(Region::as_slice);
        if !mapped || sealed.is_none() {
            return Err(refused("regions", "one had no room here"));
        }
        assert_eq!(sealed, Some(&[5; BIG][..]));
        assert_eq!(came.regions()[1].to_vec(), [6; BIG]);
        assert_eq!(came.body(), b"regions");
        drop(came);

        let ports: Vec<_> = (0..MANY).map(|_| self.caller.port(Capacity::Bounded(4))).collect();
        let mut message = Message::new("many");
        for port in &ports {
            message = message.with_right(port.make_send().unwrap());
        }
        send("many rights", to_owner, message)?;
        let rights = receive("many rights", inbox, to_owner)?.take_rights();
        assert_eq!(rights.len(), MANY);
        for (right, port) in rights.into_iter().zip(&ports).skip(MANY - 2) {
            let back = right.into_send().unwrap();
            send("one of many", &back, Message::new("back"))?;
            assert_eq!(receive("one of many", port, &back)?.body(), b"back");
        }
        Ok(())
    }

    fn call(&self, inbox: &ReceiveRight, to_owner: &SendRight) -> Result<(), Refused> {
        std::thread::scope(|scope| {
            let call = scope.spawn(|| to_owner.call(Message::new("ask"), long()));
            while !call.is_finished() {
                if let Ok(mut request) = inbox.receive(Deadline::after(Duration::from_millis(5))) {
                    let _ = request.reply(Message::new("answer"), long());
                }
            }
            match call.join().unwrap() {
                Ok(answer) => {
                    assert_eq!(answer.body(), b"answer");
                    Ok(())
                }
                Err(CallError::Unsent(error)) => Err(send_failure("call", error.reason)),
                Err(error) => {
                    assert!(!matches!(error, CallError::Deadline), "{error:?}");
                    Err(refused("call", error))
                }
            }
        })
    }

    /// The owner gives the third a right of the caller's, who has no link with it.
    fn introduce(
        &self,
        inbox: &ReceiveRight,
        to_owner: &SendRight,
        to_owner_too: &SendRight,
    ) -> Result<(), Refused> {
        let (home, there) =
            (self.caller.port(Capacity::Bounded(4)), self.third.port(Capacity::Bounded(4)));
        send("a right", to_owner, Message::new("").with_right(home.make_send().unwrap()))?;
        let to_home = take_right(receive("a right", inbox, to_owner)?);
        send("another", to_owner_too, Message::new("").with_right(there.make_send().unwrap()))?;
        let to_there = take_right(receive("another", inbox, to_owner_too)?);
        send("a right of another", &to_there, Message::new("").with_right(to_home.clone()))?;
        let given = take_right(receive("a right of another", &there, &to_there)?);
        send("on it", &given, Message::new("hello"))?;
        assert_eq!(receive("on it", &home, &given)?.body(), b"hello");
        Ok(())
    }

    /// A child that takes nothing: what it was to have ends with it.
    fn spawn(&self) -> Result<(), Refused> {
        let port = self.owner.port(Capacity::Bounded(1));
        let told = self.owner.port(Capacity::Bounded(1));
        let spawn = Spawn::new(Command::new("/bin/true")).right("port", port.make_send().unwrap());
        port.notify_no_senders(told.make_send_once().unwrap()).unwrap();
        let spawned = spawn.spawn_in(&self.owner).map(|mut child| child.wait().unwrap());
        let (ended, came_back) = match spawned {
            Ok(status) => (status.success().then_some(()).ok_or("it failed"), 0),
            Err(error) => (Err("not started"), error.rights.len()),
        };
        assert_eq!(came_back, usize::from(ended == Err("not started")), "the rights come back");
        let _ = told.receive(long()).expect("the rights of the child end");
        ended.map_err(|why| refused("spawn", why))
    }
}

impl World {
    /// The caller lets go of a port that the owner is to have then.
    fn bequeath(&self, inbox: &ReceiveRight, to_owner: &SendRight) -> Result<(), Refused> {
        let (home, work) =
            (self.caller.port(Capacity::Bounded(4)), self.caller.port(Capacity::Bounded(4)));
        send("a way back", to_owner, Message::new("").with_right(home.make_send().unwrap()))?;
        let to_home = take_right(receive("a way back", inbox, to_owner)?);
        let keeper = self.owner.port(Capacity::Bounded(1));
        let promise = Message::new("").with_right(keeper.make_send_once().unwrap());
        send("a promise", &to_home, promise)?;
        let mut came = receive("a promise", &home, &to_home)?;
        let to = came.take_rights().remove(0).into_send_once().unwrap();
        let post = work.make_send().unwrap();
        post.send(Message::new("undone"), long()).map_err(|error| error.to_string())?;
        drop(post);
        work.notify_destroyed(to).unwrap();
        drop(work);
        let mut news = keeper.receive(long()).expect("one word, whatever it is");
        if news.notification() != Some(Notification::PortDestroyed) {
            assert!(to_owner.is_dead(), "the way was there: {news:?}");
            return Err(refused("a port that was let go", "the link has ended"));
        }
        let work = news.take_rights().remove(0).into_receive().unwrap();
        match work.receive(Deadline::Now) {
            Ok(message) => {
                assert_eq!(message.body(), b"undone");
                Ok(())
            }
            Err(_) => Err(refused("a port that was let go", "it had no room here")),
        }
    }

    /// The caller asks another task for all that it makes.
    fn ask(&self) -> Result<(), Refused> {
        let asked = Task::new();
        let result = self.ask_of(&asked);
        asked.close();
        let linked =
            || self.caller.peers().iter().any(|peer| peer.identity().task == asked.identity().task);
        settled(linked, |linked| !linked);
        result
    }

    fn ask_of(&self, asked: &Task) -> Result<(), Refused> {
        let door = door();
        let kernel = asked.kernel().map_err(|error| error.to_string())?;
        let listening = asked
            .listen(&door, vec![("kernel".to_owned(), kernel)])
            .map_err(|error| link_error("listen", &error))?;
        let offered = self.caller.connect(&door, long());
        let mut offered = offered.map_err(|error| link_error("connect", &error))?;
        drop(listening);
        let kernel = offered.remove("kernel").unwrap().into_send();
        let kernel = Kernel::new(kernel.map_err(|_| "no send right".to_owned())?);
        let unmade = |error: KernelError| {
            let known = matches!(
                error,
                KernelError::Died
                    | KernelError::Refused(KernelRefused::System { .. })
                    | KernelError::Refused(KernelRefused::DescriptorLost)
                    | KernelError::Unsent(_)
            );
            assert!(known, "{error:?}");
            refused("a request", error)
        };
        let region = File::from(kernel.make_region(5_000, long()).map_err(unmade)?);
        assert_eq!(region.metadata().unwrap().len(), 5_000);
        let port = kernel.make_port(Capacity::Bounded(1), long()).map_err(unmade)?;
        let post = port.make_send().unwrap();
        if post.send(Message::new(""), Deadline::Now).is_err() {
            return Err(refused("a port that was made", "it had no room here"));
        }
        let given = self.caller.port(Capacity::Bounded(1));
        let told = self.caller.port(Capacity::Bounded(1));
        let program = Program::new("/bin/true").right("port", given.make_send().unwrap());
        given.notify_no_senders(told.make_send_once().unwrap()).unwrap();
        let started = kernel.start(program, long());
        let ended = match started {
            Ok(started) => started.wait(long()).map_err(unmade),
            Err(error) => {
                let reason = error.reason;
                drop(error);
                Err(unmade(reason))
            }
        };
        let _ = told.receive(long()).expect("the rights of the program end");
        assert_eq!(ended?.code, Some(0));
        Ok(())
    }
}

fn take_right(mut message: Message) -> SendRight {
    message.take_rights().remove(0).into_send().unwrap()
}

/// A place for a door that nobody used before.
fn door() -> PathBuf {
    static DOORS: AtomicU64 = AtomicU64::new(0);
    let number = DOORS.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("pillarbox-refused-{}-{number}", std::process::id()))
}
