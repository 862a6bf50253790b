//! The thread that sleeps until a child has ended.
//!
//! It waits for processes, not for what they say: a child that never links
//! with us, or that leaves the link to a grandchild, ends all the same. It only
//! tells; reaping is done by the server, which owns the child.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pillarbox::SendOnceRight;
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::listener::Listener;

/// How long the end of a process that somebody else reaps is waited for.
const REAPED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Watched {
    /// Watched while it is open.
    process: OwnedFd,
    /// Somebody else reaps it, and how it ended is known after that.
    elsewhere: bool,
    /// Its drop makes the server look.
    _bell: SendOnceRight,
}

#[derive(Debug, Default)]
struct Shared {
    watched: HashMap<u64, Watched>,
    ended: Vec<u64>,
}

/// Tells which children have ended. Its thread starts with the first child.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    shared: Arc<Mutex<Shared>>,
    listener: Option<Listener>,
}

impl Reaper {
    /// Drops `bell` once the process of this descriptor has ended. Children count
    /// from 1. One that is reaped `elsewhere` is waited for a little longer.
    pub(crate) fn watch(
        &mut self,
        number: u64,
        (process, elsewhere): (OwnedFd, bool),
        bell: SendOnceRight,
    ) -> std::io::Result<()> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            none => none.insert(listener(&self.shared)?),
        };
        // In the table first: the news may come at once. It comes only once.
        let mut shared = lock(&self.shared);
        listener.add(&process, number, EventFlags::IN | EventFlags::ONESHOT)?;
        shared.watched.insert(number, Watched { process, elsewhere, _bell: bell });
        Ok(())
    }

    /// Watches these no more.
    pub(crate) fn forget(&mut self, numbers: &[u64]) {
        let mut shared = lock(&self.shared);
        let gone: Vec<_> =
            numbers.iter().filter_map(|number| shared.watched.remove(number)).collect();
        drop(shared);
        // Not under the lock: their bells ring.
        drop(gone);
    }

    /// Those that have ended since this was asked.
    pub(crate) fn ended(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.shared).ended)
    }
}

fn listener(shared: &Arc<Mutex<Shared>>) -> std::io::Result<Listener> {
    let shared = Arc::clone(shared);
    Listener::start("pillarbox-reap", move |number| {
        let told = {
            let mut shared = lock(&shared);
            let told = shared.watched.remove(&number);
            match told {
                Some(told) if told.elsewhere => Err(told),
                told => {
                    shared.ended.push(number);
                    Ok(told)
                }
            }
        };
        match told {
            // Not under the lock: the server may look at once.
            Ok(told) => drop(told),
            Err(told) => tell_reaped(&shared, number, told),
        }
    })
}

/// Tells of a process that has ended, once somebody has reaped it: it hangs up then. Whoever
/// should do that may be slow, or never come, and nobody else's end waits for it.
fn tell_reaped(shared: &Arc<Mutex<Shared>>, number: u64, told: Watched) {
    let ended = Arc::clone(shared);
    let tell = move |wait: bool| {
        if wait {
            let patience = Timespec::try_from(REAPED_WITHIN).ok();
            let mut process = [PollFd::new(&told.process, PollFlags::empty())];
            let _ = rustix::event::poll(&mut process, patience.as_ref());
        }
        lock(&ended).ended.push(number);
        drop(told);
    };
    let tell = Arc::new(Mutex::new(Some(tell)));
    let waits = Arc::clone(&tell);
    let name = std::thread::Builder::new().name("pillarbox-reap".to_owned());
    let waiting = name.spawn(move || {
        let tell = waits.lock().unwrap_or_else(PoisonError::into_inner).take();
        tell.into_iter().for_each(|tell| tell(true));
    });
    if waiting.is_err() {
        // Without a thread it is told at once, and how it ended may not be known.
        let tell = tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        tell.into_iter().for_each(|tell| tell(false));
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
