//! Two processes and a hundred callers on one thread: futures without a runtime.
//!
//! The child answers what comes, the parent calls a hundred times at once. The
//! executor is the twenty lines at the end; any other will do.
// run: cargo run --example async_echo
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::future::Future;
use std::pin::{Pin, pin};
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use pillarbox::{Capacity, Deadline, Message, SendRight, Spawn, Task};

const CALLERS: usize = 100;
const CALLS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("child") {
        block_on(echo())
    } else {
        block_on(call())
    }
}

/// The child: whatever comes, it goes back.
async fn echo() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;
    let port = task.port(Capacity::Bounded(16));
    let parent = task.inherited("parent", Deadline::Never).ok_or("no parent")?;
    let parent = parent.into_send().map_err(|_| "not a send right")?;
    parent.send_async(Message::new("ready").with_right(port.make_send()?)).await?;
    loop {
        let mut request = port.receive_async().await?;
        let Some(reply) = request.take_reply() else { return Ok(()) };
        reply.send_async(Message::new(request.into_body())).await?;
    }
}

/// The parent: a hundred callers at once.
async fn call() -> Result<(), Box<dyn Error>> {
    let inbox = Task::current()?.port(Capacity::Bounded(16));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child");
    let mut child = Spawn::new(command).right("parent", inbox.make_send()?).spawn()?;
    let mut ready = inbox.receive_async().await?;
    let echo = ready.take_rights().pop().ok_or("no right came")?;
    let echo = echo.into_send().map_err(|_| "not a send right")?;

    all((0..CALLERS).map(|number| caller(&echo, number)).collect()).await;
    println!("{CALLERS} callers on one thread, {CALLS} calls each: all answered");

    // No reply right: the child ends.
    echo.send_async(Message::new("end")).await?;
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

async fn caller(echo: &SendRight, number: usize) {
    for call in 0..CALLS {
        let question = format!("{number} asks {call}");
        let answer = echo.call_async(Message::new(question.as_str())).await;
        assert_eq!(answer.expect("the child lives").body(), question.as_bytes());
    }
}

/// Waits for all of them.
async fn all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future on this thread until it is ready.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
