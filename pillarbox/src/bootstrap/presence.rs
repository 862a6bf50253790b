//! Names that stay at a place, whichever server runs there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use abi::hello::Refusal;

use super::{Bootstrap, BootstrapError};
use crate::deadline::Deadline;
use crate::error::{LinkError, ReceiveError, SendFailure};
use crate::port::{Capacity, PortCore, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;

/// How long one server may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// The first pause between two looks whether a server is there; it doubles.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest: a server that has come back is found after as long at most.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// What is under a name of ours.
#[derive(Debug)]
enum Kept {
    /// A port of this task, which may end: its right is made anew each time, so that
    /// nothing here keeps the news of no senders from it.
    Port(Arc<PortCore>),
    Right(SendRight),
}

/// Names of this task at the bootstrap server of a path: when that server dies and
/// another runs there, [`Presence::renew`] puts them there again.
///
/// Rights do not need this. Who holds one goes on using it, whatever becomes of the
/// server; only who looks the name up anew finds nothing until it is there again.
///
/// # Examples
/// ```no_run
/// use pillarbox::bootstrap::{Presence, bootstrap, socket_path};
/// use pillarbox::{Capacity, Deadline, Task};
/// let port = Task::current()?.port(Capacity::Bounded(8));
/// let server = bootstrap(Deadline::Never)?;
/// let mut names = Presence::new(server, socket_path())?;
/// names.check_in("com.example.echo", &port, Deadline::Never)?;
/// std::thread::spawn(move || while names.renew(Deadline::Never).is_ok() {});
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    server: Bootstrap,
    /// The server is dead, and no other was found yet.
    lost: bool,
    names: Vec<(String, Kept)>,
    /// Where the news of the server's death comes.
    news: ReceiveRight,
}

impl Presence {
    /// Names at `server`, and when that is dead at whichever listens at `path`.
    ///
    /// # Errors
    /// [`BootstrapError::Task`] where there is no task, [`BootstrapError::Unsent`] where
    /// the right is not this process's.
    pub fn new(server: Bootstrap, path: impl Into<PathBuf>) -> Result<Self, BootstrapError> {
        let news = Task::current()?.port(Capacity::Bounded(1));
        let presence = Presence { path: path.into(), server, lost: false, names: Vec::new(), news };
        presence.watch()?;
        Ok(presence)
    }

    /// The server that has the names now, or had them last.
    pub fn server(&self) -> &Bootstrap {
        &self.server
    }

    /// Where the next one is looked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks in, as [`Bootstrap::check_in`] does, here and at every server after this
    /// one. The name is forgotten when the port is gone.
    ///
    /// # Rights
    /// Makes a send right to `port` and gives it to the server.
    ///
    /// # Errors
    /// As [`Bootstrap::check_in`]; then the name is not kept.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn check_in(
        &mut self,
        name: &str,
        port: &ReceiveRight,
        deadline: Deadline,
    ) -> Result<(), BootstrapError> {
        self.server.check_in(name, port, deadline)?;
        self.keep(name, Kept::Port(Arc::clone(port.core())));
        Ok(())
    }

    /// Registers any send right, as [`Bootstrap::register`] does, here and at every
    /// server after this one. The name is forgotten when the port behind it is gone.
    ///
    /// # Rights
    /// Gives a clone of `right` to the server, and keeps it.
    ///
    /// # Errors
    /// As [`Bootstrap::register`]; then the name is not kept.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn register(
        &mut self,
        name: &str,
        right: SendRight,
        deadline: Deadline,
    ) -> Result<(), BootstrapError> {
        self.server.register(name, right.clone(), deadline)?;
        self.keep(name, Kept::Right(right));
        Ok(())
    }

    /// Frees a name, as [`Bootstrap::unregister`] does. It is not put at the next server,
    /// also where this one could not be told.
    ///
    /// # Errors
    /// As [`Bootstrap::unregister`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn unregister(&mut self, name: &str, deadline: Deadline) -> Result<(), BootstrapError> {
        self.names.retain(|(kept, _)| kept != name);
        self.server.unregister(name, deadline)
    }

    /// Waits until the server is dead, another runs at the path, and the names are there
    /// again.
    ///
    /// It may be called again after each error, and goes on where it was. While no server
    /// is there it looks again and again, once in a second at last.
    ///
    /// # Errors
    /// * [`BootstrapError::Deadline`]: the server lives, and has the names.
    /// * [`BootstrapError::NoServer`]: it is dead, and no other came before the deadline.
    /// * [`BootstrapError::Refused`]: the next one refused a name, the first of them if
    ///   there are more; the others are there. It is asked again by the server after it.
    /// * [`BootstrapError::Link`], [`BootstrapError::BadAnswer`]: what listens there is no
    ///   server we can use.
    ///
    /// # Blocking
    /// Until `deadline`.
    pub fn renew(&mut self, deadline: Deadline) -> Result<(), BootstrapError> {
        self.wait_lost(deadline)?;
        let mut pause = PAUSE;
        loop {
            match self.come_back(deadline) {
                Err(error) if !is_for_now(&error) => return Err(error),
                Err(_) if deadline.has_passed() => {
                    return Err(BootstrapError::NoServer(self.path.clone()));
                }
                Err(_) => {}
                Ok(refused) => return refused,
            }
            let left = deadline.left().unwrap_or(PAUSE_MOST);
            // sleep: nobody is told when somebody begins to listen at a path
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    /// Waits until the server is dead; not at all where none was found since it was.
    ///
    /// # Errors
    /// [`BootstrapError::Deadline`]: it lives.
    ///
    /// # Blocking
    /// Until `deadline`.
    pub fn wait_lost(&mut self, deadline: Deadline) -> Result<(), BootstrapError> {
        if self.lost {
            return Ok(());
        }
        match self.news.receive(deadline) {
            Ok(_) => self.lost = true,
            Err(ReceiveError::Deadline) => return Err(BootstrapError::Deadline),
            Err(_) => return Err(BootstrapError::Unsent(SendFailure::Forked)),
        }
        Ok(())
    }

    /// Finds the next server, and puts the names there. Returns what it refused.
    fn come_back(
        &mut self,
        deadline: Deadline,
    ) -> Result<Result<(), BootstrapError>, BootstrapError> {
        let greeting = deadline.left().unwrap_or(GREETING).min(GREETING);
        self.server = Bootstrap::at(&self.path, Deadline::after(greeting))?;
        self.names.retain(|(_, kept)| kept.right().is_some());
        let mut refused = Ok(());
        for (name, kept) in &self.names {
            let Some(right) = kept.right() else { continue };
            let put = match kept {
                Kept::Port(_) => self.server.check_in_right(name, right, deadline),
                Kept::Right(_) => self.server.register(name, right, deadline),
            };
            match put {
                Ok(()) => {}
                Err(error @ BootstrapError::Refused { .. }) => refused = refused.and(Err(error)),
                Err(error) => return Err(error),
            }
        }
        // Nobody is lost who has not been found.
        self.watch()?;
        self.lost = false;
        Ok(refused)
    }

    /// Has the news of the server's death come.
    fn watch(&self) -> Result<(), BootstrapError> {
        let news = self.news.make_send_once().map_err(BootstrapError::Unsent)?;
        self.server.right().notify_dead(news).map_err(BootstrapError::Unsent)
    }

    fn keep(&mut self, name: &str, kept: Kept) {
        self.names.retain(|(other, _)| other != name);
        self.names.push((name.to_owned(), kept));
    }
}

/// Whether the next look may find a server: this one was dying, or is about to be there.
fn is_for_now(error: &BootstrapError) -> bool {
    matches!(
        error,
        BootstrapError::NoServer(_)
            | BootstrapError::Died
            | BootstrapError::Deadline
            | BootstrapError::Link(
                LinkError::Died | LinkError::Deadline | LinkError::Refused(Refusal::Busy)
            )
    )
}

impl Kept {
    /// A send right to what is under the name; none where that is gone.
    fn right(&self) -> Option<SendRight> {
        let right = match self {
            Kept::Port(port) => {
                port.task.check().ok()?;
                port.count_made();
                SendRight::own(port)
            }
            Kept::Right(right) => right.clone(),
        };
        (!right.is_dead()).then_some(right)
    }
}
