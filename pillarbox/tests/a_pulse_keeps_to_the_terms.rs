//! To a right with terms a pulse is a message: its badge comes with it, the terms
//! count it, and one they do not permit is refused, in one task and from another.

mod family;

use family::linked::give;
use family::{long, settled};
use pillarbox::{
    Capacity, Deadline, Message, Notification, PortOptions, PulseError, ReceiveRight, SendRight,
    Task, Terms,
};

/// The next pulse: id, value, badge, and how many it stands for.
fn next(inbox: &ReceiveRight) -> (i32, u64, Option<u64>, u64) {
    let message = inbox.receive(long()).expect("a pulse");
    let pulse = message.pulse().expect("it is a pulse");
    (pulse.id, pulse.value, message.badge(), pulse.count)
}

/// A right on these terms, in one task and from another.
fn both(options: PortOptions, terms: &Terms, story: impl Fn(&Task, ReceiveRight, SendRight, bool)) {
    for far in [false, true] {
        let task = Task::new();
        let inbox = task.port(options.clone());
        let right = inbox.make_send_with(terms).unwrap();
        let caller = Task::new();
        let right = if far { give(&task, &caller, right) } else { right };
        story(&task, inbox, right, far);
    }
}

#[test]
fn its_badge_comes_with_it_and_other_badges_are_not_merged() {
    let options = PortOptions::new(Capacity::Bounded(1)).merge_pulses(true);
    both(options, &Terms::new().badge(7), |_, inbox, right, _| {
        let other = inbox.make_send_with(&Terms::new().badge(8)).unwrap();
        right.pulse(1, 2, 0).unwrap();
        right.pulse(1, 2, 0).unwrap();
        // Another thread may be reading them, and may have read the first alone. A look
        // at what is there reads nothing; one for what is not there does.
        let both = || {
            assert!(inbox.receive_id(9, Deadline::Now).is_err(), "nobody sent that");
            inbox.peek().map(|next| next.pulses)
        };
        settled(both, |pulses| *pulses == Some(2));
        assert_eq!(next(&inbox), (1, 2, Some(7), 2));
        right.pulse(1, 2, 0).unwrap();
        settled(|| inbox.peek().is_some(), |came| *came);
        other.pulse(1, 2, 0).unwrap();
        assert_eq!(next(&inbox), (1, 2, Some(7), 1));
        assert_eq!(next(&inbox), (1, 2, Some(8), 1));
    });
}

#[test]
fn it_is_counted_with_the_messages() {
    let terms = Terms::new().messages(3);
    both(Capacity::Bounded(8).into(), &terms, |task, inbox, right, _| {
        let news = right.clone();
        right.pulse(1, 1, 0).unwrap();
        right.send(Message::new("between"), long()).unwrap();
        assert_eq!(next(&inbox).1, 1);
        assert_eq!(inbox.receive(long()).unwrap().body(), b"between");
        right.pulse(1, 2, 0).unwrap();
        assert_eq!(next(&inbox).1, 2);
        // That was the last: what comes now finds the right ended.
        let ended = || matches!(news.pulse(1, 3, 0), Err(PulseError::Revoked | PulseError::Dead));
        settled(ended, |ended| *ended);
        assert!(inbox.receive(Deadline::Now).is_err());
        drop(task.clone());
    });
}

#[test]
fn what_the_terms_do_not_permit_does_not_come() {
    both(Capacity::Bounded(8).into(), &Terms::new().ids(1..=2), |_, inbox, right, far| {
        let refused = right.pulse(3, 1, 0);
        if far {
            // A peer is not told which ids its right permits.
            assert_eq!(refused, Ok(()));
        } else {
            assert_eq!(refused, Err(PulseError::NotPermitted(3)));
        }
        right.pulse(2, 2, 0).unwrap();
        assert_eq!(next(&inbox).1, 2);
        assert_eq!(inbox.refused(), u64::from(far));
        // Nor has it cost its sender a place.
        for value in 0..64 {
            right.pulse(1, value, 0).unwrap();
        }
        for value in 0..64 {
            assert_eq!(next(&inbox).1, value);
        }
    });
}

#[test]
fn the_limit_of_the_port_is_that_of_each_facet() {
    let options = PortOptions::new(Capacity::Bounded(8)).pulses(2);
    both(options, &Terms::new().badge(1), |_, inbox, right, _| {
        let other = inbox.make_send_with(&Terms::new().badge(2)).unwrap();
        right.pulse(1, 1, 0).unwrap();
        right.pulse(1, 2, 0).unwrap();
        assert_eq!(right.pulse(1, 3, 0), Err(PulseError::NoRoom));
        settled(|| inbox.peek().is_some(), |came| *came);
        let _ = other.pulse(1, 4, 0);
        assert_eq!(next(&inbox).1, 1);
        settled(|| right.pulse(1, 5, 0), |sent| *sent != Err(PulseError::NoRoom));
    });
}

#[test]
fn a_revoked_right_pulses_no_more_and_what_was_queued_stays() {
    for far in [false, true] {
        let (task, caller) = (Task::new(), Task::new());
        let inbox = task.port(Capacity::Bounded(8));
        let (right, revoker) = inbox.make_revocable(&Terms::new().badge(9)).unwrap();
        let right = if far { give(&task, &caller, right) } else { right };
        let told = if far { caller } else { task.clone() };
        let news = told.port(Capacity::Bounded(1));
        right.notify_dead(news.make_send_once().unwrap()).unwrap();
        right.pulse(1, 1, 0).unwrap();
        settled(|| inbox.peek().is_some(), |came| *came);
        assert!(revoker.revoke() > 0);
        settled(|| right.pulse(1, 2, 0), |sent| *sent == Err(PulseError::Revoked));
        let dead = news.receive(long()).unwrap().notification();
        assert_eq!(dead, Some(Notification::DeadName));
        assert_eq!(next(&inbox), (1, 1, Some(9), 1));
        assert!(inbox.receive(Deadline::Now).is_err());
    }
}
