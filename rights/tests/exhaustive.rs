//! Every short sequence of operations; after each one the census holds.
//!
//! Seven worlds, each as small as it can be and still hold every rule once:
//! *transfer* (rights on their way between two and three tasks, with deaths and
//! gives), *windows* (who may send how many messages to one port), *queue* (in
//! which order, by id, and while somebody chooses), *pulses* (how many, while
//! their right comes and goes), *terms* (what a right made narrower still permits),
//! *replies* (one call, withdrawn, given on, answered in parts) and *sharing* (who of
//! several readers gets which message). Messages in
//! transit are explicit: one first-in-first-out lane per ordered pair.
//!
//! A sequence is every choice among what can happen next, in every order.
//! Sequences that lead to the same state are counted each and walked once. In
//! every state the census is taken, and a copy of the world is run until
//! nothing more can happen, to see that it ends as it must.
//!
//! `PILLARBOX_DEEPER=n` goes `n` operations further than the default,
//! `cargo xtask exhaustive --ops n` goes `n` operations in every world.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "the length reached and the sequences tried are part of the result"
)]

#[path = "exhaustive/pulses.rs"]
mod pulses;
#[path = "exhaustive/queue.rs"]
mod queue;
#[path = "exhaustive/replies.rs"]
mod replies;
#[path = "exhaustive/search.rs"]
mod search;
#[path = "exhaustive/sharing.rs"]
mod sharing;
#[path = "exhaustive/terms.rs"]
mod terms;
#[path = "exhaustive/transfer.rs"]
mod transfer;
#[path = "exhaustive/transfer_census.rs"]
mod transfer_census;
#[path = "exhaustive/transfer_chain.rs"]
mod transfer_chain;
#[path = "exhaustive/transfer_deliver.rs"]
mod transfer_deliver;
#[path = "exhaustive/windows.rs"]
mod windows;

use abi::right::Kind;
use rights::queue::Order;
use rights::sharing::Share;
use rights::window::Capacity;
use search::{deeper, search};

const KINDS: [Kind; 2] = [Kind::Send, Kind::SendOnce];

#[test]
fn rights_between_two_tasks_are_each_in_one_place() {
    search("transfer, two tasks", &transfer::World::new(2), 10 + deeper());
}

#[test]
fn rights_between_three_tasks_are_each_in_one_place() {
    search("transfer, three tasks", &transfer::World::new(3), 7 + deeper());
}

#[test]
fn a_right_given_on_before_it_is_confirmed_is_in_one_place() {
    for kind in KINDS {
        let world = transfer::World::chained(kind);
        search(&format!("transfer, chained, {kind:?}"), &world, 6 + deeper());
    }
}

#[test]
fn places_of_small_ports_are_never_promised_twice() {
    for (capacity, depth) in
        [(Capacity::Bounded(1), 7), (Capacity::Bounded(2), 7), (Capacity::Rendezvous, 7)]
    {
        let world = windows::World::new(2, capacity);
        search(&format!("windows, two holders, {capacity:?}"), &world, depth + deeper());
    }
    let world = windows::World::new(3, Capacity::Bounded(1));
    search("windows, three holders, Bounded(1)", &world, 6 + deeper());
}

#[test]
fn one_left_message_takes_nobodys_place() {
    for capacity in [Capacity::Bounded(1), Capacity::Rendezvous, Capacity::Bounded(12)] {
        let world = windows::World::new(2, capacity).leaving();
        search(&format!("left messages, {capacity:?}"), &world, 6 + deeper());
    }
}

#[test]
fn reserves_of_larger_ports_are_never_promised_twice() {
    for capacity in [Capacity::Bounded(12), Capacity::Unbounded] {
        let world = windows::World::new(2, capacity);
        search(&format!("windows, two holders, {capacity:?}"), &world, 6 + deeper());
    }
}

#[test]
fn a_facet_permits_what_its_history_says() {
    search("terms", &terms::World::default(), 5 + deeper());
}

#[test]
fn a_queue_is_what_a_plain_list_would_be() {
    for (order, merges) in [(Order::Fifo, true), (Order::Priority, true), (Order::Priority, false)]
    {
        let world = queue::World::new(order, merges);
        search(&format!("queue, {order:?}, merging {merges}"), &world, 6 + deeper());
    }
}

#[test]
fn an_honest_sender_of_pulses_is_never_blamed() {
    for merges in [false, true] {
        let world = pulses::World::new(merges);
        search(&format!("pulses, merging {merges}"), &world, 12 + deeper());
    }
}

#[test]
fn a_promise_of_a_reply_ends_once_whoever_withdraws_gives_on_or_dies() {
    search("replies, three tasks", &replies::World::new(None), 9 + deeper());
}

const SHARES: [Share; 4] = [Share::RoundRobin, Share::LeastLoaded, Share::ByKey, Share::All];

#[test]
fn what_a_dead_reader_held_goes_back_and_each_message_is_finished_once() {
    for share in SHARES {
        search(&format!("sharing, {share:?}"), &sharing::World::new(share, None), 7 + deeper());
    }
}

/// The checks check: each broken rule is found.
#[test]
fn a_broken_rule_of_sharing_is_found() {
    for fault in sharing::Fault::ALL {
        let world = sharing::World::new(Share::RoundRobin, Some(fault));
        assert!(search::look(&world, 6).is_err(), "{fault:?} went unseen");
    }
}

/// The checks check: each broken rule is found.
#[test]
fn a_broken_rule_of_replies_is_found() {
    for fault in replies::Fault::ALL {
        let world = replies::World::new(Some(fault));
        let found = (1..=8).find_map(|depth| search::look(&world, depth).err());
        assert!(found.is_some(), "{fault:?} went unseen");
    }
}

/// The checks check: each broken rule is found within the default length.
#[test]
fn a_broken_rule_is_found() {
    for fault in transfer::Fault::ALL {
        let world = transfer::World { fault: Some(fault), ..transfer::World::new(3) };
        let found = (1..=6).find_map(|depth| search::look(&world, depth).err());
        assert!(found.is_some(), "{fault:?} went unseen");
    }
    for fault in transfer::Fault::OF_CHAINS {
        let mut worlds = KINDS.map(transfer::World::chained).into_iter();
        let found = worlds.any(|world| {
            let world = transfer::World { fault: Some(fault), ..world };
            (1..=6).any(|depth| search::look(&world, depth).is_err())
        });
        assert!(found, "{fault:?} went unseen");
    }
    for fault in terms::Fault::ALL {
        let world = terms::World::broken(fault);
        let found = (1..=4).find_map(|depth| search::look(&world, depth).err());
        assert!(found.is_some(), "{fault:?} went unseen");
    }
    for fault in queue::Fault::ALL {
        let world = queue::World::new(Order::Fifo, true).broken(fault);
        assert!(search::look(&world, 5).is_err(), "{fault:?} went unseen");
    }
    for fault in pulses::Fault::ALL {
        let world = pulses::World::new(false).broken(fault);
        assert!(search::look(&world, 9).is_err(), "{fault:?} went unseen");
    }
}
