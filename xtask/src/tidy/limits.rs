//! The table of limits names each of them.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// The table.
const TABLE: &str = "docs/limits.md";

/// Where limits stand.
const SOURCES: [&str; 2] = ["abi/src/limits.rs", "boot/src/limits.rs"];

/// Every limit has a row, and every row a limit.
pub(super) fn told(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    let table = tree.text(TABLE).unwrap_or_default();
    let rows: BTreeSet<&str> = table.lines().filter_map(named).collect();
    for source in SOURCES {
        let text = tree.text(source).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let Some(name) = limit(line) else { continue };
            known.insert(name);
            if !rows.contains(name) {
                let what = format!("{name} has no row in {TABLE}: say who hits it, and what then");
                found.push(Finding::new(source, number + 1, what));
            }
        }
    }
    for name in rows.difference(&known) {
        found.push(Finding::new(TABLE, 0, format!("{name} is no limit any more")));
    }
    found
}

/// The constant that a line of a source declares.
fn limit(line: &str) -> Option<&str> {
    Some(line.strip_prefix("pub const ")?.split_once(':')?.0)
}

/// The limit that a row of the table begins with.
fn named(line: &str) -> Option<&str> {
    Some(line.strip_prefix("| `")?.split_once('`')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_row_and_every_row_a_limit() {
        let source = ("abi/src/limits.rs", "/// Doc.\npub const LINKS: usize = 4;\n");
        let table = |rows| (TABLE, rows);
        let good = Tree::of(&[source, table("| limit | who |\n|---|---|\n| `LINKS` | 4 |\n")]);
        assert_eq!(told(&good), []);
        assert_eq!(told(&Tree::of(&[source]))[0].line, 2);
        let stale = Tree::of(&[source, table("| `LINKS` | 4 |\n| `GONE` | 1 |\n")]);
        assert_eq!(told(&stale).len(), 1);
    }
}
