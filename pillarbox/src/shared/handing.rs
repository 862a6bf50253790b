//! A shared mailbox that stops here and goes on elsewhere: in another task, with the
//! port, or later with another policy.

use abi::TaskId;

use super::mailbox::{Policy, SharedMailbox};
use crate::deadline::Deadline;
use crate::message::{Identity, Message};
use crate::port::ReceiveRight;

/// A message that the owner of a shared mailbox holds, and what it says of it to who is
/// handed it.
#[derive(Debug)]
pub struct Held {
    /// The message, with its reply right. A send-once right that was handed out with it is
    /// not there any more.
    pub message: Message,
    /// How often it was handed out, and may have been worked on.
    pub redelivered: u32,
    /// Who sent it to the mailbox; none where that is not known.
    pub origin: Option<Identity>,
    /// The badge it came with.
    pub badge: Option<u64>,
}

impl Held {
    /// What was taken from the port, whose owner was `before`: what comes through that
    /// one has it as its sender, and nobody knows whose it is.
    pub(super) fn of(message: Message, before: Option<TaskId>) -> Self {
        let origin = message.sender().filter(|who| Some(who.task) != before);
        Held { redelivered: 0, origin, badge: message.badge(), message }
    }
}

impl SharedMailbox {
    /// Takes nothing from the port any more, and hands nothing out; what readers say is
    /// heard. Where it is served on, [`SharedMailbox::is_at_rest`] in a while.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on after [`SharedMailbox::pause`], in the next turn.
    pub fn go_on(&mut self) {
        self.paused = false;
    }

    /// Whether it was paused, and goes not on.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether no reader has anything, and no answer is on its way.
    pub fn is_at_rest(&self) -> bool {
        self.rule.is_at_rest() && self.answers.is_empty()
    }

    /// Ends the sharing, and gives back all there is: the port, and before what lies in
    /// its queue what was taken from it, in order. Readers are told that the mailbox is
    /// gone. What one had and did not finish may have been worked on, and is counted once
    /// more.
    ///
    /// What is in the port's queue is taken, too, up to as many messages as lie there now.
    /// In another task it would have this one as its sender.
    ///
    /// With [`Policy::All`] what a reader had is nobody else's, and not given back.
    ///
    /// # Rights
    /// The receive right and every right in the messages are the caller's.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::shared::{Policy, SharedMailbox};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let port = Task::current()?.port(Capacity::Bounded(8));
    /// let post = port.make_send()?;
    /// let mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    /// post.send(Message::new("work"), Deadline::Never)?;
    /// let (port, held) = mailbox.into_parts();
    /// assert_eq!(held[0].message.body(), b"work");
    /// let mailbox = SharedMailbox::from_parts(port, Policy::LeastLoaded, held, None);
    /// assert_eq!(mailbox.status().held, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_parts(mut self) -> (ReceiveRight, Vec<Held>) {
        let readers: Vec<u64> = self.readers.keys().copied().collect();
        readers.into_iter().for_each(|reader| self.let_go(reader));
        let waiting: Vec<(u64, u32)> = self.rule.waiting().collect();
        let mut held = Vec::new();
        for (item, redelivered) in waiting {
            held.extend(self.kept.remove(&item).map(|kept| Held { redelivered, ..kept }));
        }
        // A look reads in what its senders have written.
        let _ = self.port.peek();
        for _ in 0..self.port.status().queued {
            let Ok(message) = self.port.receive(Deadline::Now) else { break };
            held.push(Held::of(message, self.before));
        }
        (self.port, held)
    }

    /// Shares a port again, and first what was held of it. Where it came from another task,
    /// `before` is that one: messages that come through it say nothing of their origin.
    ///
    /// # Rights
    /// The receive right and every right in the messages are the mailbox's.
    ///
    /// # Examples
    /// As [`SharedMailbox::into_parts`].
    pub fn from_parts(
        port: ReceiveRight,
        policy: Policy,
        held: Vec<Held>,
        before: Option<TaskId>,
    ) -> Self {
        let mut mailbox = SharedMailbox::new(port, policy);
        mailbox.before = before;
        for held in held {
            let key = mailbox.policy.key(&held.message);
            let item = mailbox.rule.accept_again(key, held.redelivered);
            mailbox.kept.insert(item, held);
        }
        mailbox
    }
}
