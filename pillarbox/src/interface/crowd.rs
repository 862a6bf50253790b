//! Futures that are polled when they are woken, and only then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::wait::parking::{Mutex, lock};

/// Any number of futures. A wake costs what was woken, not what is there.
#[derive(Debug)]
pub(super) struct Crowd<F> {
    members: Vec<Option<Member<F>>>,
    /// Places without a member.
    free: Vec<usize>,
    calls: Arc<Calls>,
}

#[derive(Debug)]
struct Member<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
}

/// Who was woken, and whom that wakes.
#[derive(Debug, Default)]
struct Calls {
    state: Mutex<(Vec<usize>, Option<Waker>)>,
}

/// What wakes one member.
#[derive(Debug)]
struct Bell {
    calls: Arc<Calls>,
    place: usize,
    /// It was woken and not polled since.
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // pairs: crowd.rung. Who finds it rung already leaves what it did to the
        // poll that will clear it.
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let waker = {
            let mut state = lock(&self.calls.state);
            state.0.push(self.place);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<F: Future> Crowd<F> {
    pub(super) fn new() -> Self {
        Crowd { members: Vec::new(), free: Vec::new(), calls: Arc::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len() - self.free.len()
    }

    /// Takes a future in. It is polled the next time.
    pub(super) fn push(&mut self, future: F) {
        let place = self.free.pop().unwrap_or(self.members.len());
        let bell = Bell { calls: Arc::clone(&self.calls), place, rung: AtomicBool::new(true) };
        let member = Some(Member { future: Box::pin(future), bell: Arc::new(bell) });
        match self.members.get_mut(place) {
            Some(free) => *free = member,
            None => self.members.push(member),
        }
        lock(&self.calls.state).0.push(place);
    }

    /// What the next future that is ready returns. `None` where none is: then
    /// the first that is woken wakes `cx`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<F::Output> {
        loop {
            let (place, before) = {
                let mut state = lock(&self.calls.state);
                let before = state.1.replace(cx.waker().clone());
                (state.0.pop(), before)
            };
            drop(before);
            let place = place?;
            // One that has gone may have been woken late.
            let Some(Some(member)) = self.members.get_mut(place) else { continue };
            // pairs: crowd.rung. What was done before the wake is seen by the poll.
            member.bell.rung.swap(false, Ordering::AcqRel);
            let waker = Waker::from(Arc::clone(&member.bell));
            if let Poll::Ready(output) =
                member.future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                if let Some(place_of_it) = self.members.get_mut(place) {
                    *place_of_it = None;
                }
                self.free.push(place);
                return Some(output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// A future that is ready once `open` says so, counts its polls, and leaves
    /// its waker.
    fn gate(
        open: &Arc<AtomicBool>,
        polls: &Arc<AtomicU32>,
        left: &Arc<Mutex<Vec<Waker>>>,
    ) -> impl Future<Output = ()> + use<> {
        let (open, polls, left) = (Arc::clone(open), Arc::clone(polls), Arc::clone(left));
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            lock(&left).push(cx.waker().clone());
            if open.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    #[test]
    fn only_what_was_woken_is_polled() {
        let mut crowd = Crowd::new();
        let polls = Arc::new(AtomicU32::new(0));
        let gates: Vec<_> = (0..100)
            .map(|_| (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new()))))
            .collect();
        for (open, left) in &gates {
            crowd.push(gate(open, &polls, left));
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(crowd.poll(&mut cx), None);
        assert_eq!((polls.load(Ordering::Relaxed), crowd.len()), (100, 100));
        assert_eq!(crowd.poll(&mut cx), None);
        assert_eq!(polls.load(Ordering::Relaxed), 100);

        let (open, left) = &gates[42];
        open.store(true, Ordering::Relaxed);
        let waker = lock(left)[0].clone();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(crowd.poll(&mut cx), Some(()));
        assert_eq!((polls.load(Ordering::Relaxed), crowd.len()), (101, 99));

        // Its place is taken by another, which a late wake does no harm.
        crowd.push(gate(&gates[0].0, &polls, left));
        assert_eq!(crowd.poll(&mut cx), None);
        waker.wake();
        assert_eq!(crowd.poll(&mut cx), None);
        assert_eq!(crowd.len(), 100);
    }
}
