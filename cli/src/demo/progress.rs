//! How far we are, on standard error, where somebody waits for it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work that is done sooner is not worth a bar.
const SOON: Duration = Duration::from_secs(1);

/// A bar that appears after a second, on a terminal only, and is gone at the
/// end.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    terminal: bool,
    expected: Option<u64>,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(expected: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Progress { started: Instant::now(), terminal, expected, done: 0, bar: None }
    }

    /// `bytes` more have been read.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if !self.terminal || (self.bar.is_none() && self.started.elapsed() < SOON) {
            return;
        }
        let expected = self.expected;
        let bar = self.bar.get_or_insert_with(|| match expected {
            Some(expected) => ProgressBar::new(expected).with_style(style(
                "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            )),
            None => ProgressBar::no_length()
                .with_style(style("{spinner} {bytes} so far, {bytes_per_sec}")),
        });
        bar.set_position(self.done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // Our own templates are right, as the test says.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_nothing_is_shown() {
        let mut progress = Progress::new(Some(10));
        progress.terminal = false;
        progress.started -= 2 * SOON;
        progress.advance(5);
        assert!(progress.bar.is_none());
        progress.terminal = true;
        progress.advance(1);
        assert_eq!(progress.bar.as_ref().map(ProgressBar::position), Some(6));
    }
}
