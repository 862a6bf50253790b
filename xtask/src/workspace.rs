//! What cargo knows about this workspace.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The workspace this command was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder with the workspace's manifest.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// The members.
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// Its name in the registry.
    pub(crate) name: String,
    /// Its folder, seen from the root.
    pub(crate) dir: String,
    /// What it needs.
    pub(crate) dependencies: Vec<Dependency>,
    /// What is built from it.
    pub(crate) targets: Vec<Target>,
}

/// Something a package needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependency {
    /// Its name in the registry.
    pub(crate) name: String,
    /// Whether only tests and examples need it.
    pub(crate) dev: bool,
    /// For a member of the workspace: its folder, seen from the root.
    pub(crate) dir: Option<String>,
}

/// Something cargo builds from a package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// `lib`, `bin`, `test`, `example`, …
    pub(crate) kind: String,
    /// The file it begins with, seen from the root.
    pub(crate) source: String,
    /// Features it is not built without.
    pub(crate) features: Vec<String>,
}

impl Workspace {
    /// Asks cargo. Needs no network and no lock file.
    pub(crate) fn load() -> Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
        if let Some(dir) = std::env::var_os("CARGO_MANIFEST_DIR") {
            command.arg("--manifest-path").arg(Path::new(&dir).join("Cargo.toml"));
        }
        let output = command.output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Self::read(&serde_json::from_slice(&output.stdout)?)
    }

    fn read(value: &Value) -> Result<Self> {
        let root = PathBuf::from(text(value, "workspace_root")?);
        let packages = list(value, "packages")
            .map(|package| package_of(package, &root))
            .collect::<Result<_>>()?;
        Ok(Workspace { target: PathBuf::from(text(value, "target_directory")?), root, packages })
    }

    /// The command `pillarbox` as users get it.
    pub(crate) fn cli(&self) -> PathBuf {
        self.target.join("release/pillarbox")
    }
}

/// The cargo that runs us, or the one in the path.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn package_of(value: &Value, root: &Path) -> Result<Package> {
    let manifest = PathBuf::from(text(value, "manifest_path")?);
    let dir = manifest.parent().unwrap_or(root);
    let dependencies = list(value, "dependencies")
        .map(|dependency| {
            Ok(Dependency {
                name: text(dependency, "name")?,
                dev: dependency["kind"] == "dev",
                dir: dependency["path"].as_str().map(|path| inside(root, Path::new(path))),
            })
        })
        .collect::<Result<_>>()?;
    let targets = list(value, "targets")
        .map(|target| {
            Ok(Target {
                name: text(target, "name")?,
                kind: target["kind"][0].as_str().unwrap_or_default().to_owned(),
                source: inside(root, Path::new(&text(target, "src_path")?)),
                features: list(target, "required-features")
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            })
        })
        .collect::<Result<_>>()?;
    Ok(Package { name: text(value, "name")?, dir: inside(root, dir), dependencies, targets })
}

/// `path` as seen from `root`. A target outside its package's folder comes with
/// `..` in its path.
fn inside(root: &Path, path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain.strip_prefix(root).unwrap_or(&plain).to_string_lossy().into_owned()
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("cargo metadata does not say {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_seen_from_the_root() -> Result<()> {
        let value = json!({
            "workspace_root": "/r", "target_directory": "/r/target",
            "packages": [{
                "name": "pillarbox-shm", "manifest_path": "/r/shm/Cargo.toml",
                "dependencies": [
                    {"name": "pillarbox-abi", "kind": null, "path": "/r/abi"},
                    {"name": "loom", "kind": "dev"},
                ],
                "targets": [{"name": "shm", "kind": ["lib"], "src_path": "/r/shm/../lib.rs"}],
            }],
        });
        let workspace = Workspace::read(&value)?;
        let package = &workspace.packages[0];
        assert_eq!(package.dir, "shm");
        assert_eq!(package.dependencies[0].dir.as_deref(), Some("abi"));
        assert!(package.dependencies[1].dev);
        assert_eq!(package.targets[0].source, "lib.rs");
        Ok(())
    }
}
