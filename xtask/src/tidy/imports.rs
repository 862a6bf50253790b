//! The house: who may need whom.

use super::source::blank;
use super::{Finding, Tree};

/// A row of the import table: a crate's folder, the crates of the house it may
/// need, and, where the house is strict about it, what it may need from outside.
struct Row {
    dir: &'static str,
    house: &'static [&'static str],
    outside: Option<&'static [&'static str]>,
}

const fn row(dir: &'static str, house: &'static [&'static str]) -> Row {
    Row { dir, house, outside: None }
}

const fn core(
    dir: &'static str,
    house: &'static [&'static str],
    outside: &'static [&'static str],
) -> Row {
    Row { dir, house, outside: Some(outside) }
}

/// The import table. A folder that ends with `/` stands for each crate in it.
///
/// The core stays nearly bare: a new name in its last column is a decision, to
/// be written down under `docs/decisions`.
const TABLE: &[Row] = &[
    core("abi", &[], &["thiserror"]),
    core("rights", &["abi"], &["thiserror"]),
    core("shm", &["abi"], &["libc", "loom", "rustix", "thiserror"]),
    core(
        "pillarbox",
        &["abi", "rights", "shm", "interface"],
        &["futures-core", "futures-sink", "postcard", "serde", "thiserror", "tokio", "zerocopy"],
    ),
    row("interface", &[]),
    row("boot", &["pillarbox"]),
    row("cli", &["pillarbox", "boot", "bench/rows"]),
    row("actor", &["pillarbox"]),
    row("net", &["pillarbox"]),
    row("faces/edge", &[]),
    row("faces/", &["pillarbox", "faces/edge"]),
    row("sim", &["abi", "rights", "shm", "pillarbox"]),
    row("chaos", &["abi", "shm", "pillarbox", "boot"]),
    row("bench/", &["shm", "pillarbox", "boot", "bench/rows"]),
    row("xtask", &[]),
];

fn row_of(dir: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| match row.dir.strip_suffix('/') {
        Some(_) => dir.starts_with(row.dir),
        None => dir == row.dir,
    })
}

/// Every crate needs only what its row allows. Tests of a crate may need more
/// from outside, and the simulator, those of a face the bootstrap server and what measures
/// rows, but nothing else of the house.
pub(super) fn table(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.dir);
        let Some(row) = row_of(&package.dir) else {
            let what = "this crate is not in the import table of xtask/src/tidy/imports.rs";
            found.push(Finding::new(manifest, 0, what));
            continue;
        };
        for needed in &package.dependencies {
            let allowed = match (&needed.dir, row.outside) {
                (Some(dir), _) => {
                    row.house.contains(&dir.as_str()) || needed.dev && is_tested_with(dir, row.dir)
                }
                (None, Some(outside)) => needed.dev || outside.contains(&needed.name.as_str()),
                (None, None) => true,
            };
            if !allowed {
                let what = format!(
                    "{} may not need {}: imports flow one way, see ARCHITECTURE.md",
                    package.dir,
                    needed.dir.as_ref().unwrap_or(&needed.name),
                );
                found.push(Finding::new(&manifest, 0, what));
            }
        }
    }
    found
}

fn is_tested_with(dir: &str, own: &str) -> bool {
    dir == "sim" || dir == own || own == "faces/" && matches!(dir, "boot" | "bench/rows")
}

/// Where the compiler must be told that there is no unsafe code at all.
pub(super) fn forbid(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in &tree.packages {
        if package.dir == "shm" || package.dir.starts_with("faces/") {
            continue;
        }
        let roots = package
            .targets
            .iter()
            .filter(|target| matches!(&*target.kind, "lib" | "bin" | "proc-macro"));
        for target in roots {
            let text = tree.text(&target.source).unwrap_or_default();
            if !blank(text, false).contains("#![forbid(unsafe_code)]") {
                let what = "#![forbid(unsafe_code)] is missing";
                found.push(Finding::new(&target.source, 1, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, Package, Target};

    fn needs(dir: &str, name: &str, house: Option<&str>, dev: bool) -> Tree {
        let needed = Dependency { name: name.into(), dev, dir: house.map(str::to_owned) };
        let package = Package { dir: dir.into(), dependencies: vec![needed], ..Package::default() };
        Tree { packages: vec![package], ..Tree::default() }
    }

    #[test]
    fn what_the_table_allows_passes() {
        for (dir, name, house, dev) in [
            ("rights", "pillarbox-abi", Some("abi"), false),
            ("abi", "thiserror", None, false),
            ("abi", "proptest", None, true),
            ("shm", "rustix", None, false),
            ("rights", "pillarbox-sim", Some("sim"), true),
            ("faces/mach", "pillarbox", Some("pillarbox"), false),
            ("faces/mach", "pillarbox-edge", Some("faces/edge"), false),
            ("faces/mach", "pillarbox-boot", Some("boot"), true),
            ("faces/mach", "pillarbox-bench-rows", Some("bench/rows"), true),
            ("net", "zenoh", None, false),
        ] {
            assert_eq!(table(&needs(dir, name, house, dev)), []);
        }
    }

    #[test]
    fn what_the_table_does_not_allow_is_found() {
        for (dir, name, house, dev) in [
            ("rights", "pillarbox-shm", Some("shm"), false),
            ("abi", "serde", None, false),
            ("boot", "pillarbox-shm", Some("shm"), false),
            ("shm", "pillarbox", Some("pillarbox"), true),
            ("faces/mach", "pillarbox-qnx", Some("faces/qnx"), false),
            ("faces/edge", "pillarbox", Some("pillarbox"), false),
            ("faces/mach", "pillarbox-boot", Some("boot"), false),
            ("faces/mach", "pillarbox-bench-rows", Some("bench/rows"), false),
            ("boot", "pillarbox-bench-rows", Some("bench/rows"), true),
            ("unheard-of", "anyhow", None, false),
        ] {
            assert_eq!(table(&needs(dir, name, house, dev)).len(), 1, "{dir} {name}");
        }
    }

    #[test]
    fn a_root_without_forbid_is_found() {
        let of = |dir: &str, text: &str| {
            let mut tree = Tree::of(&[("x/src/lib.rs", text)]);
            tree.packages = vec![Package {
                dir: dir.into(),
                targets: vec![Target {
                    kind: "lib".into(),
                    source: "x/src/lib.rs".into(),
                    ..Target::default()
                }],
                ..Package::default()
            }];
            forbid(&tree).len()
        };
        assert_eq!(of("abi", "//! Head.\n#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(of("abi", "//! Head.\n// #![forbid(unsafe_code)]\n"), 1);
        assert_eq!(of("shm", "//! Head.\n"), 0);
    }
}
