//! The last commit's subject.

use super::{Finding, Tree};

/// What fits on a line of a log, hash and all.
const LIMIT: usize = 60;

/// The subject is short.
pub(super) fn subject(tree: &Tree) -> Vec<Finding> {
    let subject = tree.subject.as_deref().unwrap_or_default();
    let length = subject.chars().count();
    if length <= LIMIT {
        return Vec::new();
    }
    let what = format!("its subject has {length} characters, the limit is {LIMIT}: {subject}");
    vec![Finding::new("the last commit", 0, what)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_sixty_characters_and_no_more() {
        let of = |length: usize| {
            subject(&Tree { subject: Some("ü".repeat(length)), ..Tree::default() }).len()
        };
        assert_eq!(of(60), 0);
        assert_eq!(of(61), 1);
        assert_eq!(subject(&Tree::default()), []);
    }
}
