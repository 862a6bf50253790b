//! A door in the file system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shm::socket::Listener;

use crate::background::Job;
use crate::core::TaskCore;
use crate::error::LinkError;
use crate::right::SendRight;

/// A task that listens at a path, until this is dropped.
#[derive(Debug)]
pub struct Listening {
    core: Arc<TaskCore>,
    number: u64,
    path: PathBuf,
}

impl Listening {
    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.core.check().is_ok() {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(&self.path);
            self.core.job(Job::Unlisten(self.number));
        }
    }
}

pub(crate) fn listen(
    core: &Arc<TaskCore>,
    path: &Path,
    offer: Vec<(String, SendRight)>,
) -> Result<Listening, LinkError> {
    core.start_background()?;
    let listener = Listener::bind_path(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => LinkError::InUse(path.to_path_buf()),
        _ => LinkError::System(error),
    })?;
    let number = core.next_id();
    core.job(Job::Listen(number, listener, Arc::new(offer)));
    Ok(Listening { core: Arc::clone(core), number, path: path.to_path_buf() })
}
