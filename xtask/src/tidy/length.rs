//! How long a file is, and how it begins.

use super::{Finding, Tree};

/// Where a file is worth a second look.
const LOOK_LINES: usize = 500;

/// What no file may exceed.
const LIMIT_LINES: usize = 800;

/// No source is too long to be read in one sitting.
pub(super) fn lines(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs") {
        let lines = text.lines().count();
        if lines > LIMIT_LINES {
            let what = format!("{lines} lines, the limit is {LIMIT_LINES}: it is two things");
            found.push(Finding::new(path, 0, what));
        } else if lines > LOOK_LINES {
            let mut finding = Finding::new(path, 0, format!("{lines} lines: is it two things?"));
            finding.advice = true;
            found.push(finding);
        }
    }
    found
}

/// Every source begins with what it is.
pub(super) fn heads(tree: &Tree) -> Vec<Finding> {
    tree.ending(".rs")
        .filter(|(_, text)| {
            let head = text.lines().next().unwrap_or_default();
            head.strip_prefix("//!").is_none_or(|head| head.trim().is_empty())
        })
        .map(|(path, _)| Finding::new(path, 1, "does not begin with `//!` and what it is"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_looked_at_and_a_longer_one_refused() {
        let of = |count: usize| {
            let text = "x\n".repeat(count);
            let found = lines(&Tree::of(&[("a.rs", &text), ("a.md", &text)]));
            found.iter().map(|finding| finding.advice).collect::<Vec<_>>()
        };
        assert!(of(500).is_empty());
        assert_eq!(of(501), [true]);
        assert_eq!(of(800), [true]);
        assert_eq!(of(801), [false]);
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(heads(&Tree::of(&[("a.rs", "//! The lane.\n")])), []);
        for text in ["", "// The lane.\n", "//!\n//! The lane.\n", "\n//! The lane.\n"] {
            assert_eq!(heads(&Tree::of(&[("a.rs", text)])).len(), 1, "{text:?}");
        }
    }
}
