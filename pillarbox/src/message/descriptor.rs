//! Descriptors in messages, and those that were lost on the way.

use std::os::fd::OwnedFd;

/// A descriptor in a message.
///
/// One that could not be installed here, because the table of descriptors was
/// full, arrives as lost in its place.
#[derive(Debug)]
pub struct Descriptor {
    fd: Option<OwnedFd>,
    /// It came from another task.
    foreign: bool,
}

impl Descriptor {
    pub(crate) fn own(fd: OwnedFd) -> Self {
        Descriptor { fd: Some(fd), foreign: false }
    }

    pub(crate) fn foreign(fd: Option<OwnedFd>) -> Self {
        Descriptor { fd, foreign: true }
    }

    pub(crate) fn as_ref(&self) -> Option<&OwnedFd> {
        self.fd.as_ref()
    }

    /// The descriptor, or `None` where it was lost on the way.
    pub fn take(mut self) -> Option<OwnedFd> {
        self.fd.take()
    }

    /// Whether it was lost on the way.
    pub const fn is_lost(&self) -> bool {
        self.fd.is_none()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // Closing what another task made may block for as long as it likes.
        if self.foreign {
            shm::close::close_later(self.fd.take().into_iter().collect());
        }
    }
}
