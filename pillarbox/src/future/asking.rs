//! Asking how full a port is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use abi::frame::PortStatus;

use super::standing::Standing;
use crate::error::StatusError;
use crate::link::{AskedStatus, Entry, Join};
use crate::right::{SendRight, Settled};

/// What [`SendRight::status_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct StatusFuture<'a> {
    right: &'a SendRight,
    standing: Standing,
    joining: Option<Arc<Join>>,
    /// The question, and what it was asked of.
    asked: Option<(AskedStatus, Arc<Entry>)>,
}

impl Future for StatusFuture<'_> {
    type Output = Result<PortStatus, StatusError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let StatusFuture { right, standing, joining, asked } = &mut *self;
        let task = right.task();
        let right = right.resolve();
        if task.check().is_err() {
            return Poll::Ready(Err(StatusError::Forked));
        }
        let polled = standing.poll(task, cx, |waiter| {
            loop {
                if let Some((question, of)) = asked {
                    let answer = question.look(waiter)?;
                    // An owner that says so of a port that it shows alive is not asked again.
                    if answer != Err(StatusError::Dead) || !right.leads_elsewhere(Some(of)) {
                        return Some(answer);
                    }
                    // The port went to another task meanwhile: that one knows.
                    *asked = None;
                }
                match right.settled() {
                    Settled::Own(port) if port.is_alive() => return Some(Ok(port.status())),
                    Settled::Facet(facet) if facet.port.is_alive() && !facet.has_ended() => {
                        return Some(Ok(facet.port.status()));
                    }
                    Settled::Own(_) | Settled::Facet(_) | Settled::Dead => {
                        return Some(Err(StatusError::Dead));
                    }
                    Settled::Joining(join) => {
                        *joining = Some(Arc::clone(join));
                        join.stand(waiter)?;
                    }
                    Settled::Import(entry) => match entry.ask_status() {
                        Ok(question) => *asked = Some((question, Arc::clone(entry))),
                        Err(error) => return Some(Err(error)),
                    },
                }
            }
        });
        if polled.is_ready() {
            *asked = None;
        }
        match (asked, joining) {
            (Some((asked, _)), _) => task.be_patient(&asked.link),
            (None, Some(join)) if polled.is_pending() => join.be_patient(),
            (None, _) => {}
        }
        polled
    }
}

impl Drop for StatusFuture<'_> {
    fn drop(&mut self) {
        if let Some(join) = self.joining.take()
            && join.task.check().is_ok()
        {
            join.forget(self.standing.waiter());
        }
    }
}

impl SendRight {
    /// Asks the owner how full the port is, as [`SendRight::status`] does,
    /// without a thread that waits.
    ///
    /// # Errors
    /// See [`StatusError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped, the question is withdrawn; nothing else happens.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(3));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let status = pin!(post.status_async()).poll(&mut cx);
    /// assert!(matches!(status, Poll::Ready(Ok(status)) if status.capacity == 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status_async(&self) -> StatusFuture<'_> {
        StatusFuture { right: self, standing: Standing::default(), joining: None, asked: None }
    }
}
