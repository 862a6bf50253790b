//! The tree works wherever it is: it names nobody's machine.

use super::{Finding, Tree};

/// Folders at the root of a file system in which people keep their things.
const PRIVATE: [&str; 4] = ["home", "root", "Users", "work"];

/// No absolute path into one of them.
pub(super) fn paths(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.all() {
        for (line, number) in text.lines().zip(1..) {
            if let Some(dir) = PRIVATE.iter().find(|dir| names(line, dir)) {
                let what = format!("names a machine's folder under /{dir}");
                found.push(Finding::new(path, number, what));
            }
        }
    }
    found
}

fn names(line: &str, dir: &str) -> bool {
    let mark = format!("/{dir}/");
    line.match_indices(&mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_machines_are_found_and_others_are_not() {
        for dir in PRIVATE {
            let bad = format!("cd /{dir}/me/src");
            assert_eq!(paths(&Tree::of(&[("a.sh", &bad)])).len(), 1, "{bad}");
        }
        let good = "docs/work/x ./home/y https://x.org//root/ /usr/bin /tmp/x $HOME /proc/self";
        assert_eq!(paths(&Tree::of(&[("a.sh", good)])), []);
    }
}
