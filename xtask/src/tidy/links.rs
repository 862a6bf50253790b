//! What documents point at exists.

use std::collections::BTreeMap;

use super::{Finding, Tree};

/// A document's lines of prose with their numbers: fenced blocks left out.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(close)) if open == close => fence = None,
            (None, None) => return Some((at + 1, line)),
            _ => {}
        }
        None
    })
}

/// Every relative link, and every anchor, leads somewhere.
pub(super) fn targets(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (number, line) in prose(text) {
            for link in links(&without_code(line)) {
                if let Err(what) = resolve(tree, path, &link) {
                    found.push(Finding::new(path, number, what));
                }
            }
        }
    }
    found
}

fn resolve(tree: &Tree, from: &str, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let file = if file.is_empty() {
        from.to_owned()
    } else {
        join(from, file).ok_or_else(|| format!("the link {link} leads out of the tree"))?
    };
    if !tree.has(&file) {
        return Err(format!("the link {link} leads to no file"));
    }
    let is_document = file.ends_with(".md");
    let text = tree.text(&file).unwrap_or_default();
    if !anchor.is_empty() && is_document && !anchors(text).iter().any(|known| known == anchor) {
        return Err(format!("the link {link} leads to no heading of {file}"));
    }
    Ok(())
}

/// `link` as seen from the folder of `from`, from the root.
fn join(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The targets of `[text](target)` and `[label]: target`.
fn links(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.extend(target.split_whitespace().next().map(str::to_owned));
    }
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("](") {
        let end = after.find([')', ' ']).unwrap_or(after.len());
        found.push(after[..end].trim_matches(['<', '>']).to_owned());
        rest = &after[end..];
    }
    found
}

/// The line with what stands between backticks left out.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The anchors of a document's headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let depth = line.len() - title.len();
        if !(1..=6).contains(&depth) || !title.starts_with(' ') {
            continue;
        }
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let times = seen.entry(slug.clone()).or_default();
        found.push(match *times {
            0 => slug,
            times => format!("{slug}-{times}"),
        });
        *times += 1;
    }
    found
}

/// Every path between backticks that looks like one of the tree's exists. The
/// changelog speaks of the past and is left out.
pub(super) fn paths(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (from, text) in tree.ending(".md") {
        if from == "CHANGELOG.md" {
            continue;
        }
        for (number, line) in prose(text) {
            for named in line.split('`').skip(1).step_by(2) {
                let path = named.split(['#', ':']).next().unwrap_or_default();
                let beside = join(from, path).is_some_and(|beside| tree.has(&beside));
                if looks_like_a_path(tree, path) && !beside && !tree.has(path) {
                    found.push(Finding::new(from, number, format!("there is no {path}")));
                }
            }
        }
    }
    found
}

/// Ours begin with a folder of the root; documents are also named alone.
fn looks_like_a_path(tree: &Tree, text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.is_empty() || !text.chars().all(plain) {
        return false;
    }
    match text.split_once('/') {
        Some((first, _)) => !first.is_empty() && first != "target" && tree.has(first),
        None => text.ends_with(".md") && text.len() > ".md".len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = "# The `lane`: head & tail\n## Again\n## Again\n```\n# no heading\n```\n";

    #[test]
    fn anchors_are_those_of_forges() {
        assert_eq!(anchors(DOC), ["the-lane-head--tail", "again", "again-1"]);
    }

    #[test]
    fn good_links_pass() {
        let text = "[a](docs/lane.md#again-1) [b](#here) [c](shm/) `[d](nowhere)`\n# Here\n\
                    [e]: docs/lane.md \"title\"\n```\n[f](nowhere)\n```\n[g](https://x.org/y#z)\n";
        let tree = Tree::of(&[("README.md", text), ("docs/lane.md", DOC), ("shm/a", "")]);
        assert_eq!(targets(&tree), []);
    }

    #[test]
    fn bad_links_are_found() {
        for text in [
            "[a](docs/none.md)",
            "[a](docs/lane.md#none)",
            "[a](#none)",
            "[a](../outside.md)",
            "[a]: none.md",
        ] {
            let tree = Tree::of(&[("README.md", text), ("docs/lane.md", DOC)]);
            assert_eq!(targets(&tree).len(), 1, "{text}");
        }
    }

    #[test]
    fn named_paths_exist() {
        let good = "`shm/src/lane.rs`, `shm/`, `other/thing.rs`, `shm/tests/<promise>.rs`, \
                    `target/release/x`, `a / b`, `beside.md`, `shm/src/lane.rs:12`, `.md`";
        let bad = "`shm/src/none.rs` and `NONE.md`";
        let tree = |text| {
            Tree::of(&[("docs/a.md", text), ("docs/beside.md", ""), ("shm/src/lane.rs", "")])
        };
        assert_eq!(paths(&tree(good)), []);
        assert_eq!(paths(&tree(bad)).len(), 2);
    }
}
