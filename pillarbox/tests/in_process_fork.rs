//! A forked child has nothing of its parent's: every use says so, and nothing
//! it does or drops is felt in the parent. It may begin a task of its own.
//!
//! The answer of a child is its exit code. Children allocate, which glibc makes
//! safe after a fork, and print nothing.
#![allow(unsafe_code, reason = "forks, and ends the child without clean-up")]

mod asleep;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use asleep::{long, spawn_asleep, spawn_asleep_free};
use pillarbox::kernel::{Kernel, KernelError};
use pillarbox::typed::{TypedReceiveError, channel_in};
use pillarbox::{
    CallError, Capacity, Census, Deadline, Holding, LinkError, Message, NewsError, Notification,
    ReceiveError, ReplyError, SendFailure, SetError, SetStatus, StatusError, Task, TaskError,
};

/// A fork in the middle of another test would find that test's locks held.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `part` in a forked child; whether it returned there.
fn in_child(part: impl FnOnce()) -> bool {
    // SAFETY: the child runs `part`, which is prepared to have no other thread,
    // and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no child");
    if pid == 0 {
        // One that hangs ends too.
        // SAFETY: asks for a signal that nobody handles.
        unsafe { libc::alarm(20) };
        let went = catch_unwind(AssertUnwindSafe(part)).is_ok();
        // SAFETY: ends the child without running the parent's clean-up.
        unsafe { libc::_exit(i32::from(!went)) }
    }
    let mut status = 0;
    // SAFETY: fills the status of our own child.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    waited == pid && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn every_use_of_the_parents_rights_is_refused() {
    let _alone = alone();
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let post = inbox.make_send().unwrap();
    let once = inbox.make_send_once().unwrap();
    let news = inbox.make_send_once().unwrap();
    let more_news = inbox.make_send_once().unwrap();
    let (sender, receiver) = channel_in::<String>(&task, Capacity::Bounded(1)).unwrap();
    let request = Message::new("").with_reply(inbox.make_send_once().unwrap());
    post.send(request, Deadline::Now).unwrap();
    let mut request = inbox.receive(Deadline::Now).unwrap();

    assert!(in_child(move || {
        // All of these may wait for ever, and none does.
        assert_eq!(inbox.receive(Deadline::Never).unwrap_err(), ReceiveError::Forked);
        assert_eq!(inbox.make_send().unwrap_err(), SendFailure::Forked);
        assert_eq!(inbox.make_send_once().unwrap_err(), SendFailure::Forked);
        assert_eq!(inbox.notify_no_senders(news).unwrap_err(), SendFailure::Forked);
        assert_eq!(post.notify_dead(more_news).unwrap_err(), SendFailure::Forked);
        assert_eq!(post.status(Deadline::Never).unwrap_err(), StatusError::Forked);

        let message = Message::new("back").with_right(post.clone());
        let error = post.send(message, Deadline::Never).unwrap_err();
        assert_eq!(error.reason, SendFailure::Forked);
        assert_eq!((error.message.body(), error.message.rights().len()), (&b"back"[..], 1));
        let CallError::Unsent(error) = post.call(*error.message, Deadline::Never).unwrap_err()
        else {
            panic!("it was not sent")
        };
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"back"[..]));
        let error = once.send(*error.message, Deadline::Never).unwrap_err();
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"back"[..]));
        let error = request.reply(*error.message, Deadline::Never).unwrap_err();
        let ReplyError::Unsent(error) = error else { panic!("it was not sent") };
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"back"[..]));

        let error = sender.send("back".into(), Deadline::Never).unwrap_err();
        assert_eq!((error.reason, &*error.value), (SendFailure::Forked.into(), "back"));
        let error = receiver.receive(Deadline::Never).unwrap_err();
        assert_eq!(error, TypedReceiveError::Receive(ReceiveError::Forked));

        assert!(matches!(
            channel_in::<u8>(&task, Capacity::Unbounded).unwrap_err(),
            TaskError::Forked
        ));
        assert!(matches!(task.connect("/nowhere", long()).unwrap_err(), LinkError::Forked));
        assert!(matches!(task.listen("/nowhere", Vec::new()).unwrap_err(), LinkError::Forked));
        assert!(task.inherited("name", Deadline::Never).is_none());
        let port = task.port(Capacity::Bounded(1));
        assert_eq!(port.receive(Deadline::Never).unwrap_err(), ReceiveError::Forked);
        assert_eq!(port.make_send().unwrap_err(), SendFailure::Forked);
    }));
}

#[test]
fn a_set_and_the_ports_of_the_task_stay_the_parents() {
    let _alone = alone();
    let task = Task::new();
    let (inbox, other) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let post = inbox.make_send().unwrap();
    let set = task.port_set();
    let member = set.add(&inbox).unwrap();
    let (notify, kernel) = (task.notify().unwrap(), Kernel::new(task.kernel().unwrap()));
    let armed = post.watch_dead(7).unwrap();
    post.send(Message::new("the parent's"), Deadline::Now).unwrap();

    assert!(in_child(|| {
        assert_eq!(set.add(&other), Err(SetError::Forked));
        assert_eq!(set.receive(Deadline::Never).unwrap_err(), ReceiveError::Forked);
        assert_eq!(ready(set.receive_async()).unwrap_err(), ReceiveError::Forked);
        assert!(!set.remove(member));
        assert_eq!(set.status(), SetStatus::default());
        assert_eq!(task.notify().unwrap_err(), NewsError::Forked);
        assert_eq!(notify.receive(Deadline::Never).unwrap_err(), ReceiveError::Forked);
        assert_eq!(post.watch_dead(8).unwrap_err(), NewsError::Forked);
        assert_eq!(inbox.watch_no_senders(8).unwrap_err(), NewsError::Forked);
        assert!(!armed.cancel());
        assert_eq!(task.kernel().unwrap_err(), SendFailure::Forked);
        let error = kernel.identity(Deadline::Never).unwrap_err();
        assert_eq!(error, KernelError::Unsent(SendFailure::Forked));
    }));

    // And go on there.
    assert_eq!(set.receive(Deadline::Now).unwrap().0, member);
    drop(inbox);
    assert_eq!(notify.receive(Deadline::Now).unwrap().completion(), Some(7));
    assert!(kernel.identity(Deadline::Now).is_ok());
}

#[test]
fn a_set_that_a_forked_child_drops_goes_on_in_the_parent() {
    let _alone = alone();
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let set = task.port_set();
    let member = set.add(&inbox).unwrap();
    let mut set = Some(set);
    assert!(in_child(|| drop(set.take())));
    inbox.make_send().unwrap().send(Message::new(""), Deadline::Now).unwrap();
    assert_eq!(set.unwrap().receive(Deadline::Now).unwrap().0, member);
}

/// Polls it once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What a future that is ready at once gives.
fn ready<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a forked child must not wait"),
    }
}

#[test]
fn a_future_of_the_parents_says_so_in_the_child() {
    let _alone = alone();
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let empty = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let quiet = empty.make_send().unwrap();
    let once = empty.make_send_once().unwrap();
    post.send(Message::new("full"), Deadline::Now).unwrap();
    let mut receive = Box::pin(empty.receive_async());
    assert!(poll(receive.as_mut()).is_pending());
    let mut send = Box::pin(post.send_async(Message::new("waits")));
    assert!(poll(send.as_mut()).is_pending());
    let asked = task.port(Capacity::Bounded(1));
    let asks = asked.make_send().unwrap();
    let mut call = Box::pin(asks.call_async(Message::new("question")));
    assert!(poll(call.as_mut()).is_pending());

    let mut all = Some((receive, send, call, once));
    assert!(in_child(|| {
        let (mut receive, mut send, mut call, once) = all.take().unwrap();
        let Poll::Ready(error) = poll(receive.as_mut()) else { panic!("it waits") };
        assert_eq!(error.unwrap_err(), ReceiveError::Forked);
        let Poll::Ready(error) = poll(send.as_mut()) else { panic!("it waits") };
        let error = error.unwrap_err();
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"waits"[..]));
        let Poll::Ready(error) = poll(call.as_mut()) else { panic!("it waits") };
        assert!(matches!(error, Err(CallError::Forked)));
        drop((receive, send, call));

        assert_eq!(ready(empty.receive_async()).unwrap_err(), ReceiveError::Forked);
        let error = ready(quiet.send_async(Message::new("back"))).unwrap_err();
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"back"[..]));
        let CallError::Unsent(error) = ready(quiet.call_async(*error.message)).unwrap_err() else {
            panic!("it was not sent")
        };
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"back"[..]));
        let error = ready(once.send_async(*error.message)).unwrap_err();
        assert_eq!((error.reason, error.message.body()), (SendFailure::Forked, &b"back"[..]));
        assert_eq!(ready(quiet.status_async()), Err(StatusError::Forked));
    }));

    // In the parent all of them wait still, and each comes to its end.
    let (receive, mut send, mut call, once) = all.take().unwrap();
    assert!(poll(send.as_mut()).is_pending());
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"full");
    assert!(matches!(poll(send.as_mut()), Poll::Ready(Ok(()))));
    asked.receive(Deadline::Now).unwrap().reply(Message::new("answer"), Deadline::Now).unwrap();
    assert!(matches!(poll(call.as_mut()), Poll::Ready(Ok(_))));
    drop(once);
    assert!(ready(receive).is_ok());
}

#[test]
fn nothing_is_consumed_or_closed_in_the_parent() {
    let _alone = alone();
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(8));
    let news = task.port(Capacity::Bounded(8));
    let post = inbox.make_send().unwrap();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    let once = news.make_send_once().unwrap();
    for tag in 0..3 {
        let message = Message::new("").with_tag(tag).with_right(news.make_send_once().unwrap());
        post.send(message, Deadline::Now).unwrap();
    }
    let taken = inbox.receive(Deadline::Now).unwrap();
    let before = task.census();

    // The child drops every one of its copies, and tries what it can first.
    let mut all = Some((task.clone(), inbox, news, post, once, taken));
    assert!(in_child(|| {
        let (task, inbox, news, post, once, mut taken) = all.take().unwrap();
        let _ = inbox.receive(Deadline::Now);
        let _ = post.send(Message::new("from the child"), Deadline::Now);
        let _ = once.send(Message::new("from the child"), Deadline::Now);
        drop(post.clone());
        drop(taken.take_rights());
        drop(taken);
        drop((inbox, news, post));
        task.close();
    }));
    let (task, inbox, news, post, once, taken) = all.take().unwrap();

    assert_eq!(task.census(), before);
    assert!(news.receive(Deadline::Now).is_err());
    assert_eq!(inbox.status().queued, 2);
    assert_eq!(taken.rights().len(), 1);
    for tag in 1..3 {
        assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), tag);
        let told = news.receive(Deadline::Now).unwrap();
        assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
    }
    once.send(Message::new("from the parent"), Deadline::Now).unwrap();
    assert_eq!(news.receive(Deadline::Now).unwrap().body(), b"from the parent");
    post.send(Message::new("still open"), Deadline::Now).unwrap();
    drop(post);
    assert_eq!(news.receive(Deadline::Now).unwrap().notification(), Some(Notification::NoSenders));
    drop(taken);
    drop(inbox);
}

/// What a child can do that has begun a task of its own.
fn live(parent: &Task) {
    let task = Task::current().unwrap();
    assert_ne!(task.identity().task, parent.identity().task);
    assert_eq!(task.identity().task, Task::current().unwrap().identity().task);
    assert_eq!(task.identity().pid as u32, std::process::id());
    assert_eq!(task.census(), Census::default());
    assert!(task.peers().is_empty());

    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                let mut request = inbox.receive(long()).unwrap();
                let answer = Message::new(request.body().to_ascii_uppercase());
                request.reply(answer, long()).unwrap();
            }
        });
        for _ in 0..100 {
            let answer = post.call(Message::new("hello"), long()).unwrap();
            assert_eq!(answer.body(), b"HELLO");
        }
    });
    drop((inbox, post));
    assert_eq!(task.census(), Census::default());
}

#[test]
fn a_child_begins_a_task_of_its_own() {
    let _alone = alone();
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    assert!(in_child(|| {
        live(&task);
        // The parent's rights have not come to life with it.
        assert_eq!(
            post.send(Message::new(""), Deadline::Never).unwrap_err().reason,
            SendFailure::Forked
        );
        // Its own children, too, begin anew.
        let own = Task::current().unwrap();
        let port = own.port(Capacity::Bounded(1));
        assert!(in_child(|| {
            assert_eq!(port.make_send().unwrap_err(), SendFailure::Forked);
            live(&own);
        }));
        port.make_send().unwrap().send(Message::new(""), Deadline::Now).unwrap();
        assert_eq!(own.census().count(Holding::Receive), 1);
    }));
    live_on(&task);
}

fn live_on(task: &Task) {
    let inbox = task.port(Capacity::Bounded(1));
    inbox.make_send().unwrap().send(Message::new("on"), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"on");
}

/// A further task in a child that has not asked for its first one yet.
#[test]
fn a_child_may_make_a_further_task_first() {
    let _alone = alone();
    let parent = Task::new();
    assert!(in_child(|| {
        let task = Task::new();
        assert_ne!(task.identity().task, parent.identity().task);
        live_on(&task);
        live(&parent);
    }));
    live_on(&parent);
}

#[test]
fn an_inherited_right_is_inert_also_in_a_message_of_the_childs_own() {
    let _alone = alone();
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    assert!(in_child(|| {
        let own = Task::current().unwrap();
        let port = own.port(Capacity::Bounded(1));
        let message = Message::new("").with_right(post.clone());
        port.make_send().unwrap().send(message, Deadline::Now).unwrap();
        let mut message = port.receive(Deadline::Now).unwrap();
        let right = message.take_rights().remove(0).into_send().unwrap();
        let error = right.send(Message::new(""), Deadline::Never).unwrap_err();
        assert_eq!(error.reason, SendFailure::Forked);
    }));
    assert_eq!(inbox.status().senders, 1);
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn threads_that_wait_in_the_parent_do_not_hold_the_child() {
    let _alone = alone();
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let full = task.port(Capacity::Bounded(1));
    let (to_inbox, to_full) = (inbox.make_send().unwrap(), full.make_send().unwrap());
    to_full.send(Message::new("first"), Deadline::Now).unwrap();
    let receiving = spawn_asleep_free(move || inbox.receive(long()).unwrap().into_body());
    std::thread::scope(|scope| {
        let sending = spawn_asleep(scope, || to_full.send(Message::new("second"), long()));
        assert!(in_child(|| {
            let error = to_inbox.send(Message::new("from the child"), Deadline::Never);
            assert_eq!(error.unwrap_err().reason, SendFailure::Forked);
            live(&task);
        }));
        assert_eq!(full.receive(Deadline::Now).unwrap().body(), b"first");
        assert_eq!(full.receive(long()).unwrap().body(), b"second");
        sending.join().unwrap().unwrap();
    });
    to_inbox.send(Message::new("from the parent"), Deadline::Now).unwrap();
    assert_eq!(receiving.join().unwrap(), b"from the parent");
}

/// A fork may come while another thread holds the lock of a port. What the child
/// is merely told about its parent's ports must not wait for that thread, which
/// it does not have.
#[test]
fn a_child_does_not_wait_for_a_lock_its_parent_held() {
    let _alone = alone();
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                post.send(Message::new(""), Deadline::Now).unwrap();
                inbox.receive(Deadline::Now).unwrap();
            }
        });
        let went = (0..300).all(|_| {
            in_child(|| {
                let _ = (post.is_dead(), inbox.status(), task.census());
                let _ = post.send(Message::new("").with_right(post.clone()), Deadline::Never);
                let _ = inbox.receive(Deadline::Never);
            })
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(went, "the child hung");
    });
}

/// Where a server is reachable by name the child may ask it for a right anew,
/// and is to it another process than the parent, which goes on as before.
#[test]
fn a_child_may_ask_a_server_for_a_right_anew() {
    let _alone = alone();
    let task = Task::current().unwrap();
    let place = std::env::temp_dir().join(format!("pillarbox-anew-{}", std::process::id()));
    let _ = std::fs::remove_file(&place);
    let server = task.port(Capacity::Bounded(8));
    let offer = vec![(pillarbox::bootstrap::BOOTSTRAP.to_owned(), server.make_send().unwrap())];
    let listening = task.listen(&place, offer).unwrap();
    // A link of the parent's is open when it forks.
    let caller = Task::new();
    let mut before = caller.connect(&place, long()).unwrap();
    let before = before.remove(pillarbox::bootstrap::BOOTSTRAP).unwrap().into_send().unwrap();
    let answering = std::thread::spawn(move || {
        let mut pids = Vec::new();
        for _ in 0..2 {
            let mut request = server.receive(long()).unwrap();
            pids.push(request.sender().unwrap().pid);
            request.reply(Message::new("yes"), long()).unwrap();
        }
        pids
    });
    assert!(in_child(|| {
        assert_eq!(
            before.send(Message::new(""), Deadline::Never).unwrap_err().reason,
            SendFailure::Forked
        );
        let server = pillarbox::Bootstrap::at(&place, long()).unwrap();
        let answer = server.right().call(Message::new("anew"), long()).unwrap();
        assert_eq!(answer.body(), b"yes");
    }));
    assert_eq!(before.call(Message::new("still"), long()).unwrap().body(), b"yes");
    let pids = answering.join().unwrap();
    assert_ne!(pids[0], pids[1], "a child is a process of its own");
    drop(listening);
    caller.close();
}
