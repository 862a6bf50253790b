//! A reader of a shared mailbox, and what it is handed.

use std::sync::Arc;

use abi::limits;

use super::{ABOUT, ATTACH, About, Attach, Attached, BACK, DONE, LEAVE};
use crate::deadline::Deadline;
use crate::error::{CallError, ReceiveError, ReplyError, SendFailure};
use crate::message::{Identity, Message};
use crate::port::{Capacity, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// Why a reader was not attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The owner was not asked, or did not answer.
    #[error("the owner of the mailbox did not answer: {0}")]
    Call(#[from] CallError),
    /// The mailbox, or this task, has as many readers as it may.
    #[error("the mailbox has as many readers as it may")]
    TooMany,
    /// What came is no answer: the right does not lead to a shared mailbox.
    #[error("the answer makes no sense: the right leads to no shared mailbox")]
    BadAnswer,
    /// The right is the parent's of this process, or the owner is gone.
    #[error(transparent)]
    Unsent(#[from] SendFailure),
}

/// Why a message was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// The owner was not told. If it is there, the message goes back when this
    /// reader leaves.
    #[error("the owner of the mailbox was not told: {0}")]
    Unsent(SendFailure),
}

/// The way to the owner.
#[derive(Debug)]
struct Way {
    right: SendRight,
    /// What goes back and could not be said at once. A drop waits for nothing.
    owed: Mutex<Vec<u64>>,
}

impl Way {
    /// It goes back now, or with the next word, or when this reader leaves.
    fn give_back(&self, number: u64) {
        if self.right.pulse(BACK, number, 0).is_err() {
            lock(&self.owed).push(number);
        }
    }

    fn say_what_is_owed(&self) {
        let owed = std::mem::take(&mut *lock(&self.owed));
        for number in owed {
            self.give_back(number);
        }
    }
}

/// One reader of a shared mailbox.
///
/// Dropping it leaves the mailbox: what it was handed and did not acknowledge goes
/// to others.
#[derive(Debug)]
pub struct SharedReader {
    way: Arc<Way>,
    inbox: ReceiveRight,
    number: u64,
    about: Option<About>,
    ended: bool,
}

impl SharedReader {
    /// Attaches to the mailbox that `right` leads to. The owner hands out at most
    /// `prefetch` messages more than were acknowledged: at least 1, at most
    /// [`limits::SHARED_PREFETCH`].
    ///
    /// # Rights
    /// Consumes the reader right; clone it to attach again.
    ///
    /// # Errors
    /// See [`AttachError`].
    ///
    /// # Blocking
    /// Waits until `deadline` for the owner, who answers when it serves.
    pub fn attach(
        task: &Task,
        right: SendRight,
        prefetch: u32,
        deadline: Deadline,
    ) -> Result<Self, AttachError> {
        let (inbox, request) = SharedReader::question(task, &right, prefetch)?;
        let answer = right.call(request, deadline)?;
        SharedReader::attached(right, inbox, &answer)
    }

    /// As [`SharedReader::attach`], without a thread that waits.
    ///
    /// # Rights
    /// Consumes the reader right.
    ///
    /// # Errors
    /// See [`AttachError`].
    ///
    /// # Blocking
    /// Never. It has no deadline. An owner that dies ends the wait.
    ///
    /// # Cancel safety
    /// Dropped before it is ready there is no reader: if the owner has made one, it
    /// is told, and hands out what that one got to others.
    ///
    /// # Examples
    /// See [`SharedReader::receive_async`].
    pub async fn attach_async(
        task: &Task,
        right: SendRight,
        prefetch: u32,
    ) -> Result<Self, AttachError> {
        let (inbox, request) = SharedReader::question(task, &right, prefetch)?;
        let answer = right.call_async(request).await?;
        SharedReader::attached(right, inbox, &answer)
    }

    /// The port of a new reader, and what its owner is asked.
    fn question(
        task: &Task,
        right: &SendRight,
        prefetch: u32,
    ) -> Result<(ReceiveRight, Message), AttachError> {
        let prefetch = prefetch.clamp(1, limits::SHARED_PREFETCH);
        // Two messages for each, and the news that it is over.
        let inbox = task.port(Capacity::Bounded(2 * prefetch));
        let body = postcard::to_stdvec(&Attach { prefetch }).map_err(|_| AttachError::BadAnswer)?;
        right.notify_dead(inbox.make_send_once()?)?;
        let request = Message::new(body).with_id(ATTACH).with_right(inbox.make_send()?);
        Ok((inbox, request))
    }

    fn attached(
        right: SendRight,
        inbox: ReceiveRight,
        answer: &Message,
    ) -> Result<Self, AttachError> {
        match postcard::from_bytes(answer.body()) {
            Ok(Attached::As(number)) => {
                let way = Arc::new(Way { right, owed: Mutex::default() });
                Ok(SharedReader { way, inbox, number, about: None, ended: false })
            }
            Ok(Attached::TooMany) => Err(AttachError::TooMany),
            Err(_) => Err(AttachError::BadAnswer),
        }
    }

    /// Takes what is handed out next.
    ///
    /// # Errors
    /// [`ReceiveError::Deadline`], [`ReceiveError::Forked`]. `Ok(None)` where the
    /// mailbox is gone, the reader right was revoked, or the owner makes no sense:
    /// nothing comes any more.
    ///
    /// # Blocking
    /// Waits until `deadline`.
    pub fn receive(&mut self, deadline: Deadline) -> Result<Option<Delivery>, ReceiveError> {
        self.way.say_what_is_owed();
        while !self.ended {
            let message = self.inbox.receive(deadline)?;
            if let Some(delivery) = self.take(message) {
                return Ok(Some(delivery));
            }
        }
        Ok(None)
    }

    /// Takes what is handed out next, as [`SharedReader::receive`] does, without a
    /// thread that waits.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// [`ReceiveError::Forked`]. `Ok(None)` as [`SharedReader::receive`].
    ///
    /// # Blocking
    /// Never. It has no deadline. An owner that dies ends the wait.
    ///
    /// # Cancel safety
    /// It takes a hand-out in the poll that returns it. Dropped before that it has
    /// taken none.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let task = Task::new();
    /// let port = task.port(Capacity::Bounded(8));
    /// let post = port.make_send()?;
    /// let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    /// let right = mailbox.reader_right()?;
    /// let work = async {
    ///     let mut reader = SharedReader::attach_async(&task, right, 1).await.unwrap();
    ///     let delivery = reader.receive_async().await.unwrap().unwrap();
    ///     assert_eq!(delivery.message().body(), b"work");
    ///     delivery.acknowledge_async().await.unwrap();
    /// };
    ///
    /// post.send(Message::new("work"), Deadline::Now)?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let (mut work, mut serve) = (pin!(work), pin!(mailbox.serve_async()));
    /// while work.as_mut().poll(&mut cx).is_pending() {
    ///     assert!(serve.as_mut().poll(&mut cx).is_pending());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn receive_async(&mut self) -> Result<Option<Delivery>, ReceiveError> {
        self.way.say_what_is_owed();
        while !self.ended {
            let message = self.inbox.receive_async().await?;
            if let Some(delivery) = self.take(message) {
                return Ok(Some(delivery));
            }
        }
        Ok(None)
    }

    /// Takes what came: half of a hand-out, or the news that there are no more.
    fn take(&mut self, message: Message) -> Option<Delivery> {
        let Some(about) = self.about.take() else {
            self.about = match postcard::from_bytes(message.body()) {
                Ok(about) if message.id() == ABOUT => Some(about),
                _ => None,
            };
            self.ended = self.about.is_none();
            return None;
        };
        if message.is_own_notification() {
            self.ended = true;
            return None;
        }
        let way = Arc::clone(&self.way);
        Some(Delivery { way, about, message, is_over: false })
    }
}

impl Drop for SharedReader {
    fn drop(&mut self) {
        // Behind what was acknowledged before. Where it cannot be said, the end of
        // the inbox says it.
        let _ = self.way.right.pulse(LEAVE, self.number, 0);
    }
}

/// A message that was handed out to a reader.
///
/// Dropped without being acknowledged or answered it goes back, to the front.
#[derive(Debug)]
#[must_use = "a delivery that is dropped goes back"]
pub struct Delivery {
    way: Arc<Way>,
    about: About,
    message: Message,
    is_over: bool,
}

impl Delivery {
    /// The message. Its [`Message::sender`] is the owner of the mailbox.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, to take rights and descriptors out of it.
    ///
    /// # Rights
    /// Borrows it. What is taken out is this task's.
    pub fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }

    /// How often it was handed out before: then it may have been worked on, by one
    /// that died or gave it back.
    pub fn redelivered(&self) -> u32 {
        self.about.times
    }

    /// Who sent it to the mailbox: the word of the mailbox's owner, with the pid as
    /// the owner sees it.
    pub fn origin(&self) -> Option<Identity> {
        self.about.sender()
    }

    /// The badge it came with: the word of the mailbox's owner.
    pub fn badge(&self) -> Option<u64> {
        self.about.badge
    }

    /// It is done: no other reader gets it. A caller that waits for an answer is
    /// told that there is none; [`Delivery::reply`] gives one.
    ///
    /// # Errors
    /// [`AcknowledgeError::Unsent`].
    ///
    /// # Blocking
    /// Mostly never; where the way to the owner is full, until `deadline`.
    pub fn acknowledge(mut self, deadline: Deadline) -> Result<(), AcknowledgeError> {
        self.is_over = true;
        self.way.say_what_is_owed();
        let number = self.about.number;
        if self.way.right.pulse(DONE, number, 0).is_ok() {
            return Ok(());
        }
        let word = Message::new(Vec::new()).with_id(DONE).with_tag(number);
        self.way.right.send(word, deadline).map_err(|error| AcknowledgeError::Unsent(error.reason))
    }

    /// As [`Delivery::acknowledge`], without a thread that waits.
    ///
    /// # Rights
    /// As [`Delivery::acknowledge`].
    ///
    /// # Errors
    /// [`AcknowledgeError::Unsent`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped before it is ready nothing was said: the message goes back.
    ///
    /// # Examples
    /// See [`SharedReader::receive_async`].
    pub async fn acknowledge_async(mut self) -> Result<(), AcknowledgeError> {
        let number = self.about.number;
        if self.way.right.pulse(DONE, number, 0).is_ok() {
            self.is_over = true;
            return Ok(());
        }
        let word = Message::new(Vec::new()).with_id(DONE).with_tag(number);
        let said = self.way.right.send_async(word).await;
        self.is_over = true;
        said.map_err(|error| AcknowledgeError::Unsent(error.reason))
    }

    /// As [`Delivery::reply`], without a thread that waits.
    ///
    /// # Rights
    /// As [`Message::reply`].
    ///
    /// # Errors
    /// As [`Message::reply`]; then it goes back.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped before it is ready nothing was sent: the message goes back.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::Message;
    /// use pillarbox::shared::SharedReader;
    ///
    /// /// Answers everything that is handed out with its own length.
    /// async fn measure(mut reader: SharedReader) -> Result<(), Box<dyn std::error::Error>> {
    ///     while let Some(delivery) = reader.receive_async().await? {
    ///         let length = delivery.message().body().len();
    ///         delivery.reply_async(Message::new(length.to_string())).await?;
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = measure;
    /// ```
    pub async fn reply_async(mut self, answer: Message) -> Result<(), ReplyError> {
        self.message.reply_async(answer).await?;
        self.is_over = true;
        Ok(())
    }

    /// Answers its sender, which acknowledges it too. The owner forwards the answer.
    ///
    /// # Rights
    /// As [`Message::reply`].
    ///
    /// # Errors
    /// As [`Message::reply`]; then it goes back.
    ///
    /// # Blocking
    /// As [`Message::reply`].
    pub fn reply(mut self, answer: Message, deadline: Deadline) -> Result<(), ReplyError> {
        self.message.reply(answer, deadline)?;
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.is_over {
            self.way.give_back(self.about.number);
        }
    }
}
