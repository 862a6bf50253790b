//! Which part of the tree is ours.
//!
//! To be able to write there is not enough: root can write everywhere, and a user in all
//! that a manager keeps for them, where each directory has one writer. So the manager's
//! word is asked for, which systemd leaves at the directory of a unit with `Delegate=`.
//! Where no manager runs, a user for whom somebody has made a directory writable has been
//! given it, as the kernel's document has it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::{Controller, SERVER, write};

/// Why no cgroup is ours to divide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelegated {
    /// The kernel has none of version 2, or none is mounted that shows ours.
    #[error("no cgroup of version 2 is to be seen here")]
    None,
    /// What says so cannot be read.
    #[error("where it is cannot be read: {0}")]
    Unknown(#[from] io::Error),
    /// Nobody has said that it is ours.
    #[error("{0} is not delegated: nobody has marked it so (user.delegate)")]
    NotSaid(PathBuf),
    /// It is marked so, or would be ours, and cannot be written.
    #[error("{path} is not delegated: {error}")]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// A part of the tree that was delegated to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    path: PathBuf,
}

impl Subtree {
    /// The one of this process.
    ///
    /// # Errors
    /// See [`NotDelegated`].
    pub fn own() -> Result<Subtree, NotDelegated> {
        Self::around(cgroup_of(None)?)
    }

    /// The one of another process, as far as we would be let into it.
    ///
    /// # Errors
    /// See [`NotDelegated`].
    pub fn of(pid: i32) -> Result<Subtree, NotDelegated> {
        Self::around(cgroup_of(Some(pid))?)
    }

    fn around(own: PathBuf) -> Result<Subtree, NotDelegated> {
        // A server, or a manager, has moved it down by one already.
        if own.file_name().is_some_and(|name| name == SERVER)
            && let Some(above) = own.parent()
            && is_delegated(above).is_ok()
        {
            return Ok(Subtree { path: above.to_path_buf() });
        }
        is_delegated(&own)?;
        Ok(Subtree { path: own })
    }

    #[cfg(test)]
    pub(super) const fn at(path: PathBuf) -> Subtree {
        Subtree { path }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process is the server of it, or would be.
    pub fn is_entered_by(&self, pid: i32) -> bool {
        cgroup_of(Some(pid)).is_ok_and(|path| path == self.path.join(SERVER))
    }

    /// What is offered to its leaves, or could be.
    pub fn controllers(&self) -> Vec<Controller> {
        let offered = self.words("cgroup.controllers").unwrap_or_default();
        let is_offered = |one: &Controller| offered.iter().any(|word| word == one.name());
        Controller::ALL.into_iter().filter(is_offered).collect()
    }

    /// Has the leaves offered a controller.
    pub(super) fn give_out(&self, controller: Controller) -> Result<(), String> {
        const GIVEN: &str = "cgroup.subtree_control";
        let shown = self.path.display();
        let told = |error: io::Error| format!("it cannot be given out in {shown}: {error}");
        if self.words(GIVEN).map_err(told)?.iter().any(|word| word == controller.name()) {
            return Ok(());
        }
        if !self.controllers().contains(&controller) {
            return Err(format!("it is not offered in {shown}"));
        }
        write(&self.path.join(GIVEN), &format!("+{controller}")).map_err(|error| {
            if error.kind() == io::ErrorKind::ResourceBusy {
                // The kernel's rule: processes are in leaves only.
                format!("it cannot be given out: other processes are in {shown}")
            } else {
                told(error)
            }
        })
    }

    fn words(&self, file: &str) -> io::Result<Vec<String>> {
        let text = fs::read_to_string(self.path.join(file))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

/// The directory of the cgroup that a process is in; ours where none is named.
pub(super) fn cgroup_of(pid: Option<i32>) -> Result<PathBuf, NotDelegated> {
    let process = pid.map_or("self".to_owned(), |pid| pid.to_string());
    let own = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    directory(&own, &mounts).ok_or(NotDelegated::None)
}

/// The directory, from what the kernel says of the process and of what is mounted.
fn directory(own: &str, mounts: &str) -> Option<PathBuf> {
    let path = Path::new(own.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (about, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut words = about.split(' ').skip(3);
        let (root, place) = (words.next()?, words.next()?);
        // A mount may show a part of the tree only, and ours may not be in it.
        let below = path.strip_prefix(root).ok()?;
        let plain = !below.components().any(|one| one == std::path::Component::ParentDir);
        // An empty path would add a slash to its end.
        let whole = || {
            if below.as_os_str().is_empty() { place.into() } else { Path::new(place).join(below) }
        };
        (plain && !place.contains('\\')).then(whole)
    })
}

fn is_delegated(path: &Path) -> Result<(), NotDelegated> {
    let own = rustix::process::geteuid();
    let about = fs::metadata(path)?;
    let says = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(path, name, &mut value)
            .is_ok_and(|long| value.get(..long) == Some(b"1"))
    };
    // The first can be set by root only, the second by whom the directory belongs to.
    let is_said =
        says("trusted.delegate") || (about.uid() == own.as_raw() && says("user.delegate"));
    let has_manager = Path::new("/run/systemd/system").is_dir();
    if !is_said && (own.is_root() || has_manager) {
        return Err(NotDelegated::NotSaid(path.to_path_buf()));
    }
    for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
        let path = if file.is_empty() { path.to_path_buf() } else { path.join(file) };
        rustix::fs::accessat(CWD, &path, Access::WRITE_OK, AtFlags::EACCESS)
            .map_err(|error| NotDelegated::NotWritable { path, error: error.into() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_found_where_it_is_mounted() {
        const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        const ONLY: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        const PART: &str = "30 23 0:26 /box/7 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        const ABOVE: &str = "30 23 0:26 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        for (own, mounts, found) in [
            ("4:memory:/x\n0::/a.slice/b\n", HYBRID, Some("/sys/fs/cgroup/unified/a.slice/b")),
            ("0::/a.slice/b\n", ONLY, Some("/sys/fs/cgroup/a.slice/b")),
            ("0::/\n", ONLY, Some("/sys/fs/cgroup")),
            ("0::/box/7/c\n", PART, Some("/sys/fs/cgroup/c")),
            ("0::/box/70\n", PART, None),
            ("0::/../elsewhere\n", ONLY, None),
            ("0::/a\n", ABOVE, None),
            ("4:memory:/x\n", HYBRID, None),
            ("0::/a\n", "30 23 0:26 / /tmp rw - tmpfs tmpfs rw\n", None),
            ("0::/a\n", "", None),
            ("", ONLY, None),
        ] {
            assert_eq!(directory(own, mounts).as_deref(), found.map(Path::new), "{own}{mounts}");
        }
    }
}
