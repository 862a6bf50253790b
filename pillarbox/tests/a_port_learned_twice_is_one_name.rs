//! A port learned from two tasks is one name with a count: both rights lead to one
//! port, the owner has one slot for them, which counts each, and the last let go gives
//! all counts back. Whether both come by giving or one comes from the owner itself,
//! whichever is first, when they cross on the way, when one is let go of while the other
//! comes, and when who gave them is killed.

mod family;

use family::member::{
    ASK, COPY, COUNTED, DROP, GOOD, KEEP, PASS, SAME, SAY, SENDERS, SLOTS, TOLD, Told, obey,
};
use family::{Random, is_part, long, seed, settled};
use pillarbox::Message;

#[test]
fn member_part() {
    obey("member_part");
}

/// An owner, two that hold rights to its port, and who learns it from both.
struct Four {
    owner: Told,
    givers: [Told; 2],
    learner: Told,
}

impl Four {
    fn new() -> Four {
        let start = || Told::start("member_part");
        let four = Four { owner: start(), givers: [start(), start()], learner: start() };
        for giver in [&four.givers[0], &four.givers[1], &four.owner] {
            giver.before(&four.learner);
        }
        four
    }

    /// Both givers hold a right to a new port, and nobody else does. The learner knows
    /// the owner.
    fn begin(&self) {
        let right = self.owner.port();
        for member in [&self.givers[0], &self.givers[1], &self.learner] {
            member.give(KEEP, right.clone());
            assert_eq!(member.tell(ASK, 0), GOOD);
        }
        drop(right);
        self.learner.tell(DROP, 0);
        settled(|| self.owner.tell(SENDERS, 0), |&senders| senders == 2);
    }

    /// The learner has both, as one name.
    fn is_one_name(&self, senders: u64, counted: u64) {
        self.learner.holds(2);
        assert_eq!(self.learner.tell(SAME, 0), 1);
        self.is_held_by(senders);
        settled(|| self.owner.tell(COUNTED, 0), |&seen| seen == counted);
        assert_eq!(self.learner.tell(SAY, 0), GOOD);
    }

    /// Has this done while the owner is stopped, if it is to be.
    fn without_owner<R>(&self, stopped: bool, done: impl FnOnce() -> R) -> R {
        if stopped {
            self.owner.child.stop();
        }
        let done = done();
        if stopped {
            self.owner.child.resume();
        }
        done
    }

    /// Both givers give theirs to the learner, which then has both.
    fn both_give(&self) {
        for giver in &self.givers {
            assert_eq!(giver.tell(PASS, 20_000), 1);
        }
        self.learner.holds(2);
    }

    /// So many hold rights to the port, each in one slot of the owner's.
    fn is_held_by(&self, holders: u64) {
        settled(|| self.owner.tell(SENDERS, 0), |&senders| senders == holders);
        settled(|| self.owner.tell(SLOTS, 0), |&slots| slots == holders);
    }

    fn ends(&self) {
        for member in [&self.givers[0], &self.givers[1], &self.learner] {
            let _ = member.try_tell(DROP, 0);
        }
        settled(|| self.owner.tell(SENDERS, 0), |&senders| senders == 0);
        settled(|| self.owner.tell(COUNTED, 0), |&counted| counted == 0);
        settled(|| self.owner.tell(TOLD, 0), |&told| told == 1);
    }
}

#[test]
fn from_two_that_give_it_away() {
    if is_part() {
        return;
    }
    let four = Four::new();
    for stopped in [false, true] {
        four.begin();
        four.without_owner(stopped, || four.both_give());
        // One holder, one slot, two counts.
        four.is_one_name(1, 2);
        assert_eq!(four.owner.tell(TOLD, 0), 0);
        four.ends();
    }
}

#[test]
fn from_who_was_given_it_and_from_its_owner() {
    if is_part() {
        return;
    }
    let four = Four::new();
    for owner_first in [false, true] {
        four.begin();
        // The owner keeps one of its own for this.
        four.givers[1].before(&four.owner);
        assert_eq!(four.givers[1].tell(PASS, 20_000), 1);
        four.owner.holds(1);
        let order = if owner_first {
            [&four.owner, &four.givers[0]]
        } else {
            [&four.givers[0], &four.owner]
        };
        for (held, giver) in (1..).zip(order) {
            assert_eq!(giver.tell(PASS, 20_000), 1);
            four.learner.holds(held);
        }
        four.is_one_name(1, 2);
        four.ends();
    }
}

#[test]
fn from_two_whose_gives_cross() {
    if is_part() {
        return;
    }
    let four = Four::new();
    let [one, other] = &four.givers;
    one.before(other);
    other.before(one);
    for stopped in [false, true] {
        four.begin();
        four.without_owner(stopped, || {
            // Both at once: neither has the other's when it gives its own.
            let give = |giver: &Told| {
                let order = Message::new("").with_id(COPY).with_tag(20_000);
                giver.orders.start_call(order, long()).unwrap()
            };
            for mut call in [give(one), give(other)] {
                assert_eq!(call.wait(long()).unwrap().tag(), 1);
            }
            for giver in [one, other] {
                giver.holds(2);
            }
        });
        for giver in [one, other] {
            assert_eq!(giver.tell(SAME, 0), 1);
        }
        four.is_held_by(2);
        settled(|| four.owner.tell(COUNTED, 0), |&counted| counted == 4);
        four.ends();
    }
}

#[test]
fn one_is_let_go_of_while_the_other_comes() {
    if is_part() {
        return;
    }
    let four = Four::new();
    // Before it is confirmed, and after.
    for stopped in [false, true] {
        four.begin();
        four.without_owner(stopped, || {
            assert_eq!(four.givers[0].tell(PASS, 20_000), 1);
            four.learner.holds(1);
            if !stopped {
                assert_eq!(four.learner.tell(ASK, 0), GOOD);
            }
            four.learner.tell(DROP, 0);
            assert_eq!(four.givers[1].tell(PASS, 20_000), 1);
            four.learner.holds(1);
        });
        assert_eq!(four.learner.tell(ASK, 0), GOOD);
        // One that goes while the other is there is counted until that one goes.
        four.is_held_by(1);
        settled(|| four.owner.tell(COUNTED, 0), |&counted| counted == 1 || stopped);
        assert_eq!(four.owner.tell(TOLD, 0), 0);
        four.ends();
    }
}

/// What is let go of crosses what comes, again and again: the name never goes while
/// something is on its way, and goes when nothing is.
#[test]
fn letting_go_crosses_learning() {
    const ROUNDS: u32 = 40;
    if is_part() {
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let four = Four::new();
    four.begin();
    for _ in 0..ROUNDS {
        let order = |id: i32| Message::new("").with_id(id).with_tag(20_000);
        for giver in &four.givers {
            giver.orders.send(order(COPY), long()).unwrap();
            std::thread::park_timeout(random.micros(200));
            four.learner.orders.send(order(DROP), long()).unwrap();
        }
        assert_eq!(four.owner.tell(TOLD, 0), 0, "seed {seed}");
    }
    for giver in &four.givers {
        assert_eq!(giver.tell(COPY, 20_000), 1);
    }
    settled(|| four.learner.tell(ASK, 0), |&asked| asked == GOOD);
    four.ends();
}

#[test]
fn it_stays_one_name_when_who_gave_it_is_killed() {
    if is_part() {
        return;
    }
    for victims in [vec![0], vec![1], vec![0, 1]] {
        for stopped in [false, true] {
            let mut four = Four::new();
            four.begin();
            if stopped {
                four.owner.child.stop();
            }
            four.both_give();
            for &victim in &victims {
                four.givers[victim].child.kill();
            }
            if stopped {
                four.owner.child.resume();
            }
            four.is_one_name(1, 2);
            four.ends();
        }
    }
}

#[test]
fn its_count_ends_with_who_learned_it() {
    if is_part() {
        return;
    }
    for stopped in [false, true] {
        let mut four = Four::new();
        four.begin();
        if stopped {
            four.owner.child.stop();
        }
        four.both_give();
        four.learner.child.kill();
        if stopped {
            four.owner.child.resume();
        }
        four.ends();
    }
}
