//! Every operation of a right is told in the table of rights.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// The table.
const TABLE: &str = "docs/rights.md";

/// The rights, each with a section of its own: a heading that is its name.
const RIGHTS: [&str; 3] = ["ReceiveRight", "SendRight", "SendOnceRight"];

/// Every public operation has a row under its right, and every row an operation.
pub(super) fn told(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let table = tree.text(TABLE).unwrap_or_default();
    for right in RIGHTS {
        let rows = rows(table, right);
        let mut known = BTreeSet::new();
        for (path, text) in tree.ending(".rs").filter(|(path, _)| is_of_the_library(path)) {
            for (number, operation) in operations(text, right) {
                if !rows.contains(operation) {
                    let what = format!(
                        "{operation} has no row under `{right}` in {TABLE}: say what it permits \
                         and which test shows it"
                    );
                    found.push(Finding::new(path, number, what));
                }
                known.insert(operation);
            }
        }
        for row in rows.difference(&known) {
            found.push(Finding::new(TABLE, 0, format!("{row} is no operation of {right}")));
        }
    }
    found
}

fn is_of_the_library(path: &str) -> bool {
    path.starts_with("pillarbox/src/")
}

/// The public methods in the blocks `impl <right>` of a source, with their lines.
fn operations<'a>(text: &'a str, right: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if let Some(block) = line.strip_prefix("impl ") {
            let of = block.strip_suffix(" {").and_then(|of| of.rsplit("::").next());
            inside = of == Some(right);
        } else if line.starts_with('}') {
            inside = false;
        }
        let method = line.strip_prefix("    pub ").filter(|_| inside)?;
        let method = method.trim_start_matches("const ").trim_start_matches("async ");
        let name = method.strip_prefix("fn ")?.split(['(', '<']).next()?;
        Some((at + 1, name))
    })
}

/// What stands between backticks in the first column below the heading.
fn rows<'a>(table: &'a str, right: &str) -> BTreeSet<&'a str> {
    let heading = format!("### `{right}`");
    let below = table.lines().skip_while(|line| !line.starts_with(&heading)).skip(1);
    let section = below.take_while(|line| !line.starts_with('#'));
    let cells = section.filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "impl crate::SendRight {\n    /// Doc.\n    pub fn send(&self) {\n    }\n    \
                          pub(crate) fn inner(&self) {}\n    pub async fn turn<T>(&self) {}\n}\n\
                          impl Other {\n    pub fn other(&self) {}\n}\n";

    fn tree(rows: &str) -> Tree {
        let table = format!("### `SendRight`\n\n{rows}\n### Next\n\n| `other` | more |\n");
        Tree::of(&[("pillarbox/src/right.rs", SOURCE), (TABLE, &table)])
    }

    #[test]
    fn every_operation_has_a_row() {
        assert_eq!(told(&tree("| `send`, `turn` | all |")), []);
        let missing = told(&tree("| operation | permits |\n|---|---|\n| `send` | `turn` |"));
        assert_eq!((missing.len(), missing[0].line), (1, 6));
    }

    #[test]
    fn every_row_has_an_operation() {
        let stale = told(&tree("| `send`, `turn` | all |\n| `gone` | no more |"));
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].path, TABLE);
    }
}
