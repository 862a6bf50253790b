//! Each rule of the window, by itself.

use abi::limits;

use super::*;

fn expire(window: &mut Window<char>, now_ns: u64, raises: &mut Vec<Raise<char>>) -> Option<u64> {
    window.write_off(now_ns);
    window.hand_out(now_ns, raises);
    window.next_expiry()
}

fn queued(window: &mut Window<char>, holder: char) {
    assert_eq!(window.arrive(holder), Ok(Arrival::Queue));
}

fn raised(raises: &mut Vec<Raise<char>>) -> Vec<(char, u64)> {
    raises.drain(..).map(|raise| (raise.holder, raise.grant)).collect()
}

#[test]
fn a_small_port_keeps_no_reserves_for_newcomers_and_is_filled_exactly() {
    let mut window = Window::new(Capacity::Bounded(5));
    let mut raises = Vec::new();
    assert_eq!(window.join('a'), 0);
    assert_eq!(window.join('i'), 0);
    for sent in 1..=5 {
        window.ask('a', 0);
        window.hand_out(0, &mut raises);
        assert_eq!(raised(&mut raises), [('a', sent)]);
        queued(&mut window, 'a');
    }
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty());
    assert_eq!(window.queued(), 5);
    window.take(Some('a'), 0, &mut raises);
    assert_eq!(raised(&mut raises), [('a', 6)]);
}

#[test]
fn whose_message_was_taken_from_a_small_port_has_a_place_again() {
    let mut window = Window::new(Capacity::Bounded(5));
    let mut raises = Vec::new();
    assert_eq!((window.join('a'), window.join('b')), (0, 0));
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('a', 1)]);
    // It asks no more, however often it sends.
    for sent in 2..=9 {
        queued(&mut window, 'a');
        window.take(Some('a'), 0, &mut raises);
        assert_eq!(raised(&mut raises), [('a', sent)]);
    }
    // That place, too, is another's who asks for it.
    for asked in 1..=5 {
        window.ask('b', 0);
        window.hand_out(0, &mut raises);
        assert_eq!(raised(&mut raises), [('b', asked)]);
        queued(&mut window, 'b');
    }
    assert_eq!((window.written_off(), window.queued()), (1, 5));
    assert_eq!(window.arrive('a'), Ok(Arrival::Beside));
    // Half of what is free stays free, and priorities say whose turn it is.
    for mut window in [
        Window::new(Capacity::Bounded(1)),
        Window::new(Capacity::Bounded(5)).by_priority(true),
        Window::new(Capacity::Rendezvous),
    ] {
        window.set_receivers(5);
        assert_eq!((window.join('a'), window.join('b')), (0, 0));
        window.ask('a', 0);
        window.hand_out(0, &mut raises);
        assert_eq!(raised(&mut raises), [('a', 1)]);
        queued(&mut window, 'a');
        window.take(Some('a'), 0, &mut raises);
        assert!(raises.is_empty());
    }
}

#[test]
fn who_alone_can_send_to_a_small_port_has_one_place_until_others_need_it() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    assert_eq!((window.join_alone('a'), window.join('b')), (1, 0));
    queued(&mut window, 'a');
    assert_eq!(window.arrive('a'), Err(Offence::WindowExceeded));
    window.take(Some('a'), 0, &mut raises);
    assert!(raises.is_empty(), "the next it asks for");
    window.leave('b');
    window.leave('a');
    assert_eq!((window.join_alone('a'), window.join('b')), (1, 0));
    window.ask('b', 0);
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('b', 1)]);
    queued(&mut window, 'b');
    // Its place was written off, and its message is accepted all the same.
    assert_eq!((window.written_off(), window.arrive('a')), (1, Ok(Arrival::Beside)));
    // Nobody has one where the port is full, or goes by priorities.
    assert_eq!((window.leave('a'), window.leave('b'), window.join_alone('c')), ((), (), 0));
    assert_eq!(Window::new(Capacity::Bounded(1)).by_priority(true).join_alone('a'), 0);
    assert_eq!(Window::new(Capacity::Rendezvous).join_alone('a'), 0);
    assert_eq!(Window::new(Capacity::Bounded(64)).join_alone('a'), FIRST_PLACES);
    assert_eq!(Window::new(Capacity::Unbounded).join_alone('a'), u64::MAX);
}

#[test]
fn a_message_that_was_not_granted_is_an_offence() {
    let mut window = Window::new(Capacity::Bounded(64));
    let grant = window.join('a');
    for _ in 0..grant {
        queued(&mut window, 'a');
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
    window.ask('s', 0);
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('s', 1)]);
    assert_eq!(expire(&mut window, limits::GRANT_IDLE_NS * 2, &mut raises), None);
    window.ask('h', 0);
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty());
    assert_eq!(expire(&mut window, 1, &mut raises), Some(limits::GRANT_IDLE_NS));
    let _ = expire(&mut window, limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(raised(&mut raises), [('h', 1)]);
    // The late one asks again, and is told to use the place it has.
    window.ask('s', 0);
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('s', 1)]);
    queued(&mut window, 'h');
    assert_eq!(window.arrive('s'), Ok(Arrival::Beside));
    assert_eq!((window.queued(), window.beside()), (1, 1));
    assert!(!window.admit(false));
    // It is let in before who asked, and then counts.
    window.ask('h', 0);
    window.take(Some('h'), 0, &mut raises);
    assert!(raises.is_empty());
    assert!(window.admit(true));
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty());
    window.take(Some('s'), 0, &mut raises);
    assert_eq!(raised(&mut raises), [('h', 2)]);
}

#[test]
fn a_place_that_crossed_its_hand_back_is_written_off_in_time() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = window.join('a');
    let _ = window.join('b');
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    // It gave up before it saw the place: it hands nothing back.
    window.hand_back('a', 0, true).unwrap();
    window.ask('b', 0);
    raises.clear();
    let _ = expire(&mut window, limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(raised(&mut raises), [('b', 1)]);
}

#[test]
fn a_place_that_lies_unused_is_room_in_time() {
    for capacity in [Capacity::Bounded(1), Capacity::Rendezvous] {
        let mut window = Window::new(capacity);
        let mut raises = Vec::new();
        let _ = window.join('a');
        let _ = window.join('w');
        window.set_receivers(1);
        window.ask('a', 0);
        let _ = expire(&mut window, 1, &mut raises);
        assert_eq!(raised(&mut raises), [('a', 1)]);
        assert_eq!(window.next_expiry(), None);
        // It may be on its way.
        window.watch('w');
        assert!(window.tell_room().is_empty());
        let late = 1 + limits::GRANT_IDLE_NS;
        assert_eq!(window.next_expiry(), Some(late));
        assert_eq!(expire(&mut window, late - 1, &mut raises), Some(late));
        assert!(window.tell_room().is_empty());
        let _ = expire(&mut window, late, &mut raises);
        assert_eq!(window.tell_room(), ['w']);
        assert_eq!(window.next_expiry(), None);
        // Nothing was taken from who had it but its turn.
        assert_eq!(window.arrive('a'), Ok(Arrival::Beside));
        assert!(window.admit(true));
    }
}

#[test]
fn one_who_lets_a_place_lie_shuts_nobody_out() {
    let mut window = Window::new(Capacity::Bounded(2));
    let mut raises = Vec::new();
    let _ = window.join('a');
    let _ = window.join('b');
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    assert!(window.enter());
    window.ask('b', 0);
    let _ = expire(&mut window, limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(window.written_off(), 1);
    queued(&mut window, 'b');
    window.ask('a', 0);
    window.take(Some('b'), 0, &mut raises);
    assert!(window.enter());
    // Nor does it get a reserve.
    let mut window = Window::new(Capacity::Bounded(16));
    let first = window.join('a');
    let _ = window.join('b');
    for _ in 0..first {
        queued(&mut window, 'a');
    }
    while window.enter() {}
    window.ask('a', 0);
    window.take(None, 0, &mut raises);
    window.set_own_waiting(1);
    let _ = expire(&mut window, limits::GRANT_IDLE_NS, &mut raises);
    assert!(window.written_off() > 0);
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
        queued(&mut window, 'a');
    }
    window.take(Some('a'), 0, &mut raises);
    // Half of what is free.
    assert_eq!(raised(&mut raises), [('a', first + 3)]);
    while window.enter() {}
    // It asked before it saw the new place, and now sleeps.
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    assert_eq!(raises, [Raise { holder: 'a', grant: first + 3, asked: true }]);
}

#[test]
fn a_place_is_written_off_for_our_own_senders_too() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = window.join('a');
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    assert!(!window.enter());
    window.set_own_waiting(1);
    let due = expire(&mut window, 0, &mut raises);
    assert_eq!(due, Some(limits::GRANT_IDLE_NS));
    assert_eq!(expire(&mut window, limits::GRANT_IDLE_NS, &mut raises), None);
    assert!(window.enter());
}

#[test]
fn a_rendezvous_grants_when_a_receiver_waits() {
    let mut window = Window::new(Capacity::Rendezvous);
    let mut raises = Vec::new();
    assert_eq!(window.join('s'), 0);
    window.ask('s', 0);
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
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    window.ask('b', 0);
    raises.clear();
    window.leave('a');
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('b', 1)]);
    window.hand_back('b', 1, true).unwrap();
    assert!(window.enter());
}

#[test]
fn an_idle_reserve_is_written_off_at_once_and_one_that_was_asked_for_is_not() {
    for places in [8, 100, 1000] {
        let mut window = Window::new(Capacity::Bounded(places));
        let mut raises = Vec::new();
        let idle = window.join('i');
        let mut grant = window.join('a');
        assert!(idle > 0);
        let mut sent = 0;
        while sent < u64::from(places) {
            if sent == grant {
                window.ask('a', 0);
                window.hand_out(0, &mut raises);
                grant = raised(&mut raises).last().unwrap().1;
            }
            queued(&mut window, 'a');
            sent += 1;
        }
        assert_eq!((window.promised(), window.written_off()), (0, idle));
        window.ask('a', 0);
        window.hand_out(0, &mut raises);
        assert!(raises.is_empty());
        for _ in 0..idle {
            assert_eq!(window.arrive('i'), Ok(Arrival::Beside));
        }
        assert_eq!(window.arrive('i'), Err(Offence::WindowExceeded));
        assert_eq!(window.queued(), u64::from(places));
    }
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = (window.join('i'), window.join('a'));
    window.ask('i', 0);
    window.hand_out(0, &mut raises);
    raises.clear();
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    assert!(raises.is_empty() && !window.enter());
}

#[test]
fn who_asks_for_more_is_served_first_where_priorities_count() {
    for by_priority in [false, true] {
        let mut window = Window::new(Capacity::Bounded(1)).by_priority(by_priority);
        let mut raises = Vec::new();
        for holder in ['a', 'b', 'c', 'd'] {
            let _ = window.join(holder);
        }
        assert!(window.enter());
        window.ask('a', 3);
        window.ask('b', 7);
        window.ask('c', 7);
        window.ask('d', 0);
        // A thread of the same holder has something more urgent.
        window.ask('d', 9);
        let mut order = Vec::new();
        let mut last = None;
        for _ in 0..4 {
            window.take(last, 0, &mut raises);
            let [(holder, _)] = raised(&mut raises)[..] else { panic!("one place at a time") };
            queued(&mut window, holder);
            order.push(holder);
            last = Some(holder);
        }
        assert_eq!(order, if by_priority { ['d', 'b', 'c', 'a'] } else { ['a', 'b', 'c', 'd'] });
    }
}

#[test]
fn a_receiver_that_leaves_takes_its_place_along() {
    let mut window = Window::new(Capacity::Rendezvous);
    let mut raises = Vec::new();
    let _ = window.join('s');
    window.ask('s', 0);
    window.set_receivers(1);
    window.hand_out(0, &mut raises);
    assert_eq!(raised(&mut raises), [('s', 1)]);
    window.set_receivers(0);
    assert_eq!((window.promised(), window.written_off()), (0, 1));
    assert_eq!(window.arrive('s'), Ok(Arrival::Beside));
    assert!(!window.admit(true));
    window.set_receivers(1);
    assert!(window.admit(true));
}

#[test]
fn an_idle_place_keeps_no_accepted_message_from_an_empty_queue() {
    let mut window = Window::new(Capacity::Bounded(1));
    let mut raises = Vec::new();
    let _ = (window.join('a'), window.join('b'));
    window.ask('a', 0);
    window.hand_out(0, &mut raises);
    window.ask('b', 0);
    let _ = expire(&mut window, limits::GRANT_IDLE_NS, &mut raises);
    assert_eq!(window.arrive('a'), Ok(Arrival::Beside));
    // The place is now asked for by another, who lets it lie.
    assert!(!window.admit(false));
    assert!(window.admit(true));
    assert_eq!(window.arrive('b'), Ok(Arrival::Beside));
}

#[test]
fn what_is_sent_again_is_no_more_than_the_port_holds() {
    let mut window = Window::new(Capacity::Bounded(5));
    let before = window.join('a');
    assert_eq!(window.grant_more('a', u64::MAX), Some(before + 6));
    let mut window = Window::new(Capacity::Rendezvous);
    let before = window.join('a');
    assert_eq!(window.grant_more('a', 2), Some(before + 2));
}

#[test]
fn where_everybody_may_enter_nothing_is_written_off() {
    let mut window = Window::new(Capacity::Bounded(2)).open();
    let mut raises = Vec::new();
    assert_eq!(window.join('a'), u64::MAX);
    window.ask('a', 0);
    window.hand_out(1, &mut raises);
    assert_eq!(raised(&mut raises), [('a', u64::MAX)]);
    // A message was left, and enters.
    assert!(window.let_in_left());
    window.write_off(1 + limits::GRANT_IDLE_NS);
    assert_eq!((window.written_off(), window.promised()), (0, 0));
    assert_eq!(window.next_expiry(), None);
}
