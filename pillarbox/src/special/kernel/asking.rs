//! Asking a task, as futures.

use std::os::fd::OwnedFd;

use super::client::{counted, port, question, read, region};
use super::program::exit;
use super::{
    Answer, Counts, Exit, Identity, Kernel, KernelError, Line, Program, Request, Shape, StartError,
    Started,
};
use crate::message::Message;
use crate::port::{PortOptions, ReceiveRight};
use crate::right::SendRight;

impl Kernel {
    /// Who the task is, as [`Kernel::identity`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`SendRight::call_async`](crate::SendRight::call_async): dropped before it is
    /// ready, nobody waits for the answer, and whether the task was asked is not told.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::Task;
    /// use pillarbox::kernel::Kernel;
    /// let task = Task::new();
    /// let kernel = Kernel::new(task.kernel()?);
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let identity = pin!(kernel.identity_async()).poll(&mut cx);
    /// let number = task.identity().task.number;
    /// assert!(matches!(identity, Poll::Ready(Ok(who)) if who.number == number));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn identity_async(&self) -> Result<Identity, KernelError> {
        match self.ask_async(Request::Identity).await? {
            Answer::Identity(identity) => Ok(identity),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// The limits the task keeps, by name, as [`Kernel::limits`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`].
    pub async fn limits_async(&self) -> Result<Vec<(String, u64)>, KernelError> {
        match self.ask_async(Request::Limits).await? {
            Answer::Limits(limits) => Ok(limits),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// What the task has counted, as [`Kernel::metrics`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`].
    pub async fn metrics_async(&self) -> Result<Vec<(String, u64)>, KernelError> {
        match self.ask_async(Request::Metrics).await? {
            Answer::Metrics(counts) => Ok(counts),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// The rights the task has, as [`Kernel::census`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`].
    pub async fn census_async(&self) -> Result<Vec<Line>, KernelError> {
        self.pages_async(
            |after| Request::Census { after },
            |answer| match answer {
                Answer::Census(lines, more) => Some((lines, more)),
                _ => None,
            },
        )
        .await
    }

    /// The tasks it is linked with, as it sees them, as [`Kernel::peers`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`].
    pub async fn peers_async(&self) -> Result<Vec<Identity>, KernelError> {
        self.pages_async(
            |after| Request::Peers { after },
            |answer| match answer {
                Answer::Peers(peers, more) => Some((peers, more)),
                _ => None,
            },
        )
        .await
    }

    /// What the task and its ports have counted, as [`Kernel::counts`] does, without a
    /// thread that waits.
    ///
    /// # Rights
    /// Clones of `of` go to the task, which drops them.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`].
    pub async fn counts_async(&self, after: u64, of: &[SendRight]) -> Result<Counts, KernelError> {
        counted(self.exchange_async(question(after, of)).await?.0)
    }

    /// Ends the task, as [`Kernel::end`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// See [`KernelError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`]: once it was polled the task may end.
    pub async fn end_async(&self) -> Result<(), KernelError> {
        match self.ask_async(Request::End).await? {
            Answer::Ends => Ok(()),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// Has the task make a port, and takes it over, as [`Kernel::make_port`] does, without a thread that waits.
    ///
    /// # Rights
    /// Returns the receive right of the new port.
    ///
    /// # Errors
    /// As [`Kernel::make_port`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`]: what the task has made goes with its answer.
    pub async fn make_port_async(
        &self,
        options: impl Into<PortOptions>,
    ) -> Result<ReceiveRight, KernelError> {
        let request = Request::MakePort(Shape::from(&options.into()));
        port(self.exchange_async(request.message()).await?)
    }

    /// Has the task make memory of so many bytes, as [`Kernel::make_region`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// As [`Kernel::make_region`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`]: what the task has made goes with its answer.
    pub async fn make_region_async(&self, bytes: u64) -> Result<OwnedFd, KernelError> {
        let request = Request::MakeRegion { bytes };
        region(self.exchange_async(request.message()).await?)
    }

    /// Has the task start a program, with rights of ours, as [`Kernel::start`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`Kernel::start`].
    ///
    /// # Errors
    /// As [`Kernel::start`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`SendRight::call_async`](crate::SendRight::call_async): the program and its
    /// rights are dropped with the future, or it was started, and nobody is told.
    pub async fn start_async(&self, program: Program) -> Result<Started, StartError> {
        let mut program = program;
        let answered = self.right().call_async(program.message()).await;
        program.started(answered)
    }

    async fn pages_async<T>(
        &self,
        request: impl Fn(u64) -> Request,
        page: impl Fn(Answer) -> Option<(Vec<T>, bool)>,
    ) -> Result<Vec<T>, KernelError> {
        let mut all = Vec::new();
        loop {
            let answer = self.ask_async(request(all.len() as u64)).await?;
            let (mut page, more) = page(answer).ok_or(KernelError::BadAnswer)?;
            // An empty page that promises more does not go on.
            let more = more && !page.is_empty();
            all.append(&mut page);
            if !more {
                return Ok(all);
            }
        }
    }

    async fn ask_async(&self, request: Request) -> Result<Answer, KernelError> {
        self.exchange_async(request.message()).await.map(|(answer, _)| answer)
    }

    async fn exchange_async(&self, message: Message) -> Result<(Answer, Message), KernelError> {
        read(self.right().call_async(message).await)
    }
}

impl Started {
    /// Ends the program, as [`Started::end`] does, without a thread that waits.
    ///
    /// # Errors
    /// As [`Started::end`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`Kernel::identity_async`]: once it was polled the program may end.
    pub async fn end_async(&self) -> Result<(), KernelError> {
        Kernel::new(self.right().clone()).end_async().await
    }

    /// Waits for the end of the program, as [`Started::wait`] does, without a thread
    /// that waits.
    ///
    /// # Errors
    /// As [`Started::wait`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing has happened: it may be waited for again.
    pub async fn wait_async(&self) -> Result<Exit, KernelError> {
        exit(self.right().call_async(Request::Wait.message()).await)
    }
}
