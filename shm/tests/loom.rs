//! Every interleaving of writer, reader and sleeper, under loom.
//!
//! The numbers are those of the races in `src/ring.rs`; 5 to 8 are in
//! `loom_waiters.rs`, 9 and more in `loom_lock.rs`, `loom_chute.rs` and
//! `loom_leaving.rs`. The lane is the very source that runs on mapped memory. What
//! surrounds it there and lives in the kernel or in the caller is modelled here: a futex
//! is a lock around a compare and a wait, as it is in Linux; the order in which a caller
//! publishes, fences and looks is written out as callers must write it.
//!
//! Each race with a fence has a twin without it that must fail. So we know that
//! the model can see what the fence is for.
//!
//! What the model does not have: loom holds `fence(SeqCst)` for a little more
//! than it is (every such fence synchronises with every earlier one); each word
//! keeps only its last few stores; and no load sees a store of its future, so
//! that race 2 cannot fail here for want of a fence. `docs/soundness.md` argues
//! that one.
//!
//! Run: `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p
//! pillarbox-shm --test loom --release`
#![cfg(loom)]

use abi::Slot;
use abi::frame::{HEADER_BYTES, Header, Kind};
use loom::sync::atomic::AtomicU64;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use shm::WriteError;
use shm::ring::{Emptier, Filler};
use shm::word::{Look, Word};

/// The smallest lane with two frames in it.
const SIZE: u32 = 64;

struct Link {
    lane: Vec<AtomicU64>,
    head: AtomicU64,
    tail: AtomicU64,
    sleep: AtomicU64,
    want: AtomicU64,
    bell: Futex,
}

impl Link {
    fn new() -> Arc<Link> {
        Arc::new(Link {
            lane: (0..SIZE / 8).map(|_| AtomicU64::new(0)).collect(),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            sleep: AtomicU64::new(0),
            want: AtomicU64::new(0),
            bell: Futex::default(),
        })
    }

    fn write(&self, filler: &mut Filler, tag: u64, parts: &[&[u8]]) -> Result<(), WriteError> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let slot = Slot { index: 1, generation: 1 };
        let header = Header {
            length: (HEADER_BYTES + bytes) as u32,
            tag,
            ..Header::new(Kind::Message, slot)
        };
        filler.write(&self.lane, &self.head, &header, parts, 0, || Look::look(&self.tail))
    }

    /// Takes a frame, whole, or panics at what an honest writer never shows.
    fn read(&self, emptier: &mut Emptier) -> Option<(u64, Vec<u8>)> {
        let next = emptier.next(&self.lane, || Look::look(&self.head));
        let header = next.expect("an honest writer")?;
        let mut body = vec![0; header.body_bytes()];
        emptier.copy(&self.lane, 0, &mut body);
        emptier.finish(&header);
        Some((header.tag, body))
    }
}

/// Does `work` in a thread beside this one.
fn beside<L: Send + Sync + 'static, T: 'static>(
    link: &Arc<L>,
    work: impl FnOnce(&L) -> T + 'static,
) -> thread::JoinHandle<T> {
    let link = Arc::clone(link);
    thread::spawn(move || work(&link))
}

/// A word in the kernel's hash table: compare and sleep under one lock.
#[derive(Default)]
struct Futex {
    rung: Mutex<u32>,
    wake: Condvar,
}

impl Futex {
    /// Sleeps unless `moved`, which the kernel looks at under its lock.
    fn wait(&self, moved: impl Fn() -> bool) {
        let rung = self.rung.lock().unwrap();
        if moved() {
            return;
        }
        let before = *rung;
        let mut rung = rung;
        while *rung == before {
            rung = self.wake.wait(rung).unwrap();
        }
    }

    fn wake(&self) {
        *self.rung.lock().unwrap() += 1;
        self.wake.notify_all();
    }
}

/// Race 1: who sees a head sees the bytes below it.
#[test]
fn a_frame_that_is_seen_is_whole() {
    loom::model(|| {
        let link = Link::new();
        let writer = beside(&link, |link| {
            let mut filler = Filler::new(SIZE);
            link.write(&mut filler, 7, &[b"abcde", b"fghij"]).unwrap();
            filler.publish(&link.head);
        });
        let mut emptier = Emptier::new(SIZE);
        if let Some((tag, body)) = link.read(&mut emptier) {
            assert_eq!((tag, body.as_slice()), (7, &b"abcdefghij"[..]));
        }
        writer.join().unwrap();
        if emptier.position() == 0 {
            let (tag, body) = link.read(&mut emptier).unwrap();
            assert_eq!((tag, body.as_slice()), (7, &b"abcdefghij"[..]));
        }
    });
}

/// Race 1 with two frames, of which the reader may see none, one or both.
#[test]
fn frames_come_in_order() {
    loom::model(|| {
        let link = Link::new();
        let writer = beside(&link, |link| {
            let mut filler = Filler::new(SIZE);
            for tag in [1, 2] {
                link.write(&mut filler, tag, &[]).unwrap();
                filler.publish(&link.head);
            }
        });
        let mut emptier = Emptier::new(SIZE);
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.extend(link.read(&mut emptier).map(|(tag, _)| tag));
        }
        writer.join().unwrap();
        while let Some((tag, _)) = link.read(&mut emptier) {
            seen.push(tag);
        }
        assert_eq!(seen, [1, 2]);
    });
}

/// Race 2: what is being read is not written over, though the lane is full and
/// the ring's end is skipped in between.
#[test]
fn what_is_being_read_is_not_written_over() {
    loom::model(|| {
        let link = Link::new();
        // The first frame leaves 24 bytes: no room for a header, skipped.
        let mut filler = Filler::new(SIZE);
        link.write(&mut filler, 1, &[b"first123"]).unwrap();
        filler.publish(&link.head);
        let writer = beside(&link, move |link| {
            // It gets in if the tail is seen, and not otherwise.
            let done = link.write(&mut filler, 2, &[b"other456"]);
            filler.publish(&link.head);
            (filler, done)
        });
        let mut emptier = Emptier::new(SIZE);
        let (tag, body) = link.read(&mut emptier).unwrap();
        assert_eq!((tag, body.as_slice()), (1, &b"first123"[..]));
        link.tail.publish(emptier.position());
        let early = link.read(&mut emptier);
        let (mut filler, done) = writer.join().unwrap();
        if done == Err(WriteError::NoRoom) {
            assert_eq!(early, None);
            // The end was skipped meanwhile, and shown.
            assert_eq!(link.read(&mut emptier), None);
            link.tail.publish(emptier.position());
            link.write(&mut filler, 2, &[b"other456"]).unwrap();
            filler.publish(&link.head);
        }
        let (tag, body) = early.or_else(|| link.read(&mut emptier)).unwrap();
        assert_eq!((tag, body.as_slice()), (2, &b"other456"[..]));
    });
}

/// Race 3, in the steps `pillarbox` takes:
/// writer: (W1) publish (W2) fence (W3) look at `sleep` (W4) ring if asleep;
/// reader: (R1) announce (R2) fence (R3) look at `head` (R4) sleep on it.
fn reader_sleeps_while_writer_publishes(fenced: bool) {
    loom::model(move || {
        let link = Link::new();
        let writer = beside(&link, move |link| {
            let mut filler = Filler::new(SIZE);
            link.write(&mut filler, 1, &[]).unwrap();
            filler.publish(&link.head); // W1
            if fenced {
                AtomicU64::full(); // W2
            }
            if Look::look(&link.sleep) != 0 {
                link.bell.wake(); // W3, W4
            }
        });
        let mut emptier = Emptier::new(SIZE);
        link.sleep.set(1); // R1
        if fenced {
            AtomicU64::full(); // R2
        }
        if !emptier.pending(|| Look::look(&link.head)) {
            // R3, R4
            link.bell.wait(|| emptier.pending(|| Look::look(&link.head)));
        }
        link.sleep.set(0);
        writer.join().unwrap();
        assert_eq!(link.read(&mut emptier), Some((1, Vec::new())));
    });
}

#[test]
fn a_reader_that_goes_to_sleep_is_woken() {
    reader_sleeps_while_writer_publishes(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_its_fence_a_reader_sleeps_on_a_message() {
    reader_sleeps_while_writer_publishes(false);
}

/// Race 4, the same with room: the writer wants, fences, looks at `tail` and
/// sleeps; the reader frees, fences, looks at `want` and rings.
fn writer_waits_while_reader_frees(fenced: bool) {
    loom::model(move || {
        let link = Link::new();
        let mut filler = Filler::new(SIZE);
        for tag in [1, 2] {
            link.write(&mut filler, tag, &[]).unwrap();
        }
        filler.publish(&link.head);
        let reader = beside(&link, move |link| {
            let mut emptier = Emptier::new(SIZE);
            let (tag, _) = link.read(&mut emptier).unwrap();
            assert_eq!(tag, 1);
            link.tail.publish(emptier.position());
            if fenced {
                AtomicU64::full();
            }
            if Look::look(&link.want) != 0 {
                link.bell.wake();
            }
        });
        if link.write(&mut filler, 3, &[]).is_err() {
            link.want.set(1);
            if fenced {
                AtomicU64::full();
            }
            if Look::look(&link.tail) == 0 {
                link.bell.wait(|| Look::look(&link.tail) != 0);
            }
            reader.join().unwrap();
            link.write(&mut filler, 3, &[]).unwrap();
        } else {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_writer_that_waits_for_room_is_woken() {
    writer_waits_while_reader_frees(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_its_fence_a_writer_waits_for_room_that_is_there() {
    writer_waits_while_reader_frees(false);
}

/// What a slot said when a change was counted is seen by who sees the count:
/// the stores of `OwnPage::set_life` and `bump_change`, the loads of
/// `PeerPage::change` and `life`.
#[test]
fn a_change_that_is_counted_is_seen() {
    loom::model(|| {
        let link = Link::new();
        let owner = beside(&link, |link| {
            link.lane[0].publish(5);
            link.want.publish(1);
        });
        let change = Look::look(&link.want);
        AtomicU64::acquire();
        if change == 1 {
            assert_eq!(Look::look(&link.lane[0]), 5);
        }
        owner.join().unwrap();
    });
}

/// `WakeWord`, written out: its two words are `SeqCst`, so that a raise which
/// makes no system call was seen by whoever is about to sleep.
#[test]
fn a_raise_without_a_system_call_leaves_nobody_asleep() {
    use loom::sync::atomic::AtomicU32;
    use loom::sync::atomic::Ordering::SeqCst;
    loom::model(|| {
        let word = Arc::new((AtomicU32::new(0), AtomicU32::new(0), Futex::default()));
        let raiser = beside(&word, |word| {
            let (count, sleepers, futex) = &*word;
            count.fetch_add(1, SeqCst);
            // A read-modify-write: loom takes a SeqCst load for an acquire.
            if sleepers.fetch_add(0, SeqCst) != 0 {
                futex.wake();
            }
        });
        let (count, sleepers, futex) = &*word;
        sleepers.fetch_add(1, SeqCst);
        futex.wait(|| count.fetch_add(0, SeqCst) != 0);
        sleepers.fetch_sub(1, SeqCst);
        raiser.join().unwrap();
    });
}
