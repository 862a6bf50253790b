//! The client's side: arguments out, an answer in.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::refusal;
use super::{ClientError, DESCRIBE, Protocol, Stream, stream};
use crate::deadline::Deadline;
use crate::message::Message;
use crate::port::Capacity;
use crate::right::SendRight;
use crate::typed::growing::{pack_list, unpack_value};
use crate::typed::leaving::Leaving;

/// One method of an interface, as its messages say it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The interface and the version of the client.
    pub tag: u64,
    /// The id of the method.
    pub method: i32,
    /// How many arguments it has.
    pub count: usize,
}

impl Asked {
    /// The lower half of the tag.
    const fn version(self) -> u32 {
        self.tag as u32
    }

    /// The same with one argument more before the others.
    pub(super) const fn with_sink(self) -> Self {
        Asked { count: self.count + 1, ..self }
    }

    /// The request: `first` and the author's arguments, which stay until it is
    /// known whether it was sent.
    pub(super) fn pack<A: Serialize>(
        self,
        first: &impl Serialize,
        arguments: A,
    ) -> Result<(Message, Leaving<A>), ClientError<A>> {
        let pack = |arguments: &A| pack_list(self.count, first, arguments);
        let (message, leaving) = Leaving::pack(arguments, pack).map_err(ClientError::unsent)?;
        Ok((message.with_id(self.method).with_tag(self.tag), leaving))
    }

    pub(super) fn read<A, R: DeserializeOwned>(
        self,
        mut answer: Message,
    ) -> Result<R, ClientError<A>> {
        if answer.id() == self.method {
            unpack_value(&mut answer).map_err(ClientError::Answer)
        } else {
            Err(refusal(answer, self.method, self.version()))
        }
    }
}

/// What every client is: a send right that methods are asked for on.
#[derive(Clone, Debug)]
pub struct Wire {
    right: SendRight,
    capacity: Capacity,
}

/// How many items of a stream may wait, if nobody says otherwise.
const AHEAD: Capacity = Capacity::Bounded(16);

impl Wire {
    /// On this right, with streams of the usual capacity.
    pub const fn new(right: SendRight) -> Self {
        Wire { right, capacity: AHEAD }
    }

    /// The same with streams of another capacity.
    #[must_use]
    pub fn with_capacity(self, capacity: Capacity) -> Self {
        Wire { capacity, ..self }
    }

    pub(super) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The right.
    pub const fn right(&self) -> &SendRight {
        &self.right
    }

    /// The right, taken out.
    pub fn into_right(self) -> SendRight {
        self.right
    }

    /// Asks for a method and waits for its answer.
    pub fn call<A: Serialize, R: DeserializeOwned>(
        &self,
        asked: Asked,
        arguments: A,
        deadline: Deadline,
    ) -> Result<R, ClientError<A>> {
        call(&self.right, asked, arguments, deadline)
    }

    /// Asks for a method that is not answered.
    pub fn one_way<A: Serialize>(
        &self,
        asked: Asked,
        arguments: A,
        deadline: Deadline,
    ) -> Result<(), ClientError<A>> {
        let (message, leaving) = asked.pack(&(), arguments)?;
        self.right.send(message, deadline).map_err(|mut error| {
            ClientError::unsent(leaving.unsent(error.reason, &mut error.message))
        })
    }

    /// Asks for a stream.
    pub fn stream<A: Serialize, T>(
        &self,
        asked: Asked,
        arguments: A,
        deadline: Deadline,
    ) -> Result<Stream<T>, ClientError<A>> {
        let (stream, ()) = self.open(asked, arguments, deadline)?;
        Ok(stream)
    }

    /// Asks for a stream that the server may refuse.
    pub fn try_stream<A: Serialize, T, E: DeserializeOwned>(
        &self,
        asked: Asked,
        arguments: A,
        deadline: Deadline,
    ) -> Result<Result<Stream<T>, E>, ClientError<A>> {
        let (stream, said) = self.open::<A, T, Result<(), E>>(asked, arguments, deadline)?;
        Ok(said.map(|()| stream))
    }

    fn open<A: Serialize, T, R: DeserializeOwned>(
        &self,
        asked: Asked,
        arguments: A,
        deadline: Deadline,
    ) -> Result<(Stream<T>, R), ClientError<A>> {
        let (stream, ends) = match stream::open(self.right.task(), self.capacity) {
            Ok(opened) => opened,
            Err(reason) => return Err(ClientError::Unsent { reason: reason.into(), arguments }),
        };
        let said = ask(&self.right, asked.with_sink(), (ends,), arguments, deadline)?;
        Ok((stream, said))
    }
}

fn call<A: Serialize, R: DeserializeOwned>(
    right: &SendRight,
    asked: Asked,
    arguments: A,
    deadline: Deadline,
) -> Result<R, ClientError<A>> {
    ask(right, asked, (), arguments, deadline)
}

fn ask<F: Serialize, A: Serialize, R: DeserializeOwned>(
    right: &SendRight,
    asked: Asked,
    first: F,
    arguments: A,
    deadline: Deadline,
) -> Result<R, ClientError<A>> {
    let (message, leaving) = asked.pack(&first, arguments)?;
    match right.call(message, deadline) {
        Ok(answer) => asked.read(answer),
        Err(error) => Err(ClientError::of_call(error, leaving)),
    }
}

/// Asks a running server which protocol it speaks.
///
/// # Rights
/// Borrows the send right.
///
/// # Errors
/// See [`ClientError`]. Who is no server of an interface drops the question,
/// answers something else ([`ClientError::Answer`]), or never does.
///
/// # Blocking
/// As [`SendRight::call`].
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Task};
///
/// #[pillarbox::interface(name = "org.example.Echo", version = 1)]
/// trait Echo {
///     #[id(1)]
///     fn echo(&self, text: String) -> String;
/// }
/// # struct Plain;
/// # impl Echo for Plain {
/// #     fn echo(&self, text: String) -> String {
/// #         text
/// #     }
/// # }
///
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// let post = inbox.make_send()?;
/// std::thread::spawn(move || EchoServer::new(Plain).serve(&inbox, Deadline::Never));
/// let said = pillarbox::interface::describe(&post, Deadline::Never)?;
/// assert_eq!(said, EchoClient::PROTOCOL);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn describe(right: &SendRight, deadline: Deadline) -> Result<Protocol, ClientError> {
    call(right, ABOUT, (), deadline)
}

/// The question which protocol a server speaks, as a method.
pub(super) const ABOUT: Asked = Asked { tag: 0, method: DESCRIBE, count: 0 };
