//! Arguments that more than one verb takes: names, spans of time, files.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox::{Deadline, NameError, limits};

use crate::failure::{Failure, Kind};

/// What a server that runs never needs.
const FINDING: Duration = Duration::from_millis(250);

/// How long a verb may wait.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Patience {
    /// Give up after this long: 500ms, 2s, 1.5m; a bare number is seconds, 0
    /// waits for nothing but the server's word
    #[arg(long, visible_alias = "timeout", value_name = "DURATION", value_parser = span)]
    pub(crate) deadline: Option<Duration>,
}

impl Patience {
    /// The deadline asked for, or none.
    pub(crate) fn or_never(&self) -> Deadline {
        self.deadline.map_or(Deadline::Never, after)
    }

    /// As long, but time enough for a server that is not stopped to say where
    /// the service is: without that there is nothing to try.
    pub(crate) fn to_find(&self) -> Deadline {
        self.deadline.map_or(Deadline::Never, |span| Deadline::after(span.max(FINDING)))
    }

    /// The deadline asked for, or `usual` from now.
    pub(crate) fn or(&self, usual: Duration) -> Deadline {
        after(self.deadline.unwrap_or(usual))
    }
}

fn after(span: Duration) -> Deadline {
    if span.is_zero() { Deadline::Now } else { Deadline::after(span) }
}

/// Reads a span of time: a number and a unit.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{unit}` is no unit of time: use ns, us, ms, s, m or h")),
    };
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| "expected a number and a unit, as in 500ms".to_owned())?;
    Duration::try_from_secs_f64(number * scale)
        .map_err(|_| "a span of time is neither negative nor endless".to_owned())
}

/// Takes an argument as a name, before anybody is asked about it.
pub(crate) fn name(argument: &OsString) -> Result<String, Failure> {
    check(argument).map(str::to_owned).map_err(|error| {
        Failure::usage(format!("`{}` is not a name", argument.to_string_lossy().escape_debug()))
            .because(error)
            .hint("a name is UTF-8 text of 1 to 255 bytes, as in com.example.echo")
    })
}

fn check(argument: &OsString) -> Result<&str, NameError> {
    let bytes = argument.as_bytes();
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > limits::NAME_BYTES {
        return Err(NameError::TooLong(bytes.len()));
    }
    let text = argument.to_str().ok_or(NameError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(text)
}

/// The body of a message: a file, standard input for `-`, and where nothing is
/// said standard input too, unless that is a terminal: then it is empty.
///
/// More than one message carries is refused before anything is sent.
pub(crate) fn body(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match file {
        None if io::stdin().is_terminal() => Ok(Vec::new()),
        None => read(io::stdin().lock(), 0, "standard input"),
        Some(path) if path.as_os_str() == "-" => read(io::stdin().lock(), 0, "standard input"),
        Some(path) => {
            let shown = path.display().to_string();
            let unreadable = |error: io::Error| {
                Failure::new(Kind::Usage, format!("{shown} cannot be read")).because(error)
            };
            let file = File::open(path).map_err(unreadable)?;
            let about = file.metadata().map_err(unreadable)?;
            if about.is_dir() {
                return Err(Failure::usage(format!("{shown} is a directory"))
                    .hint("name a file, or `-` for standard input"));
            }
            if about.len() > limits::MESSAGE_BYTES {
                return Err(too_long(&shown, Some(about.len())));
            }
            read(file, about.len(), &shown)
        }
    }
}

fn read(source: impl Read, expected: u64, shown: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than expected, so that the end is seen without growing.
    let room = usize::try_from(expected).unwrap_or(0).saturating_add(1);
    bytes
        .try_reserve(room)
        .map_err(|error| Failure::system(format!("{shown} does not fit into memory"), error))?;
    source.take(limits::MESSAGE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(Kind::Usage, format!("{shown} cannot be read")).because(error)
    })?;
    if bytes.len() as u64 > limits::MESSAGE_BYTES {
        return Err(too_long(shown, None));
    }
    Ok(bytes)
}

fn too_long(shown: &str, bytes: Option<u64>) -> Failure {
    let limit = limits::MESSAGE_BYTES;
    let how_long = match bytes {
        Some(bytes) => format!("{bytes} bytes long"),
        None => "longer".to_owned(),
    };
    Failure::usage(format!("{shown} is {how_long}, the limit of one message is {limit}"))
        .hint("send it in parts")
}

/// A path that means the same from any directory.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_as_people_write_them() {
        for (text, span_ms) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("2", 2_000),
            ("1.5m", 90_000),
            ("0", 0),
            ("1h", 3_600_000),
        ] {
            assert_eq!(span(text), Ok(Duration::from_millis(span_ms)), "{text}");
        }
        for text in ["", "s", "5 parsecs", "-1s", "inf", "1e300h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_bad_name_has_its_own_error() {
        use std::os::unix::ffi::OsStringExt;
        let of = |bytes: &[u8]| check(&OsString::from_vec(bytes.to_vec())).map(str::to_owned);
        assert_eq!(of(b""), Err(NameError::Empty));
        assert_eq!(of(&[b'a'; 256]), Err(NameError::TooLong(256)));
        assert_eq!(of(&[0xff]), Err(NameError::NotUtf8));
        assert_eq!(of(b"a\nb"), Err(NameError::Control));
        assert_eq!(of(&[b'a'; 255]).map(|name| name.len()), Ok(255));
    }
}
