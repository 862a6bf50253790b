//! Our server, and a client's side of it: what most rows are made of.

use anyhow::{Context, Result, bail, ensure};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Right, SendRight, Task};

use crate::child::{Casting, Child, Stage};
use crate::place::Place;

/// Bytes of a small message's body.
pub(crate) const SMALL: usize = 64;

/// The body of a small message.
pub(crate) const BODY: [u8; SMALL] = [7; SMALL];

/// The id of a message that our server answers with the same body.
pub const ECHO: i32 = 1;
/// Send the same body to the client's inbox.
pub(crate) const PING: i32 = 2;
/// Take it, with its body, and do nothing.
pub(crate) const SINK: i32 = 3;
/// Send the same body by the right that came.
pub(crate) const USE: i32 = 4;

/// Copy the regions that came with it.
pub(crate) const READ: i32 = 5;

/// Let the sender look at the server's task.
pub(crate) const LOOK: i32 = 6;

/// The part of the server.
pub(crate) const SERVER: &str = "server";

/// Messages that wait at a port.
pub(crate) const PLACES: u32 = 4096;

/// A deadline no healthy run reaches.
pub(crate) fn patience() -> Deadline {
    Deadline::after(std::time::Duration::from_secs(30))
}

/// A right that this child was given.
pub(crate) fn given(task: &Task, name: &str) -> Result<SendRight> {
    let right = task.inherited(name, patience()).context("the parent gave no right")?;
    right.into_send().ok().context("the parent gave no send right")
}

/// Serves until the parent has gone.
pub(crate) fn serve(stage: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    stage.take_place()?;
    let client = given(&task, "client")?;
    let inbox = task.port(Capacity::Bounded(u32::try_from(stage.number(0)?)?));
    client.notify_dead(inbox.make_send_once()?)?;
    client.send(Message::new("").with_right(inbox.make_send()?), patience())?;
    let mut room = Vec::new();
    let most = stage.number(1)?;
    let mut requests = Vec::with_capacity(most);
    loop {
        if most > 1 {
            inbox.receive_many(&mut requests, most, Deadline::Never)?;
        } else {
            requests.push(inbox.receive(Deadline::Never)?);
        }
        for request in requests.drain(..) {
            if request.notification().is_some() {
                let offences = task.metrics().offences;
                ensure!(offences.is_empty(), "the link with the client ended: {offences:?}");
                return Ok(());
            }
            answer(request, &task, &client, &mut room)?;
        }
    }
}

/// Does what a request asks for.
fn answer(mut request: Message, task: &Task, client: &SendRight, room: &mut Vec<u8>) -> Result<()> {
    match request.id() {
        ECHO => {
            let answer = Message::new(request.body());
            request.reply(answer, Deadline::Never)?;
        }
        PING => client.send(Message::new(request.body()), Deadline::Never)?,
        USE => {
            let right = request.take_rights().pop().and_then(|right| right.into_send().ok());
            let right = right.context("no right came")?;
            right.send(Message::new(request.body()), Deadline::Never)?;
        }
        // A body that is looked at was copied here.
        SINK => drop(std::hint::black_box(request.body())),
        READ => {
            for region in request.take_regions() {
                room.resize(region.len().max(room.len()), 0);
                let copied = region.copy_to(0, room);
                ensure!(copied == region.len(), "a region was cut short");
                let ends = (room.first(), room.get(copied - 1));
                let fill = request.body().first();
                ensure!(ends == (fill, fill), "a region holds something else");
            }
        }
        LOOK => {
            let answer = Message::new("").with_right(task.looking()?);
            request.reply(answer, patience())?;
        }
        other => bail!("nobody knows what {other} asks for"),
    }
    Ok(())
}

/// A task of this row's own, its server in another process, and the ways between.
#[derive(Debug)]
pub struct Pair {
    /// The client.
    pub task: Task,
    pub(crate) inbox: ReceiveRight,
    /// Where the server is called.
    pub post: SendRight,
    /// The server.
    pub server: Child,
}

impl Pair {
    /// Starts a server where such a row has it.
    ///
    /// # Errors
    /// It does not start, or does not say hello.
    pub fn new(place: Place) -> Result<Pair> {
        Pair::with_places(place, PLACES)
    }

    /// The same, with so many places at the server's port.
    pub(crate) fn with_places(place: Place, places: u32) -> Result<Pair> {
        Pair::taking(place, places, 1)
    }

    /// The same, and it takes so many messages at once.
    pub(crate) fn taking(place: Place, places: u32, most: u32) -> Result<Pair> {
        let task = Task::new();
        let inbox = task.port(Capacity::Bounded(PLACES));
        let casting = Casting::of(SERVER, place).argument(places).argument(most);
        let server = casting.start_from(&task, [("client", inbox.make_send()?)])?;
        let post = hello(&inbox)?;
        Ok(Pair { task, inbox, post, server })
    }

    /// A small message there, and one back.
    #[inline]
    pub(crate) fn round_trip(&self) -> Result<()> {
        self.post.send(Message::new(BODY).with_id(PING), Deadline::Never)?;
        let back = self.inbox.receive(patience())?;
        ensure!(back.body().len() == SMALL, "another message came back");
        Ok(())
    }

    /// A call with a small body.
    #[inline]
    pub(crate) fn call(&self) -> Result<()> {
        let answer = self.post.call(Message::new(BODY).with_id(ECHO), Deadline::Never)?;
        ensure!(answer.body().len() == SMALL, "another answer came back");
        Ok(())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.task.close();
    }
}

/// Takes the first thing a child sends: the right it can be reached by.
pub(crate) fn hello(inbox: &ReceiveRight) -> Result<SendRight> {
    let mut hello = inbox.receive(patience()).context("a child did not say hello")?;
    let right = hello.take_rights().pop().map(Right::into_send);
    right.and_then(Result::ok).context("a child offered nothing")
}
