//! The thread that sleeps until a child has ended.
//!
//! It waits for processes, not for what they say: a child that never links
//! with us, or that leaves the link to a grandchild, ends all the same. It only
//! tells; reaping is done by the server, which owns the child.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox::SendOnceRight;
use rustix::event::epoll::EventFlags;

use crate::listener::Listener;

#[derive(Debug)]
struct Watched {
    /// Watched while it is open.
    _process: OwnedFd,
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
    /// from 1.
    pub(crate) fn watch(
        &mut self,
        number: u64,
        process: OwnedFd,
        bell: SendOnceRight,
    ) -> std::io::Result<()> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            none => none.insert(listener(&self.shared)?),
        };
        // In the table first: the news may come at once. It comes only once.
        let mut shared = lock(&self.shared);
        listener.add(&process, number, EventFlags::IN | EventFlags::ONESHOT)?;
        shared.watched.insert(number, Watched { _process: process, _bell: bell });
        Ok(())
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
            shared.ended.push(number);
            shared.watched.remove(&number)
        };
        // Not under the lock: the server may look at once.
        drop(told);
    })
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
