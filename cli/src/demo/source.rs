//! FILE: what can be counted, and what is said of what cannot.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;

use crate::failure::Failure;

/// The file cannot be read: the user's doing, or the disk's.
#[derive(Debug)]
pub(super) struct Unreadable(String);

impl Unreadable {
    fn new(path: &Path, why: &str) -> Self {
        Unreadable(format!("{}: {why}", shown(path)))
    }

    /// Tells the user in one line and returns the exit code that says the same.
    pub(super) fn tell(self, json: bool) -> ExitCode {
        Failure::usage(self.0).tell(json)
    }
}

/// A path on one line of a terminal, whatever is in it.
pub(super) fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for character in path.display().to_string().chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Opens `path` if it is something that can be read to its end.
///
/// Regular files and pipes are. A device may have no end, or do something when
/// it is read.
pub(super) fn open(path: &Path) -> Result<File, Unreadable> {
    let kind = std::fs::metadata(path).map_err(|error| failed(path, &error))?.file_type();
    if kind.is_dir() {
        return Err(Unreadable::new(path, "this is a directory; the demo counts one file"));
    }
    if !kind.is_file() && !kind.is_fifo() {
        let why = "this is neither a file nor a pipe, and may have no end";
        return Err(Unreadable::new(path, why));
    }
    File::open(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Unreadable {
    let why = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "you are not allowed to read this file".to_owned(),
        _ => format!("this file cannot be read: {error}"),
    };
    Unreadable::new(path, &why)
}

/// FILE while it is read.
#[derive(Debug)]
pub(super) struct Source<'a> {
    path: &'a Path,
    file: File,
    /// Its length when it was opened; `None` where it cannot be known.
    expected: Option<u64>,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path, file: File) -> Result<Self, Unreadable> {
        let metadata = file.metadata().map_err(|error| failed(path, &error))?;
        // What the kernel makes up on reading says that it is empty.
        let expected = Some(metadata.len()).filter(|&len| metadata.is_file() && len > 0);
        Ok(Source { path, file, expected })
    }

    /// How many bytes to expect, where that is known.
    pub(super) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Fills `room` as far as the file goes; returns how far.
    pub(super) fn fill(&mut self, room: &mut [u8]) -> Result<usize, Unreadable> {
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(self.path, &error)),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(path: &str) -> String {
        match open(Path::new(path)) {
            Ok(_) => panic!("{path} was opened"),
            Err(Unreadable(line)) => line,
        }
    }

    #[test]
    fn what_cannot_be_counted_is_said_in_one_line() {
        assert_eq!(why("/no/such"), "/no/such: there is no such file");
        assert!(why("/").starts_with("/: this is a directory"));
        assert!(why("/dev/zero").contains("may have no end"));
        assert_eq!(why("/no/su\nch\u{1b}"), "/no/su\\nch\\u{1b}: there is no such file");
    }
}
