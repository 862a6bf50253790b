//! How `serve` and `recv` stay at the bootstrap server, whichever it is.
//!
//! When the server dies, whoever holds a right still sends; and a thread looks for the
//! next server at the same place, and checks the name in there again. Only where none
//! comes for a while, and nobody holds a right, is there nothing left to wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pillarbox::bootstrap::{Bootstrap, BootstrapError, Presence};
use pillarbox::{Deadline, ReceiveRight, SendFailure};

use crate::failure::Failure;
use crate::output;

/// How long a server may take to be started again.
const COMING_BACK: Duration = Duration::from_secs(5);

/// How long one that runs may take to say whether it has our name.
const ANSWERING: Duration = Duration::from_secs(5);

/// A mailbox with a name.
#[derive(Debug)]
pub(crate) struct Standing {
    name: String,
    port: Arc<ReceiveRight>,
    server: Mutex<Bootstrap>,
    /// The server is gone, and none has come for a while.
    gone: AtomicBool,
}

impl Standing {
    /// Keeps `name` where it is checked in. The port is told when nobody can send to it.
    pub(crate) fn keep(
        name: &str,
        port: &Arc<ReceiveRight>,
        mut presence: Presence,
    ) -> Result<Arc<Self>, Failure> {
        let standing = Arc::new(Standing {
            name: name.to_owned(),
            port: Arc::clone(port),
            server: Mutex::new(presence.server().clone()),
            gone: AtomicBool::new(false),
        });
        standing
            .watch()
            .map_err(|error| Failure::system("the mailbox cannot be watched", error))?;
        let own = Arc::clone(&standing);
        std::thread::Builder::new()
            .name("standing".to_owned())
            .spawn(move || while own.stay(&mut presence) {})
            .map_err(|error| Failure::system("the server cannot be watched", error))?;
        Ok(standing)
    }

    /// Whether the news that nobody can send is the end.
    pub(crate) fn is_over(&self) -> bool {
        if self.gone.load(Ordering::Relaxed) {
            return true;
        }
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A server that lives and has the name is a sender; one that lives and has it not
        // has let us go. Of one that is dead the thread hears, and has it told again.
        matches!(
            server.look_up_running(&self.name, Deadline::after(ANSWERING)),
            Err(BootstrapError::Refused { .. })
        )
    }

    /// Stays through one death of a server. False in a forked child.
    fn stay(&self, presence: &mut Presence) -> bool {
        if presence.wait_lost(Deadline::Never).is_err() {
            return false;
        }
        let mut back = presence.renew(Deadline::after(COMING_BACK));
        if let Err(BootstrapError::NoServer(_)) = back {
            self.gone.store(true, Ordering::Relaxed);
            let _ = self.watch();
            back = presence.renew(Deadline::Never);
        }
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = presence.server().clone();
        self.gone.store(back.is_err(), Ordering::Relaxed);
        match back {
            Ok(()) => output::say(&format!("{} is at the next bootstrap server", self.name)),
            Err(error) => {
                output::say(&format!("{} is not at the next bootstrap server: {error}", self.name));
                // sleep: what listens there is no server, and may be replaced by one
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        let _ = self.watch();
        true
    }

    /// Has the port be told when nobody can send to it.
    fn watch(&self) -> Result<(), SendFailure> {
        self.port.notify_no_senders(self.port.make_send_once()?)
    }
}
