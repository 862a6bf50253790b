//! The queue by itself.

use super::*;

fn label(priority: u16, id: i32, tag: u64) -> Label {
    Label { priority, id, tag }
}

fn all(mut queue: Queue<char>) -> String {
    queue.drain().collect()
}

#[test]
fn a_plain_queue_ignores_priorities() {
    let mut queue = Queue::new(Order::Fifo);
    for (priority, item) in [(1, 'a'), (9, 'b'), (5, 'c')] {
        let _ = queue.push(label(priority, 0, 0), item);
    }
    assert_eq!(queue.iter().collect::<String>(), "abc");
    assert_eq!(all(queue), "abc");
}

#[test]
fn the_higher_priority_comes_first_and_equal_ones_in_order() {
    let mut queue = Queue::new(Order::Priority);
    for (priority, item) in
        [(1, 'e'), (32_767, 'a'), (5, 'c'), (1, 'f'), (32_767, 'b'), (5, 'd'), (0, 'g')]
    {
        let _ = queue.push(label(priority, 0, 0), item);
    }
    assert_eq!(queue.iter().collect::<String>(), "abcdefg");
    assert_eq!(all(queue), "abcdefg");
}

#[test]
fn an_id_or_tag_is_found_in_order_and_without_the_lent() {
    for order in [Order::Fifo, Order::Priority] {
        let mut queue = Queue::new(order);
        let a = queue.push(label(3, 7, 1), 'a');
        let b = queue.push(label(3, 7, 2), 'b');
        assert_eq!(queue.first_with_id(7), Some(a));
        // Strung from here on.
        let c = queue.push(label(3, 8, 2), 'c');
        assert_eq!(queue.first_with_tag(2), Some(b));
        let lent = queue.lend(a).unwrap();
        assert_eq!((queue.first_with_id(7), queue.first()), (Some(b), Some(b)));
        assert_eq!((queue.get(a).copied(), queue.remove(a), queue.lend(a)), (None, None, None));
        assert!(queue.give_back(a, lent), "somebody passed it by");
        assert_eq!(queue.remove(b), Some('b'));
        assert_eq!(queue.first_with_tag(2), Some(c));
        assert_eq!((queue.first_with_id(9), queue.first_with_tag(9)), (None, None));
        let lent = queue.lend(a).unwrap();
        assert_eq!((lent, queue.len(), queue.lent()), ('a', 2, 1));
        queue.end(a);
        assert_eq!((queue.len(), queue.lent(), queue.first_with_id(7)), (1, 0, None));
        assert_eq!(all(queue), "c");
    }
}

#[test]
fn of_an_id_the_higher_priority_comes_first() {
    let mut queue = Queue::new(Order::Priority);
    assert_eq!(queue.first_with_id(7), None);
    let _ = queue.push(label(1, 7, 0), 'b');
    let a = queue.push(label(2, 7, 0), 'a');
    let _ = queue.push(label(9, 8, 0), 'x');
    assert_eq!(queue.first_with_id(7), Some(a));
}

#[test]
fn a_place_used_again_is_not_the_old_entry() {
    let mut queue = Queue::new(Order::Fifo);
    let a = queue.push(Label::default(), 'a');
    assert_eq!(queue.remove(a), Some('a'));
    let b = queue.push(Label::default(), 'b');
    assert_eq!((a.slot, queue.get(a).copied(), queue.remove(a)), (b.slot, None, None));
    assert_eq!(all(queue), "b");
}

/// What `scan` is offered in one pass; each entry is given back.
fn pass(queue: &mut Queue<char>, scan: &mut Scan) -> String {
    queue.begin_pass(scan);
    let mut offered = String::new();
    while let Some(spot) = queue.next(scan) {
        let item = queue.lend(spot).unwrap();
        offered.push(item);
        let _ = queue.give_back(spot, item);
    }
    offered
}

#[test]
fn a_search_is_offered_each_entry_once_and_in_order() {
    for (order, first, second) in [(Order::Fifo, "abc", "def"), (Order::Priority, "cba", "fde")] {
        let mut queue = Queue::new(order);
        let mut scan = Scan::default();
        for (priority, item) in [(0, 'a'), (1, 'b'), (2, 'c')] {
            let _ = queue.push(label(priority, 0, 0), item);
        }
        assert_eq!(pass(&mut queue, &mut scan), first);
        for (priority, item) in [(1, 'd'), (0, 'e'), (7, 'f')] {
            let _ = queue.push(label(priority, 0, 0), item);
        }
        assert_eq!(pass(&mut queue, &mut scan), second);
        assert_eq!(pass(&mut queue, &mut scan), "");
        assert_eq!(queue.len(), 6);
    }
}

#[test]
fn a_pass_ends_whatever_comes_meanwhile() {
    let mut queue = Queue::new(Order::Fifo);
    let mut scan = Scan::default();
    let _ = queue.push(Label::default(), 'a');
    queue.begin_pass(&mut scan);
    let a = queue.next(&mut scan).unwrap();
    let _ = queue.push(Label::default(), 'b');
    assert_eq!(queue.next(&mut scan), None);
    queue.begin_pass(&mut scan);
    let b = queue.next(&mut scan).unwrap();
    assert_eq!((queue.get(a), queue.get(b)), (Some(&'a'), Some(&'b')));
}

#[test]
fn what_was_lent_when_a_search_came_by_is_offered_when_it_is_back() {
    let mut queue = Queue::new(Order::Fifo);
    let mut scan = Scan::default();
    let a = queue.push(Label::default(), 'a');
    let _ = queue.push(Label::default(), 'b');
    let lent = queue.lend(a).unwrap();
    assert_eq!(pass(&mut queue, &mut scan), "b");
    assert!(queue.give_back(a, lent));
    assert_eq!(pass(&mut queue, &mut scan), "a");
    assert_eq!(pass(&mut queue, &mut scan), "");
    // Nobody passed it by this time.
    let lent = queue.lend(a).unwrap();
    assert!(!queue.give_back(a, lent));
}

#[test]
fn a_search_goes_on_where_its_place_was_taken_away() {
    let items = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (stops, gone) in [(0, 0..1), (2, 0..3), (2, 2..3), (4, 3..5), (2, 1..6), (3, 2..4)] {
        let mut queue = Queue::new(Order::Fifo);
        let spots: Vec<Spot> =
            items.iter().map(|&item| queue.push(Label::default(), item)).collect();
        let mut scan = Scan::default();
        queue.begin_pass(&mut scan);
        for spot in &spots[..=stops] {
            assert_eq!(queue.next(&mut scan), Some(*spot));
        }
        for spot in &spots[gone.clone()] {
            let _ = queue.remove(*spot);
        }
        let left = (stops + 1..items.len()).find(|at| !gone.contains(at));
        assert_eq!(queue.next(&mut scan), left.map(|at| spots[at]), "{stops} {gone:?}");
    }
}

/// How many links are followed by `work`.
fn steps(queue: &mut Queue<char>, work: impl FnOnce(&mut Queue<char>)) -> u64 {
    let before = queue.steps();
    work(queue);
    queue.steps() - before
}

#[test]
fn no_operation_costs_more_when_more_entries_wait() {
    for order in [Order::Fifo, Order::Priority] {
        let mut costs = Vec::new();
        for length in [10, 1_000, 100_000] {
            let mut queue = Queue::new(order);
            let _ = (queue.first_with_id(0), queue.first_with_tag(0));
            for number in 0..length {
                let _ = queue.push(label(number as u16 % 4, number, number as u64 % 3), 'x');
            }
            costs.push([
                steps(&mut queue, |queue| {
                    let spot = queue.first_with_id(length / 2).unwrap();
                    queue.remove(spot).unwrap();
                }),
                steps(&mut queue, |queue| {
                    let spot = queue.first_with_tag(2).unwrap();
                    queue.remove(spot).unwrap();
                }),
                steps(&mut queue, |queue| {
                    let spot = queue.first().unwrap();
                    queue.remove(spot).unwrap();
                }),
                steps(&mut queue, |queue| {
                    let _ = queue.push(label(2, 5, 5), 'y');
                }),
            ]);
        }
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    }
}
