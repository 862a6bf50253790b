//! A thread that sleeps until one of some descriptors is ready.

use std::io::{self, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::epoll;

/// What the stop pipe is known as; descriptors count from 1.
const STOP: u64 = 0;

/// Such a thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    epoll: Arc<OwnedFd>,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts a thread of this name, which calls `ready` with the number of each
    /// descriptor that is.
    pub(crate) fn start(
        name: &str,
        mut ready: impl FnMut(u64) + Send + 'static,
    ) -> io::Result<Listener> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let (hears, stop) = io::pipe()?;
        epoll::add(&*epoll, &hears, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        let own = Arc::clone(&epoll);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            run(&own, &mut ready);
            drop(hears);
        })?;
        Ok(Listener { epoll, stop: Some(stop), thread: Some(thread) })
    }

    /// Listens to one descriptor more, until it is closed.
    pub(crate) fn add(
        &self,
        descriptor: impl AsFd,
        number: u64,
        flags: epoll::EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::add(&*self.epoll, descriptor, epoll::EventData::new_u64(number), flags)?)
    }
}

fn run(epoll: &OwnedFd, ready: &mut impl FnMut(u64)) {
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
            ready(number);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The thread hears the hang-up.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
