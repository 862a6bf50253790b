//! A future that is dropped at any point loses nothing and doubles nothing: a
//! receive has taken no message, a send has sent none, a call is withdrawn; and
//! every right that was on its way is where it was, or gone with what carried
//! it.

mod executor;
mod family;

use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;

use executor::{block_on, poll_once};
use family::{Random, Reaped, act, acting, is_part, long, meet, offer, seed, seeded, settled};
use pillarbox::{
    CallError, Capacity, Census, Deadline, Holding, Message, Notification, ReceiveRight,
    ReplyError, SendFailure, SendRight, Task,
};

const ANSWER: i32 = 1;
const COUNT: i32 = 2;
const STREAM: i32 = 3;
const SHARE: i32 = 4;

/// The tests between processes look at everything this process holds.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every right of this task that another holds, and every one on its way.
fn abroad(task: &Task) -> Vec<(Holding, u64)> {
    let census = task.census();
    [
        Holding::ExportedSend,
        Holding::ExportedSendOnce,
        Holding::ImportedSendOnce,
        Holding::Given,
        Holding::Joining,
    ]
    .into_iter()
    .map(|holding| (holding, Census::count(&census, holding)))
    .filter(|(_, count)| *count > 0)
    .collect()
}

#[test]
fn a_receive_takes_nothing_before_it_is_ready() {
    let inbox = Task::new().port(Capacity::Bounded(8));
    let post = inbox.make_send().unwrap();
    for _ in 0..100 {
        let mut receive = Box::pin(inbox.receive_async());
        assert!(poll_once(receive.as_mut()).is_pending());
        post.send(Message::new("1"), Deadline::Now).unwrap();
        post.send(Message::new("2"), Deadline::Now).unwrap();
        // It was told of the first, and goes.
        drop(receive);
        assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"1");
        assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"2");
    }
}

#[test]
fn a_rendezvous_with_a_receive_that_goes_is_the_next_ones() {
    let inbox = Task::new().port(Capacity::Rendezvous);
    let post = inbox.make_send().unwrap();
    let mut receive = Box::pin(inbox.receive_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    // A receiver waits, so there is a place; he goes, and the message stays.
    post.send(Message::new("met"), Deadline::Now).unwrap();
    drop(receive);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"met");
    // Nobody waits any more.
    assert!(post.send(Message::new("alone"), Deadline::Now).is_err());
}

#[test]
fn a_send_that_goes_was_not_sent_and_its_place_is_the_next_ones() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    let news = Task::new().port(Capacity::Bounded(8));
    let post = inbox.make_send().unwrap();
    post.send(Message::new("full"), Deadline::Now).unwrap();
    let once = news.make_send_once().unwrap();
    let mut first = Box::pin(post.send_async(Message::new("first").with_right(once)));
    let mut second = pin!(post.send_async(Message::new("second")));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    // The place is granted to the first, who does not come for it.
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"full");
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(inbox.status().queued, 0);
    assert!(post.send(Message::new("out of turn"), Deadline::Now).is_err());
    drop(first);
    // Its right went with it.
    let told = news.receive(Deadline::Now).unwrap().notification();
    assert_eq!(told, Some(Notification::SendOnceDropped));
    let Poll::Ready(sent) = poll_once(second.as_mut()) else { panic!("it is its turn") };
    sent.unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"second");
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn a_call_that_goes_is_withdrawn_and_its_answer_refused() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let news = task.port(Capacity::Bounded(1));
    let mut call = Box::pin(post.call_async(Message::new("question")));
    assert!(poll_once(call.as_mut()).is_pending());
    let mut request = inbox.receive(Deadline::Now).unwrap();
    drop(call);
    let answer = Message::new("answer").with_right(news.make_send_once().unwrap());
    let error = request.reply(answer, Deadline::Now).unwrap_err();
    let ReplyError::Unsent(unsent) = error else { panic!("{error}") };
    // The answer comes back, with the right in it.
    assert_eq!((unsent.message.body(), unsent.message.rights().len()), (&b"answer"[..], 1));
    drop(unsent);
    let told = news.receive(Deadline::Now).unwrap().notification();
    assert_eq!(told, Some(Notification::SendOnceDropped));
    // One that was never polled was never sent.
    drop(post.call_async(Message::new("never")));
    assert!(inbox.receive(Deadline::Now).is_err());
}

/// Does what it is asked to: answers, counts what comes to a port of its own,
/// sends a stream of numbers.
#[test]
fn peer_part() {
    if !acting("peer_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let small = task.port(Capacity::Bounded(2));
    offer(&[&inbox, &small]);
    while let Ok(mut request) = inbox.receive(Deadline::Never) {
        match request.id() {
            ANSWER => {
                // With a right, so that an answer nobody takes must let go of it.
                let answer = Message::new(request.body()).with_right(small.make_send().unwrap());
                match request.reply(answer, long()) {
                    Ok(()) => {}
                    Err(ReplyError::Unsent(unsent)) => {
                        assert!(matches!(unsent.reason, SendFailure::Withdrawn(_)), "{unsent}");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            // Everything that comes, up to the end.
            COUNT => {
                let mut tags = Vec::new();
                loop {
                    let message = small.receive(long()).unwrap();
                    if message.id() == COUNT {
                        break;
                    }
                    tags.extend(message.tag().to_le_bytes());
                }
                request.reply(Message::new(tags), long()).unwrap();
            }
            STREAM => {
                let to = request.take_rights().pop().unwrap().into_send().unwrap();
                for tag in 0..request.tag() {
                    let mine = small.make_send().unwrap();
                    to.send(Message::new("").with_tag(tag).with_right(mine), long()).unwrap();
                }
                request.reply(Message::new(""), long()).unwrap();
            }
            _ => request.reply(Message::new(""), long()).unwrap(),
        }
    }
}

/// A peer in a process of its own: what answers, and what only counts.
fn start_peer(task: &Task) -> (Reaped, SendRight, SendRight) {
    let inbox = task.port(Capacity::Bounded(1));
    let (child, [answers, counts]) = meet(act("peer_part"), &inbox);
    (child, answers, counts)
}

/// Does `work` by chance, while no other test of this process does.
fn by_chance(work: impl FnOnce(&Task, Random) + Send + 'static) {
    let _alone = alone();
    let done = seeded(seed(), move |random| work(&Task::current().unwrap(), random));
    done.join().unwrap();
}

/// Calls in a thread of its own.
fn ask(peer: &SendRight, request: Message) -> JoinHandle<Result<Message, CallError>> {
    let peer = peer.clone();
    std::thread::spawn(move || block_on(peer.call_async(request)))
}

/// Lets the peers look at what they were sent, then sees that nothing of ours
/// is abroad.
fn nothing_is_abroad(task: &Task, peers: &[&SendRight]) {
    settled(
        || {
            for peer in peers {
                peer.call(Message::new("").with_id(SHARE), long()).unwrap();
            }
            abroad(task)
        },
        Vec::is_empty,
    );
}

/// Polls a future a few times, with what others do in between, and drops it if
/// it is not ready then; to its end for zero.
fn poll_some<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    if polls == 0 {
        return Some(block_on(future));
    }
    let mut future = pin!(future);
    (1..polls).find_map(|_| match poll_once(future.as_mut()) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            std::thread::yield_now();
            None
        }
    })
}

/// Receives a stream with futures most of which are dropped.
fn receive_with_cancels(inbox: &ReceiveRight, count: u64, mut random: Random) -> Vec<u64> {
    let mut tags = Vec::new();
    while (tags.len() as u64) < count {
        let polled = poll_some(inbox.receive_async(), random.below(4));
        tags.extend(polled.map(|message| message.unwrap().tag()));
    }
    tags
}

#[test]
fn thousands_of_dropped_receives_between_processes_lose_nothing() {
    const MANY: u64 = 20_000;
    if is_part() {
        return;
    }
    for (capacity, count) in [(64, MANY), (1, MANY / 10), (0, MANY / 10)] {
        by_chance(move |task, random| {
            let (_child, peer, _) = start_peer(task);
            let inbox = task.port(Capacity::Bounded(capacity));
            let order = Message::new("")
                .with_id(STREAM)
                .with_tag(count)
                .with_right(inbox.make_send().unwrap());
            let order = ask(&peer, order);
            let tags = receive_with_cancels(&inbox, count, random);
            assert_eq!(tags, (0..count).collect::<Vec<_>>(), "each once, and in order");
            order.join().unwrap().unwrap();
            nothing_is_abroad(task, &[&peer]);
            assert_eq!(inbox.status().senders, 0);
        });
    }
}

#[test]
fn thousands_of_dropped_sends_between_processes_double_nothing() {
    const MANY: u64 = 3_000;
    if is_part() {
        return;
    }
    by_chance(|task, mut random| {
        let (_one, peer, small) = start_peer(task);
        let (_two, other, third) = start_peer(task);
        let mine = task.port(Capacity::Bounded(1));
        let counted = ask(&peer, Message::new("").with_id(COUNT));
        let (mut accepted, mut dropped) = (Vec::new(), 0);
        for tag in 0..MANY {
            // A right of ours, a promise of ours, and a right of a third task's.
            let message = Message::new(vec![7; random.below(2000) as usize])
                .with_tag(tag)
                .with_right(mine.make_send().unwrap())
                .with_right(third.clone())
                .with_reply(mine.make_send_once().unwrap());
            let sent = poll_some(small.send_async(message), random.below(5));
            match sent {
                Some(sent) => {
                    sent.unwrap();
                    accepted.push(tag);
                }
                None => dropped += 1,
            }
            // Its promise is broken aloud: dropped here, or by who received it.
            let told = mine.receive(long()).unwrap();
            assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
        }
        block_on(small.send_async(Message::new("").with_id(COUNT))).unwrap();
        let counted = counted.join().unwrap().unwrap();
        let tags: Vec<u64> = counted
            .body()
            .chunks(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(tags, accepted, "what was accepted, once each, in order");
        assert!(dropped > MANY / 10, "and many were dropped: {dropped}");
        nothing_is_abroad(task, &[&peer, &other]);
        assert_eq!(mine.status().senders, 0);
        // Ours; the other peer has let go of its own.
        settled(|| third.status(long()).unwrap().senders, |&senders| senders == 1);
    });
}

#[test]
fn thousands_of_dropped_calls_leave_no_promise() {
    const MANY: u64 = 3_000;
    if is_part() {
        return;
    }
    by_chance(|task, mut random| {
        let (_child, peer, _small) = start_peer(task);
        let mut answered = 0;
        for number in 0..MANY {
            let body = number.to_le_bytes();
            let call = peer.call_async(Message::new(body).with_id(ANSWER));
            let answer = poll_some(call, random.below(4));
            if let Some(answer) = answer {
                assert_eq!(answer.unwrap().body(), body, "its own answer and no other's");
                answered += 1;
            }
        }
        assert!(answered >= MANY / 8, "{answered}");
        nothing_is_abroad(task, &[&peer]);
        // One right to answer with, one to the port that counts.
        settled(|| task.census().count(Holding::ImportedSend), |&count| count <= 2);
    });
}

#[test]
fn futures_and_threads_share_a_port_between_processes() {
    const MANY: u64 = 6_000;
    if is_part() {
        return;
    }
    let _alone = alone();
    let seed = seed();
    let task = Task::current().unwrap();
    let (_child, peer, _small) = start_peer(&task);
    let inbox = task.port(Capacity::Bounded(16));
    let order =
        Message::new("").with_id(STREAM).with_tag(MANY).with_right(inbox.make_send().unwrap());
    let got = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let mut all = HashSet::new();
    let take = |message: Message, tags: &mut Vec<u64>| {
        tags.push(message.tag());
        if got.fetch_add(1, Ordering::SeqCst) + 1 == MANY {
            over.store(true, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for worker in 0..4 {
            let (inbox, over, take) = (&inbox, &over, &take);
            let mut random = Random::new(seed ^ worker);
            workers.push(scope.spawn(move || {
                let mut tags = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    if worker < 2 {
                        let soon = Deadline::after(random.micros(3000));
                        if let Ok(message) = inbox.receive(soon) {
                            take(message, &mut tags);
                        }
                    } else {
                        let mut receive = Box::pin(inbox.receive_async());
                        for _ in 0..=random.below(3) {
                            if let Poll::Ready(message) = poll_once(receive.as_mut()) {
                                take(message.unwrap(), &mut tags);
                                break;
                            }
                            std::thread::park_timeout(random.micros(200));
                        }
                    }
                }
                tags
            }));
        }
        peer.call(order, long()).unwrap();
        for worker in workers {
            for tag in worker.join().unwrap() {
                assert!(all.insert(tag), "{tag} came twice, PILLARBOX_SEED={seed}");
            }
        }
    });
    assert_eq!(all.len() as u64, MANY, "PILLARBOX_SEED={seed}");
    nothing_is_abroad(&task, &[&peer]);
}

#[test]
fn a_server_that_dies_ends_every_future_that_waits_for_it() {
    if is_part() {
        return;
    }
    let _alone = alone();
    let task = Task::current().unwrap();
    let (mut child, peer, small) = start_peer(&task);
    let mut counting = peer.start_call(Message::new("").with_id(COUNT), long()).unwrap();
    child.stop();
    assert!(poll_once(Pin::new(&mut counting)).is_pending());
    let mut sends: Vec<_> = Vec::new();
    for tag in 0..200 {
        sends.push(Box::pin(small.send_async(Message::new("").with_tag(tag))));
    }
    let waiting = sends.iter_mut().map(|send| poll_once(send.as_mut()));
    assert!(waiting.filter(Poll::is_pending).count() > 100);
    let mut status = Box::pin(small.status_async());
    assert!(poll_once(status.as_mut()).is_pending());
    child.kill();
    for send in sends.into_iter().skip(100) {
        let error = block_on(send).unwrap_err();
        assert_eq!(error.message.tag() / 100, 1, "the message comes back");
    }
    assert!(block_on(status).is_err());
    assert!(matches!(block_on(counting), Err(CallError::Died)));
    settled(|| abroad(&task), Vec::is_empty);
}
