//! What is switched off or not yet written.

use super::{Finding, Tree};

/// No test is ignored, and no example in a doc comment either.
pub(super) fn ignored(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        for (number, line) in source.lines() {
            let raw = line.raw.trim_start();
            let fenced = ["/// ```", "//! ```"]
                .iter()
                .find_map(|mark| raw.strip_prefix(mark))
                .is_some_and(|words| words.split(',').any(|word| word.trim() == "ignore"));
            if fenced || line.code.contains("#[ignore") {
                let what = "is ignored: run it, mend it or remove it";
                found.push(Finding::new(path, number, what));
            }
        }
    }
    found
}

/// Nothing is left to be written.
pub(super) fn todo(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        for (number, line) in source.lines() {
            if ["todo!", "unimplemented!"].iter().any(|word| line.code.contains(word)) {
                found.push(Finding::new(path, number, "is not written yet"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_passes() {
        let text = "//! Do not ignore.\n/// ```no_run\n// todo!\nlet a = \"#[ignore] todo!()\";\n";
        let tree = Tree::of(&[("a.rs", text)]);
        assert_eq!(ignored(&tree), []);
        assert_eq!(todo(&tree), []);
    }

    #[test]
    fn what_does_not_run_is_found() {
        for text in ["#[ignore]", "#[ignore = \"slow\"]", "/// ```ignore", "//! ```rust,ignore"] {
            assert_eq!(ignored(&Tree::of(&[("a.rs", text)])).len(), 1, "{text}");
        }
        for text in ["fn a() { todo!() }", "unimplemented!(\"later\")"] {
            assert_eq!(todo(&Tree::of(&[("a.rs", text)])).len(), 1, "{text}");
        }
    }
}
