//! The methods of a client and of a server are futures too: one executor serves
//! many requests at once, between tasks and processes, and whoever is dropped is
//! told of.

mod executor;
mod family;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};

use executor::{Executor, block_on, poll_once};
use family::{Reaped, act, acting, inbox, long, meet, offer, port};
use pillarbox::interface::{ClientError, DispatchError, Sink};
use pillarbox::typed::{Carry, SenderOnce, channel};
use pillarbox::{Capacity, Notification, ReceiveRight, SendFailure};

#[pillarbox::interface(name = "org.example.Station", version = 2)]
trait Station {
    #[id(1)]
    fn add(&self, a: i64, b: i64) -> i64;
    /// Is answered once `go` was called as often as this is waiting.
    #[id(2)]
    fn wait(&self) -> u32;
    #[id(3)]
    #[oneway]
    fn go(&self);
    #[id(4)]
    fn count(&self, last: u32) -> Stream<u32>;
    #[id(5)]
    fn count_to(&self, last: u32) -> Result<Stream<u32>, String>;
    #[id(6)]
    fn give(&self, to: Carry<SenderOnce<u8>>) -> Result<u8, String>;
    #[id(7, since = 2)]
    fn panics(&self);
}

/// What waits, and how many went.
#[derive(Default)]
struct Platform {
    wakers: Mutex<Vec<Waker>>,
    went: AtomicU32,
}

impl StationAsync for Arc<Platform> {
    async fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }

    async fn wait(&self) -> u32 {
        poll_fn(|cx| {
            // Registered first: who goes now sees it.
            self.wakers.lock().unwrap().push(cx.waker().clone());
            match self.went.load(Ordering::SeqCst) {
                0 => Poll::Pending,
                went => Poll::Ready(went),
            }
        })
        .await
    }

    async fn go(&self) {
        self.went.fetch_add(1, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap());
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn count(&self, last: u32, sink: Sink<u32>) {
        // As many as the client has room for: nobody reads before the answer.
        for number in 1..=last {
            sink.send_async(number).await.unwrap();
        }
        sink.finish_async().await.unwrap();
    }

    async fn count_to(&self, last: u32, sink: Sink<u32>) -> Result<(), String> {
        if last > 9 {
            return Err(format!("{last} is too much"));
        }
        self.count(last, sink).await;
        Ok(())
    }

    async fn give(&self, to: Carry<SenderOnce<u8>>) -> Result<u8, String> {
        let to = to.into_inner().ok_or("nothing came")?;
        to.send(7, long()).map_err(|error| error.to_string())?;
        Ok(8)
    }

    async fn panics(&self) {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

/// Serves until no client is left.
async fn serve(inbox: ReceiveRight) {
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    let server = StationAsyncServer::new(Arc::<Platform>::default());
    assert_eq!(server.serve(&inbox).await, Ok(Notification::NoSenders));
}

async fn use_all(client: StationClient) {
    assert_eq!(client.add_async(1, 2).await.unwrap(), 3);
    let mut count = client.count_async(5).await.unwrap();
    for number in 1..=5 {
        assert_eq!(count.receive_async().await.unwrap(), Some(number));
    }
    assert_eq!(count.receive_async().await, Ok(None));
    assert_eq!(count.receive_async().await, Ok(None));
    let refused = client.count_to_async(10).await.unwrap();
    assert_eq!(refused.unwrap_err(), "10 is too much");
    let mut count = client.count_to_async(0).await.unwrap().unwrap();
    assert_eq!(count.receive_async().await, Ok(None));
    let (_, inbox) = channel::<u8>(Capacity::Bounded(1)).unwrap();
    let to = Carry::new(inbox.make_send_once().unwrap());
    assert_eq!(client.give_async(to).await.unwrap(), Ok(8));
    assert_eq!(inbox.receive(long()).unwrap().value, 7);
}

#[test]
fn one_thread_is_client_and_server() {
    let executor = Executor::new();
    let (inbox, post) = port();
    executor.spawn(serve(inbox));
    executor.spawn(use_all(StationClient::new(post)));
    executor.run(1);
}

#[test]
fn requests_that_wait_hold_up_nobody() {
    for threads in [1, 2] {
        let executor = Executor::new();
        let (inbox, post) = port();
        executor.spawn(serve(inbox));
        let client = StationClient::new(post);
        let answered = Arc::new(AtomicU32::new(0));
        for _ in 0..200 {
            let (client, answered) = (client.clone(), Arc::clone(&answered));
            executor.spawn(async move {
                assert_eq!(client.wait_async().await.unwrap(), 1);
                answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        let waiting = Arc::clone(&answered);
        executor.spawn(async move {
            // All of those are asked before, and none is answered.
            assert_eq!(client.add_async(1, 1).await.unwrap(), 2);
            assert_eq!(waiting.load(Ordering::SeqCst), 0);
            client.go_async().await.unwrap();
        });
        executor.run(threads);
        assert_eq!(answered.load(Ordering::SeqCst), 200);
    }
}

#[test]
fn awaiting_part() {
    if acting("awaiting_part") {
        let inbox = inbox();
        offer(&[&inbox]);
        block_on(serve(inbox));
    }
}

fn child() -> (StationClient, Reaped, ReceiveRight) {
    let inbox = inbox();
    let (child, [right]) = meet(act("awaiting_part"), &inbox);
    (StationClient::new(right), child, inbox)
}

#[test]
fn blocking_and_awaiting_are_the_same_interface() {
    let (client, mut child, _inbox) = child();
    block_on(use_all(client.clone()));
    assert_eq!(client.add(2, 3, long()).unwrap(), 5);
    assert_eq!(client.count_to(10, long()).unwrap().unwrap_err(), "10 is too much");
    let mut count = client.count(3, long()).unwrap();
    assert_eq!(count.receive(long()), Ok(Some(1)));
    assert_eq!(block_on(count.receive_async()), Ok(Some(2)));
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..8).map(|_| scope.spawn(|| client.wait(long()).unwrap())).collect();
        client.go(long()).unwrap();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), 1);
        }
    });
    drop((client, count));
    assert!(child.ended_well());
}

#[test]
fn a_server_that_is_killed_ends_what_is_awaited() {
    let (client, mut child, _inbox) = child();
    let mut wait = pin!(client.wait_async());
    assert!(poll_once(wait.as_mut()).is_pending());
    let mut count = client.clone().with_stream_capacity(Capacity::Bounded(2)).count(2, long());
    let count = count.as_mut().unwrap();
    assert_eq!(block_on(count.receive_async()), Ok(Some(1)));
    child.kill();
    let error = block_on(wait).unwrap_err();
    assert!(matches!(error, ClientError::Died), "{error}");
    // That one was finished before.
    assert_eq!(block_on(count.receive_async()), Ok(Some(2)));
    assert_eq!(block_on(count.receive_async()), Ok(None));
    let error = block_on(client.add_async(1, 2)).unwrap_err();
    let ClientError::Unsent { reason, arguments } = error else { panic!("{error}") };
    assert_eq!((reason, arguments), (SendFailure::Dead.into(), (1, 2)));
}

#[test]
fn a_dropped_server_tells_every_client() {
    let (inbox, post) = port();
    let client = StationClient::new(post);
    let server = StationAsyncServer::new(Arc::<Platform>::default());
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(client.wait_async())).collect();
    for wait in &mut waits {
        assert!(poll_once(wait.as_mut()).is_pending());
    }
    {
        let mut serving = pin!(server.serve(&inbox));
        assert!(poll_once(serving.as_mut()).is_pending());
    }
    for wait in waits {
        let error = block_on(wait).unwrap_err();
        assert!(matches!(error, ClientError::Dropped), "{error}");
    }
    // What was not begun stays: another serves it.
    let mut add = pin!(client.add_async(4, 5));
    assert!(poll_once(add.as_mut()).is_pending());
    let mut serving = pin!(server.serve(&inbox));
    assert!(poll_once(serving.as_mut()).is_pending());
    assert_eq!(block_on(add).unwrap(), 9);
}

#[test]
fn a_dropped_call_is_nobodys_loss() {
    let (inbox, post) = port();
    let client = StationClient::new(post);
    let server = StationAsyncServer::new(Arc::<Platform>::default());
    let mut serving = pin!(server.serve(&inbox));
    for _ in 0..100 {
        let mut wait = Box::pin(client.wait_async());
        assert!(poll_once(wait.as_mut()).is_pending());
        assert!(poll_once(serving.as_mut()).is_pending());
    }
    client.go(long()).unwrap();
    let mut wait = pin!(client.wait_async());
    assert!(poll_once(wait.as_mut()).is_pending());
    assert!(poll_once(serving.as_mut()).is_pending());
    assert_eq!(block_on(wait).unwrap(), 1);
}

#[test]
fn a_method_that_panics_is_told_to_its_caller() {
    let (inbox, post) = port();
    let client = StationClient::new(post);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let server = StationAsyncServer::new(Arc::<Platform>::default());
            block_on(server.serve(&inbox))
        });
        let error = block_on(client.panics_async()).unwrap_err();
        assert!(matches!(error, ClientError::Dropped), "{error}");
        assert!(serving.join().is_err());
    });
}

#[test]
fn a_loop_of_ones_own_hears_what_was_wrong() {
    #[pillarbox::interface(name = "org.example.Station", version = 3)]
    trait Newer {
        #[id(8, since = 3)]
        fn newest(&self) -> Stream<u8>;
    }
    let (inbox, post) = port();
    let client = NewerClient::new(post);
    let server = StationAsyncServer::new(Arc::<Platform>::default());
    let mut asked = pin!(client.newest_async());
    assert!(poll_once(asked.as_mut()).is_pending());
    let message = inbox.receive(long()).unwrap();
    assert!(StationAsyncServer::<Arc<Platform>>::is_for(&message));
    let error = block_on(server.dispatch(message)).unwrap_err();
    let expected = (8, 3, 2);
    assert!(
        matches!(error, DispatchError::UnknownMethod { method, client_version, server_version, .. }
            if (method, client_version, server_version) == expected),
        "{error}"
    );
    let error = block_on(asked).unwrap_err();
    assert!(
        matches!(error, ClientError::UnknownMethod { method, client_version, server_version }
            if (method, client_version, server_version) == expected),
        "{error}"
    );
}
