//! What was found under a port's lock and must be done without it.
//!
//! Mostly that is to wake one thread. The rest lies apart, and is made when there
//! is any: every message that comes goes through here.

use std::sync::{Arc, Weak};

use abi::{Slot, Ticket};

use super::PortCore;
use crate::core::TaskCore;
use crate::link::{Charge, Join, Joined, Link};
use crate::message::{Message, Notification};
use crate::moving::gone::Gone;
use crate::right::{SendOnceRight, SendRight};
use crate::set::SetCore;
use crate::special::kernel;
use crate::wait::Waiter;

/// What is to be done once the port's lock is let go.
#[derive(Debug, Default)]
#[must_use = "wakes and looks must follow"]
pub(crate) struct After {
    first: Option<Arc<Waiter>>,
    wake: Vec<Arc<Waiter>>,
    more: Option<Box<More>>,
}

/// All but the waking.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) looks: Vec<(Arc<Link>, Slot)>,
    /// Slots whose left message was taken.
    pub(super) takens: Vec<(Arc<Link>, Slot)>,
    /// Slots whose port has room, and their holders are to hear of it.
    pub(super) rooms: Vec<(Arc<Link>, Slot)>,
    pub(super) fire: Vec<(SendOnceRight, Notification)>,
    /// Who is told that nobody can send, and how many rights were made.
    pub(super) no_senders: Vec<(SendOnceRight, u64)>,
    /// Ports that the library is to take something from.
    pub(super) serve: Vec<Weak<PortCore>>,
    pub(super) dropped: Vec<Message>,
    pub(super) refused: Vec<Message>,
    pub(super) let_go: Vec<SendOnceRight>,
    joins_let_go: Vec<Arc<Join>>,
    joined_dropped: Vec<Joined>,
    /// What messages that were passed on counted against their senders.
    charges: Vec<Charge>,
    /// Peers that must read what was said, whatever their threads are doing.
    rings: Vec<Arc<Link>>,
    /// Whoever polls for this task is told.
    tell: Option<Arc<TaskCore>>,
    joins: Vec<Arc<Join>>,
    watches: Vec<(Arc<Join>, SendOnceRight)>,
    rooms_moved: Vec<(Arc<Join>, SendOnceRight)>,
    ask_rooms: Vec<(SendRight, SendOnceRight)>,
    again: Vec<Arc<Link>>,
    forwards: Vec<Arc<Gone>>,
    ended_out: Vec<(Arc<Gone>, Ticket)>,
    followers_gone: Vec<Arc<PortCore>>,
    promises_died: Vec<Arc<PortCore>>,
    owners_died: Vec<Arc<PortCore>>,
    sets: Vec<Arc<SetCore>>,
    /// Ports whose windows may have places to write off.
    pub(super) watch: Vec<(Weak<TaskCore>, Slot)>,
}

impl After {
    /// All but the waking, to be added to.
    #[cold]
    #[inline]
    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Messages that fell out of a queue, if there are any.
    pub(super) fn drop_all(&mut self, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.more().dropped.extend(messages);
        }
    }

    /// Places to be written off are looked for by who runs this.
    pub(super) fn watch_nothing(&mut self) {
        if let Some(more) = &mut self.more {
            more.watch.clear();
        }
    }

    pub(crate) fn wake(&mut self, waiter: Arc<Waiter>) {
        match &self.first {
            None => self.first = Some(waiter),
            Some(_) => self.wake.push(waiter),
        }
    }

    /// Something may have entered a queue of `task`.
    pub(super) fn tell_pollers_of(&mut self, task: &Arc<TaskCore>) {
        if task.is_polled() {
            self.more().tell = Some(Arc::clone(task));
        }
    }

    /// A right is to be claimed.
    pub(crate) fn join(&mut self, join: Arc<Join>) {
        self.more().joins.push(join);
    }

    /// Nobody has a right any more that this would follow for.
    pub(crate) fn let_join_go(&mut self, join: Arc<Join>) {
        self.more().joins_let_go.push(join);
    }

    /// An answer to a claim that came to nothing.
    pub(crate) fn drop_joined(&mut self, joined: Joined) {
        self.more().joined_dropped.push(joined);
    }

    /// Somebody wants to hear of the end of a right that follows its port.
    pub(crate) fn watch(&mut self, join: Arc<Join>, to: SendOnceRight) {
        self.more().watches.push((join, to));
    }

    /// Somebody wants to hear of room in a port that a right follows.
    pub(crate) fn watch_room(&mut self, join: Arc<Join>, to: SendOnceRight) {
        self.more().rooms_moved.push((join, to));
    }

    /// The same of a port of our own.
    pub(crate) fn ask_for_room(&mut self, port: SendRight, to: SendOnceRight) {
        self.more().ask_rooms.push((port, to));
    }

    /// Drops a right later, if there is one.
    pub(crate) fn let_go_of(&mut self, right: Option<SendOnceRight>) {
        self.more().let_go.extend(right);
    }

    /// A right to a port that has gone is out no more.
    pub(crate) fn end_out(&mut self, gone: Arc<Gone>, ticket: Ticket) {
        self.more().ended_out.push((gone, ticket));
    }

    /// Messages for a port that has gone wait to be named.
    pub(crate) fn forward(&mut self, gone: Arc<Gone>) {
        self.more().forwards.push(gone);
    }

    /// A peer is to look at a slot of its.
    pub(crate) fn look(&mut self, link: Arc<Link>, slot: Slot) {
        self.more().looks.push((link, slot));
    }

    /// A right that was out when the port came is no more.
    pub(crate) fn follower_gone(&mut self, port: &Arc<PortCore>) {
        self.more().followers_gone.push(Arc::clone(port));
    }

    /// Sets that a port is no member of any more: they may end with this.
    pub(super) fn leave_sets(&mut self, sets: Vec<Arc<SetCore>>) {
        self.more().sets.extend(sets);
    }

    /// The task a port has just gone to is dead.
    pub(crate) fn owner_died(&mut self, port: &Arc<PortCore>) {
        self.more().owners_died.push(Arc::clone(port));
    }

    /// A promise that was out when the port came is broken.
    pub(crate) fn promise_died(&mut self, port: &Arc<PortCore>) {
        self.more().promises_died.push(Arc::clone(port));
    }

    /// What a dead owner had not read is to be sent on this link.
    pub(crate) fn send_again(&mut self, link: &Arc<Link>) {
        self.more().again.push(Arc::clone(link));
    }

    pub(crate) fn drop_later(&mut self, message: Message) {
        self.more().dropped.push(message);
    }

    pub(crate) fn fire(&mut self, right: SendOnceRight, what: Notification) {
        self.more().fire.push((right, what));
    }

    /// Bytes go back to their sender later.
    pub(crate) fn let_charges_go(&mut self, charges: Vec<Charge>) {
        self.more().charges.extend(charges);
    }

    /// A peer is to read what it was told, though its threads may all be busy.
    pub(crate) fn ring(&mut self, link: Arc<Link>) {
        self.more().rings.push(link);
    }

    /// Drops a right later.
    pub(crate) fn let_go(&mut self, right: SendOnceRight) {
        self.more().let_go.push(right);
    }

    #[inline]
    pub(crate) fn run(self) {
        if let Some(waiter) = self.first {
            waiter.raise();
        }
        for waiter in self.wake {
            waiter.raise();
        }
        if let Some(more) = self.more {
            more.run();
        }
    }
}

impl More {
    #[cold]
    #[inline]
    fn run(self: Box<Self>) {
        let this = *self;
        for (link, slot) in this.looks {
            link.say_look(slot);
        }
        for link in this.rings {
            link.ring_now();
        }
        for message in this.refused {
            message.refuse();
        }
        for (link, slot) in this.takens {
            link.say_taken(slot);
        }
        for (link, slot) in this.rooms {
            link.say_room(slot);
        }
        for (right, what) in this.fire {
            right.notify(what);
        }
        for (right, made) in this.no_senders {
            right.notify_with(Notification::NoSenders, made);
        }
        for (gone, ticket) in this.ended_out {
            gone.push_ended(ticket);
        }
        for gone in this.forwards {
            gone.push_parked();
        }
        for port in this.owners_died {
            let mut after = After::default();
            port.new_owner_died(&mut after);
            after.run();
        }
        for port in this.promises_died {
            let mut after = After::default();
            port.promise_died(&mut after);
            after.run();
        }
        for port in this.followers_gone {
            // It may have gone on meanwhile, and this may be the last it waited for.
            port.remove_sender();
        }
        for (join, to) in this.watches {
            join.watch_death(to);
        }
        for (join, to) in this.rooms_moved {
            let mut after = After::default();
            let before = join.watch_room(to, &mut after);
            after.let_go_of(before);
            after.run();
        }
        for (port, to) in this.ask_rooms {
            // It comes back where nobody is there any more, and is told so.
            if let Err(error) = port.notify_room(to) {
                error.right.notify(Notification::DeadName);
            }
        }
        for join in this.joins {
            let mut after = After::default();
            let task = Arc::clone(&join.task);
            task.start_join(join, &mut after);
            after.run();
        }
        for link in this.again {
            link.push_again();
        }
        drop(this.sets);
        drop(this.dropped);
        for port in this.serve.iter().filter_map(Weak::upgrade) {
            kernel::serve(&port);
        }
        drop(this.let_go);
        drop(this.joins_let_go);
        drop(this.joined_dropped);
        drop(this.charges);
        if let Some(task) = this.tell {
            task.tell_pollers();
        }
        for (task, port) in this.watch {
            if let Some(task) = task.upgrade() {
                task.watch_window(port);
            }
        }
    }
}
