//! The map shows every crate.

use super::{Finding, Tree};

/// The map.
const MAP: &str = "ARCHITECTURE.md";

/// Fewer words than these are no sentence.
const WORDS: usize = 4;

/// A line of the map names each crate's folder and says what it is.
pub(super) fn crates(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(MAP) else {
        let what = "is missing: it says what each crate is and who may need whom";
        return vec![Finding::new(MAP, 0, what)];
    };
    tree.paths()
        .filter_map(|path| path.strip_suffix("/Cargo.toml"))
        .filter(|dir| !text.lines().any(|line| says(line, dir)))
        .map(|dir| Finding::new(MAP, 0, format!("has no line `{dir}/` that says what it is")))
        .collect()
}

/// Whether the line begins with the folder and goes on with a sentence.
fn says(line: &str, dir: &str) -> bool {
    let line = line.trim_start_matches([' ', '|', '-', '*', '`', '[', '#']);
    let Some(rest) = line.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')) else {
        return false;
    };
    rest.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count() >= WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_has_its_sentence() {
        let files = [("abi/Cargo.toml", ""), ("shm/Cargo.toml", ""), ("Cargo.toml", "")];
        let with = |map| {
            let mut files = files.to_vec();
            files.push((MAP, map));
            crates(&Tree::of(&files)).len()
        };
        assert_eq!(
            with(
                "    abi/    the bytes two tasks agree on\n| `shm/` | the memory under it all |\n"
            ),
            0
        );
        assert_eq!(with("    abi/    the bytes two tasks agree on\n    shm/\n"), 1);
        assert_eq!(with("What abi/ and shm/ are is said elsewhere.\n"), 2);
        assert_eq!(crates(&Tree::of(&files)).len(), 1);
    }
}
