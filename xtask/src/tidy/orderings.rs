//! Orderings come in pairs, and say with whom.

use std::collections::BTreeMap;

use super::source::{Source, words};
use super::{Finding, Tree};

/// What a comment that pairs an ordering begins with.
const MARK: &str = "// pairs:";

/// Stands for the tag in a function whose callers carry it.
const CALLER: &str = "caller";

/// Every ordering but `Relaxed` has a tag, and every tag stands at two ends.
///
/// A tag is two words and a dot: what is ordered, and which word of it. Behind
/// it may stand another after a comma, or any remark.
pub(super) fn pairs(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tags: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for (path, source) in tree.sources() {
        if !path.starts_with("shm/src/") {
            continue;
        }
        for number in ordered(&source) {
            if source.remark(number, MARK).is_none() {
                let what = format!("this ordering pairs with nothing: say `{MARK} tag` beside it");
                found.push(Finding::new(path, number, what));
            }
        }
        for (number, line) in source.lines() {
            let Some((_, rest)) = line.raw.split_once(MARK) else {
                continue;
            };
            let named = tags_of(rest);
            if named.is_empty() && !rest.trim().is_empty() {
                let what = format!(
                    "names no tag such as `lane.head`; where each caller has its own, \
                     say `{MARK} {CALLER}`"
                );
                found.push(Finding::new(path, number, what));
            }
            for tag in named.into_iter().filter(|tag| *tag != CALLER) {
                let place = (path.to_owned(), number);
                tags.entry(tag.to_owned()).or_default().push(place);
            }
        }
    }
    for (tag, places) in tags {
        if let [(path, line)] = &places[..] {
            let what = format!("`{tag}` stands at one end only: where is the other?");
            found.push(Finding::new(path, *line, what));
        }
    }
    found
}

/// The tags behind the mark, up to the first word that is none.
fn tags_of(rest: &str) -> Vec<&str> {
    rest.split(',')
        .filter_map(|part| part.split_whitespace().next())
        .map(|word| word.trim_end_matches(['.', ':', ';']))
        .take_while(|word| is_tag(word))
        .collect()
}

fn is_tag(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let dotted = word.split_once('.').is_some_and(|(thing, word)| {
        !thing.is_empty() && !word.is_empty() && thing.chars().chain(word.chars()).all(plain)
    });
    dotted || word == CALLER
}

/// The lines of code that order something.
fn ordered(source: &Source) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut importing = false;
    for (number, line) in source.lines() {
        let code = line.code.trim_start();
        importing |= code.starts_with("use ") || code.starts_with("pub use ");
        if !importing && !line.test && words(code).any(|(before, word)| orders(before, word)) {
            lines.push(number);
        }
        importing &= !code.contains(';');
    }
    lines
}

/// `Ordering::Release` and a bare `Release` do; another type's `Release` not.
fn orders(before: &str, word: &str) -> bool {
    let before = before.trim_end();
    matches!(word, "Acquire" | "Release" | "AcqRel" | "SeqCst")
        && (!before.ends_with("::") || before.ends_with("Ordering::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        let findings = pairs(&Tree::of(&[("shm/src/lane.rs", text)]));
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn paired_orderings_pass() {
        let text = "\
use std::sync::atomic::{
    Ordering::{Acquire, Release},
};
self.announce(HEAD, head, Release); // pairs: lane.head
// pairs: lane.head
let head = self.head.load(Ordering::Acquire);
let kind = Kind::Release;
let tail = self.tail.load(Relaxed);
#[cfg(test)]
mod tests { fn a() { x.store(1, SeqCst); } }
";
        assert!(found(text).is_empty());
    }

    #[test]
    fn lonely_orderings_are_found() {
        assert_eq!(found("a.store(1, Release);\n"), [1]);
        assert_eq!(found("a.store(1, Ordering::SeqCst); // pairs:\n"), [1]);
        assert_eq!(found("\n\na.load(Acquire); // pairs: lane.tail\n"), [3]);
    }

    #[test]
    fn a_remark_is_no_tag_and_a_caller_may_have_it() {
        assert_eq!(found("a.store(1, Release); // pairs: as above\n"), [1]);
        assert!(found("a.store(1, Release); // pairs: caller\n").is_empty());
    }

    #[test]
    fn one_line_may_pair_with_two() {
        let both = "fence(SeqCst); // pairs: a.b, c.d. And more.\n";
        assert_eq!(found(both), [1, 1]);
        assert!(found(&both.repeat(2)).is_empty());
    }
}
