//! The thread that sleeps until a child has ended.
//!
//! It waits for processes, not for what they say: a child that never links
//! with us, or that leaves the link to a grandchild, ends all the same. It only
//! tells; reaping is done by the server, which owns the child.

use std::collections::HashMap;
use std::io::PipeWriter;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use pillarbox::SendOnceRight;
use rustix::event::epoll;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What the stop pipe is known as; children count from 1.
const STOP: u64 = 0;

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

#[derive(Debug)]
struct Running {
    epoll: Arc<OwnedFd>,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// Tells which children have ended. Its thread starts with the first child.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    shared: Arc<Mutex<Shared>>,
    running: Option<Running>,
}

impl Reaper {
    /// Drops `bell` once `child`, which is not reaped yet, has ended.
    pub(crate) fn watch(
        &mut self,
        number: u64,
        child: &Child,
        bell: SendOnceRight,
    ) -> std::io::Result<()> {
        let epoll = Arc::clone(self.start()?);
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        // In the table first: the news may come at once. It comes only once.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        let mut shared = lock(&self.shared);
        epoll::add(&*epoll, &process, epoll::EventData::new_u64(number), flags)?;
        shared.watched.insert(number, Watched { _process: process, _bell: bell });
        Ok(())
    }

    /// Those that have ended since this was asked.
    pub(crate) fn ended(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.shared).ended)
    }

    fn start(&mut self) -> std::io::Result<&Arc<OwnedFd>> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.start_thread()?,
        };
        Ok(&self.running.insert(running).epoll)
    }

    fn start_thread(&self) -> std::io::Result<Running> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let (hears, stop) = std::io::pipe()?;
        let flags = epoll::EventFlags::IN;
        epoll::add(&*epoll, &hears, epoll::EventData::new_u64(STOP), flags)?;
        let (shared, own_epoll) = (Arc::clone(&self.shared), Arc::clone(&epoll));
        let thread =
            std::thread::Builder::new().name("pillarbox-reap".to_owned()).spawn(move || {
                run(&own_epoll, &shared);
                drop(hears);
            })?;
        Ok(Running { epoll, stop: Some(stop), thread: Some(thread) })
    }
}

fn run(epoll: &OwnedFd, shared: &Mutex<Shared>) {
    let mut space = [MaybeUninit::uninit(); 16];
    loop {
        let events = match epoll::wait(epoll, &mut space, None) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        };
        let numbers: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        if numbers.contains(&STOP) {
            return;
        }
        for number in numbers {
            let told = {
                let mut shared = lock(shared);
                shared.ended.push(number);
                shared.watched.remove(&number)
            };
            // Not under the lock: the server may look at once.
            drop(told);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Reaper {
    fn drop(&mut self) {
        let Some(running) = &mut self.running else { return };
        // The thread hears the hang-up.
        drop(running.stop.take());
        if let Some(thread) = running.thread.take() {
            let _ = thread.join();
        }
    }
}
