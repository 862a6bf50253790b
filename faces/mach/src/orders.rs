//! What a task does with the names of another, whose kernel right it was given.
//!
//! On Mach the kernel does it. Here the other task is asked, by a message to its kernel
//! right, which its library hands on to a thread of this face. That thread is there from when
//! the task first gives its right away, and answers whatever the threads of the program do.
//!
//! The id says what is asked, the body has its words, and a right may come with it. The
//! first word of an answer is a code. Each side takes what the other wrote for an allegation.
//! An order that nobody wants answered any more is not carried out: who gave up waiting finds
//! nothing done later.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use pillarbox::kernel::ids::PROGRAM;
use pillarbox::{
    CallError, Capacity, Deadline, Message, ReceiveRight, ReplyState, Right, SendFailure,
    SendRight, hold_in_wait,
};

use crate::codes::*;
use crate::edge::without_signals;
use crate::letter::word;
use crate::names::Name;
use crate::port;
use crate::receive::settle_rights;
use crate::space::{Held, Space, Taken};
use crate::with;

/// How long the other task may take. One that is stopped answers nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Orders that wait for the thread that carries them out.
const WAITING: u32 = 64;

/// The most words of an answer that are read.
const MOST_WORDS: usize = 1 << 20;

/// What can be asked, by the ids of the messages; the words of each are said in [`act`].
pub(crate) mod order {
    pub(crate) const ALLOCATE: i32 = 1;
    pub(crate) const ALLOCATE_NAME: i32 = 2;
    pub(crate) const DEALLOCATE: i32 = 3;
    pub(crate) const DESTROY: i32 = 4;
    pub(crate) const MOD_REFS: i32 = 5;
    pub(crate) const GET_REFS: i32 = 6;
    pub(crate) const TYPE: i32 = 7;
    pub(crate) const NAMES: i32 = 8;
    pub(crate) const INSERT_RIGHT: i32 = 9;
    pub(crate) const EXTRACT_RIGHT: i32 = 10;
    pub(crate) const GET_ATTRIBUTES: i32 = 11;
    pub(crate) const SET_QLIMIT: i32 = 12;
    pub(crate) const INSERT_MEMBER: i32 = 13;
    pub(crate) const EXTRACT_MEMBER: i32 = 14;
    pub(crate) const MOVE_MEMBER: i32 = 15;
    pub(crate) const GET_SET_STATUS: i32 = 16;
}

/// What came of an order.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) words: Vec<u32>,
    pub(crate) right: Option<Right>,
}

impl Done {
    fn told(words: Vec<u32>) -> Self {
        Done { words, right: None }
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The words of a body, if it is nothing else.
fn words(body: &[u8]) -> Option<Vec<u32>> {
    let whole = body.len().is_multiple_of(4) && body.len() / 4 <= MOST_WORDS;
    whole.then(|| (0..body.len()).step_by(4).map(|at| word(body, at)).collect())
}

// ---- asking ----------------------------------------------------------------------------

/// The right to the task that a name stands for, if it may be another's.
fn task_of(space: &mut Space, task: Name) -> Result<Arc<SendRight>, Code> {
    let own = space.task.identity().task;
    match &space.look(task).ok_or(KERN_INVALID_TASK)?.held {
        Held::Dead(_) => Err(SEND_INVALID_DEST),
        Held::Port(port) => {
            let right = port.send.clone().ok_or(KERN_INVALID_TASK)?;
            // A port of ours is no task's.
            if right.owner() == Some(own) { Err(KERN_INVALID_TASK) } else { Ok(right) }
        }
        Held::Once(_) | Held::Set(..) => Err(KERN_INVALID_TASK),
    }
}

fn as_code(error: &CallError) -> Code {
    match error {
        CallError::Unsent(error) => match error.reason {
            SendFailure::Full | SendFailure::NotJoined(_) => SEND_TIMED_OUT,
            SendFailure::NotPermitted(_) => KERN_NO_ACCESS,
            _ => SEND_INVALID_DEST,
        },
        CallError::Deadline => RCV_TIMED_OUT,
        CallError::Died => MIG_SERVER_DIED,
        CallError::Refused => KERN_NO_ACCESS,
        // Nobody there answers such orders.
        _ => KERN_INVALID_TASK,
    }
}

/// Has another task carry out an order.
pub(crate) fn ask(
    task: Name,
    order: i32,
    words: &[u32],
    right: Option<Right>,
) -> Result<Done, Code> {
    let to = with(|space| task_of(space, task))?;
    let mut message = Message::new(bytes(words)).with_id(PROGRAM + order);
    if let Some(right) = right {
        message = message.with_right(right);
    }
    let deadline = Deadline::after(PATIENCE);
    let (_, answered) = hold_in_wait(to, drop, |to| to.call(message, deadline));
    let answer = answered.map_err(|error| as_code(&error))?;
    let (answer, ()) = hold_in_wait(answer, drop, |answer| settle_rights(answer));
    read(answer, PROGRAM + order)
}

/// What an answer says.
fn read(mut answer: Message, id: i32) -> Result<Done, Code> {
    if answer.id() != id {
        return Err(MIG_REPLY_MISMATCH);
    }
    let mut words = words(answer.body()).ok_or(MIG_TYPE_ERROR)?.into_iter();
    let code = words.next().ok_or(MIG_TYPE_ERROR)? as Code;
    let mut rights = answer.take_rights();
    if code != KERN_SUCCESS {
        return Err(code);
    }
    let right = rights.pop();
    if !rights.is_empty() {
        return Err(MIG_TYPE_ERROR);
    }
    Ok(Done { words: words.collect(), right })
}

/// Gives another task a right of ours, under a name there.
pub(crate) fn insert_right(task: Name, name: Name, right: Name, how: u8) -> Result<(), Code> {
    let right = with(|space| {
        task_of(space, task)?;
        port::take_for(space, name, right, how)
    })?;
    ask(task, order::INSERT_RIGHT, &[name], Some(right)).map(drop)
}

/// Takes a right of another task, or has one made there.
pub(crate) fn extract_right(task: Name, name: Name, how: u8) -> Result<(Name, u8), Code> {
    port::may_extract(name, how)?;
    let done = ask(task, order::EXTRACT_RIGHT, &[name, u32::from(how)], None)?;
    let kind = crate::send::received(how);
    match done.right {
        None if done.words.is_empty() => Ok((crate::names::DEAD, kind)),
        Some(right) if done.words.is_empty() && kind_of(&right) == kind => {
            Ok(with(|space| space.give(right)))
        }
        _ => Err(MIG_TYPE_ERROR),
    }
}

const fn kind_of(right: &Right) -> u8 {
    match right {
        Right::Send(_) => disposition::MOVE_SEND,
        Right::SendOnce(_) => disposition::MOVE_SEND_ONCE,
        Right::Receive(_) => disposition::MOVE_RECEIVE,
        _ => 0,
    }
}

// ---- answering -------------------------------------------------------------------------

/// From now on whoever has the kernel right of this task may act on its names. Nothing comes
/// of it where the system refuses a thread.
pub(crate) fn begin_to_answer(space: &Space) {
    let port = space.task.port(Capacity::Bounded(WAITING));
    if space.task.answer_requests(&port).is_ok() {
        let thread = std::thread::Builder::new().name("pillarbox-mach".into());
        let _ = without_signals(|| thread.spawn(move || serve(&port)));
    }
}

/// Waits as a future does: the heads of the lanes are for threads that wait for messages to
/// sleep on, and what those read this thread is told of.
fn serve(port: &ReceiveRight) {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut coming = pin!(port.receive_async());
    loop {
        match coming.as_mut().poll(&mut context) {
            Poll::Ready(Ok(message)) => {
                carry_out(message);
                coming.set(port.receive_async());
            }
            // The process was forked, or is at its end.
            Poll::Ready(Err(_)) => return,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The thread that answers, to be told that something came.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Carries an order out and answers it.
fn carry_out(mut message: Message) {
    let Some(reply) = message.take_reply() else { return };
    settle_rights(&message);
    if matches!(reply.state(), ReplyState::Gone(_)) {
        return;
    }
    let id = message.id();
    let words = words(message.body());
    let right = message.take_rights().pop();
    let done = with(|space| match &words {
        Some(words) => act(space, id.wrapping_sub(PROGRAM), words, right),
        None => Err(MIG_TYPE_ERROR),
    });
    let (code, done) =
        done.map_or_else(|code| (code, Done::default()), |done| (KERN_SUCCESS, done));
    let mut answer = Message::new(bytes(&[&[code as u32], &done.words[..]].concat())).with_id(id);
    if let Some(right) = done.right {
        answer = answer.with_right(right);
    }
    // Who leaves no room for its answer has none.
    let Err(mut back) = reply.send(answer, Deadline::Now) else { return };
    let Some([name, how]) = words.as_deref() else { return };
    // What was taken for it is where it was.
    let moved = (disposition::MOVE_RECEIVE..=disposition::MOVE_SEND_ONCE).contains(&(*how as u8));
    if let (true, Some(right)) = (moved, back.message.take_rights().pop()) {
        with(|space| port::place(space, *name, right));
    }
}

/// Does what another task has asked for.
fn act(space: &mut Space, order: i32, words: &[u32], right: Option<Right>) -> Result<Done, Code> {
    let done = |code| if code == KERN_SUCCESS { Ok(Done::default()) } else { Err(code) };
    let one = |made: Result<u32, Code>| made.map(|made| Done::told(vec![made]));
    match (order, words) {
        (order::ALLOCATE, &[right]) => one(port::allocate(space, right, None)),
        (order::ALLOCATE_NAME, &[right, name]) => {
            port::allocate(space, right, Some(name)).map(|_| Done::default())
        }
        (order::DEALLOCATE, &[name]) => done(port::deallocate(space, name)),
        (order::DESTROY, &[name]) => done(port::destroy(space, name)),
        (order::MOD_REFS, &[name, right, delta]) => {
            done(port::mod_refs(space, name, right, delta as i32))
        }
        (order::GET_REFS, &[name, right]) => one(port::get_refs(space, name, right)),
        (order::TYPE, &[name]) => one(port::kind(space, name)),
        (order::NAMES, &[]) => {
            let (mut names, kinds) = port::names(space);
            names.extend(kinds);
            Ok(Done::told(names))
        }
        (order::INSERT_RIGHT, &[name]) => match right {
            Some(right) => done(port::place(space, name, right)),
            None => Err(KERN_INVALID_CAPABILITY),
        },
        (order::EXTRACT_RIGHT, &[name, how]) => {
            let how = u8::try_from(how).unwrap_or(0);
            match port::take(space, name, how)? {
                Taken::Right(right) => Ok(Done { words: Vec::new(), right: Some(right) }),
                Taken::Null | Taken::Dead => Ok(Done::default()),
            }
        }
        (order::GET_ATTRIBUTES, &[name, flavor]) => {
            port::attributes(space, name, flavor as i32).map(Done::told)
        }
        (order::SET_QLIMIT, &[name, qlimit]) => done(port::set_qlimit(space, name, qlimit)),
        (order::INSERT_MEMBER, &[member, set]) => done(port::insert_member(space, member, set)),
        (order::EXTRACT_MEMBER, &[member, set]) => done(port::extract_member(space, member, set)),
        (order::MOVE_MEMBER, &[member, set]) => done(port::move_member(space, member, set)),
        (order::GET_SET_STATUS, &[set]) => port::set_status(space, set).map(Done::told),
        _ => Err(MIG_BAD_ID),
    }
}
