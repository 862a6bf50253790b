//! A task driven by tokio's own event loop (feature `tokio`).

use std::convert::Infallible;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::TaskError;
use crate::task::Task;

impl Task {
    /// Takes in what peers send on the threads of the tokio runtime it is polled
    /// by, for as long as it is polled. Never ends but with an error.
    ///
    /// Futures need no driver: without one the task's background thread takes in
    /// what comes and wakes them. With one a peer's bell wakes the runtime
    /// itself, which saves the hop from thread to thread.
    ///
    /// # Errors
    /// [`TaskError::Forked`] in a forked child, [`TaskError::System`] where the
    /// system refuses a descriptor or the runtime has no I/O driver.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Panics
    /// As tokio does, where it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropped, it leaves its work to the background thread; nothing is lost.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Message, Task};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    /// runtime.block_on(async {
    ///     let task = Task::new();
    ///     let driven = task.clone();
    ///     let driver = tokio::spawn(async move { driven.drive().await });
    ///     let inbox = task.port(Capacity::Bounded(1));
    ///     inbox.make_send()?.send_async(Message::new("hello")).await?;
    ///     assert_eq!(inbox.receive_async().await?.body(), b"hello");
    ///     driver.abort();
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn drive(&self) -> Result<Infallible, TaskError> {
        #[allow(deprecated, reason = "its successor is unsafe; our descriptor lives as long as it")]
        let polled = AsyncFd::with_interest(self.core.polled(false)?, Interest::READABLE)?;
        loop {
            let mut ready = polled.readable().await?;
            self.core.check()?;
            polled.get_ref().turn();
            // What came since is a new event, and not cleared by this.
            ready.clear_ready();
        }
    }
}
