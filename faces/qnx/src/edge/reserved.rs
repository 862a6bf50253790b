//! Numbers of descriptors that stand for connections.

/// A descriptor of nothing, which keeps its number from being another's.
#[derive(Debug)]
pub(crate) struct Reserved {
    number: i32,
    /// Which file it is: a program may close the number behind our back.
    file: (u64, u64),
}

fn file_of(number: i32) -> Option<(u64, u64)> {
    let mut about = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel fills in our own value, or fails.
    let told = unsafe { libc::fstat(number, about.as_mut_ptr()) };
    // SAFETY: zeros are such a value, and the kernel has filled it in.
    let about = unsafe { about.assume_init() };
    (told == 0).then_some((about.st_dev, about.st_ino))
}

fn close(number: i32) {
    // SAFETY: C2. Every caller has made it, or seen that it still is what was made here.
    let _ = unsafe { libc::close(number) };
}

impl Reserved {
    /// The first free number from `first` on.
    pub(crate) fn from(first: i32, close_on_exec: bool) -> Option<Self> {
        // SAFETY: the name is a text with its end, and what comes is ours.
        let made = unsafe { libc::memfd_create(c"qnx-connection".as_ptr(), libc::MFD_CLOEXEC) };
        if made < 0 {
            return None;
        }
        if made >= first {
            // The lowest that was free.
            let made = Reserved { number: made, file: file_of(made)? };
            made.close_on_exec(close_on_exec);
            return Some(made);
        }
        let how = if close_on_exec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
        // SAFETY: it makes a second number of what is ours.
        let number = unsafe { libc::fcntl(made, how, first) };
        close(made);
        let file = file_of(number)?;
        Some(Reserved { number, file })
    }

    pub(crate) const fn number(&self) -> i32 {
        self.number
    }

    /// Whether exec closes it.
    pub(crate) fn close_on_exec(&self, closes: bool) {
        let flags = if closes { libc::FD_CLOEXEC } else { 0 };
        if file_of(self.number) == Some(self.file) {
            // SAFETY: it changes a flag of what is ours.
            let _ = unsafe { libc::fcntl(self.number, libc::F_SETFD, flags) };
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if file_of(self.number) == Some(self.file) {
            close(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_and_let_go_once() {
        let one = Reserved::from(100, true).unwrap();
        let two = Reserved::from(one.number(), true).unwrap();
        assert!(two.number() > one.number() && one.number() >= 100);
        close(two.number());
        let third = Reserved::from(two.number(), true).unwrap();
        assert_eq!(third.number(), two.number());
        drop(two);
        assert_eq!(file_of(third.number()), Some(third.file), "it is another's by now");
    }
}
