//! Names that say nothing.

use super::source::words;
use super::{Finding, Tree};

/// Files, folders and modules of this name end up holding everything.
const MODULES: [&str; 6] = ["utils", "common", "helpers", "misc", "types", "details"];

/// Types with such an ending say what they are for the language, not for us.
const ENDINGS: [&str; 4] = ["Manager", "Handler", "Helper", "Impl"];

/// No barred name.
pub(super) fn barred(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        let parts = path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| MODULES.contains(part)) {
            found.push(Finding::new(path, 0, format!("`{part}` says nothing")));
        }
        for (number, line) in source.lines() {
            let mut keyword = "";
            for (_, word) in words(&line.code) {
                let bad = match keyword {
                    "mod" => MODULES.contains(&word),
                    "struct" | "enum" | "trait" | "type" | "union" => {
                        ENDINGS.iter().any(|ending| word.ends_with(ending))
                    }
                    _ => false,
                };
                if bad {
                    found.push(Finding::new(path, number, format!("`{word}` says nothing")));
                }
                keyword = word;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_something_pass() {
        let text = "//! Common details.\nmod lane;\nstruct Manage;\nimpl Handle for X {}\n";
        assert_eq!(barred(&Tree::of(&[("shm/src/typestate.rs", text)])), []);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for (path, text) in [
            ("shm/src/utils.rs", ""),
            ("shm/tests/common/mod.rs", ""),
            ("shm/src/lib.rs", "pub(crate) mod types;"),
            ("shm/src/lib.rs", "pub struct LinkManager<T> {}"),
            ("shm/src/lib.rs", "type PortImpl = u8;"),
        ] {
            assert_eq!(barred(&Tree::of(&[(path, text)])).len(), 1, "{path} {text}");
        }
    }
}
