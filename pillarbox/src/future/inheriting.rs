//! Waiting for what a parent gives.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;

use abi::TaskId;

use super::standing::Standing;
use crate::core::TaskCore;
use crate::message::Right;
use crate::task::Task;

/// One that waits for rights that come with a link.
struct Expecting {
    task: Arc<TaskCore>,
    standing: Standing,
}

impl Drop for Expecting {
    fn drop(&mut self) {
        if self.task.check().is_ok() {
            self.task.forget_unwelcomed(self.standing.waiter());
        }
    }
}

impl Task {
    /// Takes a right that the parent gave this task at its start, as
    /// [`Task::inherited`] does, without a thread that waits.
    ///
    /// # Rights
    /// The right is this task's.
    ///
    /// # Blocking
    /// Never. It has no deadline. A parent that dies ends the wait.
    ///
    /// # Cancel safety
    /// It takes the right in the poll that returns it. Dropped before that it has
    /// taken none.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Message, Task};
    ///
    /// async fn report(task: &Task) -> Result<(), Box<dyn std::error::Error>> {
    ///     let Some(right) = task.inherited_async("reports").await else { return Ok(()) };
    ///     let reports = right.into_send().map_err(|_| "not a send right")?;
    ///     Ok(reports.send_async(Message::new("I am here")).await?)
    /// }
    /// # let _ = report;
    /// ```
    pub async fn inherited_async(&self, name: &str) -> Option<Right> {
        self.welcomed_async(|came| came.remove(name)).await.flatten()
    }

    /// The names of the rights the parent gave, those taken left out, as
    /// [`Task::inherited_names`] does, without a thread that waits.
    ///
    /// # Blocking
    /// Never. It has no deadline. A parent that dies ends the wait.
    ///
    /// # Cancel safety
    /// Dropped, nothing has happened.
    ///
    /// # Examples
    /// See [`Task::inherited_async`].
    pub async fn inherited_names_async(&self) -> Vec<String> {
        let names = self.welcomed_async(|came| came.keys().cloned().collect::<Vec<_>>()).await;
        let mut names = names.unwrap_or_default();
        names.sort_unstable();
        names
    }

    async fn welcomed_async<T>(
        &self,
        choose: impl Fn(&mut HashMap<String, Right>) -> T,
    ) -> Option<T> {
        self.core.check().ok()?;
        let parent: TaskId = (*self.core.parent.get()?)?;
        let task = Arc::clone(&self.core);
        let mut expecting = Expecting { task, standing: Standing::default() };
        poll_fn(|cx| {
            let Expecting { task, standing } = &mut expecting;
            if task.check().is_err() {
                return std::task::Poll::Ready(None);
            }
            standing.poll(task, cx, |waiter| task.look_for_welcome(parent, waiter, &choose))
        })
        .await
    }
}
