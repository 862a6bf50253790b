//! Interfaces: a trait becomes a typed client and a server.
//!
//! `#[pillarbox::interface]` on a trait `Calculator` makes
//!
//! | name                | for                                                     |
//! |---------------------|---------------------------------------------------------|
//! | `Calculator`        | the trait a server implements                           |
//! | `CalculatorClient`  | a send right that has the methods, and waits for answers |
//! | `CalculatorServer`  | answers messages with an implementation of the trait    |
//! | `CalculatorAsync`   | the trait with futures                                  |
//! | `CalculatorAsyncServer` | answers with an implementation of that one          |
//!
//! ```
//! use pillarbox::{Capacity, Deadline, Task};
//!
//! /// Does sums.
//! #[pillarbox::interface(name = "org.example.Calculator", version = 1)]
//! pub trait Calculator {
//!     /// The sum of two numbers.
//!     #[id(1)]
//!     fn add(&self, a: i64, b: i64) -> i64;
//!     /// `None` for a division by zero.
//!     #[id(2)]
//!     fn divide(&self, a: f64, b: f64) -> Option<f64>;
//! }
//!
//! struct Exact;
//! impl Calculator for Exact {
//!     fn add(&self, a: i64, b: i64) -> i64 {
//!         a + b
//!     }
//!     fn divide(&self, a: f64, b: f64) -> Option<f64> {
//!         (b != 0.0).then(|| a / b)
//!     }
//! }
//!
//! let inbox = Task::current()?.port(Capacity::Bounded(16));
//! let client = CalculatorClient::new(inbox.make_send()?);
//! std::thread::spawn(move || CalculatorServer::new(Exact).serve(&inbox, Deadline::Never));
//!
//! assert_eq!(client.add(1, 2, Deadline::Never)?, 3);
//! assert_eq!(client.divide(1.0, 0.0, Deadline::Never)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Arguments and answers are any serde values, and may hold rights as those of
//! [`crate::typed`] do. What a trait may say, and what may change from version to
//! version, is written at the attribute [`macro@crate::interface`]; what two sides
//! say to each other, in the repository's docs/interface.md.
//!
//! # Without a thread that waits
//! Each method of a client has a twin whose name ends in `_async`, and takes no
//! deadline. A server for futures implements `CalculatorAsync`, with `async fn`:
//!
//! ```
//! # fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #     struct Thread(std::thread::Thread);
//! #     impl std::task::Wake for Thread {
//! #         fn wake(self: std::sync::Arc<Self>) {
//! #             self.0.unpark();
//! #         }
//! #     }
//! #     let waker = std::sync::Arc::new(Thread(std::thread::current())).into();
//! #     let mut future = std::pin::pin!(future);
//! #     let mut cx = std::task::Context::from_waker(&waker);
//! #     loop {
//! #         match future.as_mut().poll(&mut cx) {
//! #             std::task::Poll::Ready(value) => return value,
//! #             std::task::Poll::Pending => std::thread::park(),
//! #         }
//! #     }
//! # }
//! use pillarbox::{Capacity, Task};
//!
//! #[pillarbox::interface(name = "org.example.Greeter", version = 1)]
//! pub trait Greeter {
//!     #[id(1)]
//!     fn greet(&self, name: String) -> String;
//! }
//!
//! struct Polite;
//! impl GreeterAsync for Polite {
//!     async fn greet(&self, name: String) -> String {
//!         format!("good day {name}")
//!     }
//! }
//!
//! let inbox = Task::current()?.port(Capacity::Bounded(16));
//! let client = GreeterClient::new(inbox.make_send()?);
//! std::thread::spawn(move || block_on(GreeterAsyncServer::new(Polite).serve(&inbox)));
//! assert_eq!(block_on(client.greet_async("Ann".into()))?, "good day Ann");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Whom it trusts
//! Nobody. A request that is none of the interface is answered so, and is an
//! error of `dispatch` that names its sender; an answer that is none is an error
//! of the call. Nothing a peer sends makes either side panic or set aside more
//! memory than its message takes.

mod answer;
mod ask;
mod awaited;
mod crowd;
mod document;
mod error;
mod protocol;
mod request;
mod serving;
mod stream;

pub use ask::describe;
pub use awaited::describe_async;
pub use error::{ClientError, DispatchError};
pub use protocol::{Answer, Argument, Carries, Method, MethodKind, Protocol};
pub use stream::{FinishError, Sink, Stream, StreamError};

/// The ids of the library: no method has one of them.
///
/// A request with such an id is a question that every server answers by itself;
/// an answer with such an id says that the method was not run, and why.
pub const LIBRARY_IDS: std::ops::RangeInclusive<i32> = i32::MIN..=i32::MIN + 255;

/// The question which protocol a server speaks. The answer is a [`Protocol`].
pub const DESCRIBE: i32 = i32::MIN;

/// The answer that the server has no such method.
pub const UNKNOWN_METHOD: i32 = i32::MIN + 1;

/// The answer that the server serves another interface.
pub const WRONG_INTERFACE: i32 = i32::MIN + 2;

/// The answer that the arguments are none of the method.
pub const MALFORMED: i32 = i32::MIN + 3;

/// The last message of a stream.
pub const FINISHED: i32 = i32::MIN + 4;

/// What the code of the attribute calls. Not for others, and not stable.
#[doc(hidden)]
pub mod run {
    pub use serde;

    pub use super::ask::{Asked, Wire};
    pub use super::request::{Prepared, Request, serve};
    pub use super::serving::serve_async;
    pub use crate::typed::growing::{Broken, List};
}
