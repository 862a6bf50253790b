//! Where `unsafe` may stand.

use super::source::words;
use super::{Finding, Tree};

/// The document that argues every file with unsafe code.
const ARGUED: &str = "docs/soundness.md";

/// `unsafe` stands in `shm`, at the C edge of faces, and in a test that must make
/// a system call no safe crate offers; every file with it is named where it is
/// argued.
pub(super) fn files(tree: &Tree) -> Vec<Finding> {
    let argued = tree.text(ARGUED);
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        let first =
            source.lines().find(|(_, line)| words(&line.code).any(|(_, word)| word == "unsafe"));
        let Some((number, _)) = first else { continue };
        let placed =
            path.starts_with("shm/") || path.starts_with("faces/") || path.contains("/tests/");
        let what = if !placed {
            "unsafe stands in shm only (and at the C edge of faces)".to_owned()
        } else if argued.is_some_and(|text| text.contains(path)) {
            continue;
        } else if argued.is_some() {
            format!("has unsafe code and is not named in {ARGUED}: argue it there, by its path")
        } else {
            format!("has unsafe code, and there is no {ARGUED} that argues it")
        };
        found.push(Finding::new(path, number, what));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_argued_and_only_in_its_place() {
        let code = "//! Head.\nfn f() {\n    unsafe { g() }\n}\n";
        let doc = (ARGUED, "`shm/src/map.rs` upholds M1.");
        assert_eq!(files(&Tree::of(&[("shm/src/map.rs", code), doc])), []);
        assert_eq!(files(&Tree::of(&[("shm/src/lane.rs", code), doc]))[0].line, 3);
        assert_eq!(files(&Tree::of(&[("shm/src/map.rs", code)])).len(), 1);
        assert_eq!(files(&Tree::of(&[("cli/src/main.rs", code), doc])).len(), 1);
    }

    #[test]
    fn the_word_alone_is_harmless() {
        let code = "//! No unsafe.\n#![forbid(unsafe_code)]\nfn f() { say(\"unsafe\") }\n";
        assert_eq!(files(&Tree::of(&[("cli/src/main.rs", code)])), []);
    }
}
