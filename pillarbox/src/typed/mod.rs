//! Channels of values: of any serde type, or of one fixed size.
//!
//! [`channel`] makes a port whose messages are values of one type, in postcard's
//! format. Fields may be send rights ([`crate::SendRight`], [`Sender`]), which
//! are copied into the message, and whatever moves in a [`Carry`]: send-once
//! rights and descriptors.
//!
//! ```
//! use pillarbox::typed::{Carry, Sender, SenderOnce, channel};
//! use pillarbox::{Capacity, Deadline};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! enum Request {
//!     Sum(Vec<u32>),
//!     Subscribe { news: Sender<String>, ready: Carry<SenderOnce<()>> },
//! }
//!
//! let (sender, receiver) = channel::<Request>(Capacity::Bounded(16))?;
//! std::thread::spawn(move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let mut request = receiver.receive(Deadline::Never)?;
//!     if let Request::Sum(numbers) = &request.value {
//!         let sum: u32 = numbers.iter().sum();
//!         request.reply(sum, Deadline::Never)?;
//!     }
//!     Ok(())
//! });
//! let sum: u32 = sender.call(Request::Sum(vec![1, 2, 3]), Deadline::Never)?;
//! assert_eq!(sum, 6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a send right says about the type of its port is an allegation: another
//! task may send any bytes. They are checked as they are read, and what is wrong
//! with them is an error that blames the sender ([`TypedOffence`]). A message
//! like that is used up, and every right in it released.
//!
//! Limits beside those of every message: a value is nested at most [`DEPTH`]
//! levels deep, and at most [`EMPTY`] elements of its sequences and maps take no
//! bytes.
//!
//! [`fixed`] has channels without serde, for values that are their own bytes.

mod carry;
mod channel;
mod decode;
mod encode;
mod error;
#[cfg(feature = "fixed")]
pub mod fixed;
mod future;
pub(crate) mod growing;
pub(crate) mod leaving;
mod once;
mod right;

pub use carry::{Carried, Carry};
pub use channel::{Receiver, Sender, channel, channel_in};
pub use error::{
    DEPTH, EMPTY, EncodeError, TypedCallError, TypedOffence, TypedReceiveError, TypedReplyError,
    TypedSendError, TypedSendFailure, TypedSendOnceError,
};
pub use once::{Received, SenderOnce};
