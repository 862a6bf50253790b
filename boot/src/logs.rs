//! What services say on standard output and standard error, as far as it is kept.
//!
//! Both are one pipe, which a thread empties into a ring of so many bytes for each
//! service: the oldest give way. Nobody is ever stopped by a full pipe for long, and
//! a service that talks without end costs its own ring and nobody's disk.

use std::collections::{HashMap, VecDeque};
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::epoll::EventFlags;
use rustix::fs::OFlags;

use crate::listener::Listener;

/// What a service has said, as far as it is kept.
#[derive(Debug)]
struct Ring {
    bytes: VecDeque<u8>,
    most: usize,
    /// How much gave way.
    lost: u64,
    /// The pipe of the child that runs.
    pipe: u64,
}

impl Ring {
    fn add(&mut self, bytes: &[u8]) {
        // What would give way at once need not go in.
        let kept = bytes.get(bytes.len().saturating_sub(self.most)..).unwrap_or_default();
        let over = (self.bytes.len() + kept.len()).saturating_sub(self.most);
        self.lost += (over + bytes.len() - kept.len()) as u64;
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(kept);
    }
}

#[derive(Debug, Default)]
struct Shared {
    pipes: HashMap<u64, (usize, PipeReader)>,
    rings: HashMap<usize, Ring>,
    last: u64,
}

impl Shared {
    /// Reads once what a pipe holds. A pipe that has ended is closed.
    fn read(&mut self, number: u64, space: &mut [u8]) -> bool {
        let Some((service, pipe)) = self.pipes.get_mut(&number) else { return false };
        match pipe.read(space) {
            Ok(0) => {
                self.pipes.remove(&number);
                false
            }
            Ok(read) => {
                if let (Some(ring), Some(bytes)) = (self.rings.get_mut(service), space.get(..read))
                {
                    ring.add(bytes);
                }
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.pipes.remove(&number);
                false
            }
        }
    }
}

/// The logs of all services. Its thread starts with the first of them.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    shared: Arc<Mutex<Shared>>,
    listener: Option<Listener>,
}

impl Logs {
    /// A pipe for the next child of a service, of which `most` bytes are kept. The
    /// one of its last child is read to its end, or to where it is empty, and closed.
    pub(crate) fn open(&mut self, service: usize, most: usize) -> std::io::Result<PipeWriter> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            none => none.insert(listener(&self.shared)?),
        };
        let (reader, writer) = std::io::pipe()?;
        let flags = rustix::fs::fcntl_getfl(&reader)?;
        rustix::fs::fcntl_setfl(&reader, flags | OFlags::NONBLOCK)?;
        let mut shared = lock(&self.shared);
        shared.last += 1;
        let number = shared.last;
        listener.add(&reader, number, EventFlags::IN)?;
        let before = match shared.rings.get_mut(&service) {
            Some(ring) => {
                // Its file may say otherwise than at the last start.
                ring.most = most;
                ring.add(&[]);
                std::mem::replace(&mut ring.pipe, number)
            }
            None => {
                let ring = Ring { bytes: VecDeque::new(), most, lost: 0, pipe: number };
                shared.rings.insert(service, ring);
                number
            }
        };
        if before != number {
            // A pipe holds no more than this, and its writers are gone.
            let mut space = vec![0; 4096];
            let mut left = 64;
            while left > 0 && shared.read(before, &mut space) {
                left -= 1;
            }
            shared.pipes.remove(&before);
        }
        shared.pipes.insert(number, (service, reader));
        Ok(writer)
    }

    /// Reads nothing any more: what services say stays in their pipes.
    pub(crate) fn rest(&mut self) {
        self.listener = None;
    }

    /// Reads again after [`Logs::rest`].
    pub(crate) fn go_on(&mut self) -> std::io::Result<()> {
        if self.listener.is_none() && !lock(&self.shared).pipes.is_empty() {
            let listener = listener(&self.shared)?;
            for (number, (_, pipe)) in &lock(&self.shared).pipes {
                listener.add(pipe, *number, EventFlags::IN)?;
            }
            self.listener = Some(listener);
        }
        Ok(())
    }

    /// What is kept of a service, how much gave way, and the pipe of its child.
    ///
    /// # Errors
    /// Where there is no descriptor to be had: a child whose pipe nobody has is ended by
    /// the next it says.
    pub(crate) fn copy(&self, service: usize) -> std::io::Result<(Vec<u8>, u64, Option<OwnedFd>)> {
        let shared = lock(&self.shared);
        let Some(ring) = shared.rings.get(&service) else { return Ok((Vec::new(), 0, None)) };
        let pipe = shared.pipes.get(&ring.pipe).map(|(_, pipe)| pipe.try_clone()).transpose()?;
        Ok((ring.bytes.iter().copied().collect(), ring.lost, pipe.map(Into::into)))
    }

    /// Goes on with what the server before this one kept of a service.
    pub(crate) fn adopt(
        &mut self,
        service: usize,
        most: usize,
        (bytes, lost, pipe): (Vec<u8>, u64, Option<OwnedFd>),
    ) -> std::io::Result<()> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            none => none.insert(listener(&self.shared)?),
        };
        let mut shared = lock(&self.shared);
        shared.last += 1;
        let number = shared.last;
        let mut ring = Ring { bytes: VecDeque::new(), most, lost, pipe: number };
        ring.add(&bytes);
        shared.rings.insert(service, ring);
        if let Some(pipe) = pipe {
            listener.add(&pipe, number, EventFlags::IN)?;
            shared.pipes.insert(number, (service, pipe.into()));
        }
        Ok(())
    }

    /// Forgets what a service has said, which is there no more.
    pub(crate) fn forget(&mut self, service: usize) {
        let mut shared = lock(&self.shared);
        if let Some(ring) = shared.rings.remove(&service) {
            shared.pipes.remove(&ring.pipe);
        }
    }

    /// What a service has said last, and how many bytes came before that and gave way.
    pub(crate) fn of(&self, service: usize) -> (Vec<u8>, u64) {
        let mut shared = lock(&self.shared);
        // What lies in the pipe was said before we were asked.
        if let Some(pipe) = shared.rings.get(&service).map(|ring| ring.pipe) {
            let mut space = vec![0; 4096];
            let mut left = 64;
            while left > 0 && shared.read(pipe, &mut space) {
                left -= 1;
            }
        }
        match shared.rings.get(&service) {
            Some(ring) => (ring.bytes.iter().copied().collect(), ring.lost),
            None => (Vec::new(), 0),
        }
    }
}

fn listener(shared: &Arc<Mutex<Shared>>) -> std::io::Result<Listener> {
    let shared = Arc::clone(shared);
    let mut space = vec![0; 16 * 1024];
    Listener::start("pillarbox-logs", move |number| {
        let _ = lock(&shared).read(number, &mut space);
    })
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_oldest_give_way() {
        let mut ring = Ring { bytes: VecDeque::new(), most: 4, lost: 0, pipe: 0 };
        for (said, kept, lost) in [("ab", "ab", 0), ("cde", "bcde", 1), ("123456", "3456", 7)] {
            ring.add(said.as_bytes());
            let now: Vec<u8> = ring.bytes.iter().copied().collect();
            assert_eq!((now.as_slice(), ring.lost), (kept.as_bytes(), lost));
        }
        let mut none = Ring { bytes: VecDeque::new(), most: 0, lost: 0, pipe: 0 };
        none.add(b"abc");
        assert_eq!((none.bytes.len(), none.lost), (0, 3));
    }

    #[test]
    fn what_a_child_said_is_there_after_the_next_was_started() {
        let mut logs = Logs::default();
        let mut first = logs.open(7, 64).unwrap();
        first.write_all(b"one ").unwrap();
        let mut second = logs.open(7, 64).unwrap();
        second.write_all(b"two").unwrap();
        // Its pipe is closed: whoever is left of it is not listened to.
        assert!(first.write_all(b"x").is_err());
        assert_eq!(logs.of(7), (b"one two".to_vec(), 0));
        assert_eq!(logs.of(8), (Vec::new(), 0));
    }
}
