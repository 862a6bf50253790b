//! The bytes on the wire do not change unnoticed.
//!
//! What two tasks agree on is a handful of sources. Their code, without
//! comments, tests, layout and the words of errors, has a hash, and the
//! document that describes the protocol records it. A change of the code then
//! asks for a look at the document, at the version, and at the changelog.

use super::source::{Source, blank};
use super::{Finding, Tree};

/// The sources that fix the bytes.
const SOURCES: [&str; 8] = [
    "abi/src/board.rs",
    "abi/src/frame.rs",
    "abi/src/hello.rs",
    "abi/src/id.rs",
    "abi/src/limits.rs",
    "abi/src/loan.rs",
    "abi/src/page.rs",
    "abi/src/right.rs",
];

/// Where the hash is recorded.
const RECORD: &str = "docs/wire.md";

/// The line it is recorded on begins so.
const MARK: &str = "wire-hash:";

/// The recorded hash is the hash of the sources.
pub(super) fn recorded(tree: &Tree) -> Vec<Finding> {
    let hash = hash(tree);
    let Some(text) = tree.text(RECORD) else {
        let what = format!("is missing: it describes the protocol and holds `{MARK} {hash}`");
        return vec![Finding::new(RECORD, 0, what)];
    };
    let line = text.lines().zip(1..).find_map(|(line, number)| {
        let (_, rest) = line.split_once(MARK)?;
        let word = rest.split_whitespace().next().unwrap_or_default();
        Some((number, word.trim_matches('`')))
    });
    match line {
        Some((_, recorded)) if recorded == hash => Vec::new(),
        Some((number, recorded)) => {
            let what = format!(
                "records {recorded}, but the wire is now {hash}. If the bytes were meant to \
                 change: mend this document, write `{MARK} {hash}`, tell CHANGELOG.md under \
                 Wire, and raise VERSION in abi/src/hello.rs if old peers would misread them"
            );
            vec![Finding::new(RECORD, number, what)]
        }
        None => vec![Finding::new(RECORD, 0, format!("has no line `{MARK} {hash}`"))],
    }
}

/// The hash of the sources, as it is to be recorded.
pub(super) fn hash(tree: &Tree) -> String {
    let mut hash = Fnv::new();
    for path in SOURCES {
        hash.add(path);
        hash.add(&bare(path, tree.text(path).unwrap_or_default()));
    }
    hash.text()
}

/// The code without comments, tests, texts and layout.
fn bare(path: &str, text: &str) -> String {
    let kept = blank(text, true);
    let source = Source::of(path, text);
    let lines = kept.lines().zip(source.lines());
    let code = lines.filter(|(_, (_, line))| !line.test);
    let mut bare = String::new();
    for word in code.flat_map(|(kept, _)| kept.split_whitespace()) {
        let glued = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if glued(bare.chars().last()) && glued(word.chars().next()) {
            bare.push(' ');
        }
        bare.push_str(word);
    }
    // A list broken over lines ends with a comma, the same on one line not.
    for close in [")", "]", "}"] {
        bare = bare.replace(&format!(",{close}"), close);
    }
    bare
}

/// FNV-1a: short, and good against accidents, which is all it is for.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(text: &str) -> String {
        hash(&Tree::of(&[("abi/src/page.rs", text)]))
    }

    #[test]
    fn only_what_is_on_the_wire_counts() {
        let code = "//! Head.\npub const A: u8 = f(b\"x\", 1);\n";
        let same = "//! Page.\n/// A.\npub const A: u8 = f(\n    b\"x\",\n    1,\n);\n\
                    #[cfg(test)]\nmod tests {\n    fn a() {}\n}\n";
        assert_eq!(hash_of(code), hash_of(same));
        assert_ne!(hash_of(code), hash_of(&code.replace('1', "2")));
        assert_ne!(hash_of(code), hash_of(&code.replace('x', "y")));
        assert_eq!(hash_of("e(\"one\")"), hash_of("e(\"two\")"));
    }

    #[test]
    fn a_recorded_hash_passes_and_another_is_found() {
        let page = ("abi/src/page.rs", "pub const A: u8 = 1;\n");
        let line = format!("# Wire\n\n    {MARK} {}\n", hash(&Tree::of(&[page])));
        assert_eq!(recorded(&Tree::of(&[page, (RECORD, &line)])), []);
        let changed = ("abi/src/page.rs", "pub const A: u8 = 2;\n");
        assert_eq!(recorded(&Tree::of(&[changed, (RECORD, &line)]))[0].line, 3);
        assert_eq!(recorded(&Tree::of(&[page])).len(), 1);
        assert_eq!(recorded(&Tree::of(&[page, (RECORD, "# Wire\n")])).len(), 1);
    }
}
