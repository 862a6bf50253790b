//! Waiting for memory to lend, without a thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Loan, LoanError};
use crate::future::Standing;
use crate::link::Link;
use crate::right::SendRight;

/// What [`SendRight::loan_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct LoanFuture<'a> {
    right: &'a SendRight,
    bytes: usize,
    standing: Standing,
    /// Where it stands among those that wait.
    at: Option<Arc<Link>>,
}

impl LoanFuture<'_> {
    fn stop(&mut self) {
        if let Some(link) = self.at.take() {
            link.remove_waiter(self.standing.waiter());
        }
    }
}

impl Future for LoanFuture<'_> {
    type Output = Result<Loan, LoanError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let bytes = self.bytes;
        let link = match self.right.lender(bytes) {
            Ok(Some(link)) => link,
            Ok(None) => return Poll::Ready(Ok(Loan::plain(bytes))),
            Err(error) => return Poll::Ready(Err(error)),
        };
        // Its port may have gone to another task meanwhile.
        if self.at.as_ref().is_some_and(|at| !Arc::ptr_eq(at, &link)) {
            self.stop();
        }
        let LoanFuture { right, standing, at, .. } = &mut *self;
        let polled = standing.poll(right.task(), cx, |waiter| {
            if at.is_none() {
                link.add_waiter(waiter);
                *at = Some(Arc::clone(&link));
            }
            link.look_for_chunk(bytes)
        });
        match polled {
            Poll::Ready(taken) => {
                self.stop();
                Poll::Ready(Loan::taken(bytes, taken))
            }
            Poll::Pending => {
                right.task().be_patient(&link);
                Poll::Pending
            }
        }
    }
}

impl Drop for LoanFuture<'_> {
    fn drop(&mut self) {
        if self.right.task().check().is_ok() {
            self.stop();
        }
    }
}

impl SendRight {
    /// Memory to be written in place, as [`SendRight::loan`], without a thread that
    /// waits for it.
    ///
    /// # Errors
    /// See [`LoanError`]; `Full` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped, it has taken nothing.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let loan = pin!(post.loan_async(4096)).poll(&mut cx);
    /// assert!(matches!(loan, Poll::Ready(Ok(loan)) if loan.len() == 4096));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_async(&self, bytes: usize) -> LoanFuture<'_> {
        LoanFuture { right: self, bytes, standing: Standing::default(), at: None }
    }
}
