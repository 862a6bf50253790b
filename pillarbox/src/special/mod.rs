//! The ports every task has: where news comes for which no port was named.

mod news;

pub use self::news::{Armed, NewsError};
pub(crate) use self::news::{NotifyPort, keep_watcher};
