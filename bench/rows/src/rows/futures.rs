//! Calls as futures, and many calls at a time, beside the call that blocks.
//!
//! The futures are polled by as little as can poll them: one thread that sleeps in
//! `poll` on the task's one descriptor. A runtime adds its own to that;
//! `bench/peers` has tokio.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context as Polled, Poll, Waker};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pillarbox::future::Events;
use pillarbox::{Deadline, Message, PendingCall};
use rustix::event::{PollFd, PollFlags, poll};

use super::server::{BODY, ECHO, Pair, SMALL, patience};
use crate::child::Child;
use crate::clock::{back_to_back, with_silences};
use crate::figure::Slice;
use crate::operation::Calls;
use crate::row::{Row, State};
use crate::runner::{Contender, Effort, Entrant, Side};

/// Calls one after another, each a future.
struct Futures {
    pair: Pair,
    events: Events,
    asleep: bool,
}

impl Futures {
    fn call(&self) -> Result<()> {
        let call = self.pair.post.call_async(Message::new(BODY).with_id(ECHO));
        let mut call = pin!(call);
        let mut polled = Polled::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut polled) {
                ensure!(answer?.body().len() == SMALL, "another answer came back");
                return Ok(());
            }
            let fd = self.events.as_fd();
            poll(&mut [PollFd::new(&fd, PollFlags::IN)], None)?;
            self.events.turn();
        }
    }
}

impl Contender for Futures {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        if self.asleep {
            with_silences(span, || self.call())
        } else {
            back_to_back(span, || self.call())
        }
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.pair.server]
    }
}

pub(super) fn call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let asleep = row.state == State::Asleep;
    let pair = Pair::new(row.place)?;
    let events = pair.task.events()?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Futures { pair, events, asleep }),
        Entrant::new("blocking call", Side::Limit, Calls::new(row)?),
    ])
}

/// Calls that are outstanding at a time.
const OUTSTANDING: usize = 32;

/// Many calls on one right: whenever the oldest is answered another is made.
struct Pipelined(Pair);

impl Contender for Pipelined {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let begin = || -> Result<PendingCall> {
            Ok(self.0.post.start_call(Message::new(BODY).with_id(ECHO), Deadline::Never)?)
        };
        let end = |calls: &mut VecDeque<PendingCall>| -> Result<()> {
            let mut oldest = calls.pop_front().context("calls are outstanding")?;
            let answer = oldest.wait(patience())?;
            ensure!(answer.body().len() == SMALL, "another answer came back");
            Ok(())
        };
        let start = Instant::now();
        let mut calls: VecDeque<_> = (0..OUTSTANDING).map(|_| begin()).collect::<Result<_>>()?;
        let mut operations = OUTSTANDING as u64;
        while start.elapsed() < span {
            for _ in 0..OUTSTANDING {
                end(&mut calls)?;
                calls.push_back(begin()?);
            }
            operations += OUTSTANDING as u64;
        }
        while !calls.is_empty() {
            end(&mut calls)?;
        }
        Ok(Slice { operations, elapsed: start.elapsed(), ..Slice::default() })
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

pub(super) fn pipelined(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let asleep = Calls::of(row, State::Asleep)?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Pipelined(Pair::new(row.place)?)),
        Entrant::new("call asleep", Side::Limit, asleep),
    ])
}
