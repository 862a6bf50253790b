//! The directories service files lie in, and whose they must be.
//!
//! Whoever may write a service file may run a program as the server's user. So a
//! file, and the directory it lies in, must belong to that user or to root, and be
//! writable by nobody else.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Problem, ServiceFile};
use crate::limits::{SERVICE_FILE_BYTES, SERVICES};

/// A service file that was found, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// What the service is called: the name of its file, without `.toml`.
    pub label: String,
    /// What it declares, or all that is wrong with it.
    pub file: Result<ServiceFile, Vec<Problem>>,
}

/// Where service files lie where nobody says so: the user's own directory, then that
/// of the system.
///
/// These are `$XDG_CONFIG_HOME/pillarbox/services`, which is
/// `~/.config/pillarbox/services` where the variable is not set, and
/// `/etc/pillarbox/services`.
pub fn directories() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let own = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let own = own.map(|config| config.join("pillarbox/services"));
    own.into_iter().chain([PathBuf::from("/etc/pillarbox/services")]).collect()
}

/// Every service file in these directories, in order. A directory that is not there
/// has none; of two files of one name the first counts.
///
/// # Errors
/// What the system says of a directory that is there and cannot be read.
pub fn find(directories: &[PathBuf]) -> std::io::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    for directory in directories {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let unsafe_directory = std::fs::metadata(directory)
            .map_err(|error| error.to_string())
            .and_then(|about| is_ours(&about, "its directory"));
        for path in paths {
            let label = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if found.iter().any(|other| other.label == label) {
                continue;
            }
            if found.len() >= SERVICES {
                let what = format!("there are more than {SERVICES} services");
                let problem = Problem::new(1, 1, what, "leave out what nobody needs");
                found.push(Found { path, label, file: Err(vec![problem]) });
                return Ok(found);
            }
            let file = match &unsafe_directory {
                Ok(()) => read(&path),
                Err(why) => Err(vec![unsafe_file(why)]),
            };
            found.push(Found { path, label, file });
        }
    }
    Ok(found)
}

/// Reads one file, if nobody else can write it.
fn read(path: &Path) -> Result<ServiceFile, Vec<Problem>> {
    let told = |error: std::io::Error| {
        let what = format!("it cannot be read: {error}");
        vec![Problem::new(1, 1, what, "make it a file of text")]
    };
    let mut file = std::fs::File::open(path).map_err(told)?;
    let about = file.metadata().map_err(told)?;
    if !about.is_file() {
        return Err(told(std::io::ErrorKind::InvalidInput.into()));
    }
    is_ours(&about, "it").map_err(|why| vec![unsafe_file(&why)])?;
    let mut text = String::new();
    let most = SERVICE_FILE_BYTES as u64 + 1;
    file.by_ref().take(most).read_to_string(&mut text).map_err(told)?;
    ServiceFile::read(&text)
}

fn is_ours(about: &Metadata, what: &str) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if about.uid() != own && about.uid() != 0 {
        return Err(format!("{what} belongs to user {}, not to {own} or root", about.uid()));
    }
    if about.mode() & 0o022 != 0 {
        let mode = about.mode() & 0o7777;
        return Err(format!("{what} has mode {mode:04o}: others may write it"));
    }
    Ok(())
}

fn unsafe_file(why: &str) -> Problem {
    let what = format!("{why}, so it is not believed");
    Problem::new(1, 1, what, "run chown and chmod go-w on the file and its directory")
}
