//! Tests wait for something that happens, not for time to pass.

use super::{Finding, Tree};

/// A sleep in a test says why nothing else would do.
pub(super) fn reasons(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        for (number, line) in source.lines() {
            let sleeps =
                ["thread::sleep(", " sleep(Duration"].iter().any(|call| line.code.contains(call));
            if line.test && sleeps && source.remark(number, "// sleep:").is_none() {
                let what = "a test that sleeps hopes: wait for what must happen, \
                            or say `// sleep: reason` beside it";
                found.push(Finding::new(path, number, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        reasons(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_sleep_with_a_reason_passes() {
        let text = "// sleep: the peer is to be asleep first\nthread::sleep(SHORT);\n";
        assert_eq!(found("shm/tests/a.rs", text), 0);
        assert_eq!(found("shm/src/a.rs", "thread::sleep(SHORT);\n"), 0);
        assert_eq!(found("shm/tests/a.rs", "// thread::sleep(SHORT)\n"), 0);
    }

    #[test]
    fn a_sleep_that_hopes_is_found() {
        assert_eq!(found("shm/tests/a.rs", "std::thread::sleep(SHORT);\n"), 1);
        let inside = "#[cfg(test)]\nmod tests {\n    sleep(Duration::from_millis(5));\n}\n";
        assert_eq!(found("shm/src/a.rs", inside), 1);
    }
}
