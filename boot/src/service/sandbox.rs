//! What a file says of a sandbox.

use std::path::PathBuf;

use super::read::{Reader, Value, Values};
use crate::confine::{Confinement, SystemCalls};

impl Reader<'_> {
    /// The sandbox, where there is one.
    pub(super) fn sandbox(&mut self, values: &mut Values<'_>) -> Option<Confinement> {
        let Some((Value::Table(mut table), _)) = values.remove("sandbox") else { return None };
        let mut sandbox = Confinement::default();
        for (key, paths) in [("read", &mut sandbox.read), ("write", &mut sandbox.write)] {
            let Some((Value::Texts(given), at)) = table.remove(key) else { continue };
            if given.is_empty() {
                let what = format!("`sandbox.{key}` names nothing");
                self.problem(&at, what, "leave it out, or name what the program needs");
            }
            for (path, at) in given {
                if path.starts_with('/') {
                    paths.push(PathBuf::from(path));
                } else {
                    let what = format!("`sandbox.{key}` has a path from nowhere: {path}");
                    self.problem(&at, what, "write the whole path, from the root");
                }
            }
        }
        if let Some((Value::Text(name), _)) = table.remove("system_calls") {
            sandbox.system_calls = SystemCalls::named(name);
        }
        Some(sandbox)
    }
}
