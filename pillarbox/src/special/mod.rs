//! The ports every task has: where news comes for which no port was named.

mod destroyed;
pub mod kernel;
mod news;

pub(crate) use self::destroyed::Bequests;
pub(crate) use self::kernel::{Child, Children, KernelPort, Starting};
pub use self::news::{Armed, NewsError};
pub(crate) use self::news::{NotifyPort, keep_watcher};
