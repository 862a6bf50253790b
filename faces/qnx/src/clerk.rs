//! What other processes ask of this one, and who answers.
//!
//! Who attaches to a channel, leaves one, or would leave a request is heard at once,
//! whatever the threads of this process are doing: on QNX the kernel does this. Here it
//! is one thread of each process that has to do with others. It is started with the
//! first channel that others may find, the first connection with another process, or
//! the first timer.
//!
//! | asked                 | body                                | answered            |
//! |-----------------------|-------------------------------------|---------------------|
//! | attach                | channel, flags, a name; a right to the asker's clerk | error, numbers, a right to the channel |
//! | detach                | the server's number for the client  | no                  |
//! | withdraw              | that, thread, request, what is over | error, how far it is |
//! | deliver               | an event                            | no                  |
//!
//! What is asked is about the asker itself: it is known by the link it asks on, and what
//! it says of others is not believed.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use pillarbox::{
    CallError, Capacity, Deadline, Identity, Message, Notification, PortOptions, ReceiveRight,
    Right, SendRight,
};

use crate::client::{Attached, Attaching};
use crate::codes::{EAGAIN, EINVAL, ESRCH, Errno};
use crate::connection::{long, patience};
use crate::event::{self, Event};
use crate::held::{Over, Where};
use crate::letter::{From, answered, word};
use crate::space::Space;
use crate::{edge, thread, with};

/// What waits for the clerk at most, before who asks waits.
const QUEUE: u32 = 256;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Attach { chid: i32, flags: u32, name: String },
    Detach { scoid: u16 },
    Withdraw { from: From, over: Over },
    Deliver { event: Event },
}

const ATTACH: i32 = 1;
const DETACH: i32 = 2;
const WITHDRAW: i32 = 3;
const DELIVER: i32 = 4;

impl Request {
    fn message(&self) -> Message {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        match self {
            Request::Attach { chid, flags, name } => {
                let mut body = words(&[*chid as u32, *flags]);
                body.extend_from_slice(name.as_bytes());
                Message::new(body).with_id(ATTACH)
            }
            Request::Detach { scoid } => Message::new(words(&[u32::from(*scoid)])).with_id(DETACH),
            Request::Withdraw { from, over } => {
                let how = u32::from(over.send) | u32::from(over.reply) << 1;
                let body = words(&[how, over.error as u32]);
                Message::new(body).with_id(WITHDRAW).with_tag(from.tag())
            }
            Request::Deliver { event } => {
                let priority = thread::priority();
                Message::new(event.bytes()).with_id(DELIVER).with_priority(priority)
            }
        }
    }

    fn of(message: &Message) -> Option<Request> {
        let body = message.body();
        Some(match message.id() {
            ATTACH => {
                let name = String::from_utf8(body.get(8..)?.to_vec()).ok()?;
                Request::Attach { chid: word(body, 0) as i32, flags: word(body, 4), name }
            }
            DETACH => Request::Detach { scoid: u16::try_from(word(body, 0)).ok()? },
            WITHDRAW => {
                let how = word(body, 0);
                let error = word(body, 4) as i32;
                let over = Over { send: how & 1 != 0, reply: how & 2 != 0, error };
                Request::Withdraw { from: From::of(message.tag()), over }
            }
            DELIVER => Request::Deliver { event: Event::of(body)? },
            _ => return None,
        })
    }
}

/// The thread that answers, as others of its process see it.
#[derive(Debug)]
pub(crate) struct Clerk {
    port: Arc<ReceiveRight>,
    right: SendRight,
}

impl Clerk {
    /// A right to ask it.
    pub(crate) fn right(&self) -> Option<SendRight> {
        Some(self.right.clone())
    }
}

/// A right to the clerk of this process, which is there from now on. `None` where the
/// system refuses a thread.
pub(crate) fn ensure() -> Option<SendRight> {
    with(|space| {
        if space.clerk.is_none() {
            let port = Arc::new(space.task.port(PortOptions::new(Capacity::Bounded(QUEUE))));
            let right = port.make_send().ok()?;
            let serves = Arc::clone(&port);
            let thread = std::thread::Builder::new().name("pillarbox-qnx".into());
            edge::without_signals(|| thread.spawn(move || serve(&serves))).ok()?;
            space.clerk = Some(Clerk { port, right });
        }
        space.clerk_right()
    })
}

/// The clerk looks at its timers again.
pub(crate) fn poke() {
    if let Some(clerk) = ensure() {
        let _ = clerk.pulse(0, 0, 0);
    }
}

/// The clerk waits as a future does: the heads of the lanes are for threads that wait for
/// messages to sleep on, and what those read it is told of.
fn serve(port: &ReceiveRight) {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut coming = pin!(port.receive_async());
    loop {
        let due = event::fire_due();
        match coming.as_mut().poll(&mut context) {
            Poll::Ready(Ok(message)) => {
                attend(message);
                coming.set(port.receive_async());
            }
            // The process was forked, or is at its end.
            Poll::Ready(Err(_)) => return,
            Poll::Pending => match due {
                Deadline::Never => std::thread::park(),
                Deadline::At(when) => {
                    std::thread::park_timeout(when.saturating_duration_since(Instant::now()));
                }
                Deadline::Now => {}
            },
        }
    }
}

/// The thread of the clerk, to be told that something came.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn attend(mut message: Message) {
    let Some(who) = message.sender() else {
        heed(message.notification());
        return;
    };
    let Some(request) = Request::of(&message) else {
        return;
    };
    match request {
        Request::Attach { chid, flags, name } => {
            // Who leaves no room for its answer has none: nobody else waits for it.
            let answer = admit(&mut message, who, chid, flags, &name);
            let _ = message.reply(answer, Deadline::Now);
        }
        Request::Detach { scoid } => drop(with(|space| space.detach(scoid, who.task))),
        Request::Withdraw { from, over } => {
            let found = with(|space| space.withdraw(from, who.task, over));
            let (error, found) = match found {
                Ok(found) => (0, u32::from(found != Where::Queued)),
                Err(Errno(error)) => (error, 0),
            };
            let body = [error.to_ne_bytes(), found.to_ne_bytes()].concat();
            let _ = message.reply(Message::new(body), Deadline::Now);
        }
        Request::Deliver { event } => {
            let known = with(|space| {
                space.connections.values().any(|connection| connection.is_served_by(who.task))
            });
            if known {
                thread::set_own_priority(message.priority());
                let _ = event::deliver_from(&event, who.task);
            }
        }
    }
}

/// News of the library's.
fn heed(news: Option<Notification>) {
    match news {
        Some(Notification::PeerGone) => drop(with(Space::bury_clients)),
        Some(Notification::DeadName) => with(Space::tell_dead_connections),
        _ => {}
    }
}

/// Answers who attaches.
fn admit(message: &mut Message, who: Identity, chid: i32, flags: u32, name: &str) -> Message {
    let clerk = message.take_rights().into_iter().find_map(|right| match right {
        Right::Send(right) => Some(right),
        _ => None,
    });
    let peer = message.peer();
    let told = with(|space| -> Result<_, Errno> {
        let chid = if name.is_empty() { chid } else { *space.names.get(name).ok_or(ESRCH)? };
        let own = space.clerk.as_ref().ok_or(ESRCH)?;
        if let Some(peer) = &peer
            && space.watched.insert(who.task, peer.clone()).is_none()
        {
            let watch = own.port.make_send_once().map_err(|_| ESRCH)?;
            peer.notify_gone(watch).map_err(|_| ESRCH)?;
        }
        space.attach(chid, Attaching { who, flags, clerk, peer: peer.clone() })
    });
    match told {
        Err(Errno(error)) => Message::new(error.to_ne_bytes().to_vec()),
        Ok(attached) => {
            let words =
                [0, u32::from(attached.scoid), attached.chid as u32, attached.channel_flags];
            let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            Message::new(body).with_right(attached.right)
        }
    }
}

// ---- asking another's ----------------------------------------------------------------

/// Asks to be attached.
pub(crate) fn attach(clerk: &SendRight, request: &Request) -> Result<Attached, Errno> {
    let own = ensure().ok_or(EAGAIN)?;
    let request = request.message().with_right(own);
    let mut answer = clerk.call(request, long()).map_err(|error| match error {
        CallError::Deadline => EAGAIN,
        _ => ESRCH,
    })?;
    answered(&answer)?;
    let body = answer.body();
    let scoid = u16::try_from(word(body, 4)).map_err(|_| EINVAL)?;
    let (chid, channel_flags) = (word(body, 8) as i32, word(body, 12));
    match answer.take_rights().pop() {
        Some(Right::Send(right)) => Ok(Attached { scoid, chid, channel_flags, right }),
        _ => Err(ESRCH),
    }
}

/// Says that we would leave a request. What the other says is only how far it is.
pub(crate) fn withdraw(clerk: &SendRight, from: From, over: Over) -> Result<Where, Errno> {
    let request = Request::Withdraw { from, over }.message();
    let answer = clerk.call(request, patience()).map_err(|_| ESRCH)?;
    answered(&answer)?;
    Ok(if word(answer.body(), 4) == 0 { Where::Queued } else { Where::Received })
}

/// Says something that nobody answers.
pub(crate) fn tell(clerk: &SendRight, request: &Request) {
    // Who does not listen keeps nobody waiting for long.
    let soon = Deadline::after(std::time::Duration::from_secs(1));
    let _ = clerk.send(request.message(), soon);
}

/// The clerk hears when the channel behind a right ends.
pub(crate) fn watch_end(right: &SendRight) {
    let watch = with(|space| space.clerk.as_ref().map(|clerk| clerk.port.make_send_once()));
    if let Some(Ok(watch)) = watch {
        let _ = right.notify_dead(watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood() {
        let from = From { scoid: 3, thread: 2, request: 9 };
        let over = Over { send: true, reply: false, error: 110 };
        let requests = [
            Request::Attach { chid: 2, flags: 0x40, name: String::new() },
            Request::Attach { chid: 0, flags: 0, name: "clock".into() },
            Request::Detach { scoid: 0xffff },
            Request::Withdraw { from, over },
        ];
        for request in requests {
            assert_eq!(Request::of(&request.message()), Some(request));
        }
    }

    #[test]
    fn anything_else_is_nothing() {
        for (id, body) in [(0, &[1u8][..]), (ATTACH, &[1]), (ATTACH, &[0xff; 9]), (DELIVER, &[1])] {
            assert_eq!(Request::of(&Message::new(body).with_id(id)), None);
        }
        assert_eq!(Request::of(&Message::new([0xff; 4]).with_id(DETACH)), None);
    }
}
