//! Leaving one's place to a successor: what is sent to it, in which order, and what is
//! done where it does not come to that.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pillarbox::bootstrap::{Answer, Refused, encode_answer};
use pillarbox::{
    Capacity, Deadline, Message, ReceiveError, ReceiveRight, Right, SendError, SendFailure,
    SendOnceRight, SendRight,
};

use super::Keeper;
use crate::admin::{self, Told, answer};
use crate::limits::{
    HAND_OVER, HAND_OVER_PAUSE, HAND_OVER_SLICE, HAND_OVER_STALL, LOG_BYTES_CARRIED, PAGE_ENTRIES,
    REQUESTS_WAITING, REST,
};
use crate::orders::tell;
use crate::program::Program;
use crate::step::{self, Rule, Step};
use crate::stopper::Ended;
use crate::subsets::By;
use crate::succession::{self, LAST, Lists, Move, Part, Runs, VERSION};

/// Who is to take our place, when services have finished what they have of queues.
#[derive(Debug)]
pub(super) struct Leaving {
    heir: SendRight,
    reply: SendOnceRight,
    /// Its process.
    pid: i32,
    /// Queues hand nothing out, so that what is with services comes back.
    rests: bool,
    /// Until when they rest at most, or when they begin to.
    pub(super) until: Instant,
    /// The pause before the next attempt, which doubles.
    pause: Duration,
    /// When it is given up.
    ends: Instant,
}

/// Why it was not handed on.
enum Unhanded {
    /// Somebody has not followed our port yet: in a while.
    Later(String),
    Never(String),
}

impl From<String> for Unhanded {
    fn from(why: String) -> Self {
        Unhanded::Never(why)
    }
}

impl Keeper {
    /// Begins to leave: what services have of queues is let come back first.
    pub(super) fn leave_to(
        &mut self,
        (version, namespace): (u32, Option<(u64, u64)>),
        heir: SendRight,
        pid: i32,
        reply: SendOnceRight,
    ) {
        let why_not = if version != VERSION {
            Some(format!("it hands on in version {VERSION}, not {version}"))
        } else if self.leaving.is_some() {
            Some("another is about to take its place".to_owned())
        } else if rustix::process::getpid().as_raw_nonzero().get() == 1 {
            Some("it is process 1, with which all others end".to_owned())
        } else if namespace != succession::pid_namespace() {
            // A signal to a service would reach another process.
            Some("the other is in another pid namespace".to_owned())
        } else {
            self.narrowed()
        };
        if let Some(why_not) = why_not {
            return tell(reply, &Told::NotReplaced(why_not));
        }
        let now = Instant::now();
        let (pause, ends) = (HAND_OVER_PAUSE, now + HAND_OVER);
        self.leaving = Some(Leaving { heir, reply, pid, rests: false, until: now, pause, ends });
        self.leave(now);
    }

    /// Does what is due for who is to take our place. Whether we are as we were, after an
    /// attempt.
    pub(super) fn leave(&mut self, now: Instant) -> bool {
        let Some(leaving) = &mut self.leaving else { return false };
        if !leaving.rests {
            if leaving.until <= now {
                (leaving.rests, leaving.until) = (true, now + REST);
                self.queues.pause(true);
            }
            return false;
        }
        if leaving.until > now && !self.queues.are_at_rest() {
            return false;
        }
        self.hand_on();
        self.ended.is_none()
    }

    /// Hands everything on, or goes on as before.
    fn hand_on(&mut self) {
        let Some(mut leaving) = self.leaving.take() else { return };
        // What waits already is answered here, by who knows whose it is.
        for _ in 0..REQUESTS_WAITING {
            let Ok((member, message)) = self.set.receive(Deadline::Now) else { break };
            self.take(member.port(), message);
        }
        if self.ended.is_some() {
            return;
        }
        let done = self.try_hand_on(&leaving.heir, leaving.pid);
        self.packed.clear();
        let why = match done {
            Ok(ended) => {
                self.programs.iter_mut().for_each(Program::let_go);
                self.owned.clear();
                self.ended = Some(ended);
                step::before(Step::Leave);
                return self.send_all_on();
            }
            Err(why) => why,
        };
        // Another may have asked for the place meanwhile.
        self.queues.pause(self.leaving.as_ref().is_some_and(|leaving| leaving.rests));
        // It fails where the system has no thread; then services wait for their pipes.
        let _ = self.logs.go_on();
        let now = Instant::now();
        match why {
            // Who asks us something is answered until the next attempt.
            Unhanded::Later(_) if now < leaving.ends && self.leaving.is_none() => {
                (leaving.rests, leaving.until) = (false, now + leaving.pause);
                leaving.pause *= 2;
                self.leaving = Some(leaving);
            }
            Unhanded::Later(why) | Unhanded::Never(why) => {
                tell(leaving.reply, &Told::NotReplaced(why));
            }
        }
    }

    /// Who waits for an answer of ours is to ask the next server.
    fn send_all_on(&mut self) {
        let waits = self.waits.take_all().into_iter().chain(self.watches.take_all());
        let attending = self.attending.drain(..).map(|attending| attending.reply);
        for reply in waits.chain(attending) {
            self.answers.refuse(Some(reply), Refused::Replaced);
        }
        self.orders.go_on_elsewhere();
        self.audit.end_waiting();
        if let Some(Leaving { reply, .. }) = self.leaving.take() {
            tell(reply, &Told::NotReplaced("another has just taken its place".to_owned()));
        }
    }

    /// Answers what came through the server before us.
    pub(super) fn ask_again(&mut self, message: &Message, reply: Option<SendOnceRight>) {
        let told = match message.id() {
            admin::ID => answer(&Told::Replaced),
            _ => encode_answer(&Answer::Refused(Refused::Replaced)),
        };
        // We are about to be linked with who waits for it.
        self.answers.send_rights(reply, told, Answer::Refused(Refused::Replaced));
    }

    /// Sends one part on, for as long as the other takes any in, and until `until` at most.
    /// The watchdog is told meanwhile.
    fn send_on(
        &mut self,
        heir: &SendRight,
        part: Message,
        until: Instant,
    ) -> Result<(), SendError> {
        step::before(if part.id() == LAST { Step::Move } else { Step::Part });
        let (mut part, end) = (part, until.min(Instant::now() + HAND_OVER_STALL));
        loop {
            let slice = end.min(Instant::now() + HAND_OVER_SLICE);
            let Err(error) = heir.send(part, Deadline::At(slice)) else {
                return Ok(());
            };
            self.beat();
            if !matches!(error.reason, SendFailure::Full) || Instant::now() >= end {
                return Err(error);
            }
            part = *error.message;
        }
    }

    fn send_copies(&mut self, heir: &SendRight, until: Instant) -> Result<(), Unhanded> {
        let copies = self.copies();
        let copies = copies.map_err(|error| format!("no descriptor is to be had: {error}"))?;
        let undone =
            |error: SendError| format!("it does not take in what it is told: {}", error.reason);
        self.send_on(heir, Part::Begin.message(), until).map_err(undone)?;
        let mut unconfirmed = Vec::new();
        for (part, is_confirmed) in copies {
            if is_confirmed {
                self.send_on(heir, part, until).map_err(undone)?;
            } else {
                unconfirmed.push(part);
            }
        }
        // An owner that does not answer keeps nobody from the place: what nobody could send
        // to yet is left out.
        let deadline = Deadline::after(HAND_OVER_SLICE);
        for part in unconfirmed {
            step::before(Step::Part);
            let _ = heir.send(part, deadline);
        }
        Ok(())
    }

    fn try_hand_on(&mut self, heir: &SendRight, pid: i32) -> Result<Ended, Unhanded> {
        self.logs.rest();
        let until = Instant::now() + HAND_OVER;
        self.send_copies(heir, until)?;
        let (taken, promise) = {
            let port = self.task.port(Capacity::Bounded(1));
            let promise = port.make_send_once().map_err(|error| error.to_string())?;
            (port, promise)
        };
        let doors = self.shut_doors()?;
        let (rest, left) = self.pack();
        if !left.is_empty() {
            self.take_back(None, rest, left, doors);
            let why = "more lies in its queues than it may hand on at once";
            return Err(Unhanded::Never(why.to_owned()));
        }
        let moves = Move {
            doors: doors.iter().map(|(_, owned)| *owned).collect(),
            place: self.place.as_ref().map(succession::described),
        };
        let copies = doors.iter().map(|(door, _)| door).chain(self.place.iter().map(|it| &it.lock));
        let descriptors: Result<Vec<OwnedFd>, _> = copies.map(OwnedFd::try_clone).collect();
        let descriptors = match descriptors {
            Ok(descriptors) => descriptors,
            Err(error) => {
                self.take_back(None, rest, left, doors);
                return Err(Unhanded::Never(format!("no descriptor is to be had: {error}")));
            }
        };
        if let Some(member) = self.member.take() {
            self.set.remove(member);
        }
        let own = std::mem::replace(&mut self.port, self.task.port(Capacity::Bounded(1)));
        let last = succession::last(own, rest, &moves, descriptors).with_reply(promise);
        if let Err(mut error) = self.send_on(heir, last, until) {
            let mut back = error.message.take_rights().into_iter().map(Right::into_receive);
            let mut next = || back.next().and_then(Result::ok);
            if let (Some(own), Some(rest)) = (next(), next()) {
                self.take_back(Some(own), rest, left, doors);
            }
            let why = format!("its ports could not be given to it: {}", error.reason);
            return Err(match error.reason {
                SendFailure::Unsettled => Unhanded::Later(why),
                _ => Unhanded::Never(why),
            });
        }
        step::before(Step::Moved);
        // From here on all of it is the other's. We stay until it says that it serves: a
        // word that comes through us is passed on meanwhile.
        let end = Instant::now() + HAND_OVER;
        loop {
            let slice = end.min(Instant::now() + HAND_OVER_SLICE);
            match taken.receive(Deadline::At(slice)) {
                // The promise was dropped with its task.
                Ok(word) if word.notification().is_some() => return Ok(Ended::SuccessorDied),
                Err(ReceiveError::Deadline) if Instant::now() < end => self.beat(),
                // It lives, and says nothing yet: it is slow, or stopped. All is its own.
                _ => return Ok(Ended::Replaced { pid }),
            }
        }
    }

    /// Tells the watchdog that we are at work.
    fn beat(&mut self) {
        if let Some(pulse) = &mut self.pulse {
            pulse.turn(Instant::now());
        }
    }

    /// Why the queues do not move, where a right to one was narrowed.
    fn narrowed(&self) -> Option<String> {
        let listings = self
            .subsets
            .views()
            .flat_map(|view| view.names.values().map(move |listing| (view.by, listing)));
        let (by, listing) = listings.into_iter().find(|(_, listing)| {
            let known = self.names.known(&listing.name);
            listing.right.is_some() && known.is_some_and(|known| known.queue.is_some())
        })?;
        let maker = match by {
            By::Maker(pid) => format!(" by process {pid}"),
            By::Rules => String::new(),
        };
        let name = &listing.name;
        Some(format!(
            "a right to the queue {name} was narrowed{maker}, and so it does not move: let go \
             of the restricted right that lists it, or end who holds it"
        ))
    }

    /// It is not handed on: all is as it was.
    fn take_back(
        &mut self,
        own: Option<ReceiveRight>,
        rest: ReceiveRight,
        left: Vec<Message>,
        doors: Vec<(OwnedFd, bool)>,
    ) {
        step::before(Step::TakeBack);
        if let Some(own) = own {
            self.port = own;
            self.member = self.set.add(&self.port).ok();
        }
        self.take_in_all(rest, left);
        self.open_doors(doors);
    }

    /// Copies of what others may have, too.
    /// And whether each can be sent at once.
    fn copies(&self) -> std::io::Result<Vec<(Message, bool)>> {
        let now = Instant::now();
        let mut copies = Vec::new();
        for (id, program) in self.programs.iter().enumerate() {
            let (bytes, lost, pipe) = self.logs.copy(id)?;
            let kept = bytes.len().min(LOG_BYTES_CARRIED);
            let lost = lost + (bytes.len() - kept) as u64;
            let bytes = bytes.get(bytes.len() - kept..).unwrap_or_default().to_vec();
            // What is declared no more is nobody's there, and only ended.
            let (label, names) = if program.withdrawn { (None, &[][..]) } else { program.key() };
            let (runs, watched) = match program.running() {
                None => (None, None),
                Some((running, process, checked_in)) => {
                    let checked_in = checked_in.iter().cloned().collect();
                    let pid = running.pid().unwrap_or(0);
                    // Without it nobody could end the process, or hear of its end.
                    (Some(Runs { pid, process, checked_in }), Some(running.watched()?))
                }
            };
            let part = Part::Program {
                label: label.map(str::to_owned),
                names: names.to_vec(),
                leads: program.leads(),
                runs,
                supervision: program.supervision.carried(now),
                said: program.log_bytes.map(|_| (bytes, lost)),
            };
            let descriptors = watched.into_iter().chain(pipe);
            copies.push((descriptors.fold(part.message(), Message::with_descriptor), true));
        }
        for (name, known) in self.names.after(None) {
            if let Some(holder) = &known.holder {
                let (name, who, since) = (name.to_owned(), holder.who.into(), holder.since);
                let part = Part::Name { name, who, since };
                let part = part.message().with_right(holder.right.clone());
                copies.push((part, holder.is_confirmed()));
            }
        }
        for seen in self.seen.all() {
            let part = Part::Seen { who: seen.who.into() };
            let is_confirmed = seen.right.same_port(&seen.right);
            copies.push((part.message().with_right(seen.right.clone()), is_confirmed));
        }
        let mut kept = self.audit.carried().peekable();
        while kept.peek().is_some() {
            let kept = kept.by_ref().take(PAGE_ENTRIES).collect();
            copies.push((Part::Audited { kept, lost: self.audit.lost() }.message(), true));
        }
        drop(kept);
        Ok(copies)
    }

    /// What can be in one place only, in the queue of a port: it goes with that. Beside it
    /// what there is no room for, in order.
    fn pack(&mut self) -> (ReceiveRight, Vec<Message>) {
        let (rest, mut left) = (self.task.port(Capacity::Unbounded), Vec::new());
        // It fails only in a forked child.
        let Ok(post) = rest.make_send() else { return (rest, left) };
        let mut put = |message: Message| {
            if !left.is_empty() {
                left.push(message);
            } else if let Err(error) = post.send(message, Deadline::Now) {
                left.push(*error.message);
            }
        };
        for subset in self.subsets.take_all() {
            step::before(Step::Pack);
            self.set.remove(subset.member);
            // To be asked for anew, by who has the port then.
            drop(subset.port.take_no_senders());
            let names = &subset.view.names;
            let lists = names.iter().map(|(alias, listing)| Lists {
                alias: alias.clone(),
                name: listing.name.clone(),
                provides: listing.provides,
                narrowed: listing.right.is_some(),
                rules: self.rules_of(&listing.name),
            });
            let by = match subset.view.by {
                By::Maker(pid) => Some(pid),
                By::Rules => None,
            };
            let maker = subset.maker.map(|task| (task.process, task.number));
            let part = Part::Subset { maker, by, lists: lists.collect() };
            let narrowed = names.values().filter_map(|listing| listing.right.clone());
            let port = subset.port.id();
            let message = part.message().with_right(subset.port);
            let message = narrowed.fold(message, Message::with_right);
            self.packed.insert(port, subset.view);
            put(message);
        }
        let queues = self.names.after(None);
        let queues: Vec<_> =
            queues.filter_map(|(name, known)| Some((name.to_owned(), known.queue?))).collect();
        for (name, id) in queues {
            let Some((port, held)) = self.queues.take_out(id) else { continue };
            let held = if step::holds(Rule::QueuesGoAlong) { held } else { Vec::new() };
            put(Part::Queue { name, held: held.len() }.message().with_right(port));
            for held in held {
                let origin = held.origin.map(Into::into);
                let (redelivered, badge) = (held.redelivered, held.badge);
                put(Part::Held { redelivered, origin, badge }.message());
                put(held.message);
            }
        }
        (rest, left)
    }

    /// Who connects from now on waits for who listens next.
    fn shut_doors(&mut self) -> Result<Vec<(OwnedFd, bool)>, String> {
        let mut doors = Vec::new();
        while let Some(listening) = self.listening.pop() {
            let owned = self.owned.iter().any(|path| path == listening.path());
            step::before(Step::Shut);
            match listening.hand_on() {
                Ok(door) => doors.push((door, owned)),
                Err(error) => {
                    self.open_doors(doors);
                    let why = format!("its door could not be handed on: {error}");
                    self.tell_shut(&why);
                    return Err(why);
                }
            }
        }
        // As they were: services are told the first of them.
        doors.reverse();
        Ok(doors)
    }

    fn open_doors(&mut self, doors: Vec<(OwnedFd, bool)>) {
        for (door, _) in doors {
            let offer = vec![(pillarbox::bootstrap::BOOTSTRAP.to_owned(), self.right.clone())];
            match self.task.listen_at(door, offer) {
                Ok(listening) => self.listening.push(listening),
                Err(error) => self.tell_shut(&error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use pillarbox::{Identity, Task};

    use super::*;
    use crate::Server;

    /// A server's keeper with so many names.
    fn keeping(server: Server, names: u32) -> Keeper {
        let own: Identity = server.task.identity();
        let mut keeper = Keeper::new(server);
        let right = keeper.right.clone();
        for number in 0..names {
            keeper.names.hold(&format!("n{number}"), right.clone(), own).unwrap();
        }
        keeper
    }

    #[test]
    fn one_that_takes_in_a_little_at_a_time_is_given_up_in_time() {
        let task = Task::new();
        let mut keeper = keeping(Server::new(&task).unwrap(), 64);
        let (heir, over) = (task.port(Capacity::Bounded(1)), AtomicBool::new(false));
        let post = heir.make_send().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // The pause is what is wrong with it.
                    std::thread::park_timeout(Duration::from_millis(50));
                    let _ = heir.receive(Deadline::Now);
                }
            });
            let done = keeper.send_copies(&post, Instant::now() + Duration::from_millis(500));
            over.store(true, Ordering::Relaxed);
            let Err(Unhanded::Never(why)) = done else { panic!("all was sent") };
            assert_eq!(why, "it does not take in what it is told: the mailbox is full");
        });
    }

    #[test]
    fn one_that_takes_nothing_in_is_given_up_and_the_watchdog_is_told_meanwhile() {
        let (task, beats) = (Task::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&beats);
        let server = Server::new(&task).unwrap().pulse(HAND_OVER_SLICE, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut keeper = keeping(server, 4);
        let (heir, told) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
        let version = (VERSION, succession::pid_namespace());
        let reply = told.make_send_once().unwrap();
        keeper.leave_to(version, heir.make_send().unwrap(), 1, reply);
        assert!(keeper.leave(Instant::now()), "it is as it was");
        let told = told.receive(Deadline::Now).unwrap();
        let told = postcard::from_bytes::<Told>(told.body()).unwrap();
        let Told::NotReplaced(why) = told else { panic!("{told:?}") };
        assert_eq!(why, "it does not take in what it is told: the mailbox is full");
        assert!(beats.load(Ordering::Relaxed) > 3);
        assert!(keeper.leaving.is_none() && keeper.member.is_some() && keeper.ended.is_none());
        assert_eq!(keeper.names.after(None).count(), 4);
    }

    #[test]
    fn the_watchdog_is_told_while_the_successor_says_nothing() {
        let (task, beats) = (Task::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&beats);
        let server = Server::new(&task).unwrap().pulse(HAND_OVER_SLICE, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut keeper = keeping(server, 1);
        let (heir, told) = (task.port(Capacity::Bounded(64)), task.port(Capacity::Bounded(1)));
        let version = (VERSION, succession::pid_namespace());
        let (post, reply) = (heir.make_send().unwrap(), told.make_send_once().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let deadline = Deadline::after(HAND_OVER);
                let last = loop {
                    let part = heir.receive(deadline).unwrap();
                    if part.id() == LAST {
                        break part;
                    }
                };
                let before = beats.load(Ordering::Relaxed);
                while beats.load(Ordering::Relaxed) < before + 3 {
                    assert!(!deadline.has_passed(), "the watchdog was not told");
                    std::thread::yield_now();
                }
                // It ends without a word.
                drop(last);
            });
            keeper.leave_to(version, post, 1, reply);
            keeper.leave(Instant::now());
        });
        assert_eq!(keeper.ended, Some(Ended::SuccessorDied));
    }
}
