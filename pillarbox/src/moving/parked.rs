//! What waits to be put into the bag of a port that has gone.
//!
//! A word whose rights can be named at once is put by whoever brings it, before its
//! space in its sender's lane is freed, so that our death does not take it along. That
//! happens under a lock, in the order the words came, and nothing is dropped there. A
//! message that brings ports, or rights that others must confirm first, is put without
//! it, by one thread at a time; what comes meanwhile waits behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use abi::bag::Origin;
use abi::{Ticket, limits};

use super::gone::Gone;
use crate::background::Job;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::{Link, Load};
use crate::message::{Message, Right};
use crate::port::After;
use crate::right::SendRight;
use crate::wait::parking::lock;

/// What waits, in order.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: VecDeque<Word>,
    /// A thread puts one word without the lock.
    busy: bool,
}

/// One word for the new owner.
#[derive(Debug)]
enum Word {
    Message(Origin, Box<Message>),
    /// A right that was out has ended.
    Ended(Ticket),
}

impl Word {
    /// Whether putting it waits for nobody and runs nothing of others.
    fn is_simple_for(&self, link: &Arc<Link>) -> bool {
        match self {
            Word::Message(_, message) => message.is_simple_for(link),
            Word::Ended(_) => true,
        }
    }
}

/// What became of one.
enum Put {
    Done,
    /// Its rights cannot be named now: a turn will bring what is missing.
    NextTurn(Word),
    /// The system refused something, and does not say when it has it.
    Soon(Word),
}

/// Why the rest waits.
enum Rest {
    None,
    /// Another thread puts the first, and the rest after it.
    Busy,
    /// The first is one to be put without the lock.
    Apart(Word),
    NextTurn,
    Soon,
}

/// What was done under the lock, to be let go without it.
#[derive(Debug, Default)]
struct Over {
    put: Vec<(Load, Box<Message>)>,
    undone: Vec<Load>,
    dropped: Vec<Message>,
}

impl Over {
    fn finish(self, link: &Arc<Link>) {
        for (load, message) in self.put {
            link.unload(load, *message);
        }
        for load in self.undone {
            link.undo(load);
        }
        drop(self.dropped);
    }
}

impl Gone {
    /// A message is for whoever has the port now.
    pub(crate) fn forward(
        self: &Arc<Self>,
        origin: Origin,
        mut message: Message,
        after: &mut After,
    ) {
        message.charge = None;
        let mut over = Over::default();
        let rest = {
            let mut parked = lock(&self.parked);
            parked.waiting.push_back(Word::Message(origin, Box::new(message)));
            let rest = self.put_in_order(&mut parked, &mut over);
            self.apart_later(&mut parked, rest)
        };
        over.finish(self.new_owner());
        if !matches!(rest, Rest::None) {
            after.forward(Arc::clone(self));
        }
    }

    /// A right that was out is out no more. Behind all that came of it.
    pub(crate) fn push_ended(self: &Arc<Self>, ticket: Ticket) {
        lock(&self.parked).waiting.push_back(Word::Ended(ticket));
        self.push_parked();
    }

    /// Puts what can be put under the lock.
    fn put_in_order(&self, parked: &mut Parked, over: &mut Over) -> Rest {
        if parked.busy {
            return Rest::Busy;
        }
        while let Some(first) = parked.waiting.pop_front() {
            if !first.is_simple_for(self.new_owner()) {
                parked.busy = true;
                return Rest::Apart(first);
            }
            let (back, rest) = match self.put_simple(first, over) {
                Put::Done => continue,
                Put::NextTurn(back) => (back, Rest::NextTurn),
                Put::Soon(back) => (back, Rest::Soon),
            };
            parked.waiting.push_front(back);
            return rest;
        }
        Rest::None
    }

    /// We hold a lane, and nothing is put apart now.
    fn apart_later(&self, parked: &mut Parked, rest: Rest) -> Rest {
        match rest {
            Rest::Apart(word) => {
                parked.busy = false;
                parked.waiting.push_front(word);
                Rest::NextTurn
            }
            other => other,
        }
    }

    /// Puts what waits into the bag, as far as it can be now. Who finds another
    /// thread at it leaves the rest to that one.
    pub(crate) fn push_parked(self: &Arc<Self>) {
        let task = &self.new_owner().task;
        loop {
            // Read before the try: what a turn brings after it is tried again.
            let turns = task.turns();
            let mut over = Over::default();
            let rest = self.put_in_order(&mut lock(&self.parked), &mut over);
            over.finish(self.new_owner());
            let soon = match rest {
                Rest::None | Rest::Busy => return,
                Rest::Apart(word) => {
                    let put = self.put_apart(word);
                    let mut parked = lock(&self.parked);
                    parked.busy = false;
                    match put {
                        Put::Done => continue,
                        Put::NextTurn(back) => {
                            parked.waiting.push_front(back);
                            false
                        }
                        Put::Soon(back) => {
                            parked.waiting.push_front(back);
                            true
                        }
                    }
                }
                Rest::NextTurn => false,
                Rest::Soon => true,
            };
            task.park(self);
            if soon {
                task.job(Job::Again(self.new_owner().number));
                return;
            }
            if task.turns() == turns {
                return;
            }
        }
    }

    /// Puts a word under the lock.
    fn put_simple(&self, word: Word, over: &mut Over) -> Put {
        let (origin, mut message) = match word {
            Word::Ended(ticket) => {
                let put = self.write(|bag| bag.ended(ticket));
                return if put { Put::Done } else { Put::Soon(word) };
            }
            Word::Message(origin, message) => (origin, message),
        };
        let link = self.new_owner();
        let mut load = Load::of_accepted();
        if let Err(why) = link.load_all(&mut message, Deadline::Now, &mut load) {
            over.undone.push(load);
            return self.put_later(why, origin, message).unwrap_or_else(|message| {
                over.dropped.push(*message);
                Put::Done
            });
        }
        match self.put_loaded(&origin, &message, &mut load, &[], &mut || {}) {
            Ok(()) => {
                over.put.push((load, message));
                Put::Done
            }
            Err(SendFailure::Dead) => {
                over.undone.push(load);
                over.dropped.push(*message);
                Put::Done
            }
            Err(_) => {
                over.undone.push(load);
                Put::Soon(Word::Message(origin, message))
            }
        }
    }

    /// Puts a word that may run what others have left, without the lock.
    fn put_apart(&self, word: Word) -> Put {
        let (origin, mut message) = match word {
            Word::Ended(_) => return Put::NextTurn(word),
            Word::Message(origin, message) => (origin, message),
        };
        let link = self.new_owner();
        let mut load = match link.load(&mut message, Deadline::Now) {
            Ok(load) => load,
            Err(why) => {
                return self.put_later(why, origin, message).unwrap_or_else(|mut message| {
                    if !link.is_dead() && self.end_ports_in(&mut message) {
                        return self.put_apart(Word::Message(origin, message));
                    }
                    // In a forked child it is the parent's to send.
                    Put::Done
                });
            }
        };
        let put = link.move_ports(&mut load, |load, exported, mark| {
            self.put_loaded(&origin, &message, load, exported, mark)
        });
        match put {
            Ok(()) => {
                link.unload(load, *message);
                Put::Done
            }
            Err(SendFailure::Dead) => {
                link.undo(load);
                Put::Done
            }
            Err(_) => {
                link.undo(load);
                Put::Soon(Word::Message(origin, message))
            }
        }
    }

    /// When a message is tried again whose rights could not be named. It comes back
    /// where it never will be.
    fn put_later(
        &self,
        why: SendFailure,
        origin: Origin,
        message: Box<Message>,
    ) -> Result<Put, Box<Message>> {
        match why {
            // The new owner is gone, and with it the port.
            _ if self.new_owner().is_dead() => Err(message),
            SendFailure::Full | SendFailure::NotJoined(_) | SendFailure::Unsettled => {
                Ok(Put::NextTurn(Word::Message(origin, message)))
            }
            // Others go at this moment.
            SendFailure::TooManyDescriptors(_) if may_go_alone(&message) => {
                Ok(Put::Soon(Word::Message(origin, message)))
            }
            SendFailure::RightsExhausted
            | SendFailure::DescriptorsInFlight
            | SendFailure::System(_) => Ok(Put::Soon(Word::Message(origin, message))),
            _ => Err(message),
        }
    }

    /// Writes one message, its rights named by `load`, and shows it. The slots of ports
    /// in it are marked just before, when nothing can be refused any more: a mark that
    /// is taken back makes everybody look who has seen it.
    fn put_loaded(
        &self,
        origin: &Origin,
        message: &Message,
        load: &mut Load,
        exported: &[abi::Slot],
        mark: &mut dyn FnMut(),
    ) -> Result<(), SendFailure> {
        let link = self.new_owner();
        let mut put = Ok(());
        let written = self.write(|bag| {
            put = link.write_into(bag, origin, message, load);
            match &put {
                Ok(()) => {
                    link.note_exported(load, exported);
                    mark();
                    true
                }
                // Not for want of room: another memory would not help.
                Err(why) => !matches!(why, SendFailure::TooLong { .. }),
            }
        });
        if !written {
            return Err(SendFailure::Full);
        }
        if put.is_ok() {
            link.bagged_shown(usize::from(load.count() > 0));
        }
        put
    }

    /// Receive rights that cannot go further end here; the message goes without.
    /// False where it has none.
    fn end_ports_in(&self, message: &mut Message) -> bool {
        let mut any = false;
        for right in &mut message.rights {
            if matches!(right, Right::Receive(_)) {
                any = true;
                *right = SendRight::dead(&self.new_owner().task).into();
            }
        }
        any
    }
}

/// Whether the ports in a message have no more descriptors in their queues than may go
/// at a time.
fn may_go_alone(message: &Message) -> bool {
    let ports = message.ports().flat_map(|port| port.with_all_inside());
    let packets: usize = ports.map(|port| lock(port.state()).packets_inside()).sum();
    packets <= limits::BAG_DESCRIPTORS_WAITING
}
