//! Memory that is lent is written where the receiver reads it, counts against the
//! receiver until it returns it, and comes back by any thread; unsent it is free again,
//! and what a failed send held comes back with it.

mod executor;
mod family;

use std::time::Duration;

use family::linked::give;
use family::{is_part, long};
use pillarbox::{
    Capacity, Deadline, Limit, Limits, LoanError, Message, ReceiveRight, Region, SendFailure,
    SendRight, Task,
};

const MIB: usize = 1 << 20;

struct Linked {
    owner: Task,
    sender: Task,
    inbox: ReceiveRight,
    post: SendRight,
}

fn linked(arena_bytes: u64) -> Linked {
    let owner = Task::new();
    let sender = Task::new_with(Limits { arena_bytes, ..Limits::default() });
    let inbox = owner.port(Capacity::Bounded(64));
    let post = give(&owner, &sender, inbox.make_send().unwrap());
    Linked { owner, sender, inbox, post }
}

impl Linked {
    fn lend(&self, bytes: usize, fill: u8) {
        let mut loan = self.post.loan(bytes, long()).unwrap();
        assert_eq!(loan.len(), bytes);
        loan.as_mut_slice().fill(fill);
        self.post.send(Message::new("lent").with_region(loan), long()).unwrap();
    }

    fn take(&self) -> Region {
        let mut message = self.inbox.receive(long()).unwrap();
        assert_eq!(message.body(), b"lent");
        let mut regions = message.take_regions();
        assert_eq!((regions.len(), message.regions().len()), (1, 0));
        regions.remove(0)
    }

    fn close(self) {
        self.sender.close();
        self.owner.close();
    }
}

#[test]
fn what_was_written_is_read_where_it_lies() {
    if is_part() {
        return;
    }
    let linked = linked(4 * MIB as u64);
    for (round, bytes) in [1, 64, 4096, 4097, 65_536, 100_000, MIB, 3 * MIB].iter().enumerate() {
        linked.lend(*bytes, round as u8 + 1);
        let region = linked.take();
        assert_eq!((region.len(), region.is_sealed(), region.is_lost()), (*bytes, false, false));
        assert_eq!(region.as_slice(), None);
        assert!(region.lent().is_some_and(|lent| lent.len() == *bytes));
        assert_eq!(region.to_vec(), vec![round as u8 + 1; *bytes]);
        let mut end = [0; 9];
        assert_eq!(region.copy_to(bytes - 1, &mut end), 1);
        assert_eq!((end[0], region.copy_to(*bytes, &mut end)), (round as u8 + 1, 0));
    }
    linked.close();
}

#[test]
fn who_waits_for_room_is_told_when_some_is_returned() {
    if is_part() {
        return;
    }
    let linked = linked(MIB as u64);
    linked.lend(MIB / 2, 1);
    linked.lend(MIB / 2, 2);
    let before = linked.sender.metrics().refused(Limit::ArenaBytes);
    assert_eq!(linked.post.loan(1, Deadline::Now).map(|_| ()), Err(LoanError::Full));
    assert!(linked.sender.metrics().refused(Limit::ArenaBytes) > before);
    let soon = Deadline::after(Duration::from_millis(5));
    assert_eq!(linked.post.loan(1, soon).map(|_| ()), Err(LoanError::Full));
    let (first, second) = (linked.take(), linked.take());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| linked.post.loan(MIB / 2, long()).map(|loan| loan.len()));
        // Dropped here, by a thread that waits for nothing.
        drop(first);
        assert_eq!(waits.join().unwrap(), Ok(MIB / 2));
    });
    assert_eq!(second.to_vec(), vec![2; MIB / 2]);
    drop(second);
    assert!(linked.post.loan(MIB, long()).is_ok());
    linked.close();
}

#[test]
fn a_future_waits_for_room_as_well() {
    if is_part() {
        return;
    }
    let linked = linked(MIB as u64);
    linked.lend(MIB, 1);
    let region = linked.take();
    // One that is dropped leaves nothing behind.
    let mut left = Box::pin(linked.post.loan_async(MIB));
    assert!(executor::poll_once(left.as_mut()).is_pending());
    drop(left);
    let mut waits = Box::pin(linked.post.loan_async(MIB));
    assert!(executor::poll_once(waits.as_mut()).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(move || drop(region));
        assert_eq!(executor::block_on(waits).map(|loan| loan.len()), Ok(MIB));
    });
    linked.close();
}

#[test]
fn who_waits_for_room_is_told_of_a_death() {
    if is_part() {
        return;
    }
    let Linked { owner, sender, inbox, post } = linked(MIB as u64);
    let _all = post.loan(MIB, long()).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| post.loan(1, long()).map(|_| ()));
        drop(inbox);
        owner.close();
        assert_eq!(waits.join().unwrap(), Err(LoanError::Dead));
    });
    sender.close();
}

#[test]
fn what_is_not_sent_is_free_again() {
    if is_part() {
        return;
    }
    let linked = linked(MIB as u64);
    for _ in 0..100 {
        drop(linked.post.loan(MIB, Deadline::Now).unwrap());
        let message = Message::new("").with_region(linked.post.loan(MIB, Deadline::Now).unwrap());
        drop(message);
    }
    let no_room = |bytes| linked.post.loan(bytes, Deadline::Now).map(|_| ());
    assert_eq!(no_room(0), Err(LoanError::Length { bytes: 0 }));
    assert_eq!(no_room((1 << 30) + 1), Err(LoanError::Length { bytes: (1 << 30) + 1 }));
    linked.close();
}

#[test]
fn a_failed_send_returns_it_as_it_was() {
    if is_part() {
        return;
    }
    let linked = linked(MIB as u64);
    let rest = linked.owner.port(Capacity::Bounded(1));
    let full = give(&linked.owner, &linked.sender, rest.make_send().unwrap());
    full.send(Message::new("first"), long()).unwrap();
    let mut loan = full.loan(MIB, long()).unwrap();
    assert_eq!(loan.write_at(b"mine", MIB - 2), 2);
    assert_eq!(loan.write_at(b"mine", MIB + 1), 0);
    let message = Message::new("").with_region(loan).with_region(vec![9; 10]);
    let failed = full.send(message, Deadline::Now).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Full);
    let message = *failed.message;
    let mut end = [0; 2];
    assert_eq!(message.regions()[0].copy_to(MIB - 2, &mut end), 2);
    assert_eq!((&end, message.regions()[1].to_vec()), (b"mi", vec![9; 10]));
    assert_eq!(rest.receive(long()).unwrap().body(), b"first");
    full.send(message, long()).unwrap();
    let came = rest.receive(long()).unwrap();
    assert_eq!(came.regions()[0].copy_to(MIB - 2, &mut end), 2);
    assert_eq!((&end, came.regions()[1].to_vec()), (b"mi", vec![9; 10]));
    linked.close();
}

#[test]
fn it_may_go_anywhere_and_is_copied_where_it_must_be() {
    if is_part() {
        return;
    }
    let linked = linked(4 * MIB as u64);
    // To another than it was lent for, and to a port of one's own.
    let third = Task::new();
    let there = third.port(Capacity::Bounded(4));
    let to_there = give(&third, &linked.sender, there.make_send().unwrap());
    let home = linked.sender.port(Capacity::Bounded(4));
    let to_home = home.make_send().unwrap();
    for (to, at) in [(&to_there, &there), (&to_home, &home)] {
        let mut loan = linked.post.loan(50_000, long()).unwrap();
        loan.as_mut_slice().fill(3);
        to.send(Message::new("").with_region(loan), long()).unwrap();
        assert_eq!(at.receive(long()).unwrap().regions()[0].to_vec(), vec![3; 50_000]);
    }
    // Of one's own port it is plain memory.
    let mut loan = to_home.loan(10, Deadline::Now).unwrap();
    loan.as_mut_slice().copy_from_slice(b"0123456789");
    to_home.send(Message::new("").with_region(loan), long()).unwrap();
    let region = home.receive(long()).unwrap().take_regions().remove(0);
    assert_eq!(region.as_slice(), Some(&b"0123456789"[..]));
    // What was lent here goes on as a copy, and longer than any chunk.
    linked.lend(60_000, 5);
    let back = give(&linked.sender, &linked.owner, home.make_send().unwrap());
    back.send(Message::new("").with_region(linked.take()), long()).unwrap();
    assert_eq!(home.receive(long()).unwrap().regions()[0].to_vec(), vec![5; 60_000]);
    let mut loan = linked.post.loan(20 * MIB, long()).unwrap();
    loan.as_mut_slice()[20 * MIB - 1] = 8;
    linked.post.send(Message::new("lent").with_region(loan), long()).unwrap();
    let mut end = [0; 4];
    assert_eq!((linked.take().copy_to(20 * MIB - 1, &mut end), end[0]), (1, 8));
    third.close();
    linked.close();
}

#[test]
fn regions_come_in_order_and_their_number_is_limited() {
    if is_part() {
        return;
    }
    let linked = linked(4 * MIB as u64);
    let most = pillarbox::limits::MESSAGE_REGIONS;
    let region = |number: usize| match number % 3 {
        0 => {
            let mut loan = linked.post.loan(number + 1, long()).unwrap();
            loan.as_mut_slice().fill(number as u8);
            loan.into()
        }
        1 => Region::sealed(&vec![number as u8; number + 1]).unwrap(),
        _ => Region::from(vec![number as u8; number + 1]),
    };
    let all = |count| (0..count).map(region).fold(Message::new("all"), Message::with_region);
    let sent = all(most).with_right(linked.post.clone());
    linked.post.send(sent, long()).unwrap();
    let came = linked.inbox.receive(long()).unwrap();
    assert_eq!((came.regions().len(), came.rights().len(), came.body()), (most, 1, &b"all"[..]));
    for (number, region) in came.regions().iter().enumerate() {
        assert_eq!(region.to_vec(), vec![number as u8; number + 1]);
    }
    let failed = linked.post.send(all(most + 1), long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::TooManyRegions(most + 1));
    assert_eq!(failed.message.regions().len(), most + 1);
    let empty = linked.post.send(Message::new("").with_region(Vec::new()), long()).unwrap_err();
    assert_eq!(empty.reason, SendFailure::RegionLost);
    linked.close();
}
