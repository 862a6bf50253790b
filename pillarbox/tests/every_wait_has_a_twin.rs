//! Whatever a thread can wait for, a future can: each public operation that takes
//! a deadline has a twin whose name ends in `_async`, or docs/async.md says why it
//! has none. The page has a row for each, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// The type an `impl` line is about, without its parameters.
fn type_of(line: &str) -> Option<String> {
    let rest = line.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|at: char| {
            depth += i32::from(at == '<') - i32::from(at == '>');
            depth == 0
        })?;
        &rest[end + 1..]
    } else {
        rest
    };
    let name = rest.split(" for ").last()?.trim();
    Some(name.split(['<', ' ', '{']).next()?.to_owned())
}

/// Each public function with its whole signature, by the name its users know.
fn functions(root: &Path) -> BTreeMap<String, String> {
    let mut files = Vec::new();
    sources(root, &mut files);
    let mut found = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let of = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        // Its types have the names of those of the channels of serde.
        let module = if of.starts_with("typed/fixed") { "fixed::" } else { "" };
        let mut within = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("impl") {
                within = type_of(line).map_or_else(String::new, |name| format!("{name}::"));
            } else if line == "}" {
                within = String::new();
            }
            let code = line.trim_start();
            let signature =
                ["pub fn ", "pub async fn "].iter().find_map(|it| code.strip_prefix(it));
            let Some(mut signature) = signature.map(str::to_owned) else { continue };
            let name = signature.split(['(', '<']).next().unwrap().to_owned();
            while !signature.contains('{') && !signature.ends_with(';') {
                signature.push_str(lines.next().unwrap());
            }
            found.insert(format!("{module}{within}{name}"), signature);
        }
    }
    found
}

/// The rows of the page: each operation, its twin, or the reason.
fn rows(page: &str) -> BTreeMap<String, String> {
    let cells = |line: &str| -> Option<(String, String)> {
        let (operation, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((operation.to_owned(), rest.split(" | ").next()?.trim_end_matches(" |").to_owned()))
    };
    page.lines().filter_map(cells).collect()
}

/// Of no use to users: what the code of the attribute calls.
fn is_hidden(name: &str) -> bool {
    name.starts_with("Wire::")
        || name.starts_with("Request::")
        || matches!(name, "serve" | "serve_async")
}

#[test]
fn each_operation_with_a_deadline_is_in_the_table_with_its_twin() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let functions = functions(&root.join("src"));
    let page = fs::read_to_string(root.join("../docs/async.md")).unwrap();
    let rows = rows(&page);
    let waits: BTreeSet<&String> = functions
        .iter()
        .filter(|(name, signature)| signature.contains("Deadline") && !name.starts_with("Deadline"))
        .map(|(name, _)| name)
        .filter(|name| !is_hidden(name))
        .collect();
    assert!(waits.len() > 40, "the sources are elsewhere: {waits:?}");
    let missing: Vec<_> = waits.iter().filter(|name| !rows.contains_key(**name)).collect();
    assert!(missing.is_empty(), "docs/async.md says nothing of {missing:?}");
    for (operation, twin) in &rows {
        assert!(functions.contains_key(operation), "there is no {operation}");
        let Some(name) = twin.strip_prefix('`').and_then(|it| it.strip_suffix('`')) else {
            assert!(twin.len() > 20, "{operation} has no twin, and no reason is given: {twin}");
            continue;
        };
        assert!(functions.contains_key(name), "there is no {name}, the twin of {operation}");
        assert!(!functions[name].contains("Deadline"), "{name} takes a deadline");
    }
    // And nobody waits in secret.
    let twins: BTreeSet<&str> = rows.values().map(|twin| twin.trim_matches('`')).collect();
    let others = functions.keys().filter(|name| name.ends_with("_async") && !is_hidden(name));
    for name in others {
        assert!(twins.contains(&**name), "{name} is the twin of nothing in docs/async.md");
    }
}
