//! The server's side without a thread that waits: many requests at once.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use abi::TaskId;

use super::DispatchError;
use super::crowd::Crowd;
use super::request::Prepared;
use crate::error::ReceiveError;
use crate::message::{Message, Notification};
use crate::port::ReceiveRight;

/// Methods of one server that run at once. The next request waits in the queue.
const RUNNING: usize = 256;

/// Answers to one client that wait for room in its lane. One more is dropped,
/// and the client told: it has asked for more than it reads.
const WAITING: u32 = 64;

/// Requests that are begun before others than this server get a turn.
const TURN: usize = 64;

impl Prepared {
    /// Sends the answer, however long the client takes to read.
    pub async fn send(self) -> Result<(), DispatchError> {
        let sent = self.reply.send_async(self.message).await;
        sent.map_err(|error| error.reason.into())
    }
}

/// Serves what comes to `inbox`, until a notification does; then what runs is
/// brought to its end.
pub async fn serve_async<F>(
    inbox: &ReceiveRight,
    mut handle: impl FnMut(Message) -> F,
) -> Result<Notification, ReceiveError>
where
    F: Future<Output = Result<Option<Prepared>, DispatchError>>,
{
    let mut running = Crowd::new();
    let mut answering = Crowd::new();
    let mut waiting: HashMap<Option<TaskId>, u32> = HashMap::new();
    let mut receiving = pin!(inbox.receive_async());
    let mut ended: Option<Result<Notification, ReceiveError>> = None;
    poll_fn(|cx| {
        let mut begun = 0;
        loop {
            while let Some(task) = answering.poll(cx) {
                let left = waiting.get_mut(&task).map(|count| {
                    *count -= 1;
                    *count
                });
                if left == Some(0) {
                    waiting.remove(&task);
                }
            }
            match running.poll(cx) {
                Some(Ok(Some(prepared))) => {
                    let prepared: Prepared = prepared;
                    let task = prepared.client();
                    let count = waiting.entry(task).or_default();
                    if *count < WAITING {
                        *count += 1;
                        answering.push(answer(prepared, task));
                    }
                    continue;
                }
                Some(Err(DispatchError::Notification(what))) => {
                    ended.get_or_insert(Ok(what));
                    continue;
                }
                // Whatever else is wrong, whoever sent it has been told.
                Some(Ok(None) | Err(_)) => continue,
                None => {}
            }
            if ended.is_none() && running.len() < RUNNING {
                if begun == TURN {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                match receiving.as_mut().poll(cx) {
                    Poll::Ready(Ok(message)) => {
                        begun += 1;
                        receiving.set(inbox.receive_async());
                        running.push(handle(message));
                        continue;
                    }
                    Poll::Ready(Err(error)) => ended = Some(Err(error)),
                    Poll::Pending => {}
                }
            }
            return match ended {
                Some(end) if running.len() + answering.len() == 0 => Poll::Ready(end),
                _ => Poll::Pending,
            };
        }
    })
    .await
}

/// Sends an answer, and says whose it was.
async fn answer(prepared: Prepared, task: Option<TaskId>) -> Option<TaskId> {
    // A client that is gone has nobody to tell.
    let _ = prepared.send().await;
    task
}
