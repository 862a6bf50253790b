//! A client that asks for much and reads nothing fills its own lane: the server
//! goes on with the others, and every call of that client ends all the same.

mod executor;
mod family;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use executor::Executor;
use family::{Reaped, act, acting, given, long, settled};
use pillarbox::interface::ClientError;
use pillarbox::{Capacity, Message, Notification, ReceiveRight, SendRight, Task};

/// As long as an answer may be that goes through the lane.
const LARGE: usize = 30_000;

#[pillarbox::interface(name = "org.example.Library", version = 1)]
trait Library {
    #[id(1)]
    fn book(&self) -> String;
}

struct Plain;

impl Library for Plain {
    fn book(&self) -> String {
        "x".repeat(LARGE)
    }
}

impl LibraryAsync for Plain {
    async fn book(&self) -> String {
        "x".repeat(LARGE)
    }
}

#[test]
fn greedy_part() {
    if acting("greedy_part") {
        ask_for_all(100);
    }
}

#[test]
fn hasty_part() {
    if acting("hasty_part") {
        ask_for_all(20);
    }
}

/// Asks for so many books at once, and says how many came and how many did not.
fn ask_for_all(count: usize) {
    let client = LibraryClient::new(given("library"));
    let parent = given("parent");
    let executor = Executor::new();
    let came = Arc::new([AtomicU8::new(0), AtomicU8::new(0)]);
    for _ in 0..count {
        let (client, came) = (client.clone(), Arc::clone(&came));
        executor.spawn(async move {
            let place = match client.book_async().await {
                Ok(book) => {
                    assert_eq!(book.len(), LARGE);
                    0
                }
                Err(ClientError::Dropped) => 1,
                Err(error) => panic!("{error}"),
            };
            came[place].fetch_add(1, Ordering::Relaxed);
        });
    }
    executor.run(1);
    let came: Vec<u8> = came.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    parent.send(Message::new(came), long()).unwrap();
}

/// A child that has asked so often and is stopped, and where it will say what
/// came.
fn asked(part: &str, count: u64, inbox: &ReceiveRight, post: &SendRight) -> (Reaped, ReceiveRight) {
    let news = Task::current().unwrap().port(Capacity::Bounded(4));
    let child = act(part)
        .right("library", post.clone())
        .right("parent", news.make_send().unwrap())
        .spawn()
        .unwrap();
    let child = Reaped(child);
    settled(|| inbox.status().queued, |queued| *queued == count);
    child.stop();
    (child, news)
}

/// Lets it run again, and returns what was read and what was dropped.
fn told(child: &mut Reaped, news: &ReceiveRight) -> (u8, u8) {
    child.resume();
    let told = news.receive(long()).unwrap();
    assert!(child.ended_well());
    let [read, dropped] = *told.body() else { panic!("{told:?}") };
    (read, dropped)
}

fn port() -> (ReceiveRight, SendRight) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(128));
    let post = inbox.make_send().unwrap();
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    (inbox, post)
}

#[test]
fn a_server_of_futures_keeps_some_answers_and_goes_on() {
    let (inbox, post) = port();
    let (mut child, news) = asked("greedy_part", 100, &inbox, &post);
    let executor = Executor::new();
    executor.spawn(async move {
        let ended = LibraryAsyncServer::new(Plain).serve(&inbox).await;
        assert_eq!(ended, Ok(Notification::NoSenders));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| executor.run(1));
        // All of the child's requests came before this one.
        let other = LibraryClient::new(post);
        assert_eq!(other.book(long()).unwrap().len(), LARGE);
        drop(other);
        let (read, dropped) = told(&mut child, &news);
        // What fits its lane, and the 64 that are kept.
        assert_eq!(read + dropped, 100);
        assert!(read > 64 && dropped > 0, "{read} read, {dropped} dropped");
    });
}

#[test]
fn a_server_that_blocks_waits_a_moment_for_each() {
    let (inbox, post) = port();
    let (mut child, news) = asked("hasty_part", 20, &inbox, &post);
    std::thread::scope(|scope| {
        scope.spawn(|| LibraryServer::new(Plain).serve(&inbox, long()));
        let other = LibraryClient::new(post);
        assert_eq!(other.book(long()).unwrap().len(), LARGE);
        drop(other);
        let (read, dropped) = told(&mut child, &news);
        assert_eq!(read + dropped, 20);
        assert!(read > 0 && dropped > 0, "{read} read, {dropped} dropped");
    });
}
