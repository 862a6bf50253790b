//! Channels between threads of one process: what a contender of the in-process rows
//! must offer, and what each row does with it.
//!
//! A message is 64 bytes, a channel has room for 1024 of them. One row's receiver is
//! on the first core, who sends to it on the second.

use std::marker::PhantomData;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::clock::back_to_back;
use crate::figure::Slice;
use crate::place::Cores;
use crate::runner::Contender;

/// Bytes of a message.
pub const BYTES: usize = 64;

/// Messages a channel has room for.
pub const PLACES: usize = 1024;

/// The first byte of the message that ends a slice.
const LAST: u8 = 0xff;

/// A channel for messages of 64 bytes.
pub trait Channel: 'static {
    /// The end that sends.
    type Sender: Clone + Send;
    /// The end that receives.
    type Receiver: Send;

    /// A new one with room for [`PLACES`] messages.
    ///
    /// # Errors
    /// It cannot be had.
    fn open() -> Result<(Self::Sender, Self::Receiver)>;

    /// Sends, and waits for room.
    ///
    /// # Errors
    /// Nobody receives any more.
    fn send(sender: &Self::Sender, body: [u8; BYTES]) -> Result<()>;

    /// Receives, and waits for a message.
    ///
    /// # Errors
    /// Nobody sends any more.
    fn receive(receiver: &mut Self::Receiver) -> Result<[u8; BYTES]>;
}

/// Some threads send, one receives.
#[derive(Debug)]
pub struct Flow<C> {
    senders: usize,
    quota: u64,
    channel: PhantomData<C>,
}

impl<C> Flow<C> {
    /// With so many that send.
    pub fn of(senders: usize) -> Self {
        Flow { senders, quota: 2000, channel: PhantomData }
    }
}

impl<C: Channel> Contender for Flow<C> {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let cores = Cores::here()?;
        let (sender, mut receiver) = C::open()?;
        let operations = self.quota * self.senders as u64;
        let elapsed = thread::scope(|scope| -> Result<Duration> {
            let threads: Vec<_> = (0..self.senders)
                .map(|_| {
                    let sender = sender.clone();
                    let quota = self.quota;
                    scope.spawn(move || -> Result<()> {
                        cores.pin_thread(1)?;
                        (0..quota).try_for_each(|_| C::send(&sender, [7; BYTES]))
                    })
                })
                .collect();
            let start = Instant::now();
            for _ in 0..operations {
                let body = C::receive(&mut receiver)?;
                ensure!(body[0] == 7, "another message came");
            }
            let elapsed = start.elapsed();
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a sender panicked"))??;
            }
            Ok(elapsed)
        })?;
        let by = span.as_secs_f64() / elapsed.as_secs_f64().max(1e-6);
        self.quota = ((self.quota as f64 * by.clamp(0.25, 4.0)) as u64).clamp(500, 10_000_000);
        Ok(Slice { operations, elapsed, ..Slice::default() })
    }
}

/// Two threads return one message to each other.
#[derive(Debug)]
pub struct PingPong<C>(PhantomData<C>);

impl<C> Default for PingPong<C> {
    fn default() -> Self {
        PingPong(PhantomData)
    }
}

impl<C: Channel> Contender for PingPong<C> {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let cores = Cores::here()?;
        let (there, mut at_other) = C::open()?;
        let (back, mut at_us) = C::open()?;
        thread::scope(|scope| {
            let other = scope.spawn(move || -> Result<()> {
                cores.pin_thread(1)?;
                loop {
                    let body = C::receive(&mut at_other)?;
                    C::send(&back, body)?;
                    if body[0] == LAST {
                        return Ok(());
                    }
                }
            });
            let mut trip = |first| {
                C::send(&there, [first; BYTES])?;
                C::receive(&mut at_us).map(drop)
            };
            trip(0)?;
            let slice = back_to_back(span, || trip(0))?;
            trip(LAST)?;
            other.join().map_err(|_| anyhow!("the other thread panicked"))??;
            Ok(slice)
        })
    }
}
