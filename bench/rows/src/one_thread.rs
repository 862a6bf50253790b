//! `one-thread`: the hot path without a second thread, to have its instructions counted.
//!
//! Two tasks of this process are linked, and one thread plays both ends of the lanes
//! between them: what one task sends lies there already when the other receives. So
//! nobody waits, spins or sleeps, and how many instructions an operation takes does not
//! depend on the machine's load. Messages with something in them are counted both ends
//! together, as a call is. The operations within one task are counted as well: one thread
//! sends to its own port and receives. `cargo xtask instructions` runs this
//! program under callgrind and counts while the function named as the operation runs.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]

use std::hint::black_box;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Task};

/// Plays both ends of a lane in one thread.
#[derive(Debug, Parser)]
#[command(name = "one-thread", version)]
struct Line {
    /// The operation of which there are to be so many.
    operation: Operation,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    operations: u32,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// A message of 64 bytes is made and sent.
    Send,
    /// It is received, and let go.
    Receive,
    /// A call with 64 bytes each way, at both ends: request sent, received, answered,
    /// answer taken.
    Call,
    /// A message of 64 bytes is made and sent to a port of the same task.
    LocalSend,
    /// It is received, and let go.
    LocalReceive,
    /// A port is made and dropped.
    LocalCreate,
    /// A fresh right to a port of the client's, at both ends: made, sent, received, a
    /// message sent by it and received.
    RightTransfer,
    /// The same with a port that is made for it and ends after.
    PortPerCall,
    /// 64 KiB that are lent and looked at by nobody, at both ends: taken, sent, received,
    /// returned.
    Loan,
}

/// The body of each message.
const BODY: [u8; 64] = [7; 64];

/// Bytes that are lent.
const LENT: usize = 64 * 1024;

/// How many are sent before they are received: they fit into the lane and the port.
const BATCH: u32 = 50;

/// How many batches go before the first that is counted: the first message finds no
/// place granted and waits until the owner's background thread has been rung, and some
/// things are allocated once.
const WARM: u32 = 20;

/// Two linked tasks: one has a port, the other a right to it. And a port within the
/// first, with a right of its own.
struct Ends {
    post: SendRight,
    inbox: ReceiveRight,
    own_post: SendRight,
    own_inbox: ReceiveRight,
    back: ReceiveRight,
    /// A right of the server's to that port, as a client of it has one.
    _known: SendRight,
    tasks: [Task; 2],
}

impl Ends {
    fn new() -> Result<Ends> {
        let (server, client) = (Task::new(), Task::new());
        let inbox = server.port(Capacity::Bounded(4 * BATCH));
        let path = std::env::temp_dir().join(format!("one-thread-{}", std::process::id()));
        let door = server.listen(&path, vec![("inbox".to_owned(), inbox.make_send()?)])?;
        let mut offered = client.connect(&path, Deadline::Never)?;
        drop(door);
        let post = offered.remove("inbox").context("no right came")?;
        let post = post.into_send().ok().context("the right is no send right")?;
        let own_inbox = server.port(Capacity::Bounded(4 * BATCH));
        let own_post = own_inbox.make_send()?;
        let back = client.port(Capacity::Bounded(4 * BATCH));
        post.send(Message::new(BODY).with_right(back.make_send()?), Deadline::Never)?;
        let known = right_in(inbox.receive(Deadline::Never)?)?;
        let tasks = [server, client];
        Ok(Ends { post, inbox, own_post, own_inbox, back, _known: known, tasks })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.close();
        }
    }
}

/// The send right in a message.
fn right_in(mut message: Message) -> Result<SendRight> {
    let right = message.take_rights().pop().context("no right came")?;
    right.into_send().ok().context("the right is no send right")
}

/// Sends one message.
#[inline(never)]
fn send(ends: &Ends) -> Result<()> {
    Ok(ends.post.send(Message::new(black_box(BODY)), Deadline::Never)?)
}

/// Receives one message.
#[inline(never)]
fn receive(ends: &Ends) -> Result<()> {
    let message = ends.inbox.receive(Deadline::Never)?;
    ensure!(black_box(message.body()).len() == BODY.len(), "another message came");
    Ok(())
}

/// Calls, answers, and takes the answer.
#[inline(never)]
fn call(ends: &Ends) -> Result<()> {
    let mut pending = ends.post.start_call(Message::new(black_box(BODY)), Deadline::Never)?;
    let mut request = ends.inbox.receive(Deadline::Never)?;
    let answer = Message::new(request.body());
    request.reply(answer, Deadline::Never)?;
    let answer = pending.wait(Deadline::Never)?;
    ensure!(black_box(answer.body()).len() == BODY.len(), "another answer came");
    Ok(())
}

/// Sends one message within the task.
#[inline(never)]
fn local_send(ends: &Ends) -> Result<()> {
    Ok(ends.own_post.send(Message::new(black_box(BODY)), Deadline::Never)?)
}

/// Receives one message of the same task.
#[inline(never)]
fn local_receive(ends: &Ends) -> Result<()> {
    let message = ends.own_inbox.receive(Deadline::Never)?;
    ensure!(black_box(message.body()).len() == BODY.len(), "another message came");
    Ok(())
}

/// Makes a port and drops it.
#[inline(never)]
fn local_create(ends: &Ends) {
    let [task, _] = &ends.tasks;
    drop(black_box(task.port(Capacity::Bounded(16))));
}

/// Sends a right to `port`, uses it at the other end, and receives there.
#[inline]
fn there_and_back(ends: &Ends, port: &ReceiveRight) -> Result<()> {
    let message = Message::new(black_box(BODY)).with_right(port.make_send()?);
    ends.post.send(message, Deadline::Never)?;
    let right = right_in(ends.inbox.receive(Deadline::Never)?)?;
    right.send(Message::new(black_box(BODY)), Deadline::Never)?;
    drop(right);
    let back = port.receive(Deadline::Never)?;
    ensure!(black_box(back.body()).len() == BODY.len(), "another message came");
    Ok(())
}

/// Sends a right to a port that stays.
#[inline(never)]
fn right_transfer(ends: &Ends) -> Result<()> {
    there_and_back(ends, &ends.back)
}

/// Makes a port, sends a right to it, and ends it.
#[inline(never)]
fn port_per_call(ends: &Ends) -> Result<()> {
    let [_, task] = &ends.tasks;
    there_and_back(ends, &task.port(Capacity::Bounded(1)))
}

/// Lends memory that nobody looks at.
#[inline(never)]
fn loan(ends: &Ends) -> Result<()> {
    let loan = ends.post.loan(LENT, Deadline::Never)?;
    ends.post.send(Message::new(black_box(BODY)).with_region(loan), Deadline::Never)?;
    let message = ends.inbox.receive(Deadline::Never)?;
    ensure!(black_box(message.regions()).len() == 1, "another message came");
    Ok(())
}

/// The same, where it is not what is counted.
#[inline(never)]
fn uncounted(ends: &Ends, operation: Operation) -> Result<()> {
    match operation {
        Operation::Send => ends.post.send(Message::new(BODY), Deadline::Never)?,
        Operation::Receive => drop(ends.inbox.receive(Deadline::Never)?),
        Operation::Call => {
            let mut pending = ends.post.start_call(Message::new(BODY), Deadline::Never)?;
            ends.inbox.receive(Deadline::Never)?.reply(Message::new(BODY), Deadline::Never)?;
            drop(pending.wait(Deadline::Never)?);
        }
        Operation::LocalSend => ends.own_post.send(Message::new(BODY), Deadline::Never)?,
        Operation::LocalReceive => drop(ends.own_inbox.receive(Deadline::Never)?),
        Operation::LocalCreate => {
            let [task, _] = &ends.tasks;
            drop(task.port(Capacity::Bounded(16)));
        }
        Operation::RightTransfer => there_and_back(ends, &ends.back)?,
        Operation::PortPerCall => {
            let [_, task] = &ends.tasks;
            there_and_back(ends, &task.port(Capacity::Bounded(1)))?;
        }
        Operation::Loan => {
            let loan = ends.post.loan(LENT, Deadline::Never)?;
            ends.post.send(Message::new(BODY).with_region(loan), Deadline::Never)?;
            drop(ends.inbox.receive(Deadline::Never)?);
        }
    }
    Ok(())
}

/// A batch, in which `counted` or nothing is counted.
fn batch(ends: &Ends, counted: Option<Operation>, operation: Operation) -> Result<()> {
    let turn: &[Operation] = match operation {
        Operation::Send | Operation::Receive => &[Operation::Send, Operation::Receive],
        Operation::Call => &[Operation::Call],
        Operation::LocalSend | Operation::LocalReceive => {
            &[Operation::LocalSend, Operation::LocalReceive]
        }
        Operation::LocalCreate => &[Operation::LocalCreate],
        Operation::RightTransfer => &[Operation::RightTransfer],
        Operation::PortPerCall => &[Operation::PortPerCall],
        Operation::Loan => &[Operation::Loan],
    };
    for &part in turn {
        for _ in 0..BATCH {
            match part {
                _ if counted != Some(part) => uncounted(ends, part)?,
                Operation::Send => send(ends)?,
                Operation::Receive => receive(ends)?,
                Operation::Call => call(ends)?,
                Operation::LocalSend => local_send(ends)?,
                Operation::LocalReceive => local_receive(ends)?,
                Operation::LocalCreate => local_create(ends),
                Operation::RightTransfer => right_transfer(ends)?,
                Operation::PortPerCall => port_per_call(ends)?,
                Operation::Loan => loan(ends)?,
            }
        }
    }
    Ok(())
}

fn run(line: &Line) -> Result<u32> {
    let ends = Ends::new()?;
    for _ in 0..WARM {
        batch(&ends, None, line.operation)?;
    }
    let batches = line.operations.div_ceil(BATCH);
    for _ in 0..batches {
        batch(&ends, Some(line.operation), line.operation)?;
    }
    Ok(batches * BATCH)
}

fn main() -> ExitCode {
    match run(&Line::parse()) {
        Ok(operations) => {
            println!("{operations} operations");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
