//! Where everything is printed: results to standard output, words to standard
//! error.
//!
//! A reader that has gone away is no failure: [`Reader::Gone`] says so, and whoever
//! wrote ends quietly. Words to standard error are best effort: a server whose
//! starter has closed the pipe must go on.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;
use crate::systemd::Level;

/// Whether the reader of standard output is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reader {
    There,
    Gone,
}

fn outcome(result: io::Result<()>) -> Result<Reader, Failure> {
    match result {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::system("standard output cannot be written", error)),
    }
}

/// Writes `parts` to standard output, one after the other, as they are.
pub(crate) fn bytes(parts: &[&[u8]]) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    outcome(parts.iter().try_for_each(|part| out.write_all(part)).and_then(|()| out.flush()))
}

/// Writes one line to standard output.
pub(crate) fn text(line: &str) -> Result<Reader, Failure> {
    bytes(&[line.as_bytes(), b"\n"])
}

/// Writes one object as one line to standard output.
pub(crate) fn json(object: &impl Serialize) -> Result<Reader, Failure> {
    let mut line = serde_json::to_vec(object)
        .map_err(|error| Failure::system("the result cannot be written as JSON", error))?;
    line.push(b'\n');
    bytes(&[&line])
}

impl Failure {
    /// Tells it, and says with which code to exit.
    pub(crate) fn tell(&self, as_json: bool) -> ExitCode {
        let told = self.told();
        if as_json {
            // Nobody reads it: the code still tells.
            let _ = json(&told);
        } else {
            log(Level::Error, &format!("pillarbox: {}", told.message));
            for cause in &told.causes {
                log(Level::Error, &format!("  cause: {cause}"));
            }
            if let Some(hint) = told.hint {
                log(Level::Error, &format!("hint: {hint}"));
            }
        }
        ExitCode::from(told.exit_code)
    }
}

/// Writes bytes to standard error, best effort.
pub(crate) fn errors(bytes: &[u8]) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(bytes).and_then(|()| err.flush());
}

/// Writes one line to standard error, best effort, and where that is the journal says
/// how grave it is.
pub(crate) fn log(level: Level, line: &str) {
    errors(format!("{}{line}\n", level.mark()).as_bytes());
}

/// Writes a line of warning to standard error, best effort.
pub(crate) fn line(line: &str) {
    log(Level::Warning, line);
}

/// Says something under our own name on standard error.
pub(crate) fn say(what: &str) {
    log(Level::Notice, &format!("pillarbox: {what}"));
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Bytes as JSON can hold them: text where they are text, else base64.
pub(crate) fn encode(bytes: &[u8]) -> (String, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(_) => (base64(bytes), "base64"),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let mut word = 0_usize;
        for place in 0..3 {
            word = word << 8 | usize::from(three.get(place).copied().unwrap_or(0));
        }
        for digit in 0..4 {
            if digit <= three.len() {
                text.push(char::from(DIGITS[word >> (18 - 6 * digit) & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(encode(&[0xff, 0xfe]), ("//4=".to_owned(), "base64"));
        assert_eq!(encode("grüße".as_bytes()), ("grüße".to_owned(), "utf-8"));
    }
}
