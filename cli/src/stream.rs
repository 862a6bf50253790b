//! One program that is kept running and exchanges lines.
//!
//! The lines of a body are written to its standard input, a last line without
//! an end is given one, and exactly as many lines are read back: they are the
//! reply. So the program must answer each line with one line, at once: `jq
//! --unbuffered -c`, `sed -u`, `grep --line-buffered`, or anything under
//! `stdbuf -oL`. What it says on standard error meanwhile goes with the reply.
//!
//! A program that ends in the middle is an error to that caller; the next
//! message finds a new one. One that has ended in between is replaced unnoticed.

use crate::reply;
use crate::run::{Program, RunError, Running, Said, code};
use pillarbox::Message;

/// The program of one worker.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    program: &'a Program,
    running: Option<Running>,
    /// What it said beyond the lines asked for.
    said: Said,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(program: &'a Program) -> Self {
        Stream { program, running: None, said: Said::default() }
    }

    /// Exchanges the lines of one body.
    pub(crate) fn exchange(&mut self, body: &[u8]) -> std::io::Result<Message> {
        if self.running.as_mut().is_some_and(|running| !running.is_listening()) {
            self.end();
        }
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(self.program.start()?),
        };
        match talk(running, body, &mut self.said) {
            Ok(Some(stdout)) => Ok(reply::ended(0, stdout, std::mem::take(&mut self.said.stderr))),
            Ok(None) => Ok(reply::refused(&self.died())),
            Err(error) => {
                if let Some(running) = &mut self.running {
                    running.kill();
                }
                self.end();
                Ok(reply::refused(&error.to_string()))
            }
        }
    }

    /// Ends the program and forgets what it said beyond the lines asked for.
    fn end(&mut self) -> Option<std::process::ExitStatus> {
        self.said = Said::default();
        self.running.take().and_then(|running| running.end().ok())
    }

    fn died(&mut self) -> String {
        let stderr = std::mem::take(&mut self.said.stderr);
        let words = String::from_utf8_lossy(&stderr).trim_end().to_owned();
        let name = self.program.name();
        let mut told = match self.end().map(code) {
            Some(code) => format!("{name} ended with status {code} before it had answered"),
            None => format!("{name} ended before it had answered"),
        };
        if !words.is_empty() {
            told.push_str(": ");
            told.push_str(&words);
        }
        told
    }
}

/// Writes the lines of `body` and reads as many; `None` where the program ended
/// before.
fn talk(running: &mut Running, body: &[u8], said: &mut Said) -> Result<Option<Vec<u8>>, RunError> {
    let ending: &[u8] = if body.is_empty() || body.ends_with(b"\n") { b"" } else { b"\n" };
    let wanted = count(body) + ending.len();
    let (mut rest, mut end) = (body, ending);
    let mut seen = Lines::default();
    loop {
        seen.look(&said.stdout, wanted);
        if seen.lines == wanted && rest.is_empty() && end.is_empty() {
            let left = said.stdout.split_off(seen.bytes);
            return Ok(Some(std::mem::replace(&mut said.stdout, left)));
        }
        if !running.is_open() {
            return Ok(None);
        }
        let part = if rest.is_empty() { &mut end } else { &mut rest };
        running.step(part, said)?;
    }
}

fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// How many lines have come, and how far we have looked.
#[derive(Debug, Default)]
struct Lines {
    lines: usize,
    /// Where the last of them ends.
    bytes: usize,
    looked: usize,
}

impl Lines {
    /// Looks on until `wanted` lines are found.
    fn look(&mut self, bytes: &[u8], wanted: usize) {
        while self.lines < wanted {
            let new = bytes.get(self.looked..).unwrap_or_default();
            let Some(end) = new.iter().position(|byte| *byte == b'\n') else {
                self.looked = bytes.len();
                return;
            };
            self.looked += end + 1;
            self.bytes = self.looked;
            self.lines += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_once() {
        let mut seen = Lines::default();
        seen.look(b"one\ntw", 2);
        assert_eq!((seen.lines, seen.bytes), (1, 4));
        seen.look(b"one\ntwo\nthree\n", 2);
        assert_eq!((seen.lines, seen.bytes), (2, 8));
        assert_eq!(count(b"a\nb\nc"), 2);
    }
}
