//! What is lent comes back, never overlaps, and is never what a liar says.

use std::cell::RefCell;

use super::*;

const LANE: u32 = limits::LANE_BYTES_MIN;

/// Both ends: what lends, and what reads and returns.
struct Ends {
    arena: Arc<Arena>,
    /// Of the reader, as the lender maps it.
    page: Arc<PeerPage>,
    own: Arc<OwnPage>,
    memories: RefCell<BTreeMap<u32, LentMemory>>,
}

impl Ends {
    fn new() -> Ends {
        let (own, _, fd) = OwnPage::create(LANE).unwrap();
        let (page, _) = PeerPage::open(fd, LANE).unwrap();
        Ends { arena: Arena::new(), page, own, memories: RefCell::default() }
    }

    fn take_of(&self, bytes: usize, most: u64) -> Result<Chunk, TakeError> {
        self.arena.take(bytes, most, &self.page, |number, fd| {
            self.memories.borrow_mut().insert(number, LentMemory::open(fd).unwrap());
        })
    }

    fn take(&self, bytes: usize) -> Chunk {
        self.take_of(bytes, limits::ARENA_BYTES).unwrap()
    }

    fn lend(&self, chunk: Chunk) -> (Loan, Lent) {
        let loan = chunk.loan();
        chunk.lend();
        let lent = self.memories.borrow()[&loan.memory].lent(&loan).unwrap();
        (loan, lent)
    }
}

#[test]
fn what_is_written_is_read_and_comes_back() {
    let ends = Ends::new();
    for round in 0..1000_usize {
        let bytes = 1 + round * 97 % 200_000;
        let mut chunk = ends.take(bytes);
        chunk.bytes_mut().fill(round as u8);
        assert_eq!((chunk.len(), chunk.bytes()[bytes - 1]), (bytes, round as u8));
        let (loan, lent) = ends.lend(chunk);
        assert_eq!(lent.to_vec(0), vec![round as u8; bytes]);
        assert_eq!(ends.arena.read_back(&loan), Some(lent.to_vec(0)));
        let mut part = [0; 7];
        assert_eq!(lent.copy_to(bytes - 1, &mut part), 1);
        assert_eq!((part[0], lent.copy_to(bytes, &mut part)), (round as u8, 0));
        assert_eq!(lent.to_vec(bytes + 1), []);
        drop(lent);
        ends.own.set_returned(loan.place, loan.generation);
    }
    // One memory was enough, since all came back.
    assert_eq!(ends.arena.bytes(), limits::ARENA_MEMORY_MIN);
}

#[test]
fn no_two_loans_overlap_and_a_full_arena_says_so() {
    let ends = Ends::new();
    let mut out = Vec::new();
    loop {
        match ends.take_of(64 * 1024, 4 << 20) {
            Ok(mut chunk) => {
                chunk.bytes_mut().fill(out.len() as u8);
                out.push(ends.lend(chunk));
            }
            Err(TakeError::Full) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(out.len(), 64);
    for (number, (_, lent)) in out.iter().enumerate() {
        assert_eq!(lent.to_vec(0), vec![number as u8; 64 * 1024]);
    }
    let (loan, _) = out.swap_remove(17);
    ends.own.set_returned(loan.place, loan.generation);
    assert_eq!(ends.take(4096).loan().page, loan.page);
}

#[test]
fn there_are_as_many_loans_as_places() {
    let ends = Ends::new();
    let all: Vec<Chunk> = (0..limits::LOANS).map(|_| ends.take(1)).collect();
    assert!(matches!(ends.take_of(1, limits::ARENA_BYTES), Err(TakeError::Full)));
    drop(all);
    let _one = ends.take(1);
}

#[test]
fn a_chunk_that_was_not_lent_is_free_when_it_is_dropped() {
    let ends = Ends::new();
    let chunk = ends.take(limits::ARENA_MEMORY_MIN as usize);
    assert!(ends.take_of(1, limits::ARENA_MEMORY_MIN).is_err());
    drop(chunk);
    let chunk = ends.take_of(1, limits::ARENA_MEMORY_MIN).unwrap();
    // And cannot be returned: it was never lent.
    ends.own.set_returned(chunk.loan().place, chunk.loan().generation);
    let _other = ends.take(1);
    assert_eq!(chunk.bytes(), [0]);
}

#[test]
fn who_returns_what_it_does_not_have_is_told() {
    for lie in [u64::MAX, 77] {
        let ends = Ends::new();
        let (loan, _) = ends.lend(ends.take(5000));
        ends.own.set_returned(loan.place, loan.generation + lie.min(76));
        let refused = ends.take_of(1, limits::ARENA_BYTES);
        assert!(matches!(refused, Err(TakeError::Offence(Offence::LoanNotOut))));
    }
}

#[test]
fn what_is_free_is_given_up_and_counts_until_it_is_let_go() {
    let ends = Ends::new();
    let small = ends.lend(ends.take(1));
    let large = ends.lend(ends.take(4 << 20));
    assert_eq!(ends.arena.bytes(), 5 << 20);
    ends.own.set_returned(large.0.place, large.0.generation);
    assert_eq!(ends.arena.shrink(&ends.page), Ok(vec![large.0.memory]));
    assert_eq!(ends.arena.bytes(), 5 << 20);
    assert!(ends.take_of(4 << 20, 5 << 20).is_err());
    assert_eq!(ends.arena.unmapped(large.0.memory), Ok(()));
    assert_eq!(ends.arena.unmapped(large.0.memory), Err(Offence::AnswerUnasked));
    assert_eq!(ends.arena.bytes(), 1 << 20);
    assert_eq!(ends.arena.shrink(&ends.page), Ok(Vec::new()));
    drop(small);
}

#[test]
fn memory_the_peer_could_not_have_is_used_no_more() {
    let ends = Ends::new();
    let (loan, _) = ends.lend(ends.take(1));
    assert_eq!(ends.arena.unmapped(loan.memory), Ok(()));
    assert_eq!(ends.arena.unmapped(loan.memory), Err(Offence::AnswerUnasked));
    let next = ends.take(1);
    assert_ne!(next.loan().memory, loan.memory);
    ends.own.set_returned(loan.place, loan.generation);
    drop(next);
    let free = ends.take(1).loan().memory;
    assert_eq!(ends.arena.bytes(), 1 << 20);
    // One that is free is let go at once.
    assert_eq!(ends.arena.unmapped(free), Ok(()));
    assert_eq!((ends.arena.bytes(), ends.arena.shrink(&ends.page)), (0, Ok(Vec::new())));
}

#[test]
fn every_place_that_is_out_is_looked_at_and_no_other() {
    let shown = ShownPlaces::default();
    let out = [0, 1, 63, 64, 65, 127, 128, limits::LOANS - 1];
    for place in out {
        assert!(!shown.has(place));
        shown.show(place);
        assert!(shown.has(place) && !shown.has(place + 1));
    }
    assert_eq!(shown.all().collect::<Vec<_>>(), out);
    for place in out {
        shown.hide(place);
        assert!(!shown.has(place));
    }
    assert_eq!(shown.all().count(), 0);
    // No such place.
    shown.show(u32::MAX);
    assert!(!shown.has(u32::MAX));
}

#[test]
fn what_is_copied_into_a_chunk_lies_there_and_nowhere_else() {
    let ends = Ends::new();
    let mut chunk = ends.take(5000);
    chunk.bytes_mut().fill(1);
    for (bytes, offset, fits) in [
        (&[2; 0][..], 0, 0),
        (&[2; 100], 0, 100),
        (&[3; 100], 4950, 50),
        (&[4; 100], 5000, 0),
        (&[5; 100], usize::MAX, 0),
        (&[6; 6000], 4000, 1000),
    ] {
        let mut expected = chunk.bytes().to_vec();
        if fits > 0 {
            expected[offset..offset + fits].copy_from_slice(&bytes[..fits]);
        }
        assert_eq!(chunk.write_at(bytes, offset), fits, "at {offset}");
        assert!(chunk.bytes() == expected, "at {offset}");
    }
}

#[test]
fn a_loan_beyond_its_memory_is_an_offence() {
    let ends = Ends::new();
    let loan = ends.take(1).loan();
    let memories = ends.memories.borrow();
    let memory = &memories[&0];
    let odd = [
        Loan { page: 255, length: 4097, ..loan },
        Loan { page: u32::MAX, length: 1, ..loan },
        Loan { length: u64::MAX, ..loan },
        Loan { length: 0, ..loan },
    ];
    for odd in odd {
        assert_eq!(memory.lent(&odd).map(|_| ()), Err(Offence::LoanMalformed), "{odd:?}");
    }
    assert!(memory.is_unused());
    let lent = memory.lent(&Loan { page: 255, length: 4096, ..loan }).unwrap();
    assert!(!memory.is_unused());
    drop(lent);
}
