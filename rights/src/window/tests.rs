//! Each rule of the window, by itself.

use super::*;

fn raised(raises: &mut Vec<Raise<char>>) -> Vec<(char, u64)> {
    raises.drain(..).map(|raise| (raise.holder, raise.grant)).collect()
}

#[test]
fn a_small_port_keeps_no_reserves_and_is_filled_exactly() {
    let mut window = Window::new(Capacity::Bounded(5));
    let mut raises = Vec::new();
    assert_eq!(window.join('a'), 0);
    assert_eq!(window.join('i'), 0);
    for sent in 1..=5 {
        window.ask('a');
        window.hand_out(0, &mut raises);
        assert_eq!(raised(&mut raises), [('a', sent)]);
        window.arrive('a').unwrap();
    }
    window.ask('a');
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty());
    assert_eq!(window.queued(), 5);
    window.take(Some('a'), 0, &mut raises);
    assert_eq!(raised(&mut raises), [('a', 6)]);
}

#[test]
fn a_message_that_was_not_granted_is_an_offence() {
    let mut window = Window::new(Capacity::Bounded(64));
    let grant = window.join('a');
    for _ in 0..grant {
        window.arrive('a').unwrap();
    }
    assert_eq!(window.arrive('a'), Err(Offence::WindowExceeded));
    assert_eq!(window.arrive('x'), Err(Offence::WindowExceeded));
    assert_eq!(window.hand_back('a', 1, false), Err(Offence::WindowExceeded));
}

#[test]
fn reserves_never_take_the_last_place() {
    let mut window = Window::new(Capacity::Bounded(16));
    for holder in 'a'..='z' {
        let _ = window.join(holder);
        assert!(window.promised() < 16);
    }
    assert!(window.enter());
}

#[test]
fn an_unused_place_is_written_off_while_others_wait() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = window.join('s');
    let _ = window.join('h');
    window.ask('s');
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('s', 1)]);
    assert_eq!(window.expire(limits::GRANT_IDLE_NS * 2, &mut raises), None);
    window.ask('h');
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty());
    assert_eq!(window.expire(1, &mut raises), Some(limits::GRANT_IDLE_NS));
    let _ = window.expire(limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(raised(&mut raises), [('h', 1)]);
    // The late one still comes, and gets no other place before.
    window.ask('s');
    window.arrive('h').unwrap();
    window.arrive('s').unwrap();
    assert_eq!(window.queued(), 2);
    window.take(Some('h'), 0, &mut raises);
    assert!(raises.is_empty());
    window.take(Some('s'), 0, &mut raises);
    assert_eq!(raised(&mut raises), [('s', 2)]);
}

#[test]
fn a_place_that_crossed_its_hand_back_is_written_off_in_time() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = window.join('a');
    let _ = window.join('b');
    window.ask('a');
    window.hand_out(0, &mut raises);
    // It gave up before it saw the place: it hands nothing back.
    window.hand_back('a', 0, true).unwrap();
    window.ask('b');
    raises.clear();
    let _ = window.expire(limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(raised(&mut raises), [('b', 1)]);
}

#[test]
fn one_who_lets_a_place_lie_shuts_nobody_out() {
    let mut window = Window::new(Capacity::Bounded(2));
    let mut raises = Vec::new();
    let _ = window.join('a');
    let _ = window.join('b');
    window.ask('a');
    window.hand_out(0, &mut raises);
    assert!(window.enter());
    window.ask('b');
    let _ = window.expire(limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(window.written_off(), 1);
    window.arrive('b').unwrap();
    window.ask('a');
    window.take(Some('b'), 0, &mut raises);
    assert!(window.enter());
    // Nor does it get a reserve.
    let mut window = Window::new(Capacity::Bounded(16));
    let first = window.join('a');
    let _ = window.join('b');
    for _ in 0..first {
        window.arrive('a').unwrap();
    }
    while window.enter() {}
    window.ask('a');
    window.take(None, 0, &mut raises);
    window.ask('b');
    raises.clear();
    while window.asking() == 0 {
        window.arrive('b').unwrap();
        window.ask('b');
        window.hand_out(0, &mut raises);
    }
    let _ = window.expire(limits::GRANT_IDLE_NS, &mut raises);
    raises.clear();
    for _ in 0..8 {
        window.take(Some('a'), 0, &mut raises);
    }
    assert!(raises.iter().all(|raise| raise.holder != 'a'));
}

#[test]
fn a_question_that_crossed_a_place_is_answered_without_a_free_one() {
    let mut window = Window::new(Capacity::Bounded(8));
    let mut raises = Vec::new();
    let first = window.join('a');
    for _ in 0..first {
        window.arrive('a').unwrap();
    }
    window.take(Some('a'), 0, &mut raises);
    assert_eq!(raised(&mut raises), [('a', first + 1)]);
    while window.enter() {}
    // It asked before it saw the new place, and now sleeps.
    window.ask('a');
    window.hand_out(0, &mut raises);
    assert_eq!(raises, [Raise { holder: 'a', grant: first + 1, asked: true }]);
}

#[test]
fn a_place_is_written_off_for_our_own_senders_too() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = window.join('a');
    window.ask('a');
    window.hand_out(0, &mut raises);
    assert!(!window.enter());
    window.set_own_waiting(1);
    let due = window.expire(0, &mut raises);
    assert_eq!(due, Some(limits::GRANT_IDLE_NS));
    assert_eq!(window.expire(limits::GRANT_IDLE_NS, &mut raises), None);
    assert!(window.enter());
}

#[test]
fn a_rendezvous_grants_when_a_receiver_waits() {
    let mut window = Window::new(Capacity::Rendezvous);
    let mut raises = Vec::new();
    assert_eq!(window.join('s'), 0);
    window.ask('s');
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty());
    assert!(!window.enter());
    window.set_receivers(1);
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('s', 1)]);
    assert!(!window.enter());
}

#[test]
fn who_leaves_frees_its_places() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = window.join('a');
    let _ = window.join('b');
    window.ask('a');
    window.hand_out(0, &mut raises);
    window.ask('b');
    raises.clear();
    window.leave('a');
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('b', 1)]);
    window.hand_back('b', 1, true).unwrap();
    assert!(window.enter());
}
