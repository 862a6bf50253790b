//! The tree as the rules see it: paths, texts, packages, the last subject.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::source::Source;
use crate::workspace::{Package, Workspace};

/// Folders nobody wrote: what is built, and what git keeps.
const UNWRITTEN: [&str; 2] = ["target", ".git"];

/// Everything a rule may look at.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Every file's text, by path.
    pub(super) texts: BTreeMap<String, String>,
    /// The members of the workspace.
    pub(super) packages: Vec<Package>,
    /// The subject of the last commit, where there is one.
    pub(super) subject: Option<String>,
}

impl Tree {
    /// Reads the tree from the disk.
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for path in files(&workspace.root)? {
            let bytes = fs::read(workspace.root.join(&path))
                .with_context(|| format!("cannot read {path}"))?;
            // Of what is no text the rules only know that it exists.
            texts.insert(path, String::from_utf8(bytes).unwrap_or_default());
        }
        Ok(Tree { texts, packages: workspace.packages.clone(), subject: subject(&workspace.root) })
    }

    /// A tree of fixtures.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let pair = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Tree { texts: files.iter().map(pair).collect(), ..Tree::default() }
    }

    /// Every path, seen from the root.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is a file or a folder of this name.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.texts.contains_key(path)
            || path.is_empty()
            || self
                .texts
                .range(format!("{path}/")..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(&format!("{path}/")))
    }

    /// Every file with its text.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (&**path, &**text))
    }

    /// Every file whose name ends so, with its text.
    pub(super) fn ending(&self, ending: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.all().filter(move |(path, _)| path.ends_with(ending))
    }

    /// Every Rust source.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, Source)> {
        self.ending(".rs").map(|(path, text)| (path, Source::of(path, text)))
    }
}

/// Every written file under `root`, seen from there, in order.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && !UNWRITTEN.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{prefix}{name}/"), found)?;
        } else if kind.is_file() && !UNWRITTEN.contains(&name.as_str()) {
            found.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// A merge's subject is git's, not the author's.
fn subject(root: &Path) -> Option<String> {
    if !root.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .current_dir(root)
        .args(["log", "-1", "--no-merges", "--format=%s", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_there() {
        let tree = Tree::of(&[("a/b.rs", ""), ("a-b", "")]);
        assert!(tree.has("a") && tree.has("a/") && tree.has("a/b.rs") && tree.has(""));
        assert!(!tree.has("b.rs") && !tree.has("a/b"));
    }
}
